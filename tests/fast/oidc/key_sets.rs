//! Key sets: which keys are used for which tokens, and why others are not.

use permit_handoff::oidc::{
    algorithm::Algorithm,
    key::KeyFault,
    key_set::{KeySet, KeySetError, MAX_KEYS},
};
use serde_json::{Value, json};

use crate::signer::{Signer, code, default_issuers, encode, good_claims, key_set, verify};

/// A key of 2,048 bits, made like those of Infineon's faulty generator (CVE-2017-15361).
const ROCA: &str = "s3biYnMPEa_1q30eG7Pnk9VaKn4sqf_nWGDYuxoHvjzJlAFBAuR9BNq1Gv44kIXQiWpeBfxKPp7HRQWlJJt8Owy4QivtCt9z\
    -ZZIe1PA2oW8ncCbrp2iGq7oM9ZH3JRFp01tRbqWKf31_GRBbivmCHzh0gO1d1tfnE0F_R2q0BVvblO1KDIHnFZ33lyaxff72iXiMVyAwVosGJmLsi\
    YjYW9MZajKnKTc1YndOTiD-w8NFYcI6un0lZR3W-G97utkB0S7oS-2_Zo-dicoZfDSWC7LUo2SR9v6c0SKMY25opPXqEX823TUYghnKj6hNQHGgtcz\
    Whofztx95h-TYbSnxQ";

/// The eight points of Ed25519 whose order divides 8, and the second spellings that some of them have, in
/// hexadecimal.
const SMALL_ORDER: [&str; 12] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

fn with(mut jwk: Value, members: &Value) -> Value {
    for (name, value) in members.as_object().unwrap() {
        if value.is_null() {
            jwk.as_object_mut().unwrap().remove(name);
        } else {
            jwk[name] = value.clone();
        }
    }
    jwk
}

#[test]
fn a_bad_key_spoils_only_itself() {
    let good = Signer::new("good", Algorithm::Es256);
    let rsa = Signer::new("rsa", Algorithm::Rs256);
    let ed = Signer::new("ed", Algorithm::EdDsa);
    let small = encode([0xc5; 128]);
    let large = encode([0xc5; 1025]);
    for (jwk, fault) in [
        (json!({}), KeyFault::Malformed),
        (json!(7), KeyFault::Malformed),
        (json!({"kty": "RSA", "n": 7, "e": "AQAB"}), KeyFault::Malformed),
        (with(rsa.jwk(), &json!({"n": null})), KeyFault::Malformed),
        (with(rsa.jwk(), &json!({"n": "AQAB"})), KeyFault::TooSmall),
        (with(rsa.jwk(), &json!({"n": ""})), KeyFault::TooSmall),
        (with(rsa.jwk(), &json!({"n": small})), KeyFault::TooSmall),
        // 2,048 bits by length, 2,047 by value.
        (with(rsa.jwk(), &json!({"n": encode([&[0x7f][..], &[0xc5; 255]].concat())})), KeyFault::TooSmall),
        (with(rsa.jwk(), &json!({"n": large})), KeyFault::TooLarge),
        (with(rsa.jwk(), &json!({"e": "AA"})), KeyFault::Malformed),
        (with(rsa.jwk(), &json!({"e": "AQ"})), KeyFault::Malformed),
        (with(rsa.jwk(), &json!({"e": "AQAA"})), KeyFault::Malformed),
        (
            with(rsa.jwk(), &json!({"n": format!("{}=", rsa.jwk()["n"].as_str().unwrap())})),
            KeyFault::Malformed,
        ),
        (with(rsa.jwk(), &json!({"d": "AQAB"})), KeyFault::Private),
        (with(good.jwk(), &json!({"y": good.jwk()["x"]})), KeyFault::Malformed),
        (with(good.jwk(), &json!({"x": "AAAA"})), KeyFault::Malformed),
        (with(good.jwk(), &json!({"x": encode([0; 32]), "y": encode([0; 32])})), KeyFault::Malformed),
        (with(good.jwk(), &json!({"crv": "P-384"})), KeyFault::Malformed),
        (with(good.jwk(), &json!({"crv": "secp256k1"})), KeyFault::Unsupported),
        (with(good.jwk(), &json!({"alg": "ES384"})), KeyFault::Malformed),
        (with(good.jwk(), &json!({"alg": "ECDH-ES"})), KeyFault::NotForSignatures),
        (with(good.jwk(), &json!({"alg": "none"})), KeyFault::NotForSignatures),
        (with(good.jwk(), &json!({"alg": "HS256"})), KeyFault::NotForSignatures),
        (with(good.jwk(), &json!({"alg": 7})), KeyFault::Malformed),
        (with(good.jwk(), &json!({"use": "enc"})), KeyFault::NotForSignatures),
        (with(good.jwk(), &json!({"use": 7})), KeyFault::Malformed),
        (with(good.jwk(), &json!({"key_ops": ["sign"]})), KeyFault::NotForSignatures),
        (with(good.jwk(), &json!({"key_ops": []})), KeyFault::NotForSignatures),
        (with(good.jwk(), &json!({"key_ops": "verify"})), KeyFault::Malformed),
        (with(ed.jwk(), &json!({"x": "AAAA"})), KeyFault::Malformed),
        (with(ed.jwk(), &json!({"crv": "Ed448"})), KeyFault::Unsupported),
        (with(ed.jwk(), &json!({"crv": "X25519"})), KeyFault::Unsupported),
        (with(ed.jwk(), &json!({"d": "AAAA"})), KeyFault::Private),
        (with(rsa.jwk(), &json!({"n": encode([0xff; 256])})), KeyFault::Weak),
        (with(rsa.jwk(), &json!({"n": ROCA})), KeyFault::Weak),
        (json!({"kty": "oct", "k": "c2VjcmV0"}), KeyFault::Symmetric),
        (json!({"kty": "AKP"}), KeyFault::Unsupported),
    ] {
        // The set still works, and the bad key is counted.
        let keys = key_set(&[jwk.clone(), good.jwk()]);
        let kid = jwk.get("kid").and_then(Value::as_str);
        assert_eq!((keys.usable(), keys.faults().collect::<Vec<_>>()), (1, vec![(kid, fault)]), "{jwk}");
        assert_eq!(code(verify(&good.sign(&good_claims()), &default_issuers(), &keys)), "verified");

        // A token that names the bad key is refused because of the key's fault.
        if jwk.is_object() {
            let other = with(good.jwk(), &json!({"kid": "other"}));
            let keys = key_set(&[with(jwk.clone(), &json!({"kid": "good"})), other]);
            assert_eq!(
                code(verify(&good.sign(&good_claims()), &default_issuers(), &keys)),
                fault.code(),
                "{jwk}"
            );
        }
    }
}

#[test]
fn any_member_of_a_private_part_gives_a_key_away() {
    for signer in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa].map(|a| Signer::new("k", a)) {
        for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"] {
            let keys = key_set(&[with(signer.jwk(), &json!({member: "AQAB"}))]);
            assert_eq!(keys.faults().collect::<Vec<_>>(), [(Some("k"), KeyFault::Private)], "{member}");
        }
    }
}

#[test]
fn an_ed25519_key_of_small_order_is_no_key() {
    let ed = Signer::new("ed", Algorithm::EdDsa);
    for point in SMALL_ORDER {
        let byte = |at: usize| u8::from_str_radix(&point[at..at + 2], 16).unwrap();
        let point: Vec<u8> = (0..64).step_by(2).map(byte).collect();
        let keys = key_set(&[with(ed.jwk(), &json!({"x": encode(&point)}))]);
        assert_eq!(keys.usable(), 0, "{point:x?}");
    }
    // A generator makes none of these.
    for _ in 0..50 {
        assert_eq!(key_set(&[Signer::new("ed", Algorithm::EdDsa).jwk()]).usable(), 1);
    }
}

#[test]
fn a_key_with_a_name_twice_is_malformed_and_alone() {
    let good = Signer::new("good", Algorithm::Es256);
    let text = format!(r#"{{"keys":[{{"kty":"EC","kty":"RSA","kid":"good"}},{}]}}"#, good.jwk());
    let keys = KeySet::parse(text.as_bytes()).unwrap();
    assert_eq!((keys.usable(), keys.faults().collect::<Vec<_>>()), (1, vec![(None, KeyFault::Malformed)]));
    assert_eq!(code(verify(&good.sign(&good_claims()), &default_issuers(), &keys)), "verified");
}

#[test]
fn what_providers_leave_out_or_add_is_no_fault() {
    let rsa = Signer::new("rsa", Algorithm::Rs256);
    let n = rsa.jwk()["n"].as_str().unwrap().to_owned();
    let zero_first = {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        encode([vec![0], URL_SAFE_NO_PAD.decode(n).unwrap()].concat())
    };
    for members in [
        json!({"alg": null}),
        json!({"use": null}),
        json!({"alg": null, "use": null, "key_ops": ["verify"]}),
        json!({"x5c": ["MIIB"], "x5t": "abc", "issuer": "https://issuer.example"}),
        json!({"n": zero_first}),
    ] {
        let keys = key_set(&[with(rsa.jwk(), &members)]);
        assert_eq!(
            code(verify(&rsa.sign(&good_claims()), &default_issuers(), &keys)),
            "verified",
            "{members}"
        );
    }
}

#[test]
fn without_a_kid_only_a_sole_fitting_key_is_used() {
    let first = Signer::new("first", Algorithm::Es256);
    let second = Signer::new("second", Algorithm::Es256);
    let rsa = Signer::new("rsa", Algorithm::Rs256);
    let token = first.sign_with(&json!({"alg": "ES256"}), &good_claims());
    let code_with = |keys: &[Value]| code(verify(&token, &default_issuers(), &key_set(keys)));
    assert_eq!(code_with(&[first.jwk()]), "verified");
    assert_eq!(code_with(&[rsa.jwk(), first.jwk()]), "verified");
    assert_eq!(code_with(&[first.jwk(), second.jwk()]), "key_ambiguous");
    assert_eq!(code_with(&[rsa.jwk()]), "key_unknown");
    assert_eq!(code_with(&[second.jwk()]), "signature_invalid");
}

#[test]
fn one_kid_for_several_keys_is_resolved_by_type_or_not_at_all() {
    let ec = Signer::new("k", Algorithm::Es256);
    let other = Signer::new("k", Algorithm::Es256);
    let rsa = Signer::new("k", Algorithm::Rs256);
    let code_with =
        |keys: &[Value]| code(verify(&ec.sign(&good_claims()), &default_issuers(), &key_set(keys)));
    assert_eq!(code_with(&[rsa.jwk(), ec.jwk()]), "verified");
    assert_eq!(code_with(&[ec.jwk(), ec.jwk()]), "verified");
    assert_eq!(code_with(&[ec.jwk(), other.jwk()]), "key_ambiguous");
}

#[test]
fn what_is_no_set_is_refused() {
    for text in [
        "",
        "{}",
        "[]",
        r#"{"keys":{}}"#,
        r#"{"keys":null}"#,
        "<html></html>",
        r#"{"keys":["#,
        r#"{"KEYS":[]}"#,
    ] {
        assert_eq!(KeySet::parse(text.as_bytes()).err(), Some(KeySetError::NotASet), "{text}");
    }
    assert_eq!(KeySet::parse(br#"{"keys":[]}"#).map(|keys| keys.usable()).ok(), Some(0));
    let good = Signer::new("k", Algorithm::Es256).jwk();
    let many = |count: usize| KeySet::parse(json!({"keys": vec![&good; count]}).to_string().as_bytes());
    assert_eq!(many(MAX_KEYS).map(|keys| keys.usable()).ok(), Some(1));
    assert_eq!(many(MAX_KEYS + 1).err(), Some(KeySetError::TooMany));
}
