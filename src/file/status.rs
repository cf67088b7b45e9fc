//! Finds columns that seem to say who may sign in.

/// Words for a status. A column is a status if its name has exactly one of them, and otherwise only words
/// of `BESIDE`.
const WORDS: [&str; 24] = [
    "status",
    "state",
    "enabled",
    "disabled",
    "active",
    "inactive",
    "activated",
    "deactivated",
    "suspended",
    "archived",
    "blocked",
    "banned",
    "deleted",
    "locked",
    "terminated",
    "revoked",
    "disable",
    "enable",
    "accountcontrol",
    "deprovisioned",
    "frozen",
    "expired",
    "removed",
    "offboarded",
];

/// Words in a name that do not change its meaning.
const BESIDE: [&str; 45] = [
    "is",
    "of",
    "account",
    "user",
    "employee",
    "employment",
    "member",
    "person",
    "login",
    "lifecycle",
    "current",
    "flag",
    "at",
    "until",
    "on",
    "since",
    "date",
    "time",
    "out",
    "read",
    "only",
    "code",
    "text",
    "name",
    "upload",
    "work",
    "sso",
    "directory",
    "identity",
    "profile",
    "okta",
    "google",
    "workspace",
    "entra",
    "azure",
    "ad",
    "auth0",
    "cognito",
    "keycloak",
    "firebase",
    "clerk",
    "supabase",
    "workos",
    "ldap",
    "permit",
];

/// Columns of an address. If a file has one, `state` is a part of the address too.
const ADDRESS: [&str; 7] = ["city", "country", "postalcode", "zip", "street", "streetaddress", "postal"];

/// The names that look like a status.
pub(super) fn alike<'n>(names: &[&'n str]) -> Vec<&'n str> {
    let is_of_address = |name: &&str| {
        let last = name.rsplit('.').next().unwrap_or(name);
        words(last).iter().any(|word| ADDRESS.contains(&word.as_str()))
    };
    let has_address = names.iter().any(is_of_address);
    let is_alike = |name: &&str| {
        let said = said(name);
        said.as_deref().is_some_and(|word| word != "state" || !has_address)
    };
    names.iter().copied().filter(is_alike).collect()
}

/// The status word in a name. `None` if the name is not a status.
fn said(name: &str) -> Option<String> {
    // Use the last part of a path. `custom:` is before an attribute of a user pool.
    let name = name.rsplit(['.', ':']).next().unwrap_or(name);
    let all = words(name);
    let mut left = all.iter().filter(|word| !BESIDE.contains(&word.as_str()));
    let (Some(word), None) = (left.next(), left.next()) else { return None };
    if word == "control" && all.iter().any(|word| word == "account") {
        return Some("accountcontrol".to_owned());
    }
    // Words written as one, as in `isactive`, `useraccountcontrol`.
    let mut rest = word.as_str();
    while let Some(shorter) = BESIDE.iter().find_map(|beside| rest.strip_prefix(beside)) {
        if WORDS.contains(&rest) {
            break;
        }
        rest = shorter;
    }
    WORDS.contains(&rest).then(|| rest.to_owned())
}

/// The words of a name, in lower case: `accountEnabled`, `account_enabled`, `Account Enabled [READ ONLY]`.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    for c in name.chars() {
        if c.is_alphanumeric() {
            let begins = !before.is_alphanumeric() || (c.is_uppercase() && before.is_lowercase());
            if begins {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.extend(c.to_lowercase());
            }
        }
        before = c;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_seen_in_any_spelling() {
        for name in [
            "status",
            "Status [READ ONLY]",
            "STATUS",
            "state",
            "accountEnabled",
            "account_enabled",
            "Account Enabled",
            "isActive",
            "is_active",
            "isactive",
            "ACTIVE",
            "Enabled",
            "disabled",
            "suspended",
            "Archived",
            "blocked",
            "banned_until",
            "bannedUntil",
            "deleted_at",
            "Deleted On",
            "user.status",
            "profile.Status",
            "custom:status",
            "Employment Status",
            "UserStatus",
            "lockedOut",
            "userAccountControl",
            "Account status",
            "is-deleted",
            "STATE_OF_ACCOUNT",
            "Okta user status",
            "status_code",
            "AD Account Enabled",
            "accountEnabled [READ ONLY]",
            "googleAccountSuspended",
            "deprovisioned_at",
        ] {
            assert_eq!(alike(&[name]), [name], "{name}");
        }
    }

    #[test]
    fn what_only_sounds_like_one_is_left() {
        for name in [
            "email",
            "invitationState",
            "password_enabled",
            "two_factor_enabled",
            "statusChanged",
            "Marital Status",
            "subscription_status",
            "last_sign_in_at",
            "estate",
            "Time",
            "date",
            "activeDirectoryId",
            "id",
            "",
            "account",
            "user",
            "statement",
            "interactive",
            "reactive",
        ] {
            assert_eq!(alike(&[name]), [""; 0], "{name}");
        }
        assert_eq!(alike(&["state", "city", "status"]), ["status"], "a part of an address");
        assert_eq!(alike(&["profile.state", "profile.streetAddress"]), [""; 0]);
        assert_eq!(alike(&["State", "userType"]), ["State"]);
    }
}
