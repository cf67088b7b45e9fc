use serde_json::{Map, Value, json};

use super::*;
use crate::domain::identity::Identity;
use crate::domain::policy::{InvalidPolicy, Policy};
use crate::domain::table::Fault;
use crate::domain::told::Told;

fn policy(text: &str) -> Policy {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("no object: {value}") };
    object
}

fn source(extra: &str) -> Arc<SourceConfig> {
    let policy = policy(&format!("[[source]]\nname = \"s\"\n{extra}"));
    Arc::clone(policy.sources.iter().next().unwrap())
}

fn read(source: &SourceConfig, door: &Door, claims: Value) -> Result<Identity, Rejected> {
    source.identity(door, object(claims), "2026-06-01T00:00:00Z".parse().unwrap())
}

const ID: Door = Door::Token(TokenKind::Id);
const ACCESS: Door = Door::Token(TokenKind::Access);

/// A file with these columns.
fn file(columns: &[&str]) -> Door {
    Door::File(Told::only(columns.iter().map(|column| (*column).to_owned())))
}

/// What a policy grants the person, and how many rules stay undecided.
fn grants(policy: &str, identity: &Identity) -> (Vec<String>, usize) {
    let desired = self::policy(policy).evaluate(identity);
    (desired.grants.iter().map(ToString::to_string).collect(), desired.untold.len())
}

fn granted(names: &[&str]) -> (Vec<String>, usize) {
    (names.iter().map(|name| (*name).to_owned()).collect(), 0)
}

#[test]
fn a_source_has_its_doors_and_its_defaults() {
    let policy = policy(
        r#"
        [[source]]
        provider = "cognito"
        user_pool = "eu-west-1_AbCdEfGhI"
        [[source]]
        name = "workforce"
        provider = "entra"
        issuer = "https://login.microsoftonline.com/{tenant_id}/v2.0"
        tenants = ["t-1", "t-2"]
        audiences = ["app"]
        fresh_seconds = 0
        adopt = true
        tokens = "id"
        [[source]]
        name = "crm"
        "#,
    );
    let all: Vec<_> = policy.sources.iter().collect();
    assert_eq!(all[0].name.as_str(), "eu-west-1_AbCdEfGhI");
    assert_eq!((all[0].line, all[0].fresh_seconds, all[0].adopt), (2, 600, false));
    let tokens = all[1].tokens.as_ref().unwrap();
    assert_eq!(
        tokens.issuers,
        ["https://login.microsoftonline.com/t-1/v2.0", "https://login.microsoftonline.com/t-2/v2.0"]
    );
    assert_eq!((all[1].fresh_seconds, all[1].adopt, tokens.kind), (0, true, Some(TokenKind::Id)));
    assert_eq!(policy.sources.of_issuer(&tokens.issuers[1]).unwrap().name.as_str(), "workforce");
    assert_eq!(policy.sources.named("crm").unwrap().provider, "oidc");
    assert_eq!(policy.sources.of_user_pool("eu-west-1_AbCdEfGhI").line, 2);
    let other = policy.sources.of_user_pool("eu-west-1_other");
    assert_eq!((other.name.as_str(), other.line, other.provider.as_str()), ("eu-west-1_other", 0, "cognito"));
}

#[test]
fn every_fault_of_a_source_is_told_at_once_with_its_line_and_the_near_name() {
    let text = r#"[[source]]
provider = "auth"
issuers = "https://a.example"
[[source]]
name = "b"
provider = "auth0"
issuer = ["https://b.example/{tenant_id}"]
tokens = "idd"
algorithms = []
fresh_seconds = -1
[source.claims]
emial = "mail"
key = []
key_encoding = "base64"
email_verified = { presnt = "x" }
status = [7]
[source.lists]
groups = "comma"
[source.words]
may_sign_in = ["a"]
may_not = ["A"]
[[source]]
name = "b"
audiences = ["*"]
user_pool = "pool"
"#;
    let InvalidPolicy(faults) = text.parse::<Policy>().unwrap_err();
    let told: Vec<String> = faults.iter().map(Fault::to_string).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    line 1: the source has no name: give `name`, `user_pool` or `issuer`
    line 2: `auth` is not a known provider; did you mean `auth0`?
    line 3: [[source]] has no field `issuers`; did you mean `issuer`?
    line 4: the source needs `audiences` or `client_ids`: without them a token for any other application would do
    line 4: `algorithms` is empty: name at least one, or leave it out to allow every public-key one
    line 7: {tenant_id} is a placeholder for the trusted tenants: list them as tenants = ["..."]
    line 8: `tokens` is "id" or "access" or "auto", not `idd`; did you mean `id`?
    line 10: `fresh_seconds` is a whole number from 0 to 315360000
    line 11: `key` is empty, so nobody would have a key: name a claim
    line 12: [source.claims] has no field `emial`; did you mean `email`?
    line 14: `key_encoding` is "none" or "percent", not `base64`
    line 15: the test has no field `presnt`; did you mean `present`?
    line 15: a test in `email_verified` asks one thing: says, present, future or contains, each with a claim
    line 16: `status` is a claim, or { present = "claim" }
    line 18: `comma` is not a form of a list: use "brackets", "json", "dn", "text", or a separator such as "," or "|"
    line 19: `a` is both in may_sign_in and in may_not: take it out of one
    line 22: `audiences` says how tokens are checked, and there is no `issuer`: name it
    line 22: the source `b` is declared twice, see line 4: give each source its own name
    line 24: `audiences` takes exact texts, without blanks and wildcards, not `*`
    line 25: `pool` is not a user pool's id: it has the form REGION_ID, as in eu-west-1_AbCdEfGhI
    "#);
}

#[test]
fn a_slip_in_a_source_is_told_once() {
    for (text, said) in [
        ("[[source]]\nname = 7\n", "line 2: `name` is a text"),
        ("[[source]]\nname = \"a\\u0007b\"\n", "line 2: the source's name contains a control character"),
        ("[[source]]\nname = \" \"\n", "line 2: the source has no name"),
        ("[[source]]\nname = \"a\"\nclaims.key = 7\n", "line 3: `key` is a text, or a list of texts"),
        ("[[source]]\nname = \"a\"\nclaims.key = []\n", "line 3: `key` is empty"),
        ("[[source]]\nname = \"a\"\nname = \"b\"\n", "line 3: "),
    ] {
        let InvalidPolicy(faults) = text.parse::<Policy>().unwrap_err();
        let told: Vec<String> = faults.iter().map(Fault::to_string).collect();
        assert!(told.len() == 1 && told[0].starts_with(said), "{text}: {told:?}");
    }
}

#[test]
fn a_broken_grant_does_not_hide_a_broken_source() {
    let InvalidPolicy(faults) =
        "[[grant]]\nrole = \"x\"\n[[source]]\nnam = \"s\"\n".parse::<Policy>().unwrap_err();
    assert!(faults.len() >= 2, "{faults:?}");
}

#[test]
fn a_saml_attribute_of_several_groups_counts_each_and_an_undeclared_one_none() {
    let policy = r#"
        [[grant]]
        when = { group = "admins" }
        tenant = "acme"
        role = "admin"
        [[grant]]
        when = { attribute = "custom:groups", equals = "editors" }
        tenant = "acme"
        role = "editor"
    "#;
    let base = "provider = \"cognito\"\nuser_pool = \"eu-west-1_a\"\n";
    let declared = source(&format!(
        "{base}[source.claims]\ngroups = [\"cognito:groups\", \"custom:groups\"]\n[source.lists]\n\"custom:groups\" = \"brackets\"\n"
    ));
    let undeclared =
        source(&format!("{base}[source.claims]\ngroups = [\"cognito:groups\", \"custom:groups\"]\n"));
    let event = |groups: &str| json!({"sub": "u", "cognito:groups": [], "custom:groups": groups});
    for text in ["[admins, editors]", "[admins,editors]", r#"["admins","editors"]"#] {
        let read_as = |source| grants(policy, &read(source, &Door::Pool, event(text)).unwrap());
        assert_eq!(read_as(&declared), granted(&["acme/admin", "acme/editor"]), "{text}");
        assert_eq!(read_as(&undeclared), (vec![], 2), "{text}");
    }
    let one = |source| grants(policy, &read(source, &Door::Pool, event("admins")).unwrap());
    assert_eq!((one(&declared), one(&undeclared)), (granted(&["acme/admin"]), granted(&["acme/admin"])));
    // The text does not have its declared form, so nothing is known.
    let odd = read(&declared, &Door::Pool, event("admins,editors")).unwrap();
    assert_eq!(grants(policy, &odd), (vec![], 2));
    // The trigger has not looked up the pool's groups. The groups of the attribute count, and no role is
    // revoked because the others are missing.
    let event = read(&declared, &Door::Trigger, json!({"sub": "u", "custom:groups": "admins"})).unwrap();
    let (grants, untold) = grants(policy, &event);
    assert_eq!((grants, untold, event.groups), (vec!["acme/admin".to_owned()], 1, None));
}

/// How Cognito shows a SAML provider's groups and identities, in events and in tokens.
#[test]
fn a_federated_person_is_the_same_by_an_event_and_by_a_token() {
    let policy = r#"
        [[grant]]
        when = { attribute = "custom:groups", equals = "admins" }
        tenant = "acme"
        role = "admin"
        [[grant]]
        when = { group = "admins" }
        tenant = "beta"
        role = "admin"
        [[grant]]
        when = { group = "{tenant}/{role}" }
        [[grant]]
        when = { attribute = "identities", equals = "Okta" }
        tenant = "acme"
        role = "member"
        [[grant]]
        when = { attribute = "identities.providerName", equals = "Okta" }
        tenant = "acme"
        role = "viewer"
    "#;
    let pool = source(
        "provider = \"cognito\"\nuser_pool = \"eu-west-1_a\"\n[source.claims]\ngroups = [\"cognito:groups\", \"custom:groups\"]\n\
         [source.lists]\n\"custom:groups\" = \"brackets\"\n",
    );
    let text = r#"[{"userId": "jane", "providerName": "Okta", "providerType": "SAML", "primary": true, "dateCreated": 1780000000000}]"#;
    let array: Value = serde_json::from_str(text).unwrap();
    for (groups, expected) in [
        ("[admins, editors]", &["acme/admin", "acme/viewer", "beta/admin"][..]),
        (r#"["admins","editors"]"#, &["acme/admin", "acme/viewer", "beta/admin"]),
        ("admins", &["acme/admin", "acme/viewer", "beta/admin"]),
        ("[Everyone, acme/editor]", &["acme/editor", "acme/viewer"]),
        (r"[CN=Admins\,OU=x, admins]", &["acme/admin", "acme/viewer", "beta/admin"]),
        ("[]", &["acme/viewer"]),
    ] {
        let person = |door: &Door, identities: &Value| {
            let claims = json!({"sub": "u", "cognito:groups": ["eu-west-1_a_Okta"], "custom:groups": groups, "identities": identities});
            grants(policy, &read(&pool, door, claims).unwrap())
        };
        assert_eq!(person(&Door::Pool, &json!(text)), granted(expected), "{groups}");
        assert_eq!(person(&Door::Trigger, &json!(text)), granted(expected), "{groups}");
        assert_eq!(person(&ID, &array), granted(expected), "{groups}");
    }
}

#[test]
fn nested_claims_grant_in_every_providers_token() {
    let role = |path: &str, equals: &str| {
        format!(
            "[[grant]]\nwhen = {{ attribute = \"{path}\", equals = \"{equals}\" }}\ntenant = \"t\"\nrole = \"r\"\n"
        )
    };
    let by = |provider: &str, door: &Door, path: &str, equals: &str, claims: Value| {
        let person = read(&source(&format!("provider = \"{provider}\"\n")), door, claims).unwrap();
        grants(&role(path, equals), &person)
    };
    let firebase = json!({"sub": "f", "firebase": {"sign_in_provider": "password", "tenant": "acme"}, "roles": ["editor"]});
    assert_eq!(by("firebase", &ID, "firebase.tenant", "acme", firebase.clone()), granted(&["t/r"]));
    assert_eq!(by("firebase", &ID, "firebase.tenant", "beta", firebase), granted(&[]));
    let supabase = || json!({"sub": "s", "app_metadata": {"org": "acme"}, "user_role": "admin"});
    assert_eq!(by("supabase", &ACCESS, "user_role", "admin", supabase()), granted(&["t/r"]));
    assert_eq!(by("supabase", &ACCESS, "app_metadata.org", "beta", supabase()), granted(&[]));
    let keycloak = json!({"sub": "k", "typ": "Bearer", "realm_access": {"roles": ["editor"]}, "resource_access": {"my-app": {"roles": ["app-admin"]}}});
    assert_eq!(
        by("keycloak", &ACCESS, "resource_access.my-app.roles", "app-admin", keycloak),
        granted(&["t/r"])
    );
    let plain = json!({"sub": "p", "https://acme.example/app.roles": ["x"], "a.b": {"c d": [{"e": "x"}]}});
    assert_eq!(by("oidc", &ID, "https://acme.example/app.roles", "x", plain.clone()), granted(&["t/r"]));
    assert_eq!(by("oidc", &ID, "a.b.c d.e", "x", plain), granted(&["t/r"]));
}

#[test]
fn a_number_that_no_double_holds_is_nobodys_key_and_decides_over_nothing() {
    let plain = source("");
    let key = |id: &str| {
        let claims: Value = serde_json::from_str(&format!("{{\"sub\": {id}}}")).unwrap();
        read(&plain, &file(&["sub"]), claims).map(|person| person.key.as_str().to_owned())
    };
    assert_eq!(key("7").unwrap(), "7");
    assert_eq!(key("18446744073709551615").unwrap(), "18446744073709551615");
    for odd in ["18446744073709551616", "1e3", "7.0", "-0.0"] {
        assert!(matches!(key(odd), Err(Rejected::Key(..))), "{odd}");
    }
    let policy = "[[grant]]\nwhen = { attribute = \"org\", equals = \"{tenant}\" }\nrole = \"r\"\n";
    let org = |org: &str| {
        let claims: Value = serde_json::from_str(&format!("{{\"sub\": \"u\", \"org\": {org}}}")).unwrap();
        grants(policy, &read(&plain, &ID, claims).unwrap())
    };
    assert_eq!(org("42"), granted(&["42/r"]));
    assert_eq!(org("10000000000000000000000"), (vec![], 1), "of many numbers");
}

#[test]
fn overage_hides_the_claim_that_it_names_and_no_other() {
    let policy = r#"
        [[grant]]
        when = { group = "Task.Admin" }
        tenant = "acme"
        role = "admin"
        [[grant]]
        when = { group = "g-1" }
        tenant = "acme"
        role = "editor"
        [[grant]]
        when = { attribute = "plan", equals = "pro" }
        tenant = "acme"
        role = "pro"
    "#;
    let entra = source("provider = \"entra\"\n");
    let token =
        json!({"sub": "x", "oid": "o-1", "roles": ["Task.Admin"], "_claim_names": {"groups": "src1"}});
    let person = read(&entra, &ID, token).unwrap();
    assert_eq!(person.key.as_str(), "o-1");
    assert_eq!(grants(policy, &person), (vec!["acme/admin".to_owned()], 2));
    let oidc = source("[source.claims]\ngroups = [\"groups\", \"roles\"]\n");
    let person = read(&oidc, &ID, json!({"sub": "x", "hasgroups": true, "roles": []})).unwrap();
    assert_eq!(grants(policy, &person), (vec![], 2), "the groups are not told, the plan is");
}

#[test]
fn a_claim_that_is_gone_from_an_id_token_is_gone_from_the_person() {
    let policy =
        "[[grant]]\nwhen = { attribute = \"admin\", equals = \"true\" }\ntenant = \"t\"\nrole = \"admin\"\n";
    let firebase = source("provider = \"firebase\"\n");
    let token = |claims| read(&firebase, &ID, claims).unwrap();
    assert_eq!(grants(policy, &token(json!({"sub": "f", "admin": true}))), granted(&["t/admin"]));
    assert_eq!(grants(policy, &token(json!({"sub": "f"}))), granted(&[]));
    assert_eq!(grants(policy, &read(&firebase, &ACCESS, json!({"sub": "f"})).unwrap()), (vec![], 1));
    let export = json!({"localId": "f", "emailVerified": "true", "email": "a@acme.com", "disabled": "false", "customAttributes": "{\"admin\":true}"});
    let from_file = read(&firebase, &file(&["localId", "customAttributes"]), export).unwrap();
    assert_eq!((grants(policy, &from_file), from_file.key.as_str()), (granted(&["t/admin"]), "f"));
    assert!(from_file.verified_email.is_some() && from_file.enabled);
    let barred = read(&firebase, &file(&["localId"]), json!({"localId": "f", "disabled": "true"})).unwrap();
    assert!(!barred.enabled);
}

#[test]
fn the_organization_of_a_clerk_token_gives_tenant_and_role() {
    let policy = "[[grant]]\nwhen = { group = \"{role}\", attribute = \"o.slg\", equals = \"{tenant}\" }\n";
    let clerk = source("provider = \"clerk\"\n");
    let token = json!({"sub": "user_2aAnn", "sts": "active", "v": 2, "o": {"id": "org_2x", "slg": "acme", "rol": "admin"}});
    let person = read(&clerk, &ACCESS, token).unwrap();
    assert_eq!(grants(policy, &person).0, ["acme/admin"]);
    let verified = |row| read(&clerk, &file(&["id"]), row).unwrap().verified_email.is_some();
    assert!(verified(
        json!({"id": "u", "primary_email_address": "cy@acme.com", "verified_email_addresses": "cy@old.example|cy@acme.com"})
    ));
    assert!(!verified(
        json!({"id": "u", "primary_email_address": "bob@acme.com", "verified_email_addresses": "", "unverified_email_addresses": "bob@acme.com"})
    ));
    let api = json!({"id": "u", "primary_email_address_id": "b", "banned": false, "email_addresses": [
        {"id": "a", "email_address": "old@acme.com", "verification": {"status": "verified"}},
        {"id": "b", "email_address": "new@acme.com", "verification": {"status": "unverified"}}]});
    let person = read(&clerk, &file(&["id"]), api).unwrap();
    assert_eq!((person.email.unwrap().as_str(), person.verified_email.is_some()), ("new@acme.com", false));
}

#[test]
fn a_supabase_export_and_its_tokens_are_one_person() {
    let policy = r#"
        [[grant]]
        when = { group = "{role}", attribute = "app_metadata.org", equals = "{tenant}" }
        [[grant]]
        when = { email_domain = "acme.com" }
        tenant = "acme"
        role = "member"
    "#;
    let supabase = source("provider = \"supabase\"\n");
    let row = |change: &[(&str, &str)]| {
        let mut row = object(
            json!({"id": "4-1", "email": "ann@acme.com", "email_confirmed_at": "2024-01-02 10:00:00+00",
            "raw_app_meta_data": "{\"roles\": [\"editor\"], \"org\": \"acme\"}", "banned_until": "", "deleted_at": ""}),
        );
        row.extend(change.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
        let columns: Vec<&str> = row.keys().map(String::as_str).collect();
        read(&supabase, &file(&columns), Value::Object(row.clone())).unwrap()
    };
    assert_eq!(grants(policy, &row(&[])), granted(&["acme/editor", "acme/member"]));
    assert_eq!(grants(policy, &row(&[("raw_app_meta_data", "{}")])), granted(&["acme/member"]));
    assert_eq!(grants(policy, &row(&[("email_confirmed_at", "")])), granted(&["acme/editor"]));
    assert!(row(&[("banned_until", "2025-01-01 00:00:00+00")]).enabled);
    assert!(!row(&[("banned_until", "2099-01-01 00:00:00+00")]).enabled);
    assert!(!row(&[("deleted_at", "2024-06-01 00:00:00+00")]).enabled);
    let token = json!({"sub": "4-1", "email": "ann@acme.com", "app_metadata": {"roles": ["editor"], "org": "acme"},
        "user_metadata": {"email_verified": true}, "role": "authenticated"});
    let person = read(&supabase, &ACCESS, token).unwrap();
    assert_eq!((grants(policy, &person).0, person.key.as_str()), (vec!["acme/editor".to_owned()], "4-1"));
}

#[test]
fn an_entra_export_and_its_token_are_one_person_and_false_may_not() {
    let entra = source("provider = \"entra\"\n");
    let row = |enabled| json!({"id": "1-1", "mail": "Ann.Roe@acme.com", "givenName": "Ann", "surname": "Roe", "accountEnabled": enabled, "department": "Sales"});
    let columns = file(&["id", "mail", "accountEnabled", "department"]);
    let ann = read(&entra, &columns, row("True")).unwrap();
    let token = read(&entra, &ID, json!({"sub": "AAA", "oid": "1-1", "email": "Ann.Roe@acme.com"})).unwrap();
    assert!(ann.key == token.key && ann.enabled && !read(&entra, &columns, row("False")).unwrap().enabled);
    assert_eq!(
        read(&entra, &columns, row("perhaps")),
        Err(Rejected::UnknownWord("accountEnabled".to_owned()))
    );
    let by_department = "[[grant]]\nwhen = { attribute = \"department\", equals = \"Sales\" }\ntenant = \"t\"\nrole = \"r\"\n";
    assert_eq!(grants(by_department, &ann), granted(&["t/r"]));
    assert_eq!(grants(by_department, &token), (vec![], 1), "tokens do not carry it");
}

#[test]
fn an_auth0_export_is_read_to_any_depth_and_a_cell_by_its_form() {
    let policy = r#"
        [[grant]]
        when = { group = "{tenant}/{role}" }
        [[grant]]
        when = { attribute = "app_metadata.plan", equals = "pro" }
        tenant = "default"
        role = "editor"
        [[grant]]
        when = { attribute = "app_metadata.authorization.roles", equals = "admin" }
        tenant = "acme"
        role = "admin"
    "#;
    let auth0 = source("provider = \"auth0\"\n");
    let json = json!({"user_id": "google-oauth2|1", "app_metadata": {"plan": "pro", "authorization": {"groups": ["acme/editor"], "roles": ["admin"]}}});
    let all = file(&[
        "user_id",
        "app_metadata.roles",
        "app_metadata.plan",
        "app_metadata.authorization.groups",
        "app_metadata.authorization.roles",
    ]);
    assert_eq!(
        grants(policy, &read(&auth0, &all, json).unwrap()),
        granted(&["acme/admin", "acme/editor", "default/editor"])
    );
    let cell = |text: &str| read(&auth0, &all, json!({"user_id": "auth0|66aa", "app_metadata.roles": text}));
    assert_eq!(cell(r#"["acme/admin","acme/editor"]"#).unwrap().groups.unwrap().len(), 2);
    assert!(cell("admin").unwrap().groups.unwrap().contains("admin"));
    assert_eq!(cell("acme/admin, acme/editor"), Err(Rejected::UnsureList("app_metadata.roles".to_owned())));
    let odd = || json!({"user_id": "samlp|acme|Jane Doe"});
    assert!(matches!(read(&auth0, &all, odd()), Err(Rejected::Key(..))));
    let percent =
        source("provider = \"auth0\"\n[source.claims]\nkey_encoding = \"percent\"\nkey_prefix = \"a0.\"\n");
    assert_eq!(read(&percent, &all, odd()).unwrap().key.as_str(), "a0.samlp|acme|Jane.20Doe");
}

#[test]
fn a_realm_export_has_several_paths_to_groups() {
    let policy = "[[grant]]\nwhen = { group = \"/{tenant}/{role}\" }\n[[grant]]\nwhen = { group = \"editor\" }\ntenant = \"default\"\nrole = \"editor\"\n\
                  [[grant]]\nwhen = { attribute = \"clientRoles.my-app\", equals = \"{role}\" }\ntenant = \"beta\"\n";
    let keycloak = source("provider = \"keycloak\"\n");
    let all = file(&["id", "groups", "realmRoles", "clientRoles.my-app", "enabled"]);
    let ann = json!({"id": "3-1", "enabled": true, "realmRoles": ["editor"], "clientRoles": {"my-app": ["admin"]}, "groups": ["/acme/editor"]});
    assert_eq!(
        grants(policy, &read(&keycloak, &all, ann).unwrap()),
        granted(&["acme/editor", "beta/admin", "default/editor"])
    );
    let service = json!({"id": "3-3", "enabled": true, "serviceAccountClientId": "my-app"});
    assert!(!read(&keycloak, &all, service).unwrap().enabled);
}

#[test]
fn a_pool_as_list_users_prints_it_is_read_like_the_pool() {
    let cognito = source("provider = \"cognito\"\nuser_pool = \"eu-west-1_a\"\n");
    let user = json!({"Username": "jane", "Enabled": true, "UserStatus": "CONFIRMED", "Attributes": [
        {"Name": "sub", "Value": "5-1"}, {"Name": "email", "Value": "jane@acme.com"}, {"Name": "email_verified", "Value": "true"},
        {"Name": "custom:tier", "Value": "pro"}]});
    let jane = read(&cognito, &file(&["Username"]), user).unwrap();
    assert_eq!((jane.key.as_str(), jane.enabled, jane.verified_email.is_some()), ("5-1", true, true));
    assert_eq!(jane.attributes["custom:tier"], "pro");
    assert_eq!(jane.attributes["cognito:user_status"], "CONFIRMED");
}

#[test]
fn an_address_is_a_key_only_where_it_is_verified_and_in_one_spelling() {
    let by_email = source("[source.claims]\nkey = \"email\"\n");
    let key = |claims| read(&by_email, &ID, claims).map(|person| person.key.as_str().to_owned());
    assert_eq!(
        key(json!({"sub": "u", "email": "Jane@ACME.com", "email_verified": true})).unwrap(),
        "jane@acme.com"
    );
    for unverified in [
        json!({"sub": "u", "email": "jane@acme.com"}),
        json!({"email": "jane@acme.com", "email_verified": false}),
        json!({"sub": "u"}),
    ] {
        assert!(key(unverified).is_err());
    }
}

#[test]
fn nothing_that_is_silent_verifies_an_address() {
    let source = source(
        "[source.claims]\nemail_verified = [{ says = \"unverified\", may = false }, \"email_verified\"]\n",
    );
    let verified = |claims: Value| read(&source, &ID, claims).unwrap().verified_email.is_some();
    for none in [
        json!({}),
        json!({"unverified": true}),
        json!({"unverified": "no"}),
        json!({"email_verified": "yes"}),
    ] {
        let mut claims = json!({"sub": "u", "email": "a@acme.com"});
        claims.as_object_mut().unwrap().extend(object(none.clone()));
        assert!(!verified(claims), "{none}");
    }
    assert!(verified(json!({"sub": "u", "email": "a@acme.com", "unverified": false})));
    let file = read(
        &self::source(""),
        &file(&["sub"]),
        json!({"sub": "u", "email": "a@acme.com", "email_verified": "maybe"}),
    );
    let told = file.unwrap_err().to_string();
    assert!(told.contains("whether the address is verified") && !told.contains("may_sign_in"), "{told}");
}

#[test]
fn an_empty_status_is_no_yes_and_an_empty_block_is_none() {
    let plain = source("");
    let may =
        |row: Value| read(&plain, &file(&["sub", "status", "active", "blocked"]), row).map(|one| one.enabled);
    assert_eq!(may(json!({"sub": "u", "status": ""})), Err(Rejected::NoStatus("status".to_owned())));
    assert_eq!(
        may(json!({"sub": "u", "status": null, "active": " "})),
        Err(Rejected::NoStatus("status".to_owned()))
    );
    assert_eq!(may(json!({"sub": "u", "status": "", "active": "yes"})), Ok(true), "another column says it");
    assert_eq!(may(json!({"sub": "u", "status": "", "blocked": "yes"})), Ok(false));
    assert_eq!(may(json!({"sub": "u", "blocked": ""})), Ok(true));
    assert_eq!(may(json!({"sub": "u"})), Ok(true), "there is no such column");
}

#[test]
fn the_key_of_a_pools_people_is_their_sub_perhaps_with_a_prefix() {
    let faults = |claims: &str| {
        let text = format!("[[source]]\nuser_pool = \"eu-west-1_a\"\n[source.claims]\n{claims}\n");
        text.parse::<Policy>().err().map(|InvalidPolicy(faults)| faults[0].to_string()).unwrap_or_default()
    };
    for refused in ["key = \"email\"", "key = \"custom:legacy_id\"", "key = [\"custom:legacy_id\", \"sub\"]"]
    {
        let told = faults(refused);
        assert!(told.starts_with("line 1: the key of a user pool's people is `sub`"), "{told}");
    }
    assert_eq!(faults("key_prefix = \"crm.\"\nkey_encoding = \"percent\""), "");
    // With tokens only, the source is still the pool's.
    let tokens = "[[source]]\nissuer = \"https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_a\"\nclient_ids = [\"c\"]\nclaims.key = \"email\"\n";
    assert!(tokens.parse::<Policy>().unwrap_err().to_string().contains("a user pool's people"));
}

#[test]
fn a_claim_that_a_token_may_leave_out_is_whole_where_it_is_there() {
    let policy = "[[grant]]\nwhen = { group = \"{role}\" }\ntenant = \"t\"\n";
    let supabase = source("provider = \"supabase\"\n");
    let token = |more: Value| {
        let mut claims = json!({"sub": "4-1", "role": "authenticated"});
        claims.as_object_mut().unwrap().extend(object(more));
        grants(policy, &read(&supabase, &ACCESS, claims).unwrap())
    };
    assert_eq!(token(json!({"app_metadata": {"roles": ["editor"]}})), granted(&["t/editor"]));
    assert_eq!(token(json!({"app_metadata": {"provider": "email"}})), granted(&[]), "the roles are gone");
    assert_eq!(token(json!({})), (vec![], 1), "a hook took all of it out");
    assert_eq!(token(json!({"app_metadata": "x"})), (vec![], 1));
}

#[test]
fn the_mark_before_texts_of_a_csv_goes_and_no_other_quote() {
    let auth0 = source("provider = \"auth0\"\n");
    let row = |row: Value| {
        read(&auth0, &file(&["user_id", "email", "given_name", "app_metadata.roles"]), row).unwrap()
    };
    let all = row(
        json!({"user_id": "'auth0|1", "email": "'ann@acme.com", "given_name": "''t Hooft", "app_metadata.roles": "'[\"admin\"]", "email_verified": "true"}),
    );
    assert_eq!((all.key.as_str(), all.first_name.as_deref()), ("auth0|1", Some("'t Hooft")));
    assert!(all.verified_email.is_some() && all.known_groups == ["admin".to_owned()].into());
    let some = row(
        json!({"user_id": "auth0|2", "email": "'+bob@acme.com", "given_name": "'t Hooft", "app_metadata.roles": "'staff"}),
    );
    assert_eq!(some.email.unwrap().as_str(), "+bob@acme.com");
    assert_eq!(
        (some.first_name.as_deref(), some.known_groups),
        (Some("'t Hooft"), ["'staff".to_owned()].into())
    );
}

/// Tokens that show one organization of several.
mod one_organization {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::domain::grant::Grant;

    const CLERK: &str =
        "[[grant]]\nwhen = { group = \"{role}\", attribute = \"o.slg\", equals = \"{tenant}\" }\n";
    const OF_ACME: &str = "[[grant]]\nwhen = { group = \"admin\", attribute = \"o.slg\", equals = \"acme\" }\ntenant = \"ops\"\nrole = \"operator\"\n";
    const OF_ANY: &str = "[[grant]]\nwhen = { group = \"admin\" }\ntenant = \"default\"\nrole = \"staff\"\n";

    /// What stays of `before`, and what is new.
    fn after(policy: &str, identity: &Identity, before: &[&str]) -> Vec<String> {
        let desired = self::policy(policy).evaluate(identity);
        let before: Vec<Grant> = before.iter().map(|grant| grant.parse().unwrap()).collect();
        let kept = before.into_iter().filter(|grant| desired.untold.iter().any(|untold| untold.fits(grant)));
        let all: BTreeSet<Grant> = desired.grants.iter().cloned().chain(kept).collect();
        all.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_session_tells_of_its_organization_and_of_no_other() {
        let clerk = source("provider = \"clerk\"\n");
        let token = |o: Value| {
            let mut claims = object(json!({"sub": "user_1", "v": 2}));
            if !o.is_null() {
                claims.insert("o".to_owned(), o);
            }
            read(&clerk, &ACCESS, Value::Object(claims)).unwrap()
        };
        let before = ["acme/admin", "acme/member", "beta/admin"];
        let acme = |role: &str| token(json!({"id": "org_1", "slg": "acme", "rol": role}));
        let beta = token(json!({"id": "org_2", "slg": "beta", "rol": "member"}));
        assert_eq!(after(CLERK, &acme("member"), &before), ["acme/member", "beta/admin"]);
        assert_eq!(after(CLERK, &acme("admin"), &before), ["acme/admin", "beta/admin"]);
        assert_eq!(after(CLERK, &beta, &before), ["acme/admin", "acme/member", "beta/member"]);
        assert_eq!(after(CLERK, &token(Value::Null), &before), before, "no organization is active");
        // The rule names one organization. Its token decides the rule, and other tokens decide nothing.
        assert_eq!(after(OF_ACME, &acme("member"), &["ops/operator"]), [""; 0]);
        assert_eq!(after(OF_ACME, &acme("admin"), &[]), ["ops/operator"]);
        assert_eq!(after(OF_ACME, &beta, &["ops/operator"]), ["ops/operator"]);
        // The rule accepts any organization. No token can show that none fits.
        assert_eq!(after(OF_ANY, &beta, &["default/staff"]), ["default/staff"]);
        let v1 = read(&clerk, &ACCESS, json!({"sub": "user_1", "org_slug": "acme", "org_role": "org:admin"}))
            .unwrap();
        let by_v1 =
            "[[grant]]\nwhen = { group = \"org:{role}\", attribute = \"org_slug\", equals = \"{tenant}\" }\n";
        assert_eq!(after(by_v1, &v1, &["acme/member", "beta/member"]), ["acme/admin", "beta/member"]);
    }

    #[test]
    fn others_show_one_organization_too() {
        let workos = source("provider = \"workos\"\n");
        let by_id =
            "[[grant]]\nwhen = { group = \"{role}\", attribute = \"org_id\", equals = \"{tenant}\" }\n";
        let token = read(
            &workos,
            &ACCESS,
            json!({"sub": "u", "org_id": "org_01", "role": "member", "roles": ["member"]}),
        );
        assert_eq!(
            after(by_id, &token.unwrap(), &["org_01/admin", "org_02/admin"]),
            ["org_01/member", "org_02/admin"]
        );
        let auth0 =
            source("provider = \"auth0\"\n[source.claims]\ngroups = \"https://acme.example/roles\"\n");
        let token = |claims| read(&auth0, &ID, claims).unwrap();
        let inside = token(json!({"sub": "a", "org_id": "org_1", "https://acme.example/roles": ["member"]}));
        assert_eq!(after(by_id, &inside, &["org_1/admin", "org_2/admin"]), ["org_1/member", "org_2/admin"]);
        let outside = token(json!({"sub": "a", "https://acme.example/roles": ["member"]}));
        let plain = "[[grant]]\nwhen = { group = \"{role}\" }\ntenant = \"default\"\n";
        assert_eq!(
            after(plain, &outside, &["default/admin"]),
            ["default/member"],
            "no organization, all is told"
        );
    }

    proptest! {
        /// Sign-ins into one organization after another: each changes its own roles, and leaves those of
        /// the others.
        #[test]
        fn sessions_in_several_organizations_do_not_undo_each_other(
            sessions in prop::collection::vec((select(vec!["acme", "beta", "gamma"]), select(vec!["admin", "member"])), 1..8),
        ) {
            let clerk = source("provider = \"clerk\"\n");
            let policy = "[[grant]]\nwhen = { group = \"{role}\", attribute = \"o.slg\", equals = \"{tenant}\" }\n";
            let mut has: Vec<String> = Vec::new();
            let mut last = BTreeMap::new();
            for (slug, role) in sessions {
                let token = json!({"sub": "u", "o": {"id": slug, "slg": slug, "rol": role}});
                let before: Vec<&str> = has.iter().map(String::as_str).collect();
                has = after(policy, &read(&clerk, &ACCESS, token).unwrap(), &before);
                last.insert(slug, role);
            }
            let expected: Vec<String> = last.iter().map(|(slug, role)| format!("{slug}/{role}")).collect();
            prop_assert_eq!(has, expected);
        }
    }
}

/// The rules of a view: a view that shows less never grants more, and never takes away more.
mod views {
    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};

    use super::*;
    use crate::domain::grant::Grant;

    const POLICY: &str = r#"
        [[grant]]
        when = { group = "{tenant}/{role}" }
        [[grant]]
        when = { attribute = "plan", equals = "pro" }
        tenant = "acme"
        role = "editor"
        [[grant]]
        when = { attribute = "app.orgs", equals = "{tenant}" }
        role = "viewer"
        [[grant]]
        when = { email_domain = "acme.com" }
        tenant = "acme"
        role = "member"
        [[grant]]
        when = { group = "staff", attribute = "plan", equals = "pro" }
        tenant = "beta"
        role = "admin"
    "#;

    /// Every grant that the policy could make of such people.
    fn possible() -> Vec<Grant> {
        let tenants = ["acme", "beta"];
        let roles = ["editor", "viewer", "member", "admin"];
        tenants.iter().flat_map(|tenant| roles.map(|role| Grant::new(tenant, role).unwrap())).collect()
    }

    /// The texts in which a claim may come: one name, several names in some form, none, and the texts of
    /// an attacker.
    fn texts() -> impl Strategy<Value = Value> {
        let names = vec!["acme/editor", "beta/viewer", "staff", "acme", "beta", "pro"];
        let between = vec![", ", "|", ";", "\n", "\r\n", "\r", "\t", " ", "\u{2028}", "\u{ff0c}"];
        let several = (subsequence(names.clone(), 0..4), select(between));
        let around = vec!["\"", "[", "]", "{", "\u{feff}", "\0", "\u{202e}", "'", "\\", "\n"];
        let spoiled = (select(names.clone()), select(around.clone()), select(around));
        prop_oneof![
            select(names.clone()).prop_map(Value::from),
            subsequence(names.clone(), 0..4).prop_map(|names| json!(names)),
            several.prop_map(|(names, by)| json!(names.join(by))),
            spoiled.prop_map(|(name, before, after)| json!(format!("{before}{name}{after}"))),
            (select(names.clone()), 0_usize..300)
                .prop_map(|(name, times)| json!([name, ","].concat().repeat(times))),
            (0_usize..300).prop_map(move |width| json!(names.iter().cycle().take(width).collect::<Vec<_>>())),
            select(vec![
                json!(""),
                json!(null),
                json!({}),
                json!([]),
                json!([[]]),
                json!(1e300),
                json!(true)
            ]),
        ]
    }

    fn claims() -> impl Strategy<Value = Map<String, Value>> {
        let email = select(vec!["a@acme.com", "a@other.example", ""]);
        (texts(), texts(), texts(), email, any::<bool>()).prop_map(|(groups, plan, orgs, email, verified)| {
            object(json!({"sub": "u", "groups": groups, "plan": plan, "app": {"orgs": orgs}, "email": email, "email_verified": verified}))
        })
    }

    const CLAIMS: [&str; 5] = ["groups", "plan", "app", "email", "email_verified"];

    /// What a person who had `before` would have after a sync through this view.
    fn after(policy: &Policy, identity: &Identity, before: &[Grant]) -> BTreeSet<Grant> {
        let desired = policy.evaluate(identity);
        let kept = before.iter().filter(|grant| desired.untold.iter().any(|untold| untold.fits(grant)));
        desired.grants.iter().chain(kept).cloned().collect()
    }

    proptest! {
        #[test]
        fn less_told_grants_no_more_and_revokes_no_more(claims in claims(), hidden in subsequence(CLAIMS.to_vec(), 0..5)) {
            let (policy, source) = (policy(POLICY), source(""));
            let told = |names: &[&str]| Told::all_but(names.iter().map(|name| (*name).to_owned()));
            let mut less = claims.clone();
            less.retain(|name, _| !hidden.contains(&name.as_str()));
            let seen = |claims: &Map<String, Value>, told: Told| {
                read(&source, &Door::File(told), Value::Object(claims.clone()))
            };
            // A record that a file's reader refuses changes nothing.
            if let (Ok(whole), Ok(part)) = (seen(&claims, told(&[])), seen(&less, told(&hidden))) {
                let everything = possible();
                let gained = |identity: &Identity| after(&policy, identity, &[]);
                let lost = |identity: &Identity| -> BTreeSet<Grant> {
                    let after = after(&policy, identity, &everything);
                    everything.iter().filter(|grant| !after.contains(grant)).cloned().collect()
                };
                prop_assert!(gained(&part).is_subset(&gained(&whole)));
                prop_assert!(lost(&part).is_subset(&lost(&whole)));
            }
        }

        #[test]
        fn an_undeclared_list_neither_grants_nor_takes_what_a_reading_of_it_would(
            names in subsequence(vec!["acme/editor", "beta/viewer", "acme/admin"], 1..4),
            by in select(vec![", ", ",", "|", ";", "\n", " | "]),
            brackets in any::<bool>(),
        ) {
            let (policy, source) = (policy(POLICY), source(""));
            let person = |groups: Value| read(&source, &ID, json!({"sub": "u", "groups": groups})).unwrap();
            let text = names.join(by);
            let text = if brackets { format!("[{text}]") } else { text };
            let (listed, unsplit) = (person(json!(names)), person(json!(text)));
            let had: Vec<Grant> = after(&policy, &listed, &[]).into_iter().collect();
            prop_assert!(after(&policy, &unsplit, &[]).is_subset(&had.iter().cloned().collect()));
            prop_assert_eq!(after(&policy, &unsplit, &had), had.into_iter().collect::<BTreeSet<_>>());
        }

        /// The four doors of a user pool: its list, a trigger event, an ID token of an app client that
        /// may read some attributes, and an access token. No door takes away what another grants.
        #[test]
        fn the_doors_of_a_user_pool_do_not_undo_each_other(
            plan in select(vec!["", "pro", "free"]),
            email in select(vec!["a@acme.com", "a@other.example", ""]),
            pool_groups in subsequence(vec!["acme/editor", "beta/viewer", "staff"], 0..3),
            saml_groups in subsequence(vec!["acme/admin", "beta/editor", "staff"], 0..3),
            read in subsequence(vec!["email", "email_verified", "custom:plan", "custom:groups"], 0..4),
        ) {
            let policy = policy(&POLICY.replace("\"plan\"", "\"custom:plan\""));
            let pool = source(
                "provider = \"cognito\"\nuser_pool = \"eu-west-1_a\"\n[source.claims]\ngroups = [\"cognito:groups\", \"custom:groups\"]\n\
                 [source.lists]\n\"custom:groups\" = \"brackets\"\n",
            );
            let saml = match saml_groups.as_slice() {
                [] => String::new(),
                [one] => (*one).to_owned(),
                several => format!("[{}]", several.join(", ")),
            };
            let attributes = [("email", email), ("email_verified", "true"), ("custom:plan", plan), ("custom:groups", &saml)];
            let attributes = attributes.into_iter().filter(|(_, value)| !value.is_empty());
            let all = object(attributes.map(|(name, value)| (name.to_owned(), json!(value))).chain([("sub".to_owned(), json!("u"))]).collect());
            let with_groups = |mut claims: Map<String, Value>, always: bool| {
                if always || !pool_groups.is_empty() {
                    claims.insert("cognito:groups".to_owned(), json!(pool_groups));
                }
                Value::Object(claims)
            };
            let only = |names: &[&str]| -> Map<String, Value> {
                all.clone().into_iter().filter(|(name, _)| name == "sub" || names.contains(&name.as_str())).collect()
            };
            let views = [
                super::read(&pool, &Door::Pool, with_groups(all.clone(), true)),
                super::read(&pool, &Door::Trigger, Value::Object(all.clone())),
                super::read(&pool, &ID, with_groups(only(&read), false)),
                super::read(&pool, &ACCESS, with_groups(only(&[]), false)),
            ];
            let views: Vec<Identity> = views.into_iter().map(Result::unwrap).collect();
            for (one, other) in views.iter().flat_map(|one| views.iter().map(move |other| (one, other))) {
                let given: Vec<Grant> = policy.evaluate(one).grants.into_iter().collect();
                let left = after(&policy, other, &given);
                prop_assert!(given.iter().all(|grant| left.contains(grant)), "{given:?} {left:?}");
            }
        }

        /// A token and an export of one source, about the same person, never disagree about what both can
        /// show: neither takes away what the other grants.
        #[test]
        fn two_doors_of_one_source_do_not_undo_each_other(
            claims in claims(), token_lacks in subsequence(CLAIMS.to_vec(), 0..5), file_lacks in subsequence(CLAIMS.to_vec(), 0..5),
        ) {
            let (policy, source) = (policy(POLICY), source(""));
            let without = |lacks: &[&str]| {
                let mut some = claims.clone();
                some.retain(|name, _| !lacks.contains(&name.as_str()));
                Value::Object(some)
            };
            let told = |lacks: &[&str]| Told::all_but(lacks.iter().map(|name| (*name).to_owned()));
            let by_token = read(&source, &ACCESS, without(&token_lacks));
            let by_file = read(&source, &Door::File(told(&file_lacks)), without(&file_lacks));
            if let (Ok(token), Ok(file)) = (by_token, by_file) {
                for (one, other) in [(&token, &file), (&file, &token)] {
                    let given: Vec<Grant> = policy.evaluate(one).grants.into_iter().collect();
                    let left = after(&policy, other, &given);
                    prop_assert!(given.iter().all(|grant| left.contains(grant)), "{given:?} {left:?}");
                }
            }
        }
    }
}
