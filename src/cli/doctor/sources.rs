//! The sources of the policy: keys that people can change, rules that only one door can tell, texts that
//! look like lists.

use std::collections::BTreeMap;

use super::finding::{Check, Finding};
use super::pool::granting_attributes;
use crate::aws::UserPoolId;
use crate::aws::pool::PoolUser;
use crate::cli::screen::counted;
use crate::domain::policy::{Condition, Kind, Policy};
use crate::domain::source::{Door, POOL_GROUPS, SourceConfig, TokenKind, could_be_a_list};

/// Claims and columns that users can change, or that may later belong to someone else.
const CHANGEABLE: [&str; 21] = [
    "email",
    "mail",
    "emailaddress",
    "primaryemail",
    "preferred_username",
    "username",
    "cognito:username",
    "nickname",
    "name",
    "given_name",
    "family_name",
    "phone_number",
    "phonenumber",
    "upn",
    "userprincipalname",
    "unique_name",
    "login",
    "samaccountname",
    "displayname",
    "profile.login",
    "profile.email",
];

/// Checks the policy's sources and the pool's own source. `users` is a sample of the pool's users.
pub(super) fn look(policy: &Policy, pool: Option<&UserPoolId>, users: &[PoolUser]) -> Vec<Finding> {
    let of_pool = pool.map(|id| policy.sources.of_user_pool(id.as_str()));
    let undeclared = of_pool.iter().filter(|source| source.line == 0);
    let sources: Vec<&SourceConfig> = policy.sources.iter().chain(undeclared).map(AsRef::as_ref).collect();
    let mut findings: Vec<Finding> = sources.iter().filter_map(|source| keys(source)).collect();
    findings.extend(tokens_unsaid(policy, &sources));
    findings.extend(sources.iter().flat_map(|source| doors(policy, source)));
    findings.extend(of_pool.iter().flat_map(|source| lists(policy, source, users)));
    findings
}

/// A warning about keys that users can change: a user with a changed key becomes a different Permit user.
fn keys(source: &SourceConfig) -> Option<Finding> {
    let paths = source.forms.claims.key.iter();
    let changeable: Vec<&str> = paths
        .map(String::as_str)
        .filter(|path| {
            CHANGEABLE.contains(&path.to_lowercase().as_str())
                || source.forms.claims.email.iter().any(|email| email == path)
        })
        .collect();
    if changeable.is_empty() {
        return None;
    }
    Some(Check::Keys.warning(format!(
            "the key of people of the source {} is `{}`, which can be changed",
            source.name,
            changeable.join("`, `")
        ),
        "a person who changes it becomes a new Permit user, and the old one keeps its roles until a file without them is synced; \
         a person who gets a value that somebody else had gets that user, and what others gave it",
        "use a key that stays, such as `sub`, `oid` or an employee number; or sync whole files with `missing = \"unassign\"`",
    ))
}

/// The source's doors that are known from the policy alone, with names for the operator.
fn doors_of(source: &SourceConfig) -> Vec<(&'static str, Door)> {
    let mut doors = Vec::new();
    if source.user_pool.is_some() {
        doors.push(("the pool's list", Door::Pool));
        doors.push(("its trigger events", Door::Trigger));
    }
    if source.tokens.is_some() {
        doors.push(match kind_of_tokens(source) {
            // Tokens that may be of either kind are reported once: see `tokens_unsaid`.
            None | Some(TokenKind::Id) => ("ID tokens", Door::Token(TokenKind::Id)),
            Some(TokenKind::Access) => ("access tokens", Door::Token(TokenKind::Access)),
        });
    }
    doors
}

/// The kind of the source's tokens. `None` if it has none, or if each token states its kind.
fn kind_of_tokens(source: &SourceConfig) -> Option<TokenKind> {
    let tokens = source.tokens.as_ref()?;
    tokens.kind.or(tokens.token_use).or(source.forms.kind)
}

/// A note about sources that do not state their tokens' kind, although a rule depends on it.
fn tokens_unsaid(policy: &Policy, sources: &[&SourceConfig]) -> Option<Finding> {
    let hangs_on_it = |source: &&&SourceConfig| {
        let mut conditions = policy.rules.iter().flat_map(|rule| &rule.conditions);
        let tells = |kind, condition| tells(source, &Door::Token(kind), condition);
        conditions.any(|one| tells(TokenKind::Id, one) && !tells(TokenKind::Access, one))
    };
    let is_unsaid = |source: &&&SourceConfig| {
        source.user_pool.is_none() && source.tokens.is_some() && kind_of_tokens(source).is_none()
    };
    let unsaid: Vec<&&SourceConfig> = sources.iter().filter(is_unsaid).filter(hangs_on_it).collect();
    if unsaid.is_empty() {
        return None;
    }
    let joined = |text: fn(&SourceConfig) -> String| {
        unsaid.iter().map(|source| text(source)).collect::<Vec<_>>().join(" and ")
    };
    let names = joined(|source| source.name.to_string());
    let lines = joined(|source| source.line.to_string());
    Some(Check::Doors.note(
        format!("the policy does not say whether the tokens of {names} are ID tokens or access tokens"),
        "one that does not say it itself counts as an access token, from whose silence nothing follows: what it does not show \
         is never taken back",
        format!("put tokens = \"id\" (or \"access\") into the [[source]] in line {lines} of the policy"),
    ))
}

/// Whether a missing claim at this door means that the condition does not hold.
fn tells(source: &SourceConfig, door: &Door, condition: &Condition) -> bool {
    let told = source.told(door);
    // At a sign-in the trigger looks up the groups.
    let told = if *door == Door::Trigger { told.and([POOL_GROUPS.to_owned()]) } else { told };
    let claims = &source.forms.claims;
    match condition {
        Condition::Group(_) => !claims.groups.is_empty() && claims.groups.iter().all(|path| told.tells(path)),
        Condition::EmailDomain(_) => {
            let tests = claims.email_verified.iter().map(|test| &test.path);
            claims.email.iter().chain(tests).all(|path| told.tells(path))
        }
        Condition::Attribute { name, .. } => told.tells(name),
    }
}

/// Rules that only one door can tell, and rules that none can.
fn doors(policy: &Policy, source: &SourceConfig) -> Vec<Finding> {
    let doors = doors_of(source);
    if doors.is_empty() {
        return Vec::new();
    }
    let mut by_doors: BTreeMap<Vec<&str>, Vec<String>> = BTreeMap::new();
    for rule in policy.rules.iter().filter(|rule| !rule.conditions.is_empty()) {
        let telling = doors.iter().filter(|(_, door)| rule.conditions.iter().all(|c| tells(source, door, c)));
        let telling: Vec<&str> = telling.map(|(name, _)| *name).collect();
        if telling.is_empty() || (telling.len() == 1 && doors.len() > 1) {
            // The rule's line and what it grants, without its conditions, which are in the policy.
            let rule = rule.to_string();
            let name = rule.split_once(" when ").map_or(rule.as_str(), |(name, _)| name);
            by_doors.entry(telling).or_default().push(name.to_owned());
        }
    }
    let finding = |(telling, rules): (Vec<&str>, Vec<String>)| {
        let (name, rules) = (&source.name, rules.join("; "));
        match telling.first() {
            Some(door) => Check::Doors.note(
                format!("of the source {name}, only {door} can tell: {rules}"),
                "its other doors can grant this, but never revoke it",
                "see that people come by that door too, or that a bulk sync or a file does",
            ),
            None => Check::Doors.note(
                format!("no door of the source {name} can tell: {rules}"),
                "it is granted where a token shows it, and never taken back",
                "sync a file of the directory that has it, or grant from something that the tokens always have",
            ),
        }
    };
    by_doors.into_iter().map(finding).collect()
}

/// Attributes that the policy uses, that look like lists and that are not declared as lists.
fn lists(policy: &Policy, source: &SourceConfig, users: &[PoolUser]) -> Vec<Finding> {
    let copied = policy.attributes.iter().filter(|attribute| attribute.kind == Some(Kind::List));
    let mut names = granting_attributes(policy);
    names.extend(copied.map(|attribute| attribute.from.as_str()));
    names.extend(source.forms.claims.groups.iter().map(String::as_str));
    let undeclared = names.into_iter().filter(|name| !source.forms.lists.contains_key(*name));
    let finding = |name: &str| {
        let has = |user: &&PoolUser| {
            user.attributes.iter().any(|(attribute, text)| attribute == name && could_be_a_list(text))
        };
        let count = users.iter().filter(has).count();
        let users = counted(users.len() as u64, "user", "users");
        (count > 0).then(|| {
            Check::Lists.warning(
                format!("{name} looks like a list in {count} of the first {users}, and is not declared"),
                "as one text it neither grants nor takes away what a part of it would",
                format!(
                    "give the pool a [[source]] in the policy, with [source.lists] \"{name}\" = \"brackets\" (as Cognito \
                     writes a SAML attribute), \"json\", \",\" or \"text\""
                ),
            )
        })
    };
    undeclared.filter_map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Policy {
        text.parse().unwrap()
    }

    fn found(policy: &Policy, users: &[PoolUser]) -> Vec<String> {
        let pool = "eu-west-1_AbCdEfGhI".parse().unwrap();
        look(policy, Some(&pool), users).into_iter().map(|finding| finding.what).collect()
    }

    const RULES: &str = r#"
[[grant]]
tenant = "t"
role = "everyone"
[[grant]]
when = { group = "admins" }
tenant = "t"
role = "admin"
[[grant]]
when = { attribute = "custom:orgs", equals = "{tenant}" }
role = "member"
"#;

    #[test]
    fn a_key_that_people_can_change_is_named() {
        let source = |key: &str| format!("[[source]]\nname = \"s\"\n[source.claims]\nkey = {key}\n{RULES}");
        for (key, named) in [
            ("\"email\"", "`email`"),
            ("[\"employee_id\", \"preferred_username\"]", "`preferred_username`"),
            ("\"userPrincipalName\"", "`userPrincipalName`"),
        ] {
            let told = found(&policy(&source(key)), &[]);
            assert!(told.iter().any(|what| what.contains(named)), "{key}: {told:?}");
        }
        assert_eq!(found(&policy(&source("\"oid\"")), &[]), [""; 0]);
    }

    #[test]
    fn a_rule_that_one_door_alone_can_tell_is_named() {
        assert_eq!(found(&policy(RULES), &[]), [""; 0], "the list and the trigger tell the same");
        let with_tokens = format!(
            "[[source]]\nuser_pool = \"eu-west-1_AbCdEfGhI\"\nissuer = \"https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEfGhI\"\n\
             client_ids = [\"c\"]\n{RULES}"
        );
        assert_eq!(found(&policy(&with_tokens), &[]), [""; 0], "two of three doors do");
        let tokens = format!(
            "[[source]]\nname = \"e\"\nprovider = \"entra\"\nissuer = \"https://i.example\"\naudiences = [\"a\"]\n{RULES}\
             [[grant]]\nwhen = {{ attribute = \"department\", equals = \"Sales\" }}\ntenant = \"t\"\nrole = \"sales\"\n"
        );
        let told = found(&policy(&tokens), &[]);
        assert!(!told.iter().any(|what| what.contains(", only ")), "{told:?}");
        assert!(told[0].starts_with("the policy does not say whether the tokens of e are"), "{told:?}");
        assert!(
            told.iter().any(
                |what| what.starts_with("no door of the source e can tell: ") && what.contains("t/sales")
            ),
            "{told:?}"
        );
    }

    #[test]
    fn tokens_that_may_be_either_are_one_line_with_what_to_write_and_where() {
        let source = |name: &str, more: &str| {
            format!(
                "[[source]]\nname = \"{name}\"\nissuer = \"https://{name}.example\"\naudiences = [\"a\"]\n{more}"
            )
        };
        let look = |text: &str| look(&policy(&format!("{text}{RULES}")), None, &[]);
        let told = look(&format!("{}{}", source("one", ""), source("two", "")));
        assert_eq!(told.len(), 1, "{:?}", told.iter().map(|finding| &finding.what).collect::<Vec<_>>());
        assert_eq!(
            (told[0].what.as_str(), told[0].remedy.as_str()),
            (
                "the policy does not say whether the tokens of one and two are ID tokens or access tokens",
                "put tokens = \"id\" (or \"access\") into the [[source]] in line 1 and 5 of the policy"
            )
        );
        assert!(look(&source("one", "tokens = \"id\"\n")).is_empty(), "they are said to be ID tokens");
        let access: Vec<String> =
            look(&source("one", "tokens = \"access\"\n")).into_iter().map(|finding| finding.what).collect();
        assert!(
            access.len() == 1 && access[0].starts_with("no door of the source one can tell"),
            "{access:?}"
        );
        let open = "[[grant]]\ntenant = \"t\"\nrole = \"everyone\"\n";
        let indifferent = super::look(&policy(&format!("{}{open}", source("one", ""))), None, &[]);
        assert!(indifferent.is_empty(), "nothing hangs on it");
    }

    #[test]
    fn an_attribute_that_looks_like_an_undeclared_list_is_named() {
        let user = |name: &str, orgs: &str| PoolUser {
            username: name.to_owned(),
            attributes: vec![
                ("custom:orgs".to_owned(), orgs.to_owned()),
                ("address".to_owned(), "a, b".to_owned()),
            ],
            enabled: true,
        };
        let users = [user("a", "[acme, beta]"), user("b", "acme"), user("c", "acme,beta")];
        assert_eq!(
            found(&policy(RULES), &users),
            ["custom:orgs looks like a list in 2 of the first 3 users, and is not declared"]
        );
        let declared = format!(
            "[[source]]\nuser_pool = \"eu-west-1_AbCdEfGhI\"\n[source.lists]\n\"custom:orgs\" = \"brackets\"\n{RULES}"
        );
        assert_eq!(found(&policy(&declared), &users), [""; 0]);
    }
}
