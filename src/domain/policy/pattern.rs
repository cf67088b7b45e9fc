//! A text with captures: `{tenant}/{role}`.

use std::fmt;

use crate::domain::grant::Key;

/// What a pattern captured.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Captures {
    /// What `{tenant}` stood for.
    pub tenant: Option<Key>,
    /// What `{role}` stood for.
    pub role: Option<Key>,
}

impl Captures {
    /// Both together; `None` where they say different things of the same name.
    pub fn join(&self, other: &Self) -> Option<Self> {
        let one = |a: &Option<Key>, b: &Option<Key>| match (a, b) {
            (Some(a), Some(b)) if a != b => None,
            (a, b) => Some(a.clone().or_else(|| b.clone())),
        };
        Some(Self { tenant: one(&self.tenant, &other.tenant)?, role: one(&self.role, &other.role)? })
    }

    fn set(mut self, name: Capture, key: Key) -> Self {
        match name {
            Capture::Tenant => self.tenant = Some(key),
            Capture::Role => self.role = Some(key),
        }
        self
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Capture {
    Tenant,
    Role,
}

impl Capture {
    fn named(name: &str) -> Option<Self> {
        match name {
            "tenant" => Some(Self::Tenant),
            "role" => Some(Self::Role),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Tenant => "{tenant}",
            Self::Role => "{role}",
        }
    }
}

/// A pattern matches the whole value; a capture, only what can be a Permit key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern {
    prefix: String,
    /// Each capture with the literal text behind it; two at most.
    captures: Vec<(Capture, String)>,
}

/// Why a text is no pattern.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidPattern {
    /// Nothing would ever match it.
    #[error("is empty: no identity could match it")]
    Empty,
    /// `{` without `}` or the reverse.
    #[error("has a brace without its partner; captures are {{tenant}} and {{role}}")]
    Brace,
    /// A name other than the two.
    #[error("captures `{{{0}}}`; only {{tenant}} and {{role}} can be captured")]
    UnknownCapture(String),
    /// The same one twice.
    #[error("captures {0} twice")]
    Twice(&'static str),
    /// Nothing tells where the first ends.
    #[error("has two captures side by side; put a text between them, as in {{tenant}}/{{role}}")]
    Adjacent,
}

impl Pattern {
    /// Reads `{tenant}` and `{role}` as captures and the rest as it stands.
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        if text.is_empty() {
            return Err(InvalidPattern::Empty);
        }
        let mut pieces = text.split('{');
        let prefix = pieces.next().unwrap_or_default().to_owned();
        let mut captures: Vec<(Capture, String)> = Vec::new();
        for piece in pieces {
            let (name, literal) = piece.split_once('}').ok_or(InvalidPattern::Brace)?;
            let capture =
                Capture::named(name).ok_or_else(|| InvalidPattern::UnknownCapture(name.to_owned()))?;
            if captures.iter().any(|(seen, _)| *seen == capture) {
                return Err(InvalidPattern::Twice(capture.name()));
            }
            if captures.last().is_some_and(|(_, literal)| literal.is_empty()) {
                return Err(InvalidPattern::Adjacent);
            }
            captures.push((capture, literal.to_owned()));
        }
        if prefix.contains('}') || captures.iter().any(|(_, literal)| literal.contains('}')) {
            return Err(InvalidPattern::Brace);
        }
        Ok(Self { prefix, captures })
    }

    /// The same pattern for values in lower case.
    pub fn to_lowercase(&self) -> Self {
        let captures = self.captures.iter().map(|(c, literal)| (*c, literal.to_lowercase())).collect();
        Self { prefix: self.prefix.to_lowercase(), captures }
    }

    /// Whether it captures the tenant.
    pub fn captures_tenant(&self) -> bool {
        self.captures.iter().any(|(capture, _)| *capture == Capture::Tenant)
    }

    /// Whether it captures the role.
    pub fn captures_role(&self) -> bool {
        self.captures.iter().any(|(capture, _)| *capture == Capture::Role)
    }

    /// The literal text, without the captures.
    pub fn literals(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.prefix.as_str()).chain(self.captures.iter().map(|(_, text)| text.as_str()))
    }

    /// What `value` captures; `None` where it does not match, and also where it matches in two ways
    /// (`a-b-c` as `{tenant}-{role}`): which tenant a person belongs to is never a guess.
    pub fn matches(&self, value: &str) -> Option<Captures> {
        let rest = value.strip_prefix(self.prefix.as_str())?;
        match self.captures.as_slice() {
            [] => rest.is_empty().then(Captures::default),
            [(name, suffix)] => {
                let key = Key::new(rest.strip_suffix(suffix.as_str())?)?;
                Some(Captures::default().set(*name, key))
            }
            [(first, between), (second, suffix), ..] => {
                let rest = rest.strip_suffix(suffix.as_str())?;
                let mut found = rest.char_indices().filter_map(|(at, _)| {
                    let tail = rest[at..].strip_prefix(between.as_str())?;
                    let (a, b) = (Key::new(&rest[..at])?, Key::new(tail)?);
                    Some(Captures::default().set(*first, a).set(*second, b))
                });
                let captures = found.next()?;
                found.next().is_none().then_some(captures)
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.prefix)?;
        self.captures.iter().try_for_each(|(capture, literal)| write!(f, "{}{literal}", capture.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(pattern: &str, value: &str) -> Option<(String, String)> {
        let captures = Pattern::parse(pattern).unwrap().matches(value)?;
        let text = |key: Option<Key>| key.map(|key| key.to_string()).unwrap_or_default();
        Some((text(captures.tenant), text(captures.role)))
    }

    #[track_caller]
    fn captures(pattern: &str, value: &str, tenant: &str, role: &str) {
        assert_eq!(captured(pattern, value), Some((tenant.into(), role.into())), "{pattern} on {value}");
    }

    #[test]
    fn the_whole_value_must_match() {
        captures("admins", "admins", "", "");
        for value in ["admin", "admins2", "xadmins", "Admins", ""] {
            assert_eq!(captured("admins", value), None, "{value}");
        }
    }

    #[test]
    fn captures_take_keys_and_nothing_else() {
        captures("{tenant}/{role}", "acme/editor", "acme", "editor");
        captures("role:{role}@{tenant}!", "role:e-1@a_B!", "a_B", "e-1");
        captures("{tenant}.example.com", "acme.example.com", "acme", "");
        for value in ["acme/", "/editor", "a/b/c", "../..", "ac me/editor", "äcme/editor", "acme"] {
            assert_eq!(captured("{tenant}/{role}", value), None, "{value}");
        }
    }

    #[test]
    fn a_value_that_matches_in_two_ways_does_not_match() {
        captures("{tenant}-{role}", "acme-editor", "acme", "editor");
        assert_eq!(captured("{tenant}-{role}", "acme-corp-editor"), None);
        assert_eq!(captured("{tenant}--{role}", "a---b"), None);
    }

    #[test]
    fn faults_are_named() {
        use InvalidPattern::*;
        let cases = [
            ("", Empty),
            ("{tenant", Brace),
            ("tenant}", Brace),
            ("{tenant}}", Brace),
            ("{org}/x", UnknownCapture("org".into())),
            ("{}", UnknownCapture(String::new())),
            ("{role}/{role}", Twice("{role}")),
            ("{tenant}{role}", Adjacent),
        ];
        for (text, fault) in cases {
            assert_eq!(Pattern::parse(text), Err(fault), "{text}");
        }
    }

    #[test]
    fn a_pattern_prints_as_it_was_written() {
        for text in ["admins", "{tenant}/{role}", "x{role}y"] {
            assert_eq!(Pattern::parse(text).unwrap().to_string(), text);
        }
    }
}
