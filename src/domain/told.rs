//! Which claims a view of a person shows: whether a missing claim is absent or unknown.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The claims that a view can show, by name or path. A claim that is present is always known. This type
/// says what a missing one means.
///
/// A name covers everything below it. A name that ends in `*` covers all names that begin so
/// (`custom:*`).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Told {
    /// Whether `names` are the claims that the view does not show.
    all_but: bool,
    names: Arc<BTreeSet<String>>,
    /// What the view shows of only one organization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    one_of: Option<Arc<OneOf>>,
}

/// Claims about one organization, the active one of a session. The person may be in several. What the
/// claims show is true, but they say nothing about the other organizations.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct OneOf {
    pub claims: BTreeSet<String>,
    /// The claims that identify the organization. They differ in every other organization.
    pub named: BTreeSet<String>,
    /// Whether the groups are those in the organization.
    pub groups: bool,
}

impl Told {
    /// Everything: a missing claim is absent.
    pub fn all() -> Self {
        Self::all_but([])
    }

    /// Nothing: a missing claim is unknown.
    pub fn nothing() -> Self {
        Self::only([])
    }

    pub fn all_but(names: impl IntoIterator<Item = String>) -> Self {
        Self { all_but: true, names: Arc::new(names.into_iter().collect()), one_of: None }
    }

    pub fn only(names: impl IntoIterator<Item = String>) -> Self {
        Self { all_but: false, names: Arc::new(names.into_iter().collect()), one_of: None }
    }

    #[must_use]
    pub fn and(self, names: impl IntoIterator<Item = String>) -> Self {
        let mut more = names.into_iter().peekable();
        if self.all_but || more.peek().is_none() {
            return self;
        }
        Self { one_of: self.one_of.clone(), ..Self::only(self.names.iter().cloned().chain(more)) }
    }

    /// The same, but shows these claims of only one organization.
    #[must_use]
    pub fn showing(self, one_of: OneOf) -> Self {
        Self { one_of: Some(Arc::new(one_of)), ..self }
    }

    #[must_use]
    pub fn hiding(self, names: impl IntoIterator<Item = String>) -> Self {
        let mut hidden: BTreeSet<String> = names.into_iter().collect();
        if hidden.is_empty() {
            return self;
        }
        if self.all_but {
            hidden.extend(self.names.iter().cloned());
            return Self { one_of: self.one_of, ..Self::all_but(hidden) };
        }
        let is_hidden =
            |name: &String| hidden.iter().any(|hidden| covers(hidden, name) || covers(name, hidden));
        let names = self.names.iter().filter(|name| !is_hidden(name)).cloned();
        Self { one_of: self.one_of.clone(), ..Self::only(names) }
    }

    /// Whether the claim at `path` is shown for only one organization of several.
    pub fn is_of_one(&self, path: &str) -> bool {
        let of = |one: &Arc<OneOf>| one.claims.iter().any(|name| covers(name, path) || covers(path, name));
        self.one_of.as_ref().is_some_and(of)
    }

    /// Whether the claim at `path` identifies the organization that is shown.
    pub fn names_the_one(&self, path: &str) -> bool {
        self.one_of.as_ref().is_some_and(|one| one.named.contains(path))
    }

    /// Whether the groups are those of one organization.
    pub fn groups_are_of_one(&self) -> bool {
        self.one_of.as_ref().is_some_and(|one| one.groups)
    }

    /// Whether a claim that is not at `path` is absent.
    pub fn tells(&self, path: &str) -> bool {
        if self.is_of_one(path) {
            return false;
        }
        let covered = || self.names.iter().any(|name| covers(name, path));
        if self.all_but {
            // If parts of a claim are hidden, the view does not show the whole claim either.
            !covered() && !self.names.iter().any(|name| covers(path, name))
        } else {
            self.names.contains(path) || covered()
        }
    }
}

/// Whether `path` is `name` or below it.
pub(crate) fn covers(name: &str, path: &str) -> bool {
    if let Some(beginning) = name.strip_suffix('*') {
        return path.starts_with(beginning);
    }
    path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_a_view_tells_is_by_name_by_beginning_and_below() {
        let pool = Told::only(names(&["custom:*", "email", "app"]));
        for told in ["custom:tier", "email", "app", "app.org", "app[x=y].z"] {
            assert!(pool.tells(told), "{told}");
        }
        for untold in ["tier", "emails", "application", "e"] {
            assert!(!pool.tells(untold), "{untold}");
        }
        let token = Told::all_but(names(&["custom:*", "app.org"]));
        assert!(token.tells("tier") && token.tells("app.plan") && token.tells("application"));
        assert!(!token.tells("custom:tier") && !token.tells("app.org") && !token.tells("app.org.x"));
        assert!(!token.tells("app"), "a part of it is hidden");
    }

    #[test]
    fn what_is_hidden_is_told_no_more() {
        assert!(!Told::all().hiding(names(&["groups"])).tells("groups"));
        assert!(Told::all().hiding(names(&["groups"])).tells("roles"));
        let few = Told::only(names(&["groups", "roles"])).hiding(names(&["groups"]));
        assert!(!few.tells("groups") && few.tells("roles"));
        assert!(!Told::only(names(&["app"])).hiding(names(&["app.org"])).tells("app.org"));
        assert!(!Told::nothing().tells("x") && Told::all().tells("x"));
    }
}
