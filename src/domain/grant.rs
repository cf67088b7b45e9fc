//! A role in a tenant, or on a resource instance.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The key of a Permit tenant, role, resource or resource instance: `^[A-Za-z0-9\-_]+$`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Key(Arc<str>);

impl Key {
    /// The longest key that we accept. Permit documents no limit. A Cognito group, which most captures
    /// come from, has at most 128 characters.
    pub(super) const MAX: usize = 128;

    /// `None` if `text` is not a valid key.
    pub fn new(text: &str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (!text.is_empty() && text.len() <= Self::MAX && text.bytes().all(allowed)).then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Key {
    type Error = InvalidGrant;

    fn try_from(text: String) -> Result<Self, InvalidGrant> {
        Self::new(&text).ok_or(InvalidGrant)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An instance of a resource, such as one project. Written `project:apollo`, as Permit's API takes it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Instance {
    /// The resource's key: what kind of thing it is.
    pub resource: Key,
    /// The instance's own key.
    pub key: Key,
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.resource, self.key)
    }
}

impl FromStr for Instance {
    type Err = InvalidGrant;

    fn from_str(text: &str) -> Result<Self, InvalidGrant> {
        let (resource, key) = text.split_once(':').ok_or(InvalidGrant)?;
        let (resource, key) = Key::new(resource).zip(Key::new(key)).ok_or(InvalidGrant)?;
        Ok(Self { resource, key })
    }
}

/// One role assignment: a role in a tenant, or on one resource instance in the tenant.
///
/// Written `tenant/role` or `tenant/resource:instance#role`, as in the ledger. A tenant's own roles sort
/// before the roles on its instances.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Grant {
    pub tenant: Key,
    /// The resource instance. `None` for the whole tenant.
    pub instance: Option<Instance>,
    /// The role's key. On an instance it is one of the resource's own roles, else one of the
    /// environment's.
    pub role: Key,
}

impl Grant {
    /// The role in the tenant; `None` where one of the two is not a valid key.
    pub fn new(tenant: &str, role: &str) -> Option<Self> {
        Some(Self { tenant: Key::new(tenant)?, instance: None, role: Key::new(role)? })
    }

    /// The same role on an instance.
    #[must_use]
    pub fn on(self, instance: Instance) -> Self {
        Self { instance: Some(instance), ..self }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant, instance, role } = self;
        match instance {
            None => write!(f, "{tenant}/{role}"),
            Some(instance) => write!(f, "{tenant}/{instance}#{role}"),
        }
    }
}

/// The text is not a grant, or not a valid part of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a grant is written `tenant/role` or `tenant/resource:instance#role`")]
pub struct InvalidGrant;

impl FromStr for Grant {
    type Err = InvalidGrant;

    fn from_str(text: &str) -> Result<Self, InvalidGrant> {
        let (tenant, rest) = text.split_once('/').ok_or(InvalidGrant)?;
        match rest.split_once('#') {
            None => Self::new(tenant, rest).ok_or(InvalidGrant),
            Some((instance, role)) => Ok(Self::new(tenant, role).ok_or(InvalidGrant)?.on(instance.parse()?)),
        }
    }
}

impl TryFrom<String> for Grant {
    type Error = InvalidGrant;

    fn try_from(text: String) -> Result<Self, InvalidGrant> {
        text.parse()
    }
}

impl From<Grant> for String {
    fn from(grant: Grant) -> String {
        grant.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_grant_is_written_with_its_tenant_first() {
        let grant: Grant = "acme/editor".parse().unwrap();
        assert_eq!((grant.tenant.as_str(), grant.role.as_str()), ("acme", "editor"));
        assert_eq!(grant.instance, None);
        let grant: Grant = "acme/project:apollo#viewer".parse().unwrap();
        assert_eq!(grant, Grant::new("acme", "viewer").unwrap().on("project:apollo".parse().unwrap()));
        for text in [
            "acme",
            "/editor",
            "acme/",
            "a/b/c",
            "../..",
            "ac me/editor",
            "",
            "acme/project:apollo",
            "acme/project#viewer",
            "acme/:apollo#viewer",
            "acme/project:#viewer",
            "acme/project:apollo#",
            "acme/project:a:b#viewer",
            "acme/project:a#b#c",
            "/project:a#viewer",
            "acme/project:a/b#viewer",
            "project:apollo#viewer",
            "acme#viewer/project:apollo",
        ] {
            assert_eq!(text.parse::<Grant>(), Err(InvalidGrant), "{text}");
        }
    }

    fn key() -> impl Strategy<Value = Key> {
        "[A-Za-z0-9_-]{1,4}".prop_map(|text| Key::new(&text).unwrap())
    }

    fn grant() -> impl Strategy<Value = Grant> {
        let instance = proptest::option::of((key(), key()));
        (key(), instance, key()).prop_map(|(tenant, instance, role)| {
            let instance = instance.map(|(resource, key)| Instance { resource, key });
            Grant { tenant, instance, role }
        })
    }

    proptest! {
        #[test]
        fn a_grant_is_parsed_as_it_is_printed(grant in grant()) {
            prop_assert_eq!(grant.to_string().parse::<Grant>(), Ok(grant));
        }

        /// A text that parses is printed unchanged, so no two texts are the same grant.
        #[test]
        fn a_text_that_parses_is_printed_as_it_stands(text in "[a/:#_-]{0,9}") {
            if let Ok(grant) = text.parse::<Grant>() {
                prop_assert_eq!(grant.to_string(), text);
            }
        }

        #[test]
        fn a_tenants_own_roles_sort_before_those_on_its_instances(a in grant(), b in grant()) {
            prop_assert_eq!(a == b, a.to_string() == b.to_string());
            let place = |grant: &Grant| (grant.tenant.clone(), grant.instance.is_some());
            prop_assert!(place(&a) == place(&b) || (a < b) == (place(&a) < place(&b)));
        }
    }
}
