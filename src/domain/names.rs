//! Says which of a person's two names are meant.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The first name, the last name, or both.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
pub struct Names {
    pub first: bool,
    pub last: bool,
}

impl Names {
    const FIRST: &str = "first_name";
    const LAST: &str = "last_name";

    /// Whether neither name is meant.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    pub(super) fn read(value: Option<&Value>) -> Self {
        let has = |name| value.and_then(Value::as_array).is_some_and(|names| names.iter().any(|n| n == name));
        Self { first: has(Self::FIRST), last: has(Self::LAST) }
    }

    pub(super) fn to_value(self) -> Value {
        let names = [(self.first, Self::FIRST), (self.last, Self::LAST)];
        names.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect()
    }
}
