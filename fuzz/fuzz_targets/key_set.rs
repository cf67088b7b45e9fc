//! Key sets as a provider might send them, and the setting that names providers. Neither may panic, and a set that is taken has a key.

#![no_main]

use libfuzzer_sys::fuzz_target;
use permit_handoff::oidc::{Issuers, algorithm::Algorithm, key_set::KeySet};

fuzz_target!(|data: &[u8]| {
    if let Ok(keys) = KeySet::parse(data) {
        assert!(keys.usable() > 0);
        for algorithm in Algorithm::ALL {
            if let Ok(key) = keys.find(None, algorithm) {
                assert!(key.check(algorithm, b"message", &[0; 64]).is_err());
                assert!(key.check(algorithm, b"message", data).is_err());
            }
        }
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Err(error) = Issuers::parse(text)
    {
        assert!(!error.faults.is_empty() && !error.to_string().is_empty());
    }
});
