//! Prints rules and conditions for people.

use std::fmt;

use super::{Condition, Rule, RuleResource};
use crate::domain::grant::Key;

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(pattern) => write!(f, "group = \"{pattern}\""),
            Self::EmailDomain(pattern) => write!(f, "email_domain = \"{pattern}\""),
            Self::Attribute { name, equals } => write!(f, "attribute = \"{name}\", equals = \"{equals}\""),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = |key: &Option<Key>, capture: &str| {
            key.as_ref().map_or_else(|| capture.to_owned(), Key::to_string)
        };
        write!(f, "line {}: {}/", self.line, key(&self.tenant, "{tenant}"))?;
        if let Some(RuleResource { resource, key: instance }) = &self.resource {
            write!(f, "{resource}:{}#", key(instance, "{instance}"))?;
        }
        f.write_str(&key(&self.role, "{role}"))?;
        if self.conditions.is_empty() {
            return f.write_str(" for everyone");
        }
        let conditions: Vec<String> = self.conditions.iter().map(Condition::to_string).collect();
        write!(f, " when {}", conditions.join(", "))
    }
}
