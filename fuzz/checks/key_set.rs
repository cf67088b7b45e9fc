//! Key sets as a provider might send them, and the policy that names providers. Neither may panic, no key
//! accepts a forged signature, and each fault has a line.

use permit_handoff::config;
use permit_handoff::oidc::{algorithm::Algorithm, key_set::KeySet};

pub(crate) fn check(data: &[u8]) {
    if let Ok(keys) = KeySet::parse(data) {
        for algorithm in Algorithm::all() {
            if let Ok(key) = keys.find(None, algorithm) {
                assert!(keys.usable() > 0);
                assert!(key.check(algorithm, b"message", &[0; 64]).is_err());
                assert!(key.check(algorithm, b"message", data).is_err());
            }
        }
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Err(faults) = config::policy(text)
    {
        assert!(!faults.is_empty() && faults.iter().all(|fault| fault.line > 0 && !fault.message.is_empty()));
    }
}
