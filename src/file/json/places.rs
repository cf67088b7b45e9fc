//! Where the people of a document are looked for.

use serde_json::{Map, Value};

use crate::domain::path;

/// Where lists of people are in a document, whatever the provider.
const PLACES: [&str; 5] = ["value", "Resources", "Users", "users", "data"];

/// Where the people of a document are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::file) enum Places {
    /// In the array at this path, and nowhere else. `[].users`: in those of each item of a document that is
    /// an array.
    At(String),
    /// In an array at one of the usual paths; or the document is an array, or a person.
    Usual {
        /// More such paths.
        more: Vec<String>,
        /// Where a person has a key: an object with one of them is not a document, although it has an empty
        /// array.
        keys: Vec<String>,
    },
}

impl Places {
    /// Whether `object` has people in it, and is not one of them.
    pub(in crate::file) fn are_in(&self, object: &Map<String, Value>) -> bool {
        let is_list = |value: &Value| {
            let items = value.as_array();
            items.is_some_and(|items| {
                items.iter().all(Value::is_object) && !(items.is_empty() && self.is_person(object))
            })
        };
        let goal = Goal::of(self);
        object.iter().any(|(name, value)| match goal.below(name) {
            None => false,
            Some(Goal::Here { .. }) => is_list(value),
            Some(Goal::At(_) | Goal::Usual(_)) => matches!(self, Self::At(_)),
        })
    }

    /// Whether `object` has the key of a person.
    pub(in crate::file) fn is_person(&self, object: &Map<String, Value>) -> bool {
        match self {
            Self::At(_) => false,
            Self::Usual { keys, .. } => keys.iter().any(|key| path::value(object, key).is_some()),
        }
    }
}

/// Where the people may be, seen from a value.
#[derive(Clone, Copy)]
pub(super) enum Goal<'p> {
    /// At a usual place below it, or at one of these.
    Usual(&'p [String]),
    /// At this path below it.
    At(&'p str),
    /// It is the array. `sure`: whatever is in it.
    Here { sure: bool },
}

impl<'p> Goal<'p> {
    pub(super) fn of(places: &'p Places) -> Self {
        match places {
            Places::At(path) => Self::At(path),
            Places::Usual { more, .. } => Self::Usual(more),
        }
    }

    pub(super) fn below(self, name: &str) -> Option<Self> {
        match self {
            Self::Usual(more) if PLACES.contains(&name) || more.iter().any(|path| path == name) => {
                Some(Self::Here { sure: false })
            }
            Self::Usual(more) => more.iter().find_map(|path| Self::At(path).below(name)),
            Self::At(path) if path == name => Some(Self::Here { sure: true }),
            Self::At(path) => path.strip_prefix(name)?.strip_prefix('.').map(Self::At),
            Self::Here { .. } => None,
        }
    }
}
