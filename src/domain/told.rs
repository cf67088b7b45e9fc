//! Which claims a view of a person can tell: whether a claim that is not there is absent, or unknown.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The claims that a view can tell, by their names or paths. What is there is always told; this says what
/// silence means.
///
/// A name stands for all that is below it, and one that ends in `*` for all that begin so (`custom:*`).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Told {
    /// Whether `names` are those that are not told.
    all_but: bool,
    names: Arc<BTreeSet<String>>,
    /// What the view shows of one organization alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    one_of: Option<Arc<OneOf>>,
}

/// Claims about one organization of a person who may be in several: a session's active one. What they show is
/// so; what the person is in the others, they do not tell.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct OneOf {
    /// The claims.
    pub claims: BTreeSet<String>,
    /// Those by which the organization is known: in another one they are others.
    pub named: BTreeSet<String>,
    /// Whether the groups are those in the organization.
    pub groups: bool,
}

impl Told {
    /// Everything: what is not there does not exist.
    pub fn all() -> Self {
        Self::all_but([])
    }

    /// Nothing: from what is not there nothing follows.
    pub fn nothing() -> Self {
        Self::only([])
    }

    /// Everything but these.
    pub fn all_but(names: impl IntoIterator<Item = String>) -> Self {
        Self { all_but: true, names: Arc::new(names.into_iter().collect()), one_of: None }
    }

    /// These alone.
    pub fn only(names: impl IntoIterator<Item = String>) -> Self {
        Self { all_but: false, names: Arc::new(names.into_iter().collect()), one_of: None }
    }

    /// The same with `names`.
    #[must_use]
    pub fn and(self, names: impl IntoIterator<Item = String>) -> Self {
        let mut more = names.into_iter().peekable();
        if self.all_but || more.peek().is_none() {
            return self;
        }
        Self { one_of: self.one_of.clone(), ..Self::only(self.names.iter().cloned().chain(more)) }
    }

    /// The same, of which this is shown of one organization alone.
    #[must_use]
    pub fn showing(self, one_of: OneOf) -> Self {
        Self { one_of: Some(Arc::new(one_of)), ..self }
    }

    /// The same without `names`.
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

    /// Whether the claim at `path` is shown of one organization of several.
    pub fn is_of_one(&self, path: &str) -> bool {
        let of = |one: &Arc<OneOf>| one.claims.iter().any(|name| covers(name, path) || covers(path, name));
        self.one_of.as_ref().is_some_and(of)
    }

    /// Whether the claim at `path` says which organization is shown.
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
            // Of a claim whose parts are hidden, the whole is not told either.
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
