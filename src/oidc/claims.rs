//! The claims of a verified token.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::domain::source::{SourceConfig, TokenKind};

/// The claims of a token whose signature, issuer, audience and dates have been checked. Only
/// [`Verifier`](super::Verifier) makes them.
///
/// The verifier also checks the claims that limit a token, and refuses wrong types. The source reads all
/// other claims: see [`Claims::identity`].
#[derive(Clone, PartialEq)]
pub struct Claims {
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) kind: TokenKind,
    pub(super) source: Arc<SourceConfig>,
    pub(super) map: Map<String, Value>,
}

impl Claims {
    /// `iss`: exactly as configured.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// `sub`: the person, unique within the issuer; never empty.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    pub fn kind(&self) -> TokenKind {
        self.kind
    }

    /// The source whose directory the person is in.
    pub fn source(&self) -> &Arc<SourceConfig> {
        &self.source
    }

    /// `iat`, else `nbf`: when the token was made. `None` if it has neither.
    pub fn issued_at(&self) -> Option<Timestamp> {
        let date = ["iat", "nbf"].iter().find_map(|name| self.map.get(*name).and_then(Value::as_f64))?;
        // The verifier has checked that dates are in the range of RFC 3339.
        #[expect(clippy::cast_possible_truncation, reason = "of a second, the whole part")]
        Timestamp::from_second(date as i64).ok()
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.map.get(name)
    }
}

impl fmt::Debug for Claims {
    /// Prints nothing about the person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("issuer", &self.issuer)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::source::Sources;

    #[test]
    fn debug_says_nothing_of_the_person() {
        let Value::Object(map) = json!({"email": "ada@example.com", "sub": "s-1"}) else {
            panic!("no object")
        };
        let issuer = "https://issuer.example".to_owned();
        let source = Sources::default().of_any_issuer(&issuer);
        let claims = Claims { issuer, subject: "s-1".into(), kind: TokenKind::Id, source, map };
        assert_eq!(format!("{claims:?}"), r#"Claims { issuer: "https://issuer.example", kind: Id, .. }"#);
    }
}
