//! The examples of RFC 7515, 7519 and 8037, byte for byte.
//!
//! Their issuer is `joe` and they have no audience, so no settings could accept them. The tests check the
//! signature, and that unsupported examples are refused for that reason.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use permit_handoff::oidc::{Rejection, algorithm::Algorithm, key::VerifyingKey, unverified::UnverifiedToken};
use serde_json::{Value, json};

const A2_RS256: &str = concat!(
    "eyJhbGciOiJSUzI1NiJ9",
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
    ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4",
    "BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqv",
    "hJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
);

const A3_ES256: &str = concat!(
    "eyJhbGciOiJFUzI1NiJ9",
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
    ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
);

const A4_ES512: &str = concat!(
    "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA",
    ".AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8Kp",
    "EHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
);

const RFC8037_A4_ED25519: &str = concat!(
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
    ".hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
);

fn rsa() -> VerifyingKey {
    let n = concat!(
        "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOW",
        "vG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9k",
        "G4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
    );
    key(&json!({"kty": "RSA", "n": n, "e": "AQAB"}))
}

fn p256() -> VerifyingKey {
    key(&json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    }))
}

fn p521() -> VerifyingKey {
    key(&json!({
        "kty": "EC", "crv": "P-521",
        "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
        "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
    }))
}

fn ed25519() -> VerifyingKey {
    key(&json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}))
}

fn key(jwk: &Value) -> VerifyingKey {
    VerifyingKey::parse(jwk.as_object().unwrap()).unwrap()
}

fn rejection(token: &str) -> &'static str {
    UnverifiedToken::parse(token).map_or_else(|rejection| rejection.code(), |_| "parsed")
}

#[test]
fn the_signatures_verify_and_none_does_once_a_bit_is_changed() {
    for (token, algorithm, key) in [
        (A2_RS256, Algorithm::Rs256, rsa()),
        (A3_ES256, Algorithm::Es256, p256()),
        (A4_ES512, Algorithm::Es512, p521()),
        (RFC8037_A4_ED25519, Algorithm::EdDsa, ed25519()),
    ] {
        let (input, signature) = token.rsplit_once('.').unwrap();
        let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        assert_eq!(key.check(algorithm, input.as_bytes(), &signature), Ok(()), "{algorithm}");

        signature[10] ^= 1;
        assert_eq!(
            key.check(algorithm, input.as_bytes(), &signature),
            Err(Rejection::SignatureInvalid),
            "{algorithm}"
        );
        signature[10] ^= 1;
        let other = format!("{input}A");
        assert_eq!(
            key.check(algorithm, other.as_bytes(), &signature),
            Err(Rejection::SignatureInvalid),
            "{algorithm}"
        );
    }
}

#[test]
fn the_examples_with_claims_go_through_the_parser() {
    for (token, key) in [(A2_RS256, rsa()), (A3_ES256, p256())] {
        let unverified = UnverifiedToken::parse(token).unwrap();
        assert_eq!(unverified.unverified_issuer(), "joe");
        assert_eq!(unverified.kid(), None);
        assert!(unverified.check_signature(&key).is_ok());
    }
    // The other two sign a sentence.
    assert_eq!(rejection(A4_ES512), "json_invalid");
    assert_eq!(rejection(RFC8037_A4_ED25519), "json_invalid");
}

#[test]
fn what_is_not_supported_is_refused_for_that_reason() {
    // RFC 7515 A.1 and RFC 7519 §3.1: HS256.
    let hs256 = concat!(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
        ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
        ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    );
    assert_eq!(rejection(hs256), "alg_symmetric");

    // RFC 7515 A.5 and RFC 7519 §6.1: unsecured.
    let unsecured = concat!(
        "eyJhbGciOiJub25lIn0",
        ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
        ".",
    );
    assert_eq!(rejection(unsecured), "alg_none");

    // RFC 7515 A.7: the flattened JSON serialization.
    let json = r#"{"payload":"e30","protected":"eyJhbGciOiJFUzI1NiJ9","signature":"AAAA"}"#;
    assert_eq!(rejection(json), "token_shape");

    // RFC 7515 appendix E: critical extensions.
    let critical = "eyJhbGciOiJub25lIiwNCiAiY3JpdCI6WyJodHRwOi8vZXhhbXBsZS5jb20vVU5ERUZJTkVEIl0sDQogImh0dHA6Ly9leGFtcGxlLmNvbS9VTkRFRklORUQiOnRydWUNCn0.RkFJTA.";
    assert_eq!(rejection(critical), "alg_none");

    // RFC 7519 A.1: an encrypted JWT has five parts (the header is the RFC's, the rest only has the
    // form).
    let encrypted = "eyJhbGciOiJSU0ExXzUiLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0.AAAA.AAAA.AAAA.AAAA";
    assert_eq!(rejection(encrypted), "token_encrypted");
}
