//! Faults in the attributes of a person that the policy would use. The operator gets them person by
//! person.

use std::collections::BTreeSet;

use super::Policy;
use super::attribute::{CopiedAttribute, Copy, Kind};
use crate::domain::identity::Identity;

/// A part of a person that cannot decide anything. It contains no value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
pub enum Flaw {
    #[error(
        "the attribute {0} has control characters: it is not copied, and no role is granted or taken away by it; \
         correct it in the directory"
    )]
    Unclean(String),
    #[error(
        "the attribute {name} is not of the type {kind}: it is not copied, and what Permit has stays; correct it in the \
         directory, or its `type` in [user] of the policy"
    )]
    NotOfItsType {
        /// The directory's name for the attribute.
        name: String,
        kind: Kind,
    },
    #[error(
        "{0} may hold several values in one text: no role is granted or taken away by what a part of it says; say how they \
         are written, as in [source.lists] \"{0}\" = \"brackets\" or \",\", or that it is one text, \"{0}\" = \"text\""
    )]
    UndeclaredList(String),
}

impl Flaw {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unclean(_) => "CONTROL_CHARACTERS",
            Self::NotOfItsType { .. } => "WRONG_TYPE",
            Self::UndeclaredList(_) => "UNDECLARED_LIST",
        }
    }
}

impl Policy {
    /// What the policy would use of the person, and cannot.
    pub fn flaws(&self, identity: &Identity) -> BTreeSet<Flaw> {
        let unclean = identity.unclean().filter(|name| self.uses_attribute(name));
        let wrong = |attribute: &CopiedAttribute| match attribute.of(identity) {
            Copy::NotOfItsType(kind) => Some(Flaw::NotOfItsType { name: attribute.from.clone(), kind }),
            Copy::Is(_) | Copy::Untold => None,
        };
        let conditions = self.rules.iter().flat_map(|rule| &rule.conditions);
        let lists = conditions.flat_map(|condition| condition.undeclared_lists(identity));
        let unclean = unclean.map(|name| Flaw::Unclean(name.to_owned()));
        let lists = lists.map(|name| Flaw::UndeclaredList(name.to_owned()));
        unclean.chain(self.attributes.iter().filter_map(wrong)).chain(lists).collect()
    }
}
