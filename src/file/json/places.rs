//! Where to look for the people of a document.

use serde_json::{Map, Value};

use crate::domain::path;

/// Where lists of people are, for any provider.
const PLACES: [&str; 5] = ["value", "Resources", "Users", "users", "data"];

/// Where the people of a document are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::file) enum Places {
    /// In the array at this path only. `[].users` means in each item of a document that is an array.
    At(String),
    /// In an array at one of the usual paths, or the document itself is an array or a person.
    Usual {
        /// More paths, beside the usual ones.
        more: Vec<String>,
        /// Paths of a person's key. An object with one of them is a person, even if it also has an empty
        /// array at a usual path.
        keys: Vec<String>,
    },
}

impl Places {
    /// Whether `object` is a document with people in it, rather than a person.
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

/// Where the people can be, relative to a value.
#[derive(Clone, Copy)]
pub(super) enum Goal<'p> {
    /// At a usual place below the value, or at one of these paths.
    Usual(&'p [String]),
    /// At this path below the value.
    At(&'p str),
    /// The value is the array. `sure` if it counts whatever it contains.
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
