//! The verifier, tested in three ways. The raw text must never verify: each run makes new keys, so the
//! input cannot be signed. A good token overwritten with bytes of the input must not verify either,
//! unless nothing changed. And claims made up by the fuzzer, with a valid signature, must not panic, and
//! may verify only if the dates, the issuer and the audience are valid.

use std::{sync::LazyLock, time::Duration};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use permit_handoff::config;
use permit_handoff::oidc::{Claims, Issuers, Rejection, key_set::KeySet, verify::verify_offline};
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;

struct Scene {
    pair: Ed25519KeyPair,
    issuers: Issuers,
    keys: KeySet,
    good: String,
}

impl Scene {
    fn sign(&self, header: &[u8], payload: &[u8]) -> String {
        let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(self.pair.sign(input.as_bytes())))
    }

    fn verify(&self, token: &str) -> Result<Claims, Rejection> {
        verify_offline(token, &self.issuers, &self.keys, Duration::from_secs(NOW))
    }
}

static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let pair = Ed25519KeyPair::generate().expect("a key");
    let jwk =
        json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": URL_SAFE_NO_PAD.encode(pair.public_key())});
    let policy = "[[source]]\nissuer = \"https://issuer.example\"\naudiences = [\"api\"]\nclient_ids = [\"spa\"]\nleeway_seconds = 0\n\
                  claims.groups = \"a.b.c\"\n";
    let mut scene = Scene {
        pair,
        issuers: config::policy(policy).expect("a policy").1,
        keys: KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).expect("a set"),
        good: String::new(),
    };
    let claims = json!({"iss": "https://issuer.example", "aud": "api", "azp": "spa", "sub": "s", "exp": NOW + 60, "iat": NOW});
    scene.good = scene.sign(br#"{"alg":"EdDSA","kid":"k"}"#, claims.to_string().as_bytes());
    assert!(scene.verify(&scene.good).is_ok());
    scene
});

pub(crate) fn check(data: &[u8]) {
    let scene = &*SCENE;

    if let Ok(text) = std::str::from_utf8(data) {
        assert!(scene.verify(text).is_err(), "an unsigned text verifies");
    }

    // Two bytes give the position, the others the new content.
    if let [high, low, changes @ ..] = data {
        let at = usize::from(u16::from_be_bytes([*high, *low])) % scene.good.len();
        let mut token = scene.good.clone().into_bytes();
        token.splice(at..(at + changes.len()).min(scene.good.len()), changes.iter().copied());
        if let Ok(token) = String::from_utf8(token) {
            assert_eq!(scene.verify(&token).is_ok(), token == scene.good, "a changed token verifies");
        }
    }

    let (header, payload) = data
        .iter()
        .position(|byte| *byte == 0)
        .map_or((&br#"{"alg":"EdDSA","kid":"k"}"#[..], data), |at| (&data[..at], &data[at + 1..]));
    if let Ok(claims) = scene.verify(&scene.sign(header, payload)) {
        let payload: Value = serde_json::from_slice(payload).expect("JSON");
        assert_eq!(payload["iss"], "https://issuer.example");
        assert_eq!(payload["sub"], claims.subject());
        let expiry = payload["exp"].as_f64().expect("a number");
        assert!(expiry > 1_800_000_000.0 && expiry < 1e12);
        let audience = &payload["aud"];
        let names = |name: &str| {
            audience == name || audience.as_array().is_some_and(|all| all.iter().any(|one| one == name))
        };
        assert!(
            names("api")
                || audience.is_null() && payload["client_id"] == "spa"
                || audience.is_null() && payload["azp"] == "spa"
        );
    }
}
