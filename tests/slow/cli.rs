//! The built command line, on moto and the sandbox: one file per command.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod attach;
mod doctor;
mod documented;
mod explain;
mod page;
mod runs;

use std::process::Command;

use permit_sandbox::{Sandbox, UserState};
use serde_json::{Value, json};
use stand_ins::{Moto, Person, UserPool, project_root};

const POLICY: &str = r#"
[[grant]]
tenant = "default"
role = "viewer"

[[grant]]
when = { group = "{tenant}/{role}" }

[[grant]]
when = { attribute = "custom:tier", equals = "pro" }
tenant = "default"
role = "editor"

[deprovision]
missing = "delete"
grace_hours = 0
"#;

struct World {
    sandbox: Sandbox,
    moto: Moto,
    pool: UserPool,
}

impl World {
    async fn start() -> Self {
        let sandbox = Sandbox::builder().tenant("acme").start().await.unwrap();
        let moto = Moto::start().await.unwrap();
        let pool = moto.create_pool("company").await.unwrap();
        Self { sandbox, moto, pool }
    }

    /// The command with an operator's settings.
    fn command(&self, policy: &str, more: &[(&str, &str)], arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_permit-handoff"));
        command.args(arguments).current_dir(project_root());
        for variable in ["PERMIT_API_KEY_SECRET_ID", "HANDOFF_POLICY_FILE", "NO_COLOR"] {
            command.env_remove(variable);
        }
        command.envs(self.moto.settings()).env("PERMIT_API_URL", self.sandbox.url());
        command.env("PERMIT_API_KEY", self.sandbox.api_key()).env("HANDOFF_POLICY", policy);
        command.env("USER_POOL_ID", self.pool.id()).envs(more.iter().copied());
        command
    }

    /// What the command printed on both streams, and its exit code. Runs concurrently with the sandbox,
    /// which is in this process.
    async fn run(&self, policy: &str, more: &[(&str, &str)], arguments: &[&str]) -> (i32, String) {
        let mut command = self.command(policy, more, arguments);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    }
}

#[tokio::test]
async fn a_plan_is_what_the_sync_then_does() {
    let world = World::start().await;
    let mut subs = Vec::new();
    for n in 0..7 {
        let person = Person::new(&format!("p{n}@example.com")).in_group("acme/editor");
        subs.push(world.pool.add(&person).await.unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("plan.html");
    let plan = ["plan", "--report", page.to_str().unwrap()];
    let (exit, text) = world.run(POLICY, &[], &plan).await;
    assert_eq!(exit, 1, "{text}");
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(
        html.contains("Plan of a bulk sync")
            && html.contains("acme/editor")
            && html.contains("p6@example.com"),
        "{html}"
    );
    assert!(
        text.contains("7 people would change, nobody loses anything") && text.contains("7 new"),
        "{text}"
    );
    assert_eq!(world.sandbox.user_count(), 0, "a plan writes nothing");
    assert!(text.is_ascii() && !text.contains('\u{1b}'), "no colours into a pipe: {text}");

    let (exit, text) = world.run(POLICY, &[], &["sync", "--dry-run"]).await;
    assert!(exit == 1 && text.contains("7 people would change"), "{text}");
    let (exit, text) = world.run(POLICY, &[], &["sync"]).await;
    assert_eq!(exit, 0, "{text}");
    assert!(text.contains("7 users made") && text.contains("proven. 7 users read back"), "{text}");
    assert_eq!(world.sandbox.user_count(), 7);
    let (exit, text) = world.run(POLICY, &[], &["plan", "--json"]).await;
    let plan: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (exit, &plan["report"]["unchanged"], &plan["people_more"]),
        (0, &json!(7), &json!(0)),
        "{text}"
    );

    for sub in &subs[..4] {
        let call = json!({"UserPoolId": world.pool.id(), "Username": sub});
        world.pool.api().call("AdminDeleteUser", call).await.unwrap();
    }
    let (exit, text) = world.run(POLICY, &[], &["sync"]).await;
    assert!(
        exit == 4 && text.starts_with("Refused: nobody lost anything.") && text.contains("max_percent"),
        "{exit} {text}"
    );
    assert_eq!(world.sandbox.user_count(), 7);
    let (exit, text) = world.run(POLICY, &[], &["sync", "--approve-deprovision"]).await;
    assert!(exit == 0 && text.contains("4 users deleted"), "{exit} {text}");
    assert_eq!(world.sandbox.user_count(), 3);
}

#[tokio::test]
async fn an_explanation_says_which_rule_and_whose_role() {
    let world = World::start().await;
    let person = Person::new("jane@example.com").in_group("acme/editor");
    let sub = world.pool.add(&person).await.unwrap();
    world.run(POLICY, &[], &["sync"]).await;
    let grant = json!({"user": sub, "role": "admin", "tenant": "default"});
    let url = format!("{}/v2/facts/default/dev/role_assignments", world.sandbox.url());
    let by_hand =
        reqwest::Client::new().post(url).bearer_auth(world.sandbox.api_key()).json(&grant).send().await;
    assert!(by_hand.unwrap().status().is_success());

    let (exit, text) = world.run(POLICY, &[], &["explain", "--user", &sub]).await;
    assert_eq!(exit, 0, "{text}");
    for words in [
        "is\n  editor in acme",
        "because of the group acme/editor (line 6 of the policy)",
        "everyone is (line 2 of the policy)",
        "1 rule that does not hold: --all",
        "acme/editor  (ours",
        "default/admin  (somebody else's",
        "changes nothing",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let role = |role: &'static str| ["explain", "--user", "jane@example.com", "--role", role];
    let (exit, text) = world.run(POLICY, &[], &role("acme/editor")).await;
    assert!(
        exit == 0 && text.starts_with("Yes. jane@example.com is editor in acme, because of the group"),
        "{text}"
    );
    let (_, text) = world.run(POLICY, &[], &role("acme/viewer")).await;
    assert!(text.starts_with("No.") && text.contains("needs the group `acme/viewer`"), "{text}");
    let (_, text) = world.run(POLICY, &[], &role("default/editor")).await;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("needs custom:tier to be `pro`, and it is not set"), "{text}");
    let (_, text) = world.run(POLICY, &[], &role("default/admin")).await;
    assert!(text.contains("an administrator or another program assigned it"), "{text}");

    // The plan does not promise a tenant that does not exist.
    let lost = Person::new("lost@example.com").in_group("nosuch/editor");
    world.pool.add(&lost).await.unwrap();
    let (exit, text) = world.run(POLICY, &[], &["explain", "--user", "lost@example.com"]).await;
    assert!(exit == 1 && !text.contains("+ nosuch/editor"), "{text}");
    assert!(text.contains("blocked: nosuch/editor: the tenant `nosuch` does not exist in Permit"), "{text}");

    let event = ["explain", "--event", "events/post-authentication.json", "--groups", "acme/admin"];
    let (exit, text) = world.run(POLICY, &[], &event).await;
    assert!(exit == 1 && text.contains("has no such user") && text.contains("+ acme/admin"), "{text}");
    let offline = ["explain", "--event", "events/post-authentication.json", "--offline", "--json"];
    let (exit, text) = world.run(POLICY, &[], &offline).await;
    let explained: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((exit, &explained["rules"][1]["verdict"]), (0, &json!("untold")), "{text}");
}

#[tokio::test]
async fn what_is_wrong_with_the_call_is_said_in_one_message() {
    let world = World::start().await;
    let (exit, text) = world.run("[[grant]]\nrole = \"x\"", &[("PERMIT_PROJECT", "p")], &["plan"]).await;
    assert!(exit == 2 && text.contains("line 1") && text.contains("PERMIT_PROJECT"), "{text}");
    let (exit, text) = world.run(POLICY, &[], &["sync", "--sub-prefix", "XY"]).await;
    assert_eq!(exit, 2, "{text}");
    let (exit, text) = world.run(POLICY, &[("PERMIT_API_KEY", "permit_key_wrong")], &["sync"]).await;
    assert!(exit == 3 && !text.contains("permit_key_wrong"), "{text}");
    let (exit, text) = world.run(POLICY, &[("COLUMNS", "40")], &["sync", "--help"]).await;
    assert!(exit == 0 && text.contains("Examples:"), "{text}");
    let seeded = UserState::new().email("jane@example.com");
    world.sandbox.seed_users([("u1".to_owned(), seeded)]).unwrap();
    let (exit, text) = world.run(POLICY, &[], &["explain", "--user", "u1"]).await;
    assert!(exit == 0 && text.contains("not in the directory"), "{text}");
}

#[tokio::test]
async fn people_come_from_a_file_too() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let csv = "\u{feff}user_id,email,email_verified,given_name,groups,custom:tier\n\
               auth0|1,one@example.com,true,One,acme/editor;x,free\n\
               auth0|2,two@example.com,true,\"Two, Jr.\",,pro\n\
               not a key,three@example.com,true,Three,,\n\
               auth0|4,four@example.com\n\
               auth0|2,two@example.com,true,\"Two, Jr.\",,pro\n";
    let csv = write("users.csv", csv.as_bytes());
    let from = |file: &str| {
        vec![
            "sync".to_owned(),
            "--file".into(),
            file.into(),
            "--source".into(),
            "https://a.example.com/".into(),
            "--all".into(),
        ]
    };
    let run = async |arguments: Vec<String>| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        world.run(POLICY, &[("USER_POOL_ID", "")], &arguments).await
    };
    let (exit, text) = run(from(&csv)).await;
    assert_eq!(exit, 1, "two lines are rejected: {text}");
    assert!(text.contains("line 4") && text.contains("line 5"), "{text}");
    let users = world.sandbox.snapshot().users;
    assert_eq!(users.len(), 2, "{text}");
    assert_eq!(users["auth0|1"].roles.iter().collect::<Vec<_>>(), ["acme/editor", "default/viewer"]);
    assert_eq!(users["auth0|2"].first_name.as_deref(), Some("Two, Jr."));
    assert!(users["auth0|2"].roles.contains("default/editor"));
    assert_eq!(users["auth0|1"].attributes["handoff"]["source"], "https://a.example.com/");

    // The missing user loses nothing while a line is broken: the line may be theirs.
    let lines = "{\"localId\": \"auth0|1\", \"email\": \"one@example.com\"}\n\n{broken\n";
    let lines = write("users.jsonl", lines.as_bytes());
    let mut approved = from(&lines);
    approved.push("--approve-deprovision".into());
    let (_, text) = run(approved).await;
    assert!(text.contains("line 3"), "{text}");
    assert_eq!(world.sandbox.user_count(), 2, "{text}");

    let other = write("other.csv", b"employee,mail\n7,seven@example.com\n");
    let (exit, text) = run(from(&other)).await;
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(exit == 2 && flat.contains("--map COLUMN=sub"), "{text}");
    let mut mapped = from(&other);
    mapped.extend(["--map", "employee=sub", "--map", "mail=email", "--dry-run"].map(String::from));
    let (exit, text) = run(mapped).await;
    assert!(exit == 4 || text.contains("1 person would change"), "{exit} {text}");
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain("user_id\n1\n".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let (exit, text) = run(from(&write("utf16.csv", &utf16))).await;
    assert!(exit == 2 && text.contains("UTF-16"), "{text}");
    let (exit, text) = run(from("nowhere.csv")).await;
    assert!(exit == 2 && text.contains("nowhere.csv"), "{text}");
}

#[tokio::test]
async fn help_completions_and_the_manual_are_there() {
    let world = World::start().await;
    for (arguments, words) in [
        (&["completions", "bash"][..], "COMPREPLY"),
        (&["man"], ".TH permit-handoff"),
        (&["--help"], "Exit codes:"),
        (&["--version"], "permit-handoff 0."),
    ] {
        let (exit, text) = world.run("", &[], arguments).await;
        assert!(exit == 0 && text.contains(words), "{arguments:?}: {text}");
    }
}
