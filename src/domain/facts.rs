//! What Permit knows of a user, and which of it is ours.

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

/// The name of the one attribute that is this project's own.
pub const LEDGER: &str = "handoff";

/// The attribute `handoff` of a Permit user: what this project made, and so may take back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ledger {
    /// The directory that vouches for the user.
    pub source: Source,
    /// The role assignments that this project made. Those it revokes, and those alone.
    pub grants: BTreeSet<Grant>,
    /// Since when the user has been missing from the directory.
    pub missing_since: Option<Timestamp>,
    /// The time of the evidence that last changed something; `None`: the ledger does not say. Older evidence
    /// changes nothing.
    pub as_of: Option<Timestamp>,
    /// The user stood in Permit before this project knew them, and so is never deleted.
    pub adopted: bool,
    /// Nobody has proven that the address is theirs: its verified owner may have it. Written as
    /// `"email_verified": false`.
    pub email_unverified: bool,
    /// The address that Permit refused last: it is not tried again.
    pub refused_email: Option<RefusedEmail>,
    /// The names that this project wrote. Those it clears, and those alone.
    pub names: Names,
}

/// An address that Permit refused, and why. Which one it was is told by its hash alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct RefusedEmail {
    /// Why.
    pub why: WhyRefused,
    hash: u64,
}

/// Why Permit refuses an address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum WhyRefused {
    /// Another user has it.
    Taken,
    /// Permit takes nothing for an address that looks so.
    Form,
}

impl RefusedEmail {
    /// Permit refused `email`.
    pub fn new(why: WhyRefused, email: &Email) -> Self {
        let hash = digest(&SHA256, email.normal().as_bytes());
        Self { why, hash: hash.as_ref().iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte)) }
    }

    /// From its text in the ledger.
    fn read(text: &str) -> Option<Self> {
        let (why, hash) = text.split_once(':')?;
        let why = match why {
            "taken" => WhyRefused::Taken,
            "form" => WhyRefused::Form,
            _ => return None,
        };
        Some(Self { why, hash: u64::from_str_radix(hash, 16).ok()? })
    }

    /// Whether it is this one.
    pub fn is(&self, email: &Email) -> bool {
        *self == Self::new(self.why, email)
    }
}

/// As in the ledger: `taken:0123456789abcdef`.
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
    /// Reads the attribute. A grant that is no `tenant/role` is none of ours; a value that is not a ledger
    /// at all says nothing.
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

    /// The attribute's value.
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
    /// The user's key.
    pub key: UserKey,
    /// The address.
    pub email: Option<Email>,
    /// The first name.
    pub first_name: Option<String>,
    /// The last name.
    pub last_name: Option<String>,
    /// The attributes but for the ledger: the policy's, and everybody else's.
    #[serde(with = "as_text")]
    pub attributes: Map<String, Value>,
    /// The ledger; `None`: nothing of this user is ours.
    pub ledger: Option<Ledger>,
    /// The role assignments in tenants, made by anybody.
    pub roles: BTreeSet<Grant>,
    /// When anybody last changed the user, by Permit's clock; `None`: Permit did not say.
    #[serde(skip)]
    pub updated_at: Option<Timestamp>,
}

/// JSON as a text, for a form whose reader cannot tell what comes next.
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
    /// Takes the ledger out of `attributes`, as Permit returns them.
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

    /// The same, without times in the ledger after `latest`, which lies in the future: they are of a clock
    /// that was ahead. When Permit noted the user's last change stands in for them, since evidence is not a
    /// newer than what it led to.
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

    /// Whether the user has this role, as far as was read. Roles on resource instances are listed by pages,
    /// which shift while they are read: that one was not seen does not prove that it is gone.
    pub fn may_have(&self, grant: &Grant) -> bool {
        grant.instance.is_some() || self.roles.contains(grant)
    }

    /// Those of `grants` that stand and that no ledger names.
    pub fn unowned(&self, grants: &BTreeSet<Grant>) -> BTreeSet<Grant> {
        let named = |grant: &Grant| self.ledger.as_ref().is_some_and(|ledger| ledger.grants.contains(grant));
        grants.iter().filter(|grant| self.roles.contains(*grant) && !named(grant)).cloned().collect()
    }

    /// The role assignments that no ledger names: somebody else's, or what a writer left who was cut off.
    pub fn all_unowned(&self) -> BTreeSet<Grant> {
        self.unowned(&self.roles)
    }

    /// Whether this project made the user on the word of `source`.
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
            // What lies in the past is as it was, and what does not is not an older than what it led to.
            proptest::prop_assert!(as_of > now || bounded == Some(at(as_of)));
        }
    }
}
