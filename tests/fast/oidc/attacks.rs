//! Every attack of RFC 8725 and of the usual tools' lists, each refused with its own code. Whatever can
//! be signed is signed with the right key, so that only the rule under test refuses it.

use aws_lc_rs::hmac;
use permit_handoff::oidc::{algorithm::Algorithm, key_set::KeySet};
use serde_json::{Value, json};

use crate::signer::{
    AUDIENCE, ISSUER, NOW, Signer, claims_with, code, default_issuers, encode, good_claims, issuers, key_set,
    verify,
};

struct Scene {
    rsa: Signer,
    ec: Signer,
    attacker: Signer,
    keys: KeySet,
}

impl Scene {
    fn new() -> Self {
        let rsa = Signer::new("rsa", Algorithm::Rs256);
        let ec = Signer::new("ec", Algorithm::Es256);
        let attacker = Signer::new("ec", Algorithm::Es256);
        let keys = key_set(&[rsa.jwk(), ec.jwk()]);
        Self { rsa, ec, attacker, keys }
    }

    fn code(&self, token: &str) -> &'static str {
        code(verify(token, &default_issuers(), &self.keys))
    }

    /// A token with good claims and these members added to its header, correctly signed.
    fn with_header(&self, members: &Value) -> String {
        let mut header = self.ec.header();
        header.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        self.ec.sign_with(&header, &good_claims())
    }

    fn with_claims(&self, changes: &Value) -> String {
        self.ec.sign(&claims_with(changes))
    }
}

#[track_caller]
fn all(scene: &Scene, expected: &str, tokens: impl IntoIterator<Item = String>) {
    for (index, token) in tokens.into_iter().enumerate() {
        assert_eq!(scene.code(&token), expected, "case {index}: {}", &token[..token.len().min(300)]);
    }
}

#[test]
fn the_scene_verifies_without_an_attack() {
    let scene = Scene::new();
    all(&scene, "verified", [scene.rsa.sign(&good_claims()), scene.ec.sign(&good_claims())]);
}

#[test]
fn alg_none_in_every_letter_case_is_refused() {
    let scene = Scene::new();
    for bits in 0..16_u8 {
        let none: String = "none"
            .chars()
            .enumerate()
            .map(|(index, letter)| if bits >> index & 1 == 1 { letter.to_ascii_uppercase() } else { letter })
            .collect();
        let header = json!({"alg": none, "typ": "JWT"});
        let signed = scene.ec.sign_with(&header, &good_claims());
        let unsigned = format!("{}.", signed.rsplit_once('.').unwrap().0);
        all(&scene, "alg_none", [signed, unsigned]);
    }
}

#[test]
fn algorithms_that_are_no_public_key_signature_are_refused() {
    let scene = Scene::new();
    let sign = |alg: Value| scene.ec.sign_with(&json!({"alg": alg, "kid": "ec"}), &good_claims());
    all(
        &scene,
        "alg_unknown",
        ["", "es256", "ES256 ", "ES256\0", "ES256K", "RS1", "RSA-OAEP", "dir", "none ", "\u{2170}"]
            .map(|alg| sign(json!(alg))),
    );
    all(
        &scene,
        "alg_missing",
        [json!(null), json!(256), json!(["ES256"]), json!({"alg": "ES256"}), json!(true)].map(sign),
    );
    all(&scene, "alg_missing", [scene.ec.sign_with(&json!({"kid": "ec"}), &good_claims())]);
}

#[test]
fn the_public_key_is_no_shared_secret() {
    let scene = Scene::new();
    let jwk = scene.rsa.jwk();
    let secrets =
        [jwk.to_string(), jwk["n"].as_str().unwrap().to_owned(), String::new(), "secret".to_owned()];
    for (name, algorithm) in [
        ("HS256", hmac::HMAC_SHA256),
        ("HS384", hmac::HMAC_SHA384),
        ("HS512", hmac::HMAC_SHA512),
        ("hs256", hmac::HMAC_SHA256),
    ] {
        for secret in &secrets {
            let header = json!({"alg": name, "kid": "rsa"});
            let input = format!("{}.{}", encode(header.to_string()), encode(good_claims().to_string()));
            let tag = hmac::sign(&hmac::Key::new(algorithm, secret.as_bytes()), input.as_bytes());
            all(&scene, "alg_symmetric", [format!("{input}.{}", encode(tag))]);
        }
    }
}

#[test]
fn a_kid_cannot_lead_to_a_key_of_another_kind() {
    let scene = Scene::new();
    let sign = |signer: &Signer, alg: &str, kid: &str| {
        signer.sign_with(&json!({"alg": alg, "kid": kid}), &good_claims())
    };
    all(
        &scene,
        "key_type_mismatch",
        [
            sign(&scene.ec, "ES256", "rsa"),
            sign(&scene.rsa, "RS256", "ec"),
            sign(&scene.ec, "ES384", "ec"),
            sign(&scene.ec, "EdDSA", "ec"),
        ],
    );
    // It is an RSA key, but the provider says that it is for RS256.
    let pss = Signer::new("pss", Algorithm::Rs256);
    let keys = key_set(&[pss.jwk()]);
    let pss = pss.with_algorithm(Algorithm::Ps256);
    assert_eq!(code(verify(&pss.sign(&good_claims()), &default_issuers(), &keys)), "key_alg_mismatch");
}

#[test]
fn an_algorithm_outside_the_issuers_list_is_refused_whatever_the_key() {
    let scene = Scene::new();
    let only_rs256 = issuers(&json!([{"issuer": ISSUER, "audiences": [AUDIENCE], "algorithms": ["RS256"]}]));
    assert_eq!(code(verify(&scene.rsa.sign(&good_claims()), &only_rs256, &scene.keys)), "verified");
    assert_eq!(code(verify(&scene.ec.sign(&good_claims()), &only_rs256, &scene.keys)), "alg_not_allowed");
}

#[test]
fn a_kid_is_a_name_and_nothing_else() {
    let scene = Scene::new();
    let sign = |kid: Value| scene.ec.sign_with(&json!({"alg": "ES256", "kid": kid}), &good_claims());
    all(
        &scene,
        "key_unknown",
        [
            "../../../../dev/null",
            "/etc/passwd",
            "ec'; DROP TABLE keys; --",
            "x' UNION SELECT 'secret",
            "|/usr/bin/id",
            "EC",
            "ec ",
            "ec\0",
            "е\u{441}",
            "https://evil.example/key",
        ]
        .map(|kid| sign(json!(kid))),
    );
    all(
        &scene,
        "kid_invalid",
        [json!(""), json!(7), json!(null), json!(["ec"]), json!({"kid": "ec"}), json!("k".repeat(513))]
            .map(sign),
    );
}

#[test]
fn a_token_cannot_bring_its_own_key_or_rules() {
    let scene = Scene::new();
    let certificate = json!(["MIIB"]);
    for (member, value, expected) in [
        ("jwk", scene.attacker.jwk(), "header_jwk"),
        ("jwk", json!(null), "header_jwk"),
        ("jku", json!("https://evil.example/jwks.json"), "header_jku"),
        ("x5u", json!("https://evil.example/cert.pem"), "header_x5u"),
        ("x5c", certificate, "header_x5c"),
        ("crit", json!(["exp"]), "header_crit"),
        ("crit", json!([]), "header_crit"),
        ("crit", json!("b64"), "header_crit"),
        ("b64", json!(false), "header_payload"),
        ("zip", json!("DEF"), "header_payload"),
        ("enc", json!("A128GCM"), "header_payload"),
        ("cty", json!("JWT"), "header_payload"),
        ("typ", json!("logout+jwt"), "typ_refused"),
        ("typ", json!("secevent+jwt"), "typ_refused"),
        ("typ", json!("dpop+jwt"), "typ_refused"),
        ("typ", json!("application/logout+jwt"), "typ_refused"),
        ("typ", json!(""), "typ_refused"),
        ("typ", json!(["JWT"]), "typ_refused"),
    ] {
        all(&scene, expected, [scene.with_header(&json!({ member: value }))]);
    }
    // The same from the attacker, who signs with the key in the header.
    let mut header = scene.attacker.header();
    header["jwk"] = scene.attacker.jwk();
    all(&scene, "header_jwk", [scene.attacker.sign_with(&header, &good_claims())]);
    // Harmless members are still accepted.
    all(
        &scene,
        "verified",
        [
            json!({"typ": "jwt"}),
            json!({"typ": "at+jwt"}),
            json!({"typ": "application/at+jwt"}),
            json!({"x5t": "abc"}),
            json!({"cat": "x"}),
        ]
        .map(|members| scene.with_header(&members)),
    );
}

#[test]
fn forged_signatures_are_refused() {
    let scene = Scene::new();
    let token = scene.ec.sign(&good_claims());
    let (input, signature) = token.rsplit_once('.').unwrap();
    let other = scene.ec.sign(&claims_with(&json!({"sub": "person-2"})));
    let order = "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551";
    let order: Vec<u8> =
        (0..order.len()).step_by(2).map(|at| u8::from_str_radix(&order[at..at + 2], 16).unwrap()).collect();
    let with = |signature: &[u8]| format!("{input}.{}", encode(signature));
    all(
        &scene,
        "signature_invalid",
        [
            scene.attacker.sign(&good_claims()),
            format!("{input}.{}", other.rsplit_once('.').unwrap().1),
            format!("{}.{signature}", other.rsplit_once('.').unwrap().0),
            with(&[0; 64]), // r = s = 0, Java's "psychic signature"
            with(&[order.clone(), order.clone()].concat()), // r = s = n
            with(&[vec![0; 32], order].concat()),
            with(&[0x30, 6, 2, 1, 0, 2, 1, 0]), // ASN.1 in place of r and s
            with(&[1]),
            with(&[0xff; 64]),
            with(&[0xff; 8_000]),
        ],
    );
    all(&scene, "signature_missing", [format!("{input}.")]);

    let token = scene.rsa.sign(&good_claims());
    let (input, signature) = token.rsplit_once('.').unwrap();
    let with = |signature: &[u8]| format!("{input}.{}", encode(signature));
    all(
        &scene,
        "signature_invalid",
        [
            with(&[0; 256]),
            with(&[1; 256]),
            with(&[0xff; 256]),
            format!("{input}.AAAA{signature}"),
            format!("{input}.{signature}AAAA"),
        ],
    );
}

#[test]
fn a_token_is_three_parts_of_at_most_16_kib() {
    let scene = Scene::new();
    let token = scene.ec.sign(&good_claims());
    let (input, _) = token.rsplit_once('.').unwrap();
    all(
        &scene,
        "token_shape",
        [
            String::new(),
            ".".into(),
            "abc".into(),
            input.into(),
            format!("{token}."),
            format!(".{token}"),
            format!("{token}.AAAA"),
            "null".into(),
            "{}".into(),
            "......".into(),
            format!("{token}.{token}.{token}"),
        ],
    );
    all(&scene, "token_encrypted", ["....".into(), format!("{token}.AAAA.AAAA")]);

    let unpadded = scene.with_claims(&json!({"pad": ""})).len();
    let sized = |length: usize| scene.with_claims(&json!({"pad": "x".repeat(length)}));
    let fits = (16 * 1024 - unpadded) / 4 * 3;
    let largest = (fits - 3..fits + 4)
        .map(sized)
        .filter(|token| token.len() <= 16 * 1024)
        .max_by_key(String::len)
        .unwrap();
    assert!(largest.len() >= 16 * 1024 - 2);
    all(&scene, "verified", [largest]);
    all(
        &scene,
        "token_too_large",
        [sized(fits + 8), sized(1_000_000), ".".repeat(1_000_000), "a".repeat(16 * 1024 + 1)],
    );
}

#[test]
fn each_part_has_one_spelling() {
    let scene = Scene::new();
    let (header, payload) = (scene.ec.header().to_string(), good_claims().to_string());
    // Lengths at which base64 leaves two and four spare bits.
    let padded =
        |text: &str, length: usize| format!("{text}{}", " ".repeat((length + 3 - text.len() % 3) % 3));
    for over in [1, 2] {
        let (header, payload) = (encode(padded(&header, over)), encode(padded(&payload, over)));
        assert_ne!(header.len() % 4, 0);
        all(&scene, "verified", [scene.ec.sign_parts(&header, &payload)]);
        let padding = "=".repeat(4 - header.len() % 4);
        all(
            &scene,
            "base64_padding",
            [
                scene.ec.sign_parts(&format!("{header}{padding}"), &payload),
                scene.ec.sign_parts(&header, &format!("{payload}{padding}")),
                scene.ec.sign_parts(&header, &format!("{payload}=")),
                format!("{}==", scene.ec.sign_parts(&header, &payload)),
            ],
        );
        all(
            &scene,
            "base64_spare_bits",
            [
                scene.ec.sign_parts(&spare_bit(&header), &payload),
                scene.ec.sign_parts(&header, &spare_bit(&payload)),
                spare_bit(&scene.ec.sign_parts(&header, &payload)),
            ],
        );
    }
    let (header, payload) = (encode(header), encode(payload));
    let token = scene.ec.sign_parts(&header, &payload);
    all(
        &scene,
        "base64_invalid",
        [
            format!(" {token}"),
            format!("{token} "),
            format!("{token}\n"),
            format!("\u{feff}{token}"),
            format!("Bearer {token}"),
            scene.ec.sign_parts(&header, &format!("{payload}\r\n")),
            scene.ec.sign_parts(&header, &format!("+/{payload}")),
            scene.ec.sign_parts(&header, &format!("{payload}é")),
            scene.ec.sign_parts("A", &payload),
            format!("{token}\0"),
        ],
    );
    // An empty part is base64 of nothing, which is not JSON.
    all(&scene, "json_invalid", [scene.ec.sign_parts("", &payload), scene.ec.sign_parts(&header, "")]);
}

/// The same bytes, spelled with a spare bit set.
fn spare_bit(text: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (rest, last) = text.split_at(text.len() - 1);
    let value = ALPHABET.iter().position(|symbol| *symbol == last.as_bytes()[0]).unwrap();
    format!("{rest}{}", char::from(ALPHABET[value | 1]))
}

#[test]
fn json_has_one_reading() {
    let scene = Scene::new();
    let (header, payload) = (scene.ec.header().to_string(), good_claims().to_string());
    let with_payload = |payload: &str| scene.ec.sign_texts(header.as_bytes(), payload.as_bytes());
    let with_header = |header: &str| scene.ec.sign_texts(header.as_bytes(), payload.as_bytes());
    let open = &payload[..payload.len() - 1];

    all(
        &scene,
        "json_duplicate_name",
        [
            with_header(r#"{"alg":"ES256","kid":"ec","alg":"none"}"#),
            with_header(r#"{"alg":"none","kid":"ec","alg":"ES256"}"#),
            with_header(r#"{"alg":"ES256","kid":"ec","k\u0069d":"ec"}"#),
            with_payload(&format!(r#"{open},"sub":"person-1"}}"#)),
            with_payload(&format!(r#"{open},"iss":"https://evil.example"}}"#)),
            with_payload(&format!(r#"{open},"\u0069ss":"https://evil.example"}}"#)),
            with_payload(&format!(r#"{open},"exp":9999999999}}"#)),
            with_payload(&format!(r#"{open},"realm_access":{{"roles":[],"roles":["admin"]}}}}"#)),
        ],
    );
    all(&scene, "json_not_object", ["[]", "\"x\"", "7", "null", "true", "[{}]"].map(with_payload));
    all(
        &scene,
        "json_invalid",
        [
            with_payload("nonsense"),
            with_payload(open),
            with_payload(&format!("{payload}{payload}")),
            with_payload(&format!("\u{feff}{payload}")),
            with_payload(&format!("{payload}//")),
            with_payload(&format!(r#"{open},"x":1e999}}"#)),
            with_payload(&format!(r#"{open},"x":NaN}}"#)),
            with_payload(&format!(r#"{open},"x":"\ud800"}}"#)),
            with_payload(&format!("{open},'x':1}}")),
            with_payload(&format!("{open},}}")),
            scene.ec.sign_texts(header.as_bytes(), &[open.as_bytes(), b",\"x\":\"\xff\"}"].concat()),
            scene.ec.sign_texts(
                header.as_bytes(),
                &payload.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>(),
            ),
        ],
    );
    let deep = |depth: usize| format!(r#"{open},"x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    all(&scene, "verified", [with_payload(&deep(15))]);
    all(
        &scene,
        "json_too_deep",
        [
            with_payload(&deep(16)),
            with_payload(&deep(5_000)),
            with_header(&format!(r#"{{"alg":"ES256","x":{}"#, "{\"x\":".repeat(2_000))),
        ],
    );
}

#[test]
fn an_issuer_is_the_very_string_that_is_configured() {
    let scene = Scene::new();
    all(
        &scene,
        "issuer_unknown",
        [
            "",
            "https://issuer.example",
            "https://issuer.example/pool/",
            "https://issuer.example/Pool",
            "HTTPS://issuer.example/pool",
            "https://issuer.example:443/pool",
            "https://issuer.example/pool?",
            "https://issuer.example/pool#",
            "https://issuer.example/%70ool",
            "https://issuer.example/pool\0",
            "https://issuer.example/pool ",
            " https://issuer.example/pool",
            "https://issuer.example/pool\u{200b}",
            "https://\u{456}ssuer.example/pool",  // a Cyrillic i
            "https://issuer\u{3002}example/pool", // an ideographic full stop
            "https://issuer.example/po\u{f3}l",
            "https://ISSUER.EXAMPLE/pool",
            "https://issuer.example./pool",
            "https://issuer.example@evil.example/pool",
            "https://issuer.example.evil.example/pool",
            "https://evil.example/https://issuer.example/pool",
            "\u{feff}https://issuer.example/pool",
            "https://issuer.example\\pool",
            "https://issuer.example/./pool",
        ]
        .map(|issuer| scene.with_claims(&json!({"iss": issuer}))),
    );
    all(&scene, "iss_missing", [scene.with_claims(&json!({"iss": null}))]);
    all(
        &scene,
        "iss_wrong_type",
        [json!(7), json!([ISSUER]), json!({ISSUER: 1}), json!(true)]
            .map(|issuer| scene.with_claims(&json!({"iss": issuer}))),
    );
    // An escape spells the same string differently.
    let payload = good_claims().to_string().replace("https:", r"\u0068ttps\u003a");
    all(
        &scene,
        "verified",
        [scene.ec.sign_texts(scene.ec.header().to_string().as_bytes(), payload.as_bytes())],
    );
}

#[test]
fn dates_are_numbers_within_reason() {
    let scene = Scene::new();
    all(&scene, "exp_missing", [scene.with_claims(&json!({"exp": null}))]);
    for (claim, wrong_type, out_of_range) in [
        ("exp", "exp_wrong_type", "exp_out_of_range"),
        ("nbf", "nbf_wrong_type", "nbf_out_of_range"),
        ("iat", "iat_wrong_type", "iat_out_of_range"),
    ] {
        let with = |value: Value| scene.with_claims(&json!({ claim: value }));
        all(
            &scene,
            wrong_type,
            [
                json!((NOW + 60).to_string()),
                json!("never"),
                json!(""),
                json!([NOW + 60]),
                json!({"seconds": NOW}),
                json!(true),
                json!("2030-01-01T00:00:00Z"),
            ]
            .map(with),
        );
        all(
            &scene,
            out_of_range,
            [
                json!(-1),
                json!(-0.5),
                json!(i64::MIN),
                json!(u64::MAX),
                json!(1e300),
                json!(f64::MAX),
                json!(253_402_300_800_u64),
                json!(NOW * 1000),
            ]
            .map(with),
        );
        // A JSON number that is too large for any integer type.
        let payload =
            claims_with(&json!({ claim: 123_454_321 })).to_string().replace("123454321", &"9".repeat(100));
        all(
            &scene,
            out_of_range,
            [scene.ec.sign_texts(scene.ec.header().to_string().as_bytes(), payload.as_bytes())],
        );
        // `null` is not the same as absent.
        let payload = claims_with(&json!({ claim: 123_454_321 })).to_string().replace("123454321", "null");
        all(
            &scene,
            wrong_type,
            [scene.ec.sign_texts(scene.ec.header().to_string().as_bytes(), payload.as_bytes())],
        );
    }
    // RFC 7519 §2 allows fractions.
    let now = f64::from(u32::try_from(NOW).unwrap());
    all(
        &scene,
        "verified",
        [
            scene.with_claims(&json!({"exp": now + 0.5, "nbf": now - 0.5, "iat": now - 0.25})),
            scene.with_claims(&json!({"exp": 1.9e9})),
            scene.with_claims(&json!({"iat": 0, "nbf": 0})),
        ],
    );
}

#[test]
fn dates_are_held_against_the_clock_with_the_leeway() {
    let scene = Scene::new();
    let leeway = 10;
    all(
        &scene,
        "expired",
        [0, 1, NOW - 3600, NOW - leeway].map(|exp| scene.with_claims(&json!({"exp": exp}))),
    );
    all(
        &scene,
        "not_yet_valid",
        [NOW + leeway + 1, NOW + 3600].map(|nbf| scene.with_claims(&json!({"nbf": nbf}))),
    );
    all(
        &scene,
        "issued_in_future",
        [NOW + leeway + 1, NOW + 3600].map(|iat| scene.with_claims(&json!({"iat": iat}))),
    );
    all(
        &scene,
        "verified",
        [
            json!({"exp": NOW - leeway + 1}),
            json!({"nbf": NOW + leeway}),
            json!({"iat": NOW + leeway}),
            json!({"nbf": null, "iat": null}),
        ]
        .map(|changes| scene.with_claims(&changes)),
    );

    let strict = issuers(&json!([{"issuer": ISSUER, "audiences": [AUDIENCE], "leeway_seconds": 0}]));
    for (changes, expected) in [
        (json!({"exp": NOW}), "expired"),
        (json!({"exp": NOW + 1}), "verified"),
        (json!({"nbf": NOW + 1}), "not_yet_valid"),
        (json!({"iat": NOW + 1}), "issued_in_future"),
        (json!({"nbf": NOW, "iat": NOW}), "verified"),
    ] {
        assert_eq!(code(verify(&scene.with_claims(&changes), &strict, &scene.keys)), expected, "{changes}");
    }
}

#[test]
fn tokens_for_others_are_refused() {
    let scene = Scene::new();
    let with = |audience: Value| scene.with_claims(&json!({"aud": audience}));
    all(&scene, "aud_missing", [scene.with_claims(&json!({"aud": null}))]);
    all(
        &scene,
        "aud_not_allowed",
        [
            json!(""),
            json!("https://api.example/"),
            json!("https://API.example"),
            json!("https://api.exampl"),
            json!("https://api.example https://other.example"),
            json!(["https://other.example"]),
            json!("*"),
            json!(["*"]),
            json!("https://api.example\0"),
        ]
        .map(with),
    );
    all(
        &scene,
        "aud_wrong_type",
        [
            json!(7),
            json!([]),
            json!([7]),
            json!([AUDIENCE, 7]),
            json!([[AUDIENCE]]),
            json!({AUDIENCE: true}),
            json!(true),
        ]
        .map(with),
    );
    all(&scene, "verified", [json!([AUDIENCE]), json!(["https://other.example", AUDIENCE])].map(with));
}

#[test]
fn tokens_that_are_no_sign_in_are_refused() {
    let scene = Scene::new();
    all(
        &scene,
        "security_event",
        [scene.with_claims(&json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}))],
    );
    all(
        &scene,
        "sender_constrained",
        [json!({"jkt": "x"}), json!({"x5t#S256": "x"}), json!({})]
            .map(|cnf| scene.with_claims(&json!({"cnf": cnf}))),
    );
    all(&scene, "sub_missing", [scene.with_claims(&json!({"sub": null}))]);
    all(
        &scene,
        "sub_wrong_type",
        [json!(7), json!(""), json!(["person-1"]), json!({"id": 1}), json!(false)]
            .map(|sub| scene.with_claims(&json!({"sub": sub}))),
    );
}

#[test]
fn a_refusal_says_nothing_of_the_token() {
    let scene = Scene::new();
    let secret = "very-private-text";
    let tokens = [
        scene.with_claims(&json!({"iss": format!("https://{secret}.example")})),
        scene.with_claims(&json!({"aud": secret})),
        scene.with_claims(&json!({"exp": secret})),
        scene.with_header(&json!({"kid": secret})),
        scene.with_header(&json!({"alg": secret})),
        format!("{secret}.{secret}.{secret}"),
    ];
    for token in tokens {
        let rejection = verify(&token, &default_issuers(), &scene.keys).unwrap_err();
        assert!(!format!("{rejection} {rejection:?} {}", rejection.code()).contains(secret), "{rejection:?}");
    }
}
