//! Checks every block of `docs/providers.md`: reads its sources, verifies its tokens, and reads its
//! exports with their source. Checks only the form of shell, JavaScript and YAML.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use permit_handoff::config;
use permit_handoff::domain::identity::Identity;
use permit_handoff::domain::policy::Policy;
use permit_handoff::oidc::Issuers;
use permit_handoff::oidc::algorithm::Algorithm;
use permit_handoff::oidc::verify::verify_offline;
use serde_json::{Value, json};

use crate::signer::{NOW, Signer, key_set};

/// A block of the page.
struct Block {
    /// The line of its opening fence.
    line: usize,
    heading: String,
    /// The last line of text before it.
    before: String,
    language: String,
    text: String,
}

fn page() -> Vec<Block> {
    let path = format!("{}/docs/providers.md", env!("CARGO_MANIFEST_DIR"));
    let (mut blocks, mut heading, mut before) = (Vec::new(), String::new(), String::new());
    let mut open: Option<Block> = None;
    for (number, line) in std::fs::read_to_string(path).unwrap().lines().enumerate() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(""), Some(block)) => blocks.push(block),
            (Some(language), None) => {
                let (heading, before) = (heading.clone(), before.clone());
                open = Some(Block {
                    line: number + 1,
                    heading,
                    before,
                    language: language.to_owned(),
                    text: String::new(),
                });
            }
            (_, Some(mut block)) => {
                block.text += line;
                block.text += "\n";
                open = Some(block);
            }
            (None, None) => {
                if let Some(title) = line.strip_prefix("## ") {
                    title.clone_into(&mut heading);
                }
                if !line.trim().is_empty() {
                    line.clone_into(&mut before);
                }
            }
        }
    }
    assert!(open.is_none(), "a block has no end");
    blocks
}

/// A person: the key, the known groups, whether those are all, and whether the person may sign in.
type Person = (&'static str, &'static [&'static str], bool, bool);

/// The expected results of a provider's section.
struct Section {
    heading: &'static str,
    token: Option<Person>,
    /// By the export's name.
    exports: &'static [(&'static str, &'static [Person])],
}

const ANN: &str = "11111111-0000-4000-8000-000000000001";
const SECTIONS: [Section; 13] = [
    Section {
        heading: "Auth0",
        token: Some(("auth0|5f7c8e", &["admins"], false, true)),
        exports: &[
            (
                "export.csv",
                &[
                    ("auth0|5f7c8e", &["admins", "editors"], false, true),
                    ("auth0|5f7c8f", &["admins"], false, false),
                ],
            ),
            ("export.json", &[("auth0|5f7c8e", &["admins", "editors"], false, true)]),
        ],
    },
    Section {
        heading: "Okta",
        token: Some(("00uid4BxXw6I6TV4m0g3", &["Everyone", "admins"], true, true)),
        exports: &[(
            "users.json",
            &[("00uid4BxXw6I6TV4m0g3", &[], false, true), ("00uid4BxXw6I6TV4m0g4", &[], false, false)],
        )],
    },
    Section {
        heading: "Clerk",
        token: Some(("user_2wpOgEtH", &["admin"], true, true)),
        exports: &[(
            "clerk.csv",
            &[("user_2wpOgEtH", &[], false, true), ("user_2wpOgEtI", &[], false, true)],
        )],
    },
    Section {
        heading: "Keycloak",
        token: Some(("2f9d1c1e-7c1e-4a52-9d53-0c4c5d8f3a11", &["admins", "offline_access"], true, true)),
        exports: &[(
            "acme-realm.json",
            &[
                ("2f9d1c1e-7c1e-4a52-9d53-0c4c5d8f3a11", &["admins"], true, true),
                ("2f9d1c1e-7c1e-4a52-9d53-0c4c5d8f3a12", &[], true, false),
            ],
        )],
    },
    Section {
        heading: "Cognito (hosted UI)",
        token: Some(("7d8ca528-4931-4254-9273-ea5ee853f271", &["admins", "editors"], true, true)),
        exports: &[(
            "list-users.json",
            &[("7d8ca528-4931-4254-9273-ea5ee853f271", &["admins", "editors"], false, true)],
        )],
    },
    Section {
        heading: "Entra ID",
        token: Some((ANN, &["admins"], false, true)),
        exports: &[(
            "exportUsers.csv",
            &[(ANN, &[], false, true), ("11111111-0000-4000-8000-000000000002", &[], false, false)],
        )],
    },
    Section {
        heading: "Supabase",
        token: Some(("11111111-2222-3333-4444-555555555555", &["editor"], true, true)),
        exports: &[(
            "users_rows.csv",
            &[
                ("11111111-2222-3333-4444-555555555555", &["editor"], true, true),
                ("11111111-2222-3333-4444-666666666666", &["editor"], true, false),
            ],
        )],
    },
    Section {
        heading: "Firebase",
        token: Some(("fbA1", &["editors"], true, true)),
        exports: &[("users.json", &[("fbA1", &["editors"], false, true), ("fbB2", &[], false, false)])],
    },
    Section {
        heading: "WorkOS",
        token: Some(("user_01HXYZ", &["member"], true, true)),
        exports: &[("users.json", &[("user_01HXYZ", &[], false, true)])],
    },
    Section {
        heading: "Google",
        token: Some(("110169484474386276334", &[], false, true)),
        exports: &[(
            "users.json",
            &[("110169484474386276334", &[], false, true), ("110169484474386276335", &[], false, false)],
        )],
    },
    Section {
        heading: "Other directories",
        token: None,
        exports: &[(
            "people.csv",
            &[("e-1", &["admins", "editors"], true, true), ("e-2", &["editors"], true, false)],
        )],
    },
    Section {
        heading: "Active Directory",
        token: None,
        exports: &[(
            "users.csv",
            &[
                ("66666666-0000-4000-8000-000000000001", &["Editors", "Ops, Night"], true, true),
                ("66666666-0000-4000-8000-000000000002", &["Editors"], true, false),
            ],
        )],
    },
    Section {
        heading: "SCIM 2.0",
        token: None,
        exports: &[("users.json", &[("2819c223", &["Editors"], true, true), ("2819c224", &[], true, false)])],
    },
];

#[track_caller]
fn assert_is(place: &str, identity: &Identity, (key, groups, are_all, enabled): Person) {
    let found: BTreeSet<&str> = identity
        .groups
        .iter()
        .flatten()
        .chain(&identity.known_groups)
        .chain(identity.unsplit_groups.keys())
        .map(String::as_str)
        .collect();
    assert_eq!(found, groups.iter().copied().collect(), "{place}, {key}");
    assert_eq!(
        (identity.key.as_str(), identity.groups.is_some(), identity.enabled),
        (key, are_all, enabled),
        "{place}"
    );
}

fn sources_of(section: &str, blocks: &[Block]) -> (Policy, Issuers) {
    let mut of = blocks.iter().filter(|block| block.heading == section && block.language == "toml");
    let block = of.next().unwrap_or_else(|| panic!("{section} has no source"));
    assert!(of.next().is_none(), "{section} has several");
    let (policy, issuers) =
        config::policy(&block.text).unwrap_or_else(|faults| panic!("{section}: {faults:?}"));
    assert_eq!(policy.sources.iter().count(), 1, "{section}");
    (policy, issuers)
}

#[test]
fn each_source_takes_its_providers_token_and_finds_the_person() {
    let blocks = page();
    let signer = Signer::new("k1", Algorithm::Es256);
    let keys = key_set(&[signer.jwk()]);
    let now = Timestamp::from_second(NOW.try_into().unwrap()).unwrap();
    for Section { heading, token, .. } in SECTIONS {
        let (_, issuers) = sources_of(heading, &blocks);
        let tokens =
            blocks.iter().filter(|block| block.heading == heading && block.before.starts_with("A token"));
        let tokens: Vec<&Block> = tokens.collect();
        assert_eq!(tokens.len(), usize::from(token.is_some()), "{heading}");
        for (block, person) in tokens.into_iter().zip(token) {
            let mut claims: Value = serde_json::from_str(&block.text).unwrap();
            claims["iss"] = json!(issuers.names().next().unwrap());
            claims["exp"] = json!(NOW + 300);
            let verify = |claims: &Value| {
                verify_offline(&signer.sign(claims), &issuers, &keys, Duration::from_secs(NOW))
            };
            let verified = verify(&claims).unwrap_or_else(|rejection| panic!("{heading}: {rejection}"));
            let identity = verified.identity(now).unwrap_or_else(|rejected| panic!("{heading}: {rejected}"));
            assert_is(heading, &identity, person);
            for claim in ["aud", "azp"] {
                if let Some(audience) = claims.get(claim).cloned()
                    && !(claim == "azp" && claims.get("aud").is_some())
                {
                    claims[claim] = json!("another application");
                    assert!(verify(&claims).is_err(), "{heading}");
                    claims[claim] = audience;
                }
            }
        }
    }
}

#[cfg(feature = "file")]
#[tokio::test]
async fn each_export_of_the_page_is_read_by_its_source() {
    use permit_handoff::domain::directory::{Directory as _, Record};
    use permit_handoff::file::{FileDirectory, Reading};

    let blocks = page();
    for Section { heading, exports, .. } in SECTIONS {
        let (policy, _) = sources_of(heading, &blocks);
        let of =
            blocks.iter().filter(|block| block.heading == heading && block.before.starts_with("An export"));
        let there: BTreeMap<String, &Block> =
            of.map(|block| (block.before.split('`').nth(1).unwrap().to_owned(), block)).collect();
        assert_eq!(
            there.keys().map(String::as_str).collect::<Vec<_>>(),
            exports.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            "{heading}"
        );
        for (name, people) in exports {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            std::fs::write(&path, &there[*name].text).unwrap();
            let source = policy.sources.iter().next().unwrap();
            let directory = FileDirectory::open(&path, source, &Reading::default(), &policy)
                .unwrap_or_else(|error| panic!("{heading}: {error}"));
            let (sender, mut receiver) = tokio::sync::mpsc::channel(100);
            directory.read(None, sender).await.unwrap();
            let mut found = Vec::new();
            while let Some(record) = receiver.recv().await {
                match record {
                    Record::Identity(identity) => found.push(identity),
                    Record::Invalid { user, reason, .. } => panic!("{heading}, {name}: {user}: {reason}"),
                }
            }
            assert_eq!(found.len(), people.len(), "{heading}, {name}");
            found
                .iter()
                .zip(*people)
                .for_each(|(one, expected)| assert_is(&format!("{heading}, {name}"), one, *expected));
        }
    }
}

/// Whether the brackets and quotes of JavaScript-like text are balanced.
fn is_closed(text: &str) -> bool {
    let (mut open, mut quote) = (Vec::new(), None);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match (quote, c) {
            (Some(_), '\\') => drop(rest.next()),
            (Some(mark), c) if c == mark => quote = None,
            (None, '\'' | '"' | '`') => quote = Some(c),
            (None, '/') if rest.peek() == Some(&'/') => while rest.next_if(|c| *c != '\n').is_some() {},
            (None, '(') => open.push(')'),
            (None, '[') => open.push(']'),
            (None, '{') => open.push('}'),
            (None, ')' | ']' | '}') if open.pop() != Some(c) => return false,
            (Some(_) | None, _) => {}
        }
    }
    open.is_empty() && quote.is_none()
}

/// Whether `program` accepts the text. False if it is not installed.
fn takes(program: &str, arguments: &[&str], text: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("block.mjs");
    std::fs::write(&path, text).unwrap();
    let asked =
        Command::new(program).args(arguments).arg(&path).stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

#[test]
fn every_block_of_the_page_is_of_its_language() {
    let has_node = Command::new("node")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let mut kinds = BTreeSet::new();
    for Block { line, heading, before, language, text } in page() {
        let place = format!("docs/providers.md:{line} ({heading})");
        let is_right = match language.as_str() {
            // The tests above read and use it, if a section has it.
            "toml" => SECTIONS.iter().any(|section| section.heading == heading),
            "csv" => before.starts_with("An export"),
            "json" => {
                let is_lines = text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok());
                is_lines || serde_json::from_str::<Value>(&text).is_ok()
            }
            "sh" => takes("bash", &["-n"], &text),
            "js" => {
                // As a module it may use top-level `await`. `exports` belongs to another kind of module.
                let text = text.replace("exports.", "globalThis.");
                is_closed(&text) && (!has_node || takes("node", &["--check"], &text))
            }
            "yaml" => crate::template::yaml(&text).is_object(),
            _ => false,
        };
        assert!(is_right, "{place}: not of the language `{language}`:\n{text}");
        kinds.insert(language);
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["csv", "js", "json", "sh", "toml", "yaml"]);
    assert!(!is_closed("f({)}") && !is_closed("'x") && is_closed("f({a: '}'}) // )"));
}
