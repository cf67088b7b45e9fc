//! The key store with a local provider: what it fetches, when, and what it does if it cannot.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use futures::future::join_all;
use permit_handoff::oidc::{
    Rejection, Verifier,
    algorithm::Algorithm,
    keys::{
        FETCH_TIMEOUT, MAX_AGE, REFRESH_AFTER, REFRESH_TIMEOUT, RETRY_FIRST, RETRY_MOST, UNKNOWN_KID_EVERY,
    },
};
use serde_json::{Value, json};

use crate::provider::{Answer, Provider, pass};
use crate::signer::{AUDIENCE, ISSUER, NOW, Signer, claims_with, code};

const SECOND: Duration = Duration::from_secs(1);

fn ec(kid: &'static str) -> Signer {
    Signer::new(kid, Algorithm::Es256)
}

#[tokio::test]
async fn one_fetch_serves_many_tokens() {
    let signer = ec("k");
    let provider = Provider::start(Answer::keys(&[&signer])).await;
    let verifier = provider.verifier();
    let token = provider.token(&signer);
    let codes = join_all((0..50).map(|_| verifier.verify(&token))).await.into_iter().map(code);
    assert!(codes.into_iter().all(|code| code == "verified"));
    assert_eq!((provider.discoveries(), provider.fetches()), (1, 1), "one fetch for all");
    assert_eq!(code(verifier.verify(&token).await), "verified");
    assert_eq!((provider.discoveries(), provider.fetches()), (1, 1));
}

#[tokio::test]
async fn a_configured_jwks_uri_needs_no_discovery() {
    let signer = ec("k");
    let provider = Provider::start(Answer::keys(&[&signer])).await;
    let (verifier, _) = provider.verifier_with(&json!({"jwks_uri": format!("{}/keys", provider.issuer)}));
    assert_eq!(code(verifier.verify(&provider.token(&signer)).await), "verified");
    assert_eq!((provider.discoveries(), provider.fetches()), (0, 1));
}

#[tokio::test]
async fn a_new_key_is_fetched_when_a_token_names_it() {
    let (old, new) = (ec("old"), ec("new"));
    let provider = Provider::start(Answer::keys(&[&old])).await;
    let verifier = provider.verifier();
    assert_eq!(code(verifier.verify(&provider.token(&old)).await), "verified");

    provider.serve_keys(Answer::keys(&[&new]));
    assert_eq!(code(verifier.verify(&provider.token(&new)).await), "verified");
    assert_eq!(provider.fetches(), 2);
    // The provider no longer has the old key, so neither does the store. Its token is unconfirmed at
    // once, and refused for good once the store may ask the provider again.
    assert_eq!(code(verifier.verify(&provider.token(&old)).await), "key_unconfirmed");
    pass(UNKNOWN_KID_EVERY).await;
    assert_eq!(code(verifier.verify(&provider.token(&old)).await), "key_unknown");
}

#[tokio::test]
async fn a_flood_of_made_up_key_ids_neither_reaches_the_provider_nor_delays_a_rotation() {
    let (old, new) = (ec("old"), ec("new"));
    let provider = Provider::start(Answer::keys(&[&old])).await;
    let verifier = provider.verifier();
    assert_eq!(code(verifier.verify(&provider.token(&old)).await), "verified");

    let flood = async |from: usize| {
        let codes = join_all(
            (from..from + 200)
                .map(async |number| code(verifier.verify(&provider.made_up_token(&old, number)).await)),
        )
        .await;
        assert!(codes.iter().all(|code| ["key_unknown", "key_unconfirmed"].contains(code)), "{codes:?}");
    };
    flood(0).await;
    flood(200).await;
    assert_eq!(provider.fetches(), 2, "the first token, and one for all that was made up");
    let refused = verifier.verify(&provider.made_up_token(&old, 0)).await.unwrap_err();
    let wait = refused.retry_after().expect("a token with an unknown key may be tried again");
    assert!(wait > Duration::ZERO && wait <= UNKNOWN_KID_EVERY, "{wait:?}");

    // The key is rotated during the flood. A token signed with the new key is told to come back, and is
    // then accepted, whoever asks first.
    provider.serve_keys(Answer::keys(&[&old, &new]));
    assert_eq!(code(verifier.verify(&provider.token(&new)).await), "key_unconfirmed");
    pass(UNKNOWN_KID_EVERY / 2).await;
    flood(400).await;
    assert_eq!(provider.fetches(), 2, "the flood does not start the wait anew");
    pass(UNKNOWN_KID_EVERY / 2).await;
    flood(600).await;
    assert_eq!(provider.fetches(), 3);
    assert_eq!(code(verifier.verify(&provider.token(&new)).await), "verified");
    assert_eq!(provider.fetches(), 3);
}

#[tokio::test]
async fn a_made_up_key_id_on_a_cold_start_costs_one_fetch() {
    let signer = ec("k");
    let provider = Provider::start(Answer::keys(&[&signer])).await;
    let verifier = provider.verifier();
    assert_eq!(code(verifier.verify(&provider.made_up_token(&signer, 0)).await), "key_unknown");
    assert_eq!(code(verifier.verify(&provider.made_up_token(&signer, 1)).await), "key_unconfirmed");
    assert_eq!(provider.fetches(), 1);
}

#[tokio::test]
async fn an_old_set_is_fetched_again_before_it_is_used() {
    let (withdrawn, other) = (ec("withdrawn"), ec("other"));
    let provider = Provider::start(Answer::keys(&[&withdrawn, &other])).await;
    let verifier = provider.verifier();
    assert_eq!(code(verifier.verify(&provider.token(&withdrawn)).await), "verified");
    provider.serve_keys(Answer::keys(&[&other]));
    pass(REFRESH_AFTER.saturating_sub(SECOND)).await;
    assert_eq!(code(verifier.verify(&provider.token(&withdrawn)).await), "verified");
    assert_eq!(provider.fetches(), 1);
    pass(2 * SECOND).await;
    assert_eq!(code(verifier.verify(&provider.token(&withdrawn)).await), "key_unknown");
    assert_eq!(code(verifier.verify(&provider.token(&other)).await), "verified");
    assert_eq!(provider.fetches(), 2);
}

/// What counts is the kind of answer: a key set is believed, whatever is left in it.
#[tokio::test]
async fn a_provider_that_has_no_key_left_has_withdrawn_them_all() {
    let signer = ec("k");
    for left in [json!([]), json!([{"kty": "oct", "k": "c2VjcmV0"}]), json!([{}])] {
        let provider = Provider::start(Answer::keys(&[&signer])).await;
        let verifier = provider.verifier();
        assert_eq!(code(verifier.verify(&provider.token(&signer)).await), "verified");
        provider.serve_keys(Answer::Json(json!({ "keys": left })));
        pass(REFRESH_AFTER).await;
        assert_eq!(code(verifier.verify(&provider.token(&signer)).await), "key_unknown", "{left}");
        assert_eq!(provider.fetches(), 2);
        // Keys that return are used as soon as the store may ask the provider about an unknown key.
        provider.serve_keys(Answer::keys(&[&signer]));
        pass(UNKNOWN_KID_EVERY).await;
        assert_eq!(code(verifier.verify(&provider.token(&signer)).await), "verified");
    }
}

#[tokio::test]
async fn a_provider_that_hangs_is_given_up() {
    let signer = ec("k");
    for answer in [Answer::Hang, Answer::HangInBody] {
        // Without an earlier key set, the token is refused.
        let provider = Provider::start(answer.clone()).await;
        let verifier = provider.verifier();
        let started = std::time::Instant::now();
        assert_eq!(code(verifier.verify(&provider.token(&signer)).await), "keys_unavailable");
        assert!(started.elapsed() < FETCH_TIMEOUT + SECOND, "{:?}", started.elapsed());

        // With an earlier set, the store uses it after a short wait, and the next token does not wait.
        provider.serve_keys(Answer::keys(&[&signer]));
        pass(RETRY_FIRST).await;
        assert_eq!(code(verifier.verify(&provider.token(&signer)).await), "verified");
        provider.serve_keys(answer);
        pass(REFRESH_AFTER).await;
        for longest in [REFRESH_TIMEOUT + SECOND, SECOND / 2] {
            let started = std::time::Instant::now();
            assert_eq!(code(verifier.verify(&provider.token(&signer)).await), "verified");
            assert!(started.elapsed() < longest, "{:?}", started.elapsed());
        }
    }
}

/// Lambda may end an invocation, and with it the request that it waits for.
#[tokio::test]
async fn a_request_that_is_given_up_leaves_the_next_one_its_turn() {
    let signer = ec("k");
    let provider = Provider::start(Answer::Hang).await;
    let verifier = provider.verifier();
    let token = provider.token(&signer);
    let given_up = tokio::time::timeout(SECOND / 10, verifier.verify(&token)).await;
    assert!(given_up.is_err());
    provider.serve_keys(Answer::keys(&[&signer]));
    assert_eq!(code(verifier.verify(&token).await), "verified");
}

#[tokio::test]
async fn a_preloaded_set_is_for_a_provider_that_does_not_answer() {
    let (old, new) = (ec("old"), ec("new"));
    let provider = Provider::start(Answer::Hang).await;
    let (verifier, _) = provider.verifier_with(&json!({"jwks": {"keys": [old.jwk()]}}));
    let answered = tokio::time::timeout(2 * SECOND, verifier.verify(&provider.token(&old))).await;
    assert_eq!(answered.map(code), Ok("verified"));

    let provider = Provider::start(Answer::keys(&[&new])).await;
    let (verifier, _) = provider.verifier_with(&json!({"jwks": {"keys": [old.jwk()]}}));
    assert_eq!(code(verifier.verify(&provider.token(&new)).await), "verified");
    assert_eq!(code(verifier.verify(&provider.token(&old)).await), "key_unknown");
}

#[tokio::test]
async fn while_the_provider_is_away_an_old_set_is_served_up_to_its_maximum_age() {
    let signer = ec("k");
    let provider = Provider::start(Answer::keys(&[&signer])).await;
    let verifier = provider.verifier();
    let token = provider.token(&signer);
    assert_eq!(code(verifier.verify(&token).await), "verified");

    provider.serve_keys(Answer::Status(StatusCode::SERVICE_UNAVAILABLE));
    pass(REFRESH_AFTER).await;
    assert_eq!(code(verifier.verify(&token).await), "verified");
    assert_eq!(provider.fetches(), 2, "the first to come after that waited for the refresh, which failed");
    for _ in 0..20 {
        assert_eq!(code(verifier.verify(&token).await), "verified");
    }
    assert_eq!(provider.fetches(), 2, "a failed fetch is not repeated at once");

    pass(MAX_AGE.saturating_sub(REFRESH_AFTER + 60 * SECOND)).await;
    assert_eq!(code(verifier.verify(&token).await), "verified");
    pass(61 * SECOND).await;
    assert_eq!(code(verifier.verify(&token).await), "keys_unavailable");

    provider.serve_keys(Answer::keys(&[&signer]));
    pass(RETRY_MOST).await;
    assert_eq!(code(verifier.verify(&token).await), "verified");
}

#[tokio::test]
async fn failed_fetches_are_made_less_and_less_often() {
    let signer = ec("k");
    let provider = Provider::start(Answer::Status(StatusCode::INTERNAL_SERVER_ERROR)).await;
    let verifier = provider.verifier();
    let token = provider.token(&signer);
    let mut waits = Vec::new();
    for attempt in 1..=6 {
        for _ in 0..20 {
            assert_eq!(code(verifier.verify(&token).await), "keys_unavailable");
        }
        assert_eq!(provider.fetches(), attempt);
        let wait = verifier.verify(&token).await.unwrap_err().retry_after().unwrap();
        waits.push(wait.as_secs_f64().ceil());
        pass(wait).await;
    }
    assert_eq!(waits, [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]);

    provider.serve_keys(Answer::keys(&[&signer]));
    assert_eq!(code(verifier.verify(&token).await), "verified");
}

#[tokio::test]
async fn an_answer_that_is_no_key_set_is_not_believed() {
    let signer = ec("k");
    let elsewhere = Provider::start(Answer::keys(&[&signer])).await;
    let big = format!("{}{{\"keys\":[]}}", " ".repeat(512 * 1024));
    for answer in [
        Answer::Html,
        Answer::Text(String::new()),
        Answer::Text(big),
        Answer::Json(json!([])),
        Answer::Status(StatusCode::NOT_FOUND),
        Answer::Status(StatusCode::NO_CONTENT),
        Answer::RedirectTo(format!("{}/keys", elsewhere.issuer)),
        Answer::Endless,
    ] {
        let provider = Provider::start(answer).await;
        let refused = provider.verifier().verify(&provider.token(&signer)).await;
        assert!(matches!(refused, Err(Rejection::KeysUnavailable { .. })), "{refused:?}");
        assert_eq!(provider.fetches(), 1);
        assert!(
            provider.sent() < 8 * 1024 * 1024,
            "{} bytes of an endless answer were read",
            provider.sent()
        );
    }
    assert_eq!(elsewhere.fetches(), 0, "a redirect is not followed");
}

#[tokio::test]
async fn a_discovery_document_is_held_to_its_issuer() {
    let signer = ec("k");
    let evil = Provider::start(Answer::keys(&[&signer])).await;
    let provider = Provider::start(Answer::keys(&[&signer])).await;
    let keys = format!("{}/keys", provider.issuer);
    for answer in [
        Answer::Json(json!({"issuer": evil.issuer, "jwks_uri": keys})),
        Answer::Json(json!({"issuer": format!("{}/", provider.issuer), "jwks_uri": keys})),
        Answer::Json(json!({"issuer": provider.issuer.to_uppercase(), "jwks_uri": keys})),
        Answer::Json(json!({"jwks_uri": keys})),
        Answer::Json(json!({"issuer": provider.issuer})),
        Answer::Json(json!({"issuer": provider.issuer, "jwks_uri": 7})),
        Answer::Json(json!({"issuer": provider.issuer, "jwks_uri": "http://keys.example/jwks"})),
        Answer::Json(json!({"issuer": provider.issuer, "jwks_uri": "file:///etc/passwd"})),
        Answer::Text(format!(
            r#"{{"issuer":"{0}","jwks_uri":"{keys}","jwks_uri":"{1}/keys"}}"#,
            provider.issuer, evil.issuer
        )),
        Answer::Html,
        Answer::Endless,
        Answer::Status(StatusCode::FORBIDDEN),
        Answer::RedirectTo(format!("{}/.well-known/openid-configuration", evil.issuer)),
    ] {
        provider.serve_discovery(answer);
        let refused = provider.verifier().verify(&provider.token(&signer)).await;
        assert!(matches!(refused, Err(Rejection::KeysUnavailable { .. })), "{refused:?}");
    }
    assert_eq!((provider.fetches(), evil.fetches(), evil.discoveries()), (0, 0, 0));
}

#[tokio::test]
async fn a_set_ages_while_its_lambda_is_frozen() {
    let signer = ec("k");
    let provider = Provider::start(Answer::keys(&[&signer])).await;
    let (verifier, clock) = provider.verifier_with(&json!({}));
    assert_eq!(code(verifier.verify(&provider.token(&signer)).await), "verified");
    provider.serve_keys(Answer::Status(StatusCode::BAD_GATEWAY));
    clock.move_on(MAX_AGE);
    assert_eq!(code(verifier.verify(&provider.token(&signer)).await), "keys_unavailable");
}

#[tokio::test]
async fn warming_up_leaves_nothing_to_fetch() {
    let signer = ec("k");
    let provider = Provider::start(Answer::keys(&[&signer])).await;
    let verifier = provider.verifier();
    verifier.warm_up().await;
    assert_eq!(provider.fetches(), 1);
    provider.serve_keys(Answer::Hang);
    assert_eq!(code(verifier.verify(&provider.token(&signer)).await), "verified");
    verifier.warm_up().await;
    assert_eq!(provider.fetches(), 1);
}

#[tokio::test]
async fn a_broken_key_among_good_ones_is_skipped() {
    let signer = ec("good");
    let Answer::Json(mut keys) = Answer::keys(&[&signer]) else { unreachable!() };
    keys["keys"]
        .as_array_mut()
        .unwrap()
        .insert(0, json!({"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"}));
    let provider = Provider::start(Answer::Json(keys)).await;
    let verifier = provider.verifier();
    assert_eq!(code(verifier.verify(&provider.token(&signer)).await), "verified");
    let broken = signer
        .sign_with(&json!({"alg": "RS256", "kid": "broken"}), &claims_with(&json!({"iss": provider.issuer})));
    assert_eq!(code(verifier.verify(&broken).await), "key_malformed");
    assert_eq!(provider.fetches(), 1, "a key that is known to be broken is not asked for again");
}

#[tokio::test]
async fn one_issuers_keys_do_not_sign_for_another() {
    let (ours, theirs) = (ec("same-id"), ec("same-id"));
    let settings = json!([
        {"issuer": ISSUER, "audiences": [AUDIENCE], "jwks_uri": "http://127.0.0.1:9/", "jwks": {"keys": [ours.jwk()]}},
        {"issuer": "https://other.example", "audiences": [AUDIENCE], "jwks_uri": "http://127.0.0.1:9/", "jwks": {"keys": [theirs.jwk()]}},
    ]);
    let verifier = verifier_at_now(&settings);
    let of = |signer: &Signer, issuer: &str| signer.sign(&claims_with(&json!({"iss": issuer})));
    assert_eq!(code(verifier.verify(&of(&ours, ISSUER)).await), "verified");
    assert_eq!(code(verifier.verify(&of(&theirs, "https://other.example")).await), "verified");
    assert_eq!(code(verifier.verify(&of(&theirs, ISSUER)).await), "signature_invalid");
    assert_eq!(code(verifier.verify(&of(&ours, "https://other.example")).await), "signature_invalid");
    assert_eq!(code(verifier.verify(&of(&ours, "https://third.example")).await), "issuer_unknown");
}

#[tokio::test]
async fn a_clock_an_hour_off_is_told_apart_from_a_bad_token() {
    let signer = ec("k");
    let provider = Provider::start(Answer::keys(&[&signer])).await;
    let (verifier, clock) = provider.verifier_with(&json!({}));
    let fresh = signer
        .sign(&claims_with(&json!({"iss": provider.issuer, "exp": NOW + 900, "iat": NOW, "nbf": null})));
    assert_eq!(code(verifier.verify(&fresh).await), "verified");
    clock.set(NOW - 3600);
    assert_eq!(code(verifier.verify(&fresh).await), "issued_in_future");
    clock.set(NOW + 3600);
    assert_eq!(code(verifier.verify(&fresh).await), "expired");
}

#[tokio::test]
async fn nothing_is_fetched_for_a_token_that_could_not_be_good() {
    let signer = ec("k");
    let provider = Provider::start(Answer::keys(&[&signer])).await;
    let (verifier, _) = provider.verifier_with(&json!({"algorithms": ["RS256"]}));
    let good = provider.token(&signer);
    for token in [
        good.clone(),
        format!("{good}="),
        good.replacen('.', "", 1),
        signer.sign(&claims_with(&json!({"iss": "https://evil.example"}))),
    ] {
        assert!(verifier.verify(&token).await.is_err());
    }
    assert_eq!((provider.discoveries(), provider.fetches()), (0, 0));
    pass(RETRY_FIRST).await;
    assert_eq!((provider.discoveries(), provider.fetches()), (0, 0));
}

fn verifier_at_now(settings: &Value) -> Verifier {
    use permit_handoff::oidc::clock::Clock;
    struct Now;
    impl Clock for Now {
        fn now(&self) -> Duration {
            Duration::from_secs(NOW)
        }
    }
    Verifier::with_clock(crate::signer::issuers(settings), Arc::new(Now)).unwrap()
}
