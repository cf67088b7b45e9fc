//! `doctor` against the sandbox and moto: a healthy deployment, one with everything wrong, and each bad
//! input.

mod bad_inputs;
mod changes;
mod deployment;

use permit_sandbox::{KeyScope, Stats};
use serde_json::json;

use self::deployment::{Deployment, FUNCTION};

const SAFE: &str = r#"
[user]
attributes = ["locale"]
[[grant]]
tenant = "default"
role = "viewer"
[[grant]]
when = { group = "admins" }
tenant = "default"
role = "admin"
[[grant]]
when = { email_domain = "acme.example" }
tenant = "acme"
role = "member"
[[grant]]
when = { attribute = "custom:tier", equals = "pro" }
tenant = "default"
role = "editor"
"#;

const UNSAFE: &str = r#"
[user]
attributes = ["locale", "department"]
[[grant]]
tenant = "default"
role = "admin"
[[grant]]
when = { group = "{tenant}/{role}" }
[[grant]]
when = { group = "{role}" }
tenant = "nowhere"
[[grant]]
when = { email_domain = "{tenant}.com" }
role = "wizard"
[[grant]]
when = { attribute = "custom:tier", equals = "pro" }
tenant = "default"
role = "editor"
[[grant]]
when = { attribute = "locale", equals = "fr" }
tenant = "default"
role = "viewer"
"#;

#[tokio::test]
async fn a_healthy_deployment_has_nothing_to_look_at_and_nothing_is_written() {
    let deployment = Deployment::start(SAFE).await;
    let before = (deployment.sandbox.snapshot(), deployment.described().await);
    let answer = deployment.run(&[]).await;
    assert_eq!(answer.code, 0, "{}", answer.text);
    insta::assert_snapshot!("doctor_all_is_well", deployment.anonymous(&answer.text));

    let json = deployment.json(&[]).await;
    assert_eq!((json.code, &json.json()["errors"], &json.json()["warnings"]), (0, &json!(0), &json!(0)));
    let coloured = deployment.run(&["--color", "always"]).await;
    assert!(coloured.text.contains('\u{1b}') && !answer.text.contains('\u{1b}'));

    assert_eq!((deployment.sandbox.snapshot(), deployment.described().await), before);
    assert_eq!(deployment.sandbox.counts().writes(), 0);
    let calls = deployment.door.calls();
    let reads =
        |call: &String| ["List", "Describe", "Get", "AdminList"].iter().any(|verb| call.starts_with(verb));
    assert!(calls.len() > 8 && calls.iter().all(reads), "{calls:?}");
}

#[tokio::test]
async fn a_deployment_with_everything_wrong_reads_as_a_story() {
    let mut deployment = Deployment::start(UNSAFE).await;
    let pool = json!({
        "PoolName": "people",
        "Schema": [{"Name": "tier", "AttributeDataType": "String", "Mutable": true}],
        "LambdaConfig": {"PostAuthentication": FUNCTION},
    });
    let pool = deployment.pool(pool).await;
    deployment.client(&pool, "web", None).await;
    deployment.client(&pool, "mobile", Some(&["custom:tier"])).await;
    let mapping = json!({"email_verified": "verified", "custom:tier": "plan"});
    deployment.provider(&pool, "Partner", mapping).await;
    deployment.sandbox.set_stats(Stats { mau: 4500, mau_limit: 5000, ..Stats::default() });
    deployment.sandbox.add_key("permit_key_wide", KeyScope::Organization);
    deployment.set("PERMIT_API_KEY", "permit_key_wide");
    deployment.set("PERMIT_PROJECT", &deployment.sandbox.project());
    deployment.set("PERMIT_ENVIRONMENT", &deployment.sandbox.environment());
    deployment.set("PERMIT_LIMITS", "all=2000,write=30,bulk=11");
    deployment.set("RECONCILE_QUEUE_URL", &deployment.moto.create_queue("bare").await.unwrap());
    let dead = deployment.moto.create_queue("given-up").await.unwrap();
    deployment.send(&dead, 2).await;
    deployment.set("DEAD_LETTER_QUEUE_URL", &dead);
    let source =
        |name: &str| format!("[[source]]\nissuer = \"https://{name}.example.com\"\naudiences = [\"app\"]\n");
    deployment.set("HANDOFF_POLICY", &format!("{UNSAFE}{}{}", source("one"), source("two")));

    let answer = deployment.run(&[]).await;
    assert_eq!(answer.code, 1, "{}", answer.text);
    insta::assert_snapshot!("doctor_much_is_wrong", deployment.anonymous(&answer.text));
    assert!(!answer.text.contains("provider_secret") && !answer.text.contains("permit_key"));
    assert_eq!(deployment.sandbox.counts().writes(), 0);
}

#[tokio::test]
async fn a_warning_that_was_looked_at_does_not_count_and_an_error_does() {
    let deployment = Deployment::start("[[grant]]\nwhen = { group = \"{tenant}/{role}\" }\n").await;
    let answer = deployment.json(&[]).await;
    assert_eq!((answer.code, answer.of("group-names").len()), (1, 1), "{}", answer.text);
    let accepted = deployment.json(&["--accept", "everyone,group-names"]).await;
    let json = accepted.json();
    assert_eq!((accepted.code, &json["warnings"], &json["accepted"]), (0, &json!(0), &json!(1)), "{json}");
    let text = deployment.run(&["--accept", "group-names"]).await.text;
    assert!(text.starts_with("All is well.") && text.contains("group-names (accepted)"), "{text}");
    let text = deployment.run(&["--accept", "group-names", "--all"]).await.text;
    assert!(text.contains("accepted  a group's name"), "{text}");

    let mut deployment = deployment;
    deployment.set("HANDOFF_POLICY", "[[grant]]\ntenant = \"nowhere\"\nrole = \"viewer\"\n");
    let answer = deployment.json(&["--accept", "tenants"]).await;
    assert_eq!((answer.code, &answer.json()["errors"]), (1, &json!(1)), "{}", answer.text);
    let unknown = deployment.run(&["--accept", "everything"]).await;
    assert!(unknown.code == 2 && unknown.text.contains("writable-attributes"), "{}", unknown.text);
}

#[tokio::test]
async fn the_roles_of_a_resource_and_the_pdp_are_looked_at() {
    let mut deployment = Deployment::start(SAFE).await;
    let rule = |role: &str| {
        format!(
            "[[grant]]\nwhen = {{ group = \"p-{{instance}}\" }}\ntenant = \"default\"\nresource = \"project:{{instance}}\"\nrole = \"{role}\"\n"
        )
    };
    deployment.set("HANDOFF_POLICY", &rule("reader"));
    let answer = deployment.json(&[]).await;
    answer.says("roles", "error", "on the resource project, which has no roles in Permit");

    let seed =
        json!({"resources": {"project": ["reader"]}, "users": {"jane": {"roles": ["default/viewer"]}}});
    deployment.sandbox.seed(&serde_json::from_value(seed).unwrap()).unwrap();
    deployment.set("PERMIT_PDP_URL", &deployment.value("PERMIT_API_URL"));
    let answer = deployment.json(&["--all"]).await;
    answer.says("roles", "good", "every project role that the policy names (1)");
    answer.says("pdp", "good", "the PDP knows what Permit has of the user");
    deployment.set("HANDOFF_POLICY", &rule("pilot"));
    let answer = deployment.json(&[]).await;
    answer.says("roles", "error", "the project role pilot (line 1), which Permit lacks");
    deployment.sandbox.set_pdp(permit_sandbox::Pdp { part_percent: 0, ..permit_sandbox::Pdp::default() });
    let answer = deployment.json(&[]).await;
    answer.says("pdp", "error", "1 of 1 role that Permit has of the user");
}

#[tokio::test]
async fn flags_go_before_the_environment() {
    let mut deployment = Deployment::start(SAFE).await;
    let pool = deployment.value("USER_POOL_ID");
    deployment.set("USER_POOL_ID", "eu-central-1_Missing00");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new.toml");
    std::fs::write(&file, "[[grant]]\ntenant = \"default\"\nrole = \"wizard\"\n").unwrap();
    let flags = ["--user-pool-id", &pool, "--policy-file", file.to_str().unwrap()];
    let answer = deployment.json(&flags).await;
    answer.says("triggers", "good", FUNCTION);
    answer.says("roles", "error", "the role wizard (line 1), which Permit lacks");
}
