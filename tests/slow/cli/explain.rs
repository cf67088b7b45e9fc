//! `explain` for an event, for a token, and for a user by each of their names.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use stand_ins::Person;

use super::{POLICY, World};

/// An unsigned token.
fn token(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!(
        "{}.{}.{}",
        part(&json!({"alg": "RS256", "kid": "k"})),
        part(claims),
        URL_SAFE_NO_PAD.encode("no")
    )
}

#[tokio::test]
async fn a_user_is_found_by_key_address_and_name() {
    let world = World::start().await;
    let sub = world.pool.add(&Person::new("jane@example.com").in_group("acme/editor")).await.unwrap();
    for name in [sub.as_str(), "jane@example.com"] {
        let (exit, text) = world.run(POLICY, &[], &["explain", "--user", name]).await;
        assert!(exit == 1 && text.starts_with("jane@example.com is\n  editor in acme"), "{name}: {text}");
        assert!(text.contains("+ acme/editor"), "{text}");
    }
    for nobody in ["nobody@example.com", "o'br\"ien"] {
        let (exit, text) = world.run(POLICY, &[], &["explain", "--user", nobody]).await;
        assert!(
            exit == 1 && text.contains("is not in the directory") && text.contains("no such user"),
            "{text}"
        );
    }
    let create = json!({"PoolName": "names"});
    let other = world.moto.cognito().call("CreateUserPool", create).await.unwrap();
    let id = other["UserPool"]["Id"].as_str().unwrap();
    for name in ["jane", "john"] {
        let user = json!({"UserPoolId": id, "Username": name, "UserAttributes": [
            {"Name": "email", "Value": "both@example.com"}]});
        world.moto.cognito().call("AdminCreateUser", user).await.unwrap();
    }
    let by_name = ["explain", "--user-pool-id", id, "--user", "jane"];
    let (exit, text) = world.run(POLICY, &[], &by_name).await;
    assert!(exit == 1 && text.contains("both@example.com"), "{text}");
    let (exit, text) =
        world.run(POLICY, &[], &["explain", "--user-pool-id", id, "--user", "both@example.com"]).await;
    assert!(exit == 2 && text.contains("2 users have this email; say which"), "{text}");
}

#[tokio::test]
async fn a_token_is_explained_and_said_to_be_unverified() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let path = path.to_str().unwrap();
    let claims = json!({"iss": "https://a.example.com", "sub": "auth0|7", "nonce": "n", "custom:tier": "pro",
        "realm": {"groups": ["acme/editor"]}});
    std::fs::write(path, format!("Bearer {}\n", token(&claims))).unwrap();
    let source = |name: &str| {
        let issuer = format!("[[source]]\nissuer = \"https://{name}.example.com\"\naudiences = [\"x\"]\n");
        format!("{POLICY}\n{issuer}claims.groups = \"realm.groups\"\n")
    };
    let (exit, text) = world.run(&source("a"), &[], &["explain", "--token", path]).await;
    assert_eq!(exit, 1, "{text}");
    for words in ["NOT checked", "issuer https://a.example.com", "+ acme/editor", "+ default/editor"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert_eq!(world.sandbox.user_count(), 0);

    let json = ["explain", "--token", path, "--offline", "--json"];
    let (exit, text) = world.run(POLICY, &[("PERMIT_API_KEY", "")], &json).await;
    let explained: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (exit, &explained["verified"], &explained["permit"]["asked"]),
        (0, &json!(false), &json!(false))
    );
    let (_, text) = world.run(&source("b"), &[], &["explain", "--token", path]).await;
    assert!(text.contains("No [[source]] of the policy has that issuer"), "{text}");

    // An unsigned token may contain text that controls a terminal or reverses a line.
    let hostile = "\u{1b}]0;x\u{7}\u{1b}[2J\u{202e}nimda";
    let claims = json!({"iss": format!("https://a.example.com/{hostile}"), "sub": "auth0|7", "name": hostile, "custom:tier": hostile});
    std::fs::write(path, self::token(&claims)).unwrap();
    for arguments in [&["explain", "--token", path][..], &json] {
        let (_, text) = world.run(&source("a"), &[("NO_COLOR", "1")], arguments).await;
        let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(text.contains("nimda") && !text.contains(steers), "{text:?}");
    }

    // What the handoff would refuse is refused here, and none of it is printed.
    std::fs::write(path, format!("{}x", token(&json!({"iss": "https://a.example.com"})))).unwrap();
    let (exit, text) = world.run(POLICY, &[], &["explain", "--token", path]).await;
    assert!(exit == 2 && text.contains("the token is not valid"), "{text}");
}

#[tokio::test]
async fn offline_needs_the_policy_alone_and_a_flag_may_name_it() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.toml");
    std::fs::write(&policy, "[[grant]]\ntenant = \"acme\"\nrole = \"owner\"\n").unwrap();
    let unset = [("PERMIT_API_KEY", ""), ("USER_POOL_ID", "")];
    let event = ["explain", "--event", "events/post-authentication.json", "--offline", "--policy-file"];
    let arguments = [&event[..], &[policy.to_str().unwrap()]].concat();
    let (exit, text) = world.run(POLICY, &unset, &arguments).await;
    assert!(exit == 0 && text.contains("+ acme/owner") && text.contains("not asked"), "{text}");
    assert!(!text.contains("default/viewer"), "the policy of the environment is not read: {text}");
    let (exit, text) = world.run(POLICY, &[], &["explain", "--event", "a", "--user", "b"]).await;
    assert!(exit == 2 && text.contains("cannot be used with"), "{text}");
}
