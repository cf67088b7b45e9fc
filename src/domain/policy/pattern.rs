//! A text with captures: `{tenant}/{role}`, `{instance}`.

use std::fmt;

use crate::domain::grant::Key;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Captures {
    /// What `{tenant}` stood for.
    pub tenant: Option<Key>,
    /// What `{role}` stood for.
    pub role: Option<Key>,
    /// What `{instance}` stood for.
    pub instance: Option<Key>,
}

impl Captures {
    /// Both together. `None` if they have different values for the same name.
    pub fn join(&self, other: &Self) -> Option<Self> {
        let one = |a: &Option<Key>, b: &Option<Key>| match (a, b) {
            (Some(a), Some(b)) if a != b => None,
            (a, b) => Some(a.clone().or_else(|| b.clone())),
        };
        Some(Self {
            tenant: one(&self.tenant, &other.tenant)?,
            role: one(&self.role, &other.role)?,
            instance: one(&self.instance, &other.instance)?,
        })
    }

    fn set(mut self, name: Capture, key: Key) -> Self {
        match name {
            Capture::Tenant => self.tenant = Some(key),
            Capture::Role => self.role = Some(key),
            Capture::Instance => self.instance = Some(key),
        }
        self
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Capture {
    Tenant,
    Role,
    Instance,
}

impl Capture {
    fn named(name: &str) -> Option<Self> {
        match name {
            "tenant" => Some(Self::Tenant),
            "role" => Some(Self::Role),
            "instance" => Some(Self::Instance),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Tenant => "{tenant}",
            Self::Role => "{role}",
            Self::Instance => "{instance}",
        }
    }
}

/// Matches a whole value. A capture matches only a valid Permit key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern {
    prefix: String,
    /// Each capture with the literal text behind it.
    captures: Vec<(Capture, String)>,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidPattern {
    #[error("is empty: no identity could match it")]
    Empty,
    #[error("has a brace without its partner; captures are {{tenant}}, {{role}} and {{instance}}")]
    Brace,
    #[error("captures `{{{0}}}`; only {{tenant}}, {{role}} and {{instance}} can be captured")]
    UnknownCapture(String),
    #[error("captures {0} twice")]
    Twice(&'static str),
    /// Two side by side: it is unclear where the first one ends.
    #[error("has two captures side by side; put a text between them, as in {{tenant}}/{{role}}")]
    Adjacent,
}

impl Pattern {
    /// Reads `{tenant}`, `{role}` and `{instance}` as captures, and the rest literally.
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

    pub fn has_captures(&self) -> bool {
        !self.captures.is_empty()
    }

    pub fn captures(&self, what: Capture) -> bool {
        self.captures.iter().any(|(capture, _)| *capture == what)
    }

    pub fn literals(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.prefix.as_str()).chain(self.captures.iter().map(|(_, text)| text.as_str()))
    }

    /// What `value` captures. `None` if it does not match, or if it matches in two ways (`a-b-c` as
    /// `{tenant}-{role}`): a person's tenant is never guessed.
    pub fn matches(&self, value: &str) -> Option<Captures> {
        let rest = value.strip_prefix(self.prefix.as_str())?;
        let mut ways = Vec::new();
        ways_to_match(&self.captures, rest, Captures::default(), &mut ways);
        if ways.len() == 1 { ways.pop() } else { None }
    }
}

/// Adds to `ways` each way in which `captures` match `value`. Stops after two, because the match is then
/// ambiguous.
fn ways_to_match(captures: &[(Capture, String)], value: &str, so_far: Captures, ways: &mut Vec<Captures>) {
    match captures {
        [] if value.is_empty() => ways.push(so_far),
        [] => {}
        [(name, literal)] => {
            if let Some(key) = value.strip_suffix(literal.as_str()).and_then(Key::new) {
                ways.push(so_far.set(*name, key));
            }
        }
        [(name, literal), behind @ ..] => {
            // `match_indices` would skip a place that overlaps the one before.
            let places = value.char_indices().take(Key::MAX + 1);
            for (at, _) in places.filter(|(at, _)| value[*at..].starts_with(literal.as_str())) {
                if ways.len() > 1 {
                    return;
                }
                if let Some(key) = Key::new(&value[..at]) {
                    let so_far = so_far.clone().set(*name, key);
                    ways_to_match(behind, &value[at + literal.len()..], so_far, ways);
                }
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
        captures("{tenant}/{instance}/{role}", "acme/apollo/editor", "acme", "editor");
        for value in ["acme/", "/editor", "a/b/c", "../..", "ac me/editor", "äcme/editor", "acme"] {
            assert_eq!(captured("{tenant}/{role}", value), None, "{value}");
        }
    }

    #[test]
    fn an_instance_is_captured_beside_the_other_two() {
        let captures = Pattern::parse("{tenant}/{instance}/{role}").unwrap().matches("acme/apollo/editor");
        assert_eq!(captures.unwrap().instance, Key::new("apollo"));
        for value in ["acme/apollo", "acme/apollo/", "acme//editor", "acme/a/b/editor", "a/b/c/d"] {
            assert_eq!(captured("{tenant}/{instance}/{role}", value), None, "{value}");
        }
    }

    #[test]
    fn a_value_that_matches_in_two_ways_does_not_match() {
        captures("{tenant}-{role}", "acme-editor", "acme", "editor");
        assert_eq!(captured("{tenant}-{role}", "acme-corp-editor"), None);
        assert_eq!(captured("{tenant}--{role}", "a---b"), None);
        captures("{tenant}-{instance}-{role}", "a-b-c", "a", "c");
        assert_eq!(captured("{tenant}-{instance}-{role}", "a-b-c-d"), None);
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
        for text in ["admins", "{tenant}/{role}", "x{role}y", "{instance}"] {
            assert_eq!(Pattern::parse(text).unwrap().to_string(), text);
        }
    }

    proptest::proptest! {
        /// A value that was put together from keys is taken apart into them, unless another way fits too.
        #[test]
        fn what_is_captured_makes_up_the_value(value in "[a-c/-]{1,9}", between in "[/-]{1,2}", end in "[/-]{0,1}") {
            let pattern = Pattern::parse(&format!("{{tenant}}{between}{{instance}}{between}{{role}}{end}")).unwrap();
            let keys = |cut: (usize, usize)| {
                let rest = value.get(cut.0..cut.1)?.strip_prefix(between.as_str())?;
                let tail = value.get(cut.1..)?.strip_prefix(between.as_str())?.strip_suffix(end.as_str())?;
                Some((Key::new(value.get(..cut.0)?)?, Key::new(rest)?, Key::new(tail)?))
            };
            let cuts = (0..value.len()).flat_map(|first| (first..value.len()).map(move |second| (first, second)));
            let ways: Vec<_> = cuts.filter_map(keys).collect();
            let captured = pattern.matches(&value).map(|captures| {
                (captures.tenant.unwrap(), captures.instance.unwrap(), captures.role.unwrap())
            });
            let expected = if let [way] = ways.as_slice() { Some(way.clone()) } else { None };
            proptest::prop_assert_eq!(captured, expected);
        }
    }
}
