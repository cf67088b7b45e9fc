//! No change of one byte in a valid token verifies.

use permit_handoff::oidc::algorithm::Algorithm;
use proptest::{prelude::*, sample::select, test_runner::TestRunner};

use crate::signer::{Signer, default_issuers, good_claims, key_set, verify};

/// Every byte that a part may contain, and the ones that a lenient reader would accept instead.
const SPELLINGS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=. \n\0";

#[test]
fn no_byte_can_be_replaced_left_out_or_put_in() {
    let signer = Signer::new("k", Algorithm::EdDsa);
    let (issuers, keys) = (default_issuers(), key_set(&[signer.jwk()]));
    let token = signer.sign(&good_claims());
    assert!(verify(&token, &issuers, &keys).is_ok());

    for index in 0..=token.len() {
        let (before, after) = token.split_at(index);
        if let Some(rest) = after.get(1..) {
            let shorter = format!("{before}{rest}");
            assert!(verify(&shorter, &issuers, &keys).is_err(), "without byte {index}");
        }
        for byte in SPELLINGS {
            let byte = char::from(*byte);
            let longer = format!("{before}{byte}{after}");
            assert!(verify(&longer, &issuers, &keys).is_err(), "{byte:?} before byte {index}");
            if after.starts_with(byte) || after.is_empty() {
                continue;
            }
            let changed = format!("{before}{byte}{}", &after[1..]);
            assert!(verify(&changed, &issuers, &keys).is_err(), "{byte:?} as byte {index}");
        }
    }
}

#[test]
fn no_algorithm_lets_a_changed_byte_through() {
    let signers: Vec<Signer> =
        Algorithm::all().into_iter().map(|algorithm| Signer::new("k", algorithm)).collect();
    let issuers = default_issuers();
    for signer in &signers {
        let keys = key_set(&[signer.jwk()]);
        let token = signer.sign(&good_claims());
        assert!(verify(&token, &issuers, &keys).is_ok(), "{}", signer.algorithm);

        let change = (0..token.len(), select(SPELLINGS));
        TestRunner::new(ProptestConfig::with_cases(300))
            .run(&change, |(index, byte)| {
                prop_assume!(token.as_bytes()[index] != byte);
                let mut changed = token.clone().into_bytes();
                changed[index] = byte;
                let changed = String::from_utf8(changed).unwrap();
                prop_assert!(verify(&changed, &issuers, &keys).is_err());
                Ok(())
            })
            .unwrap();
    }
}
