//! `doctor`: a healthy deployment, one with everything wrong, and each input that is bad, against the sandbox and moto.

mod bad_inputs;
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
    insta::assert_snapshot!(deployment.anonymous(&answer.text), @r#"
    Settings
      good      the settings are well-formed, the policy too
    Permit
      good      the API key reads the environment a353414e-4400-4000-8000-000000000001 of the project a253414e-4400-4000-8000-000000000001
      good      Permit has every role that the policy names (4)
      good      Permit has every tenant that the policy names (2)
      good      0 of 5000 monthly active users are used
      good      PERMIT_LIMITS are within what Permit documents
    User pool
      good      the user pool eu-central-1_POOL can be read
      good      both triggers call arn:aws:lambda:eu-central-1:123456789012:function:post-authentication
      note      no rule sends the pool's changes to the queue
                why: without it a change in the pool waits for the person's next sign-in, or the bulk sync
                do:  deploy with ChangeEvents=on
      note      no trail logs management events in this region
                why: EventBridge is told of Cognito's calls by such a trail alone; without it a change in the pool waits for the person's next sign-in, or the bulk sync
                do:  create a trail for management events: the first copy of them is free
    Queue
      good      the overflow queue is there, with a dead-letter queue
      good      no sign-in waits in the overflow queue
      good      the dead-letter queue is empty
    Who could grant themselves a role
      good      no app client lets users write custom:tier, which the policy grants from
      good      the pool verifies e-mail addresses, which the policy grants by
      good      a changed e-mail address is verified before the pool keeps it
    0 errors, 0 warnings
    "#);

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
    let issuer = |name: &str| json!({"issuer": format!("https://{name}.example.com"), "audiences": ["app"]});
    deployment.set("OIDC_ISSUERS", &json!([issuer("one"), issuer("two")]).to_string());

    let answer = deployment.run(&[]).await;
    assert_eq!(answer.code, 1, "{}", answer.text);
    insta::assert_snapshot!(deployment.anonymous(&answer.text), @r#"
    Settings
      good      the settings are well-formed, the policy too
    Permit
      good      the API key reads the environment dev of the project default
      warning   the API key belongs to a whole organization
                why: whoever gets hold of it reaches every project; one environment is all that is needed
                do:  store the key of this environment instead (Permit: Settings, API Keys)
      error     the policy names the role wizard (line 12), which Permit lacks
                why: nobody is granted it: it is left out of each sync, and reported
                do:  create the role wizard in Permit, or correct the policy
      error     the policy names the tenant nowhere (line 9), which Permit lacks
                why: nobody is granted it: it is left out of each sync, and reported
                do:  create the tenant nowhere in Permit, or correct the policy
      warning   4500 of 5000 monthly active users are used
                why: past the plan's limit Permit may refuse checks (permission checks make people active, syncing does not)
                do:  talk to Permit about the plan
      warning   PERMIT_LIMITS are above what Permit documents: all=2000 (documented: 1000), bulk=11 (documented: 10)
                why: unless Permit raised them for you it answers 429, and sign-ins wait in the queue
                do:  set them to your plan's, or leave them out
    User pool
      good      the user pool eu-central-1_POOL can be read
      error     the pool calls no function for PostConfirmation
                why: a sign-up, and a first sign-in through Google, SAML or OIDC, fires this one alone: new people get no role
                do:  permit-handoff attach --user-pool-id eu-central-1_POOL --function-arn ARN (the stack's output AttachCommand)
      warning   the policy names the attribute department, which the user pool lacks
                why: nobody of this pool has it, so that it is never copied
                do:  correct the policy (custom attributes are spelt custom:NAME), or add the attribute to the pool
      note      no rule sends the pool's changes to the queue
                why: without it a change in the pool waits for the person's next sign-in, or the bulk sync
                do:  deploy with ChangeEvents=on
      note      no trail logs management events in this region
                why: EventBridge is told of Cognito's calls by such a trail alone; without it a change in the pool waits for the person's next sign-in, or the bulk sync
                do:  create a trail for management events: the first copy of them is free
    Queue
      warning   the overflow queue has no dead-letter queue
                why: a sign-in that can never be synced comes round until the queue forgets it, and nobody hears of it
                do:  give it a RedrivePolicy, as template.yaml does
      good      no sign-in waits in the overflow queue
      warning   about 2 sign-ins are in the dead-letter queue
                why: they were given up: those people wait for their next sign-in, or the bulk sync
                do:  see the alarm dead-letters in docs/operations.md
    Who could grant themselves a role
      error     users can write custom:tier themselves whenever they like, through the app client web (which lists no WriteAttributes), mobile
                why: anybody can grant themselves what it grants: line 15: default/editor when attribute = "custom:tier", equals = "pro"
                do:  give these app clients a list of WriteAttributes without custom:tier; where an identity provider's mapping needs it there, keep that client to people who come through the provider
      error     users can write locale themselves whenever they like, through the app client web (which lists no WriteAttributes)
                why: anybody can grant themselves what it grants: line 19: default/viewer when attribute = "locale", equals = "fr"
                do:  give these app clients a list of WriteAttributes without locale; where an identity provider's mapping needs it there, keep that client to people who come through the provider
      note      the identity provider Partner writes custom:tier, from its `plan`: line 15: default/editor when attribute = "custom:tier", equals = "pro"
                why: who may edit it there decides who is granted that
                do:  see that people cannot edit it in their own profile there
      warning   the pool does not verify e-mail addresses, and the policy grants by their domain: line 12: {tenant}/wizard when email_domain = "{tenant}.com"
                why: `email_verified` is all that stands between a stranger and the role, and something else sets it: an administrator, an import, an identity provider's mapping
                do:  have the pool verify e-mail (AutoVerifiedAttributes), and map email_verified from no provider that does not verify
      warning   the identity provider Partner says which addresses are verified, by its `verified`: line 12: {tenant}/wizard when email_domain = "{tenant}.com"
                why: whoever it lets choose an address of that domain, and calls verified, has the role
                do:  take email_verified out of its mapping, unless it verifies each address itself
      warning   the domain of an e-mail address says what it grants: line 12: {tenant}/wizard when email_domain = "{tenant}.com"
                why: anybody can register such a domain, verify an address in it, and have the role
                do:  name each domain in a rule of its own, or put a domain that is yours behind the capture: {tenant}.example.com
      warning   a group pattern also fits groups that Cognito makes itself, such as eu-central-1_POOL_Partner: line 9: nowhere/{role} when group = "{role}"
                why: all who sign in through that identity provider are in it, and get what it says
                do:  put something into the pattern that only your own groups have, such as a prefix or a `/`
      warning   a group's name says which role it grants: line 7: {tenant}/{role} when group = "{tenant}/{role}"; line 9: nowhere/{role} when group = "{role}"
                why: whoever may make groups, or name one in a self-service, may grant any role that Permit has: admin, editor, member, viewer
                do:  have groups made by administrators alone: see who has cognito-idp:CreateGroup and cognito-idp:AdminAddUserToGroup, and let no self-service name a group. Then --accept group-names
      warning   everyone gets the role admin: line 4: default/admin for everyone
                why: anybody may sign up in this pool, and then has it
                do:  give the rule in line 4 a `when`
      warning   3 directories are trusted, and their `sub`s are one key space: https://one.example.com, https://two.example.com, eu-central-1_POOL
                why: whoever can choose their `sub` in one can come as a person of another, and have that person's user in Permit
                do:  trust only directories whose `sub`s nobody chooses and that cannot be alike (UUIDs, or with a prefix), or give each an environment of its own
    5 errors, 13 warnings
    "#);
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
    assert!(text.contains("  accepted  a group's name") && text.contains("0 warnings, 1 accepted"), "{text}");

    let mut deployment = deployment;
    deployment.set("HANDOFF_POLICY", "[[grant]]\ntenant = \"nowhere\"\nrole = \"viewer\"\n");
    let answer = deployment.json(&["--accept", "tenants"]).await;
    assert_eq!((answer.code, &answer.json()["errors"]), (1, &json!(1)), "{}", answer.text);
    let unknown = deployment.run(&["--accept", "everything"]).await;
    assert!(unknown.code == 2 && unknown.text.contains("writable-attributes"), "{}", unknown.text);
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
