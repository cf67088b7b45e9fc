//! What Permit knows about a user, and which part of it is ours.

use std::collections::BTreeSet;
use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::grant::Grant;
use super::identity::{Email, Source, UserKey};
use super::names::Names;
use super::redacted_debug;

/// The name of the one attribute that belongs to this project.
pub const LEDGER: &str = "handoff";

/// The attribute `handoff` of a Permit user: what this project made, and so may take back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ledger {
    /// The directory that vouches for the user.
    pub source: Source,
    /// The role assignments that this project made. It revokes these and no others.
    pub grants: BTreeSet<Grant>,
    /// Since when the user has been missing from the directory.
    pub missing_since: Option<Timestamp>,
    /// The time of the evidence that last changed something. Older evidence changes nothing. `None` if
    /// the ledger does not say.
    pub as_of: Option<Timestamp>,
    /// Whether the user existed in Permit before this project knew them. Such a user is never deleted.
    pub adopted: bool,
    /// Whether the address is unverified: its verified owner may take it over. Written as
    /// `"email_verified": false`.
    pub email_unverified: bool,
    /// The address that Permit refused last: it is not tried again.
    pub refused_email: Option<RefusedEmail>,
    /// The names that this project wrote. It clears these and no others.
    pub names: Names,
}

/// An address that Permit refused, and why. Only a hash of the address is kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct RefusedEmail {
    pub why: WhyRefused,
    hash: u64,
}

/// Why Permit refuses an address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum WhyRefused {
    /// Another user has it.
    Taken,
    /// Permit does not accept an address of this form.
    Form,
}

impl RefusedEmail {
    pub fn new(why: WhyRefused, email: &Email) -> Self {
        let hash = digest(&SHA256, email.normal().as_bytes());
        Self { why, hash: hash.as_ref().iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte)) }
    }

    /// Reads its text in the ledger.
    fn read(text: &str) -> Option<Self> {
        let (why, hash) = text.split_once(':')?;
        let why = match why {
            "taken" => WhyRefused::Taken,
            "form" => WhyRefused::Form,
            _ => return None,
        };
        Some(Self { why, hash: u64::from_str_radix(hash, 16).ok()? })
    }

    /// Whether `email` is the refused address.
    pub fn is(&self, email: &Email) -> bool {
        *self == Self::new(self.why, email)
    }
}

/// The text in the ledger: `taken:0123456789abcdef`.
impl fmt::Display for RefusedEmail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            WhyRefused::Taken => "taken",
            WhyRefused::Form => "form",
        };
        write!(f, "{why}:{:016x}", self.hash)
    }
}

impl Ledger {
    /// Reads the attribute. Skips a text that is not a grant, because it is not ours. `None` if the value
    /// is not a ledger.
    fn read(value: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let grants = value.get("grants").and_then(Value::as_array)?;
        Some(Self {
            source: Source::named(value.get("source").and_then(Value::as_str)?),
            grants: grants.iter().filter_map(text).filter_map(|grant| grant.parse().ok()).collect(),
            missing_since: value.get("missing_since").and_then(text).and_then(|time| time.parse().ok()),
            as_of: value.get("as_of").and_then(text).and_then(|time| time.parse().ok()),
            adopted: value.get("adopted").and_then(Value::as_bool).unwrap_or(false),
            email_unverified: value.get("email_verified").and_then(Value::as_bool) == Some(false),
            names: Names::read(value.get("names")),
            refused_email: value.get("refused_email").and_then(Value::as_str).and_then(RefusedEmail::read),
        })
    }

    pub fn to_value(&self) -> Value {
        let Self { source, grants, missing_since, as_of, adopted, email_unverified, refused_email, names } =
            self;
        let mut members = Map::new();
        members.insert("source".into(), source.as_str().into());
        members.insert("grants".into(), grants.iter().map(Grant::to_string).collect());
        if let Some(time) = missing_since {
            members.insert("missing_since".into(), time.to_string().into());
        }
        if let Some(time) = as_of {
            members.insert("as_of".into(), time.to_string().into());
        }
        if *adopted {
            members.insert("adopted".into(), true.into());
        }
        if *email_unverified {
            members.insert("email_verified".into(), false.into());
        }
        if let Some(refused) = refused_email {
            members.insert("refused_email".into(), refused.to_string().into());
        }
        if !names.is_none() {
            members.insert("names".into(), names.to_value());
        }
        Value::Object(members)
    }
}

/// What Permit knows of one user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    pub key: UserKey,
    pub email: Option<Email>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    /// The attributes without the ledger: those of the policy, and those of others.
    #[serde(with = "as_text")]
    pub attributes: Map<String, Value>,
    /// The ledger. If `None`, nothing about this user is ours.
    pub ledger: Option<Ledger>,
    /// The role assignments, whoever made them. Those on resource instances only if they were read.
    pub roles: BTreeSet<Grant>,
    /// When the user last changed, whoever changed them, by Permit's clock. `None` if Permit did not say.
    #[serde(skip)]
    pub updated_at: Option<Timestamp>,
}

/// JSON as a text, for serialization formats that do not describe themselves.
pub(super) mod as_text {
    use serde::de::DeserializeOwned;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

    pub(in crate::domain) fn serialize<S: Serializer>(
        value: &impl Serialize,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        serde_json::to_string(value).map_err(ser::Error::custom)?.serialize(to)
    }

    pub(in crate::domain) fn deserialize<'de, D: Deserializer<'de>, T: DeserializeOwned>(
        from: D,
    ) -> Result<T, D::Error> {
        serde_json::from_str(&String::deserialize(from)?).map_err(de::Error::custom)
    }
}

redacted_debug!(Facts);

impl Facts {
    /// Splits the ledger from the `attributes` that Permit returned.
    pub fn new(
        key: UserKey,
        email: Option<&str>,
        first_name: Option<String>,
        last_name: Option<String>,
        mut attributes: Map<String, Value>,
        roles: BTreeSet<Grant>,
    ) -> Self {
        let ledger = attributes.remove(LEDGER).as_ref().and_then(Ledger::read);
        let email = email.filter(|text| !text.is_empty()).map(Email::as_returned);
        Self { key, email, first_name, last_name, attributes, ledger, roles, updated_at: None }
    }

    /// Corrects times in the ledger that are after `latest` and so in the future: a clock was ahead.
    /// `updated_at` takes their place, because evidence is not newer than the write that it caused. If
    /// `updated_at` is unknown or too late itself, they are dropped.
    #[must_use]
    pub fn not_after(mut self, latest: Timestamp) -> Self {
        let noted = self.updated_at.filter(|noted| *noted <= latest);
        if let Some(Ledger { as_of, missing_since, .. }) = &mut self.ledger {
            for time in [as_of, missing_since] {
                if time.is_some_and(|time| time > latest) {
                    *time = noted;
                }
            }
        }
        self
    }

    /// Whether the user may have this role. Always true for a role on a resource instance: Permit lists
    /// those by pages, which shift while they are read, so a role that was not seen may still exist.
    pub fn may_have(&self, grant: &Grant) -> bool {
        grant.instance.is_some() || self.roles.contains(grant)
    }

    /// Those of `grants` that the user has and that the ledger does not name.
    pub fn unowned(&self, grants: &BTreeSet<Grant>) -> BTreeSet<Grant> {
        let named = |grant: &Grant| self.ledger.as_ref().is_some_and(|ledger| ledger.grants.contains(grant));
        grants.iter().filter(|grant| self.roles.contains(*grant) && !named(grant)).cloned().collect()
    }

    /// The role assignments that the ledger does not name: others made them, or a writer of ours that was
    /// cut off.
    pub fn all_unowned(&self) -> BTreeSet<Grant> {
        self.unowned(&self.roles)
    }

    /// Whether the user has a ledger, and it names `source`.
    pub fn is_owned_by(&self, source: &Source) -> bool {
        self.ledger.as_ref().is_some_and(|ledger| ledger.source == *source)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn facts(handoff: Value) -> Facts {
        let attributes = json!({"plan": "pro", "handoff": handoff});
        let Value::Object(attributes) = attributes else { unreachable!() };
        Facts::new(UserKey::new("u1").unwrap(), Some(""), None, None, attributes, BTreeSet::new())
    }

    #[test]
    fn the_ledger_is_written_as_it_is_read() {
        let value = json!({"source": "eu-west-1_abc", "grants": ["acme/editor", "default/viewer"]});
        let facts = facts(value.clone());
        assert_eq!(facts.ledger.as_ref().unwrap().to_value(), value);
        assert_eq!(facts.attributes.keys().collect::<Vec<_>>(), ["plan"]);
        assert!(facts.email.is_none());
    }

    #[test]
    fn a_user_is_owned_by_the_source_that_the_ledger_names() {
        let owned = facts(json!({"source": "eu-west-1_abc", "grants": []}));
        assert!(owned.is_owned_by(&Source::named("eu-west-1_abc")));
        assert!(!owned.is_owned_by(&Source::named("eu-west-1_other")));
        assert!(!facts(json!(null)).is_owned_by(&Source::named("eu-west-1_abc")));
    }

    #[test]
    fn a_mark_survives() {
        let value = json!({"source": "p", "grants": [], "missing_since": "2026-11-24T08:00:00Z", "as_of": "2026-11-24T08:00:00.123Z", "adopted": true, "email_verified": false,
            "refused_email": "taken:00ff00ff00ff00ff", "names": ["last_name"]});
        assert_eq!(facts(value.clone()).ledger.unwrap().to_value(), value);
    }

    #[test]
    fn what_is_no_ledger_says_nothing() {
        for value in [
            json!(null),
            json!("x"),
            json!([]),
            json!({}),
            json!({"source": 1, "grants": []}),
            json!({"source": "p"}),
        ] {
            assert!(facts(value.clone()).ledger.is_none(), "{value}");
        }
        let odd = facts(json!({"source": "p", "grants": ["a/b", 7, "nonsense", "x/y/z"], "more": 1}));
        assert_eq!(odd.ledger.unwrap().grants, BTreeSet::from(["a/b".parse().unwrap()]));
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_time_in_the_future_is_when_permit_noted_the_last_change() {
        let (before, now, future) = (at(1_000), at(2_000), at(90_000));
        let ledger = json!({"source": "p", "grants": [], "as_of": future.to_string(), "missing_since": future.to_string()});
        for (noted, expected) in [(Some(before), Some(before)), (Some(at(99_000)), None), (None, None)] {
            let facts = Facts { updated_at: noted, ..facts(ledger.clone()) }.not_after(now);
            let ledger = facts.ledger.unwrap();
            assert_eq!((ledger.as_of, ledger.missing_since), (expected, expected), "{noted:?}");
        }
        let past = json!({"source": "p", "grants": [], "as_of": before.to_string()});
        assert_eq!(facts(past).not_after(now).ledger.unwrap().as_of, Some(before));
    }

    proptest::proptest! {
        /// Whatever clock wrote the ledger: evidence that is read from now on is not older than it.
        #[test]
        fn no_ledger_keeps_later_evidence_from_counting(
            as_of in 0_i64..10_000, missing in proptest::option::of(0_i64..10_000), noted in proptest::option::of(0_i64..10_000),
            now in 0_i64..10_000,
        ) {
            let mut ledger = json!({"source": "p", "grants": [], "as_of": at(as_of).to_string()});
            if let Some(missing) = missing {
                ledger["missing_since"] = json!(at(missing).to_string());
            }
            let facts = Facts { updated_at: noted.map(at), ..facts(ledger) }.not_after(at(now));
            let Ledger { as_of: bounded, missing_since, .. } = facts.ledger.unwrap();
            proptest::prop_assert!(bounded.is_none_or(|time| time <= at(now)) && missing_since.is_none_or(|time| time <= at(now)));
            // A time in the past stays as it was.
            proptest::prop_assert!(as_of > now || bounded == Some(at(as_of)));
        }
    }
}
