use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::domain::identity::{Email, Source, UserKey};
use crate::domain::told::Told;

const EXAMPLE: &str = r#"
[user]
attributes = ["locale", "custom:department"]

[[grant]]
tenant = "default"
role = "viewer"

[[grant]]
when = { group = "admins" }
tenant = "default"
role = "admin"

[[grant]]
when = { group = "{tenant}/{role}" }

[[grant]]
when = { email_domain = "acme.com" }
tenant = "acme"
role = "member"

[[grant]]
when = { attribute = "custom:tier", equals = "pro" }
tenant = "default"
role = "editor"

[[grant]]
when = { attribute = "custom:org", equals = "{tenant}" }
role = "member"

[tenants]
create = false

[deprovision]
missing = "keep"
disabled = "unassign"
grace_hours = 24
max_percent = 5
"#;

fn policy(text: &str) -> Policy {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn person(attributes: &[(&str, &str)], groups: Option<&[&str]>) -> Identity {
    let attributes = attributes.iter().chain(&[("sub", "u1")]);
    let attributes = attributes.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let groups = groups.map(|groups| groups.iter().map(|group| (*group).to_owned()).collect());
    Identity::from_user_attributes(Source::named("p"), attributes, groups, true).unwrap()
}

fn grants(policy: &Policy, identity: &Identity) -> Vec<String> {
    policy.evaluate(identity).grants.iter().map(Grant::to_string).collect()
}

#[test]
fn every_form_of_when_grants() {
    let policy = policy(EXAMPLE);
    let jane = person(
        &[
            ("email", "jane@ACME.com"),
            ("email_verified", "true"),
            ("custom:tier", "pro"),
            ("custom:org", "globex"),
        ],
        Some(&["admins", "acme/editor", "no key/at all"]),
    );
    let expected =
        ["acme/editor", "acme/member", "default/admin", "default/editor", "default/viewer", "globex/member"];
    assert_eq!(grants(&policy, &jane), expected);
    assert_eq!(grants(&policy, &person(&[], Some(&[]))), ["default/viewer"]);
}

#[test]
fn an_unverified_email_grants_nothing() {
    let policy = policy(EXAMPLE);
    for flag in ["false", ""] {
        let jane = person(&[("email", "jane@acme.com"), ("email_verified", flag)], Some(&[]));
        assert_eq!(grants(&policy, &jane), ["default/viewer"]);
    }
}

#[test]
fn conditions_of_one_when_must_all_hold_and_agree() {
    let policy = policy(
        r#"
        [[grant]]
        when = { group = "{tenant}-{role}", attribute = "custom:org", equals = "{tenant}" }
        "#,
    );
    let groups: &[&str] = &["acme-editor", "globex-admin"];
    assert_eq!(grants(&policy, &person(&[("custom:org", "acme")], Some(groups))), ["acme/editor"]);
    assert!(grants(&policy, &person(&[("custom:org", "initech")], Some(groups))).is_empty());
    assert!(grants(&policy, &person(&[], Some(groups))).is_empty());
    assert!(grants(&policy, &person(&[("custom:org", "acme")], Some(&[]))).is_empty());
}

#[test]
fn a_list_and_a_number_are_compared_item_by_item() {
    let policy = policy(
        r#"
        [[grant]]
        when = { attribute = "orgs", equals = "{tenant}" }
        role = "member"
        [[grant]]
        when = { attribute = "level", equals = "7" }
        tenant = "default"
        role = "expert"
        "#,
    );
    let attributes = BTreeMap::from([
        ("orgs".to_owned(), json!(["acme", {"x": 1}, ["nested"], "globex"])),
        ("level".to_owned(), json!(7)),
    ]);
    let key = UserKey::new("u1").unwrap();
    let identity =
        Identity::new(key, Source::issuer("https://a"), attributes, false, None, true, Told::all());
    assert_eq!(grants(&policy, &identity), ["acme/member", "default/expert", "globex/member"]);
}

#[test]
fn what_cannot_be_told_neither_grants_nor_revokes() {
    let policy = policy(EXAMPLE);
    let desired = policy.evaluate(&person(&[], None));
    assert_eq!(desired.grants.len(), 1);
    let fits = |grant: &str| desired.untold.iter().any(|untold| untold.fits(&grant.parse().unwrap()));
    assert!(fits("acme/editor"), "a group might have captured it");

    let mut partial = person(&[("custom:tier", "free")], Some(&[]));
    partial.told = Told::nothing();
    let desired = policy.evaluate(&partial);
    let fits = |grant: &str| desired.untold.iter().any(|untold| untold.fits(&grant.parse().unwrap()));
    assert!(fits("acme/member"), "the e-mail is not told");
    assert!(!fits("default/editor"), "the tier is told, and is another");
    assert!(desired.attributes.is_empty(), "no attribute is told");
}

#[test]
fn attributes_are_copied_without_custom() {
    let desired = policy(EXAMPLE).evaluate(&person(&[("custom:department", "R&D"), ("zoneinfo", "x")], None));
    let expected =
        BTreeMap::from([("department".to_owned(), Some(json!("R&D"))), ("locale".to_owned(), None)]);
    assert_eq!(desired.attributes, expected);
}

const TYPED: &str = r#"
[user]
attributes = [
  "locale",
  { from = "custom:age", to = "age", type = "number" },
  { from = "custom:vip", type = "bool" },
  { from = "custom:prefs", to = "prefs", type = "json" },
  { from = "custom:teams", to = "teams", type = "list" },
  { from = "app_metadata.org", to = "org" },
]
"#;

#[test]
fn an_attribute_may_have_another_name_and_a_type() {
    let policy = policy(TYPED);
    let right = person(
        &[
            ("custom:age", "42"),
            ("custom:vip", "Yes"),
            ("custom:prefs", r#"{"a":1}"#),
            ("custom:teams", "red"),
        ],
        Some(&[]),
    );
    let expected = [
        ("age", json!(42)),
        ("locale", Value::Null),
        ("org", Value::Null),
        ("prefs", json!({"a": 1})),
        ("teams", json!(["red"])),
        ("vip", json!(true)),
    ];
    let expected: BTreeMap<_, _> = expected
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Some(value).filter(|value| !value.is_null())))
        .collect();
    assert_eq!(policy.evaluate(&right).attributes, expected);
    assert!(policy.flaws(&right).is_empty());
}

#[test]
fn what_is_not_of_its_type_is_left_and_told() {
    let policy = policy(TYPED);
    let wrong = person(
        &[
            ("custom:age", "forty"),
            ("custom:vip", "perhaps"),
            ("custom:prefs", "{"),
            ("custom:teams", "red, blue"),
            ("locale", "en"),
        ],
        Some(&[]),
    );
    let copied = policy.evaluate(&wrong).attributes;
    assert_eq!(
        copied.keys().collect::<Vec<_>>(),
        ["locale", "org"],
        "what is wrong is left as Permit has it"
    );
    let flaws: Vec<String> = policy.flaws(&wrong).iter().map(ToString::to_string).collect();
    assert_eq!(flaws.len(), 4, "{flaws:?}");
    for words in [
        "custom:age is not of the type number",
        "custom:vip is not of the type bool",
        "of the type json",
        "of the type list",
    ] {
        assert!(flaws.iter().any(|flaw| flaw.contains(words)), "{words}: {flaws:?}");
    }
    assert!(!flaws.iter().any(|flaw| flaw.contains("forty") || flaw.contains("blue")), "no value is told");
}

#[test]
fn a_wrong_attribute_is_refused_with_what_to_do() {
    for (attribute, words) in [
        (r#"{ from = "custom:type" }"#, "cannot be called `type`: give it another name"),
        (r#"{ from = "a", to = "type" }"#, "cannot be called `type`"),
        (r#"{ from = "a", to = "handoff" }"#, "own ledger"),
        (r#"{ from = "a", type = "numer" }"#, "did you mean `number`?"),
        (r#"{ to = "a" }"#, "no `from`"),
        (r#"{ from = "a", as = "b" }"#, "no field `as`"),
        ("7", "an attribute is a name"),
        (r#"{ from = "x", to = "locale" }, "locale""#, "both be copied to `locale`"),
    ] {
        let text = format!("[user]\nattributes = [{attribute}]\n");
        let told = text.parse::<Policy>().unwrap_err().to_string();
        assert!(told.starts_with("line 2: ") && told.contains(words), "{attribute}: {told}");
    }
}

#[test]
fn an_undeclared_list_is_told_where_it_matters() {
    let policy = policy(EXAMPLE);
    let flaws = |orgs: &str| -> Vec<String> {
        policy.flaws(&person(&[("custom:org", orgs)], Some(&[]))).iter().map(ToString::to_string).collect()
    };
    assert!(flaws("acme, beta")[0].starts_with("custom:org may hold several values in one text"));
    assert_eq!(flaws("acme"), [""; 0]);
    assert_eq!(flaws("ä, ö"), [""; 0], "no part of it could be a tenant");
    let mut plain = person(&[("custom:org", "acme, beta")], Some(&[]));
    plain.plain.insert("custom:org".to_owned());
    assert!(policy.flaws(&plain).is_empty(), "it is declared to be one text");
    let mut unsplit = person(&[], Some(&[]));
    unsplit.unsplit_groups.insert("[admins, readers]".to_owned(), "custom:groups".to_owned());
    let told: Vec<String> = policy.flaws(&unsplit).iter().map(ToString::to_string).collect();
    assert!(told[0].starts_with("custom:groups may hold several"), "{told:?}");
}

#[test]
fn a_list_is_told_of_only_where_a_part_of_it_would_grant_and_all_of_it_does_not() {
    let policy = policy(
        r#"
        [[grant]]
        when = { group = "a, {role}" }
        tenant = "t"
        [[grant]]
        when = { attribute = "orgs", equals = "acme" }
        tenant = "t"
        role = "r"
        [[grant]]
        when = { email_domain = "acme" }
        tenant = "t"
        role = "r"
        "#,
    );
    let told = |attributes: Value, groups: &[&str]| -> Vec<String> {
        let Value::Object(attributes) = attributes else { panic!("no object") };
        let (key, all) = (UserKey::new("u1").unwrap(), attributes);
        let mut identity =
            Identity::new(key, Source::named("s"), all, false, Some([].into()), true, Told::all());
        identity.unsplit_groups =
            groups.iter().map(|text| ((*text).to_owned(), "teams".to_owned())).collect();
        policy.flaws(&identity).iter().map(|flaw| flaw.code().to_owned()).collect()
    };
    let list = ["UNDECLARED_LIST"];
    assert_eq!(told(json!({"orgs": "acme, beta"}), &[]), list);
    assert_eq!(told(json!({"orgs": ["beta", "x; acme"]}), &[]), [""; 0], "items of a list are names");
    for silent in ["beta, gamma", "acme", "acmes; x", "[]"] {
        assert_eq!(told(json!({"orgs": silent}), &[]), [""; 0], "{silent}");
    }
    assert_eq!(told(json!({"orgs": "acme,\u{0} beta"}), &[]), ["CONTROL_CHARACTERS"], "and not for a list");
    assert_eq!(told(json!({"email": "acme, beta"}), &[]), [""; 0], "an address is not a list");
    assert_eq!(told(json!({}), &["a, b"]), [""; 0], "as a whole it is the group that a rule asks for");
    assert_eq!(told(json!({}), &["[a, b; c, d]"]), [""; 0], "no part of it is one");
    let by_name = self::policy("[[grant]]\nwhen = { group = \"ops\" }\ntenant = \"t\"\nrole = \"r\"\n");
    let mut identity = person(&[], Some(&[]));
    identity.unsplit_groups.insert("ops team".to_owned(), "teams".to_owned());
    let flaws: Vec<String> = by_name.flaws(&identity).iter().map(ToString::to_string).collect();
    assert!(
        flaws.len() == 1 && flaws[0].starts_with("teams may hold several"),
        "one name, or two: {flaws:?}"
    );
}

#[test]
fn disabled_people_have_no_grants_unless_they_are_kept() {
    let mut identity = person(&[], None);
    identity.enabled = false;
    let desired = policy(EXAMPLE).evaluate(&identity);
    assert!(desired.grants.is_empty() && desired.untold.is_empty());
    let kept = policy("[[grant]]\ntenant = \"t\"\nrole = \"r\"\n[deprovision]\ndisabled = \"keep\"");
    assert_eq!(grants(&kept, &identity), ["t/r"]);
}

#[test]
fn an_explanation_names_the_rule_and_the_condition() {
    let policy = policy(EXAMPLE);
    let jane = person(&[("custom:org", "a b")], None);
    let story: Vec<String> = policy
        .explain(&jane)
        .into_iter()
        .map(|(rule, verdict)| match verdict {
            Verdict::Grants(_) => format!("{rule}: granted"),
            Verdict::GrantsSome(_, condition) => format!("{rule}: granted, and maybe more: {condition}"),
            Verdict::Denies(condition) => format!("{rule}: no, {}", condition.unwrap()),
            Verdict::Untold(condition) => format!("{rule}: untold, {condition}"),
        })
        .collect();
    insta::assert_snapshot!(story.join("\n"), @r#"
    line 5: default/viewer for everyone: granted
    line 9: default/admin when group = "admins": untold, group = "admins"
    line 14: {tenant}/{role} when group = "{tenant}/{role}": untold, group = "{tenant}/{role}"
    line 17: acme/member when email_domain = "acme.com": no, email_domain = "acme.com"
    line 22: default/editor when attribute = "custom:tier", equals = "pro": no, attribute = "custom:tier", equals = "pro"
    line 27: {tenant}/member when attribute = "custom:org", equals = "{tenant}": no, attribute = "custom:org", equals = "{tenant}"
    "#);
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let Policy { attributes, rules, create_tenants, create_instances, deprovision, sources } = policy("");
    assert!(attributes.is_empty() && rules.is_empty() && !create_tenants && !create_instances);
    assert!(sources.iter().next().is_none());
    let expected = Deprovision {
        missing: WhenMissing::Keep,
        disabled: WhenDisabled::Unassign,
        grace_hours: 24,
        max_percent: 5.0,
    };
    assert_eq!(deprovision, expected);
}

#[test]
fn faults_are_all_told_at_once_with_their_lines() {
    let text = "[[grant]]\nrole = \"\"\n\n[[grant]]\ntenant = \"a b\"\nrole = \"x\"\nwhen = {}\n\n\
                [deprovision]\nmax_percent = 101\ngrace_hours = -1\n";
    let InvalidPolicy(faults) = text.parse::<Policy>().unwrap_err();
    let lines: Vec<usize> = faults.iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [1, 2, 7, 10, 11], "{faults:?}");
}

/// Each fixture breaks one rule. Its first line names the line at fault and what the message must say.
#[test]
fn each_broken_fixture_is_refused_at_its_line() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/policy");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let expected = text.lines().next().unwrap().strip_prefix("# line ").unwrap();
        let (line, words) = expected.split_once(": ").unwrap();
        let InvalidPolicy(faults) = text.parse::<Policy>().expect_err(&path.display().to_string());
        let [Fault { line: at, message }] = faults.as_slice() else {
            panic!("{}: {faults:?}", path.display())
        };
        assert_eq!(at.to_string(), line, "{}: {message}", path.display());
        assert!(message.contains(words), "{}: {message}", path.display());
        count += 1;
    }
    assert!(count >= 20, "only {count} fixtures");
}

#[test]
fn what_a_policy_asks_of_a_person_is_known_beforehand() {
    let policy = policy(EXAMPLE);
    for name in
        ["email", "given_name", "family_name", "locale", "custom:department", "custom:tier", "custom:org"]
    {
        assert!(policy.uses_attribute(name), "{name}");
    }
    assert!(!policy.uses_attribute("phone_number") && !policy.uses_attribute("tier"));
    assert!(policy.uses_group("admins") && policy.uses_group("acme/editor"));
    assert!(!policy.uses_group("staff"));
    assert!(policy.needs_groups());
    let without: Policy = "[[grant]]\ntenant = \"default\"\nrole = \"viewer\"\n".parse().unwrap();
    assert!(!without.needs_groups() && !without.uses_group("admins") && !without.uses_attribute("locale"));
}

#[test]
fn a_tenant_is_made_where_a_capture_names_it_and_the_policy_lets_it() {
    let key = |name: &str| Key::new(name).unwrap();
    assert!(!policy(EXAMPLE).creates_tenant(&key("new-customer")));
    let creating = policy(&EXAMPLE.replace("create = false", "create = true"));
    assert!(creating.creates_tenant(&key("new-customer")));
    for named in ["default", "acme"] {
        assert!(!creating.creates_tenant(&key(named)), "{named} stands in a rule: a slip of the pen");
    }
}

#[test]
fn what_is_untold_is_told_from_what_is_denied() {
    let policy = policy(
        "[[grant]]\nwhen = { group = \"admins\" }\ntenant = \"default\"\nrole = \"admin\"\n\
         [[grant]]\nwhen = { group = \"{tenant}/member\" }\nrole = \"member\"\n",
    );
    let untold = policy.evaluate(&person(&[], None)).untold;
    let fits = |grant: &str| untold.iter().any(|untold| untold.fits(&grant.parse().unwrap()));
    assert!(fits("default/admin") && fits("acme/member") && fits("default/member"));
    assert!(!fits("acme/admin") && !fits("default/viewer"));
}

#[test]
fn all_faults_of_a_policy_are_one_message() {
    let faults =
        "[[grant]]\ntenant = \"a\"\n[[grant]]\nrole = \"b\"\n".parse::<Policy>().unwrap_err().to_string();
    assert!(faults.starts_with("line 1: ") && faults.contains("; line 3: "), "{faults}");
}

const INSTANCES: &str = r#"
[[grant]]
when = { attribute = "custom:projects", equals = "{instance}" }
tenant = "default"
resource = "project:{instance}"
role = "viewer"

[[grant]]
when = { group = "{tenant}/{instance}/{role}" }
resource = "project:{instance}"

[[grant]]
when = { group = "staff" }
tenant = "default"
resource = "project:handbook"
role = "reader"

[resources]
create = true
"#;

#[test]
fn roles_on_resource_instances_are_granted() {
    let policy = policy(INSTANCES);
    let jane = person(
        &[("custom:projects", "apollo")],
        Some(&["acme/gemini/owner", "staff", "acme/two/many/parts"]),
    );
    let expected =
        ["acme/project:gemini#owner", "default/project:apollo#viewer", "default/project:handbook#reader"];
    assert_eq!(grants(&policy, &jane), expected);
    assert!(grants(&policy, &person(&[("custom:projects", "a b")], Some(&[]))).is_empty());
    assert_eq!(policy.resources(), ["project"].map(|key| Key::new(key).unwrap()).into());
    assert!(self::policy(EXAMPLE).resources().is_empty());
    let desired = policy.evaluate(&jane);
    let written: usize = desired.grants.iter().map(|grant| grant.to_string().len() + 3).sum();
    assert_eq!(desired.ledger_size(), written);
    let rules: Vec<String> = policy.rules.iter().map(Rule::to_string).collect();
    assert!(rules[0].starts_with("line 2: default/project:{instance}#viewer when"), "{}", rules[0]);
    assert!(rules[1].starts_with("line 8: {tenant}/project:{instance}#{role} when"), "{}", rules[1]);
    assert!(rules[2].starts_with("line 12: default/project:handbook#reader when"), "{}", rules[2]);
}

#[test]
fn an_untold_rule_on_instances_keeps_those_alone() {
    let untold = policy(INSTANCES).evaluate(&person(&[], None)).untold;
    let fits = |grant: &str| untold.iter().any(|untold| untold.fits(&grant.parse().unwrap()));
    assert!(fits("acme/project:gemini#owner") && fits("default/project:handbook#reader"));
    assert!(!fits("acme/owner") && !fits("default/reader"), "a role in the tenant is another");
    assert!(!fits("acme/document:gemini#owner"), "so is one on another resource");
    let untold = policy(EXAMPLE).evaluate(&person(&[], None)).untold;
    assert!(!untold.iter().any(|untold| untold.fits(&"acme/project:gemini#editor".parse().unwrap())));
}

#[test]
fn an_instance_is_made_where_a_capture_names_it_and_the_policy_lets_it() {
    let instance = |text: &str| text.parse::<Instance>().unwrap();
    let creating = policy(INSTANCES);
    assert!(creating.creates_instance(&instance("project:apollo")));
    assert!(creating.creates_instance(&instance("document:handbook")));
    assert!(!creating.creates_instance(&instance("project:handbook")), "it stands in a rule");
    let keeping = policy(&INSTANCES.replace("create = true", ""));
    assert!(!keeping.creates_instance(&instance("project:apollo")));
}

/// Values that would grant something, or did, with an invisible character in them.
mod unclean {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::domain::facts::Facts;
    use crate::domain::identity::UserKey;
    use crate::domain::plan::{Change, Plan};
    use crate::domain::told::Told;

    /// The text with a control character somewhere in it.
    fn spoiled(text: &'static str) -> impl Strategy<Value = String> {
        let control = vec![
            '\u{0}', '\u{1}', '\u{1b}', '\u{7f}', '\u{80}', '\u{9f}', '\u{200b}', '\u{202e}', '\u{feff}',
            '\t', '\n', '\r',
        ];
        (0..=text.len(), select(control)).prop_map(move |(at, c)| {
            // A line break between other characters is allowed. The value is then another one, but not
            // unsure, so put it at the start.
            let at = if c.is_ascii_whitespace() && at < text.len() { 0 } else { at };
            format!("{}{c}{}", &text[..at], &text[at..])
        })
    }

    proptest! {
        #[test]
        fn a_value_with_a_control_character_grants_and_revokes_nothing_and_is_not_copied(
            tier in spoiled("pro"), org in spoiled("acme"), email in spoiled("a@acme.com"), locale in spoiled("en"),
            list in any::<bool>(),
        ) {
            let policy = policy(EXAMPLE);
            let tier = if list { json!(["free", tier]) } else { json!(tier) };
            let attributes = [("custom:tier", tier), ("custom:org", json!(org)), ("email", json!(email)), ("locale", json!(locale))];
            let attributes = attributes.map(|(name, value)| (name.to_owned(), value));
            let key = UserKey::new("u1").unwrap();
            let identity =
                Identity::new(key.clone(), Source::named("p"), attributes, true, Some([].into()), true, Told::all());
            let desired = policy.evaluate(&identity);
            prop_assert_eq!(grants(&policy, &identity), ["default/viewer"]);
            prop_assert!(!desired.attributes.contains_key("locale") && desired.email.is_none());

            // The person keeps what they had until the value can be read.
            let held = ["acme/member", "default/editor", "default/viewer"];
            let ledger = json!({"handoff": {"source": "p", "grants": held}, "locale": "en"});
            let Value::Object(ledger) = ledger else { unreachable!() };
            let roles = held.iter().map(|role| role.parse().unwrap()).collect();
            let facts = Facts::new(key, Some("a@acme.com"), None, None, ledger, roles);
            let plan = Plan::new(&desired, Some(&facts));
            prop_assert!(!matches!(&plan, Plan::Change(Change { revoke, .. }) if !revoke.is_empty()), "{plan:?}");
            if let Plan::Change(Change { write: Some(user), .. }) = &plan {
                prop_assert_eq!(&user.attributes["locale"], "en");
                prop_assert_eq!(user.email.as_ref().map(Email::as_str), Some("a@acme.com"));
            }
        }
    }
}
