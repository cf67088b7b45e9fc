//! The problems of a run, grouped by cause: 1,600 people who lack one tenant are one problem.

use indexmap::IndexMap;
use serde::Serialize;

use crate::permit::Error;
use crate::sync::one::{LeftOut, SyncError};

/// How many users a problem names. The others are only counted.
const NAMED: usize = 20;
/// How many causes are told apart. If each record is wrong in its own words, there is no end of causes.
const CAUSES: usize = 100;

/// Why a person, or a part of one, is not synced, and what to do about it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Cause {
    /// Permit's code, or one in its style.
    pub code: String,
    pub what: String,
    /// What to do. Empty if `what` says it.
    pub remedy: String,
}

/// All who have one problem.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Problem {
    /// Permit's code, or one in its style.
    pub code: String,
    pub what: String,
    #[serde(rename = "do")]
    pub remedy: String,
    /// How many people have it.
    pub count: u64,
    /// The first people who have it.
    pub users: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Problems(IndexMap<(String, String), Problem>);

impl Cause {
    pub fn of_part(part: &LeftOut) -> Self {
        match part {
            // Many roles may lack the same thing.
            LeftOut::Grant { grant: _, missing } => {
                Self { code: part.code().into(), what: missing.to_string(), remedy: missing.remedy().into() }
            }
            _ => Self::of_text(part.code(), &part.to_string(), ""),
        }
    }

    pub fn of_error(error: &SyncError) -> Self {
        if let SyncError::Evidence(refused) = error {
            return Self::of_text(refused.code(), &refused.to_string(), "");
        }
        let remedy = match error {
            SyncError::Unsettled => "run the sync again when no other writer is changing these users",
            SyncError::TooManyGrants(_) => {
                "change the policy so that it grants one person fewer roles on instances"
            }
            SyncError::Permit(Error::Unreadable) => "check this user in Permit: they were left unchanged",
            SyncError::Permit(Error::Rejected { .. }) => {
                "in the directory, correct the fields that Permit names, or remove them from [user] in the policy"
            }
            SyncError::Permit(Error::Conflict { .. } | Error::NotFound) => {
                "run the sync again; if the problem remains, check one of these users in Permit"
            }
            SyncError::Evidence(_) | SyncError::TooSoon => "",
            SyncError::Permit(_) => "run the sync again; if the problem remains, ask Permit's support",
        };
        Self { code: error.code().to_owned(), what: error.to_string(), remedy: remedy.to_owned() }
    }

    /// The cause for a person who left but is not deleted.
    pub fn kept_for_others() -> Self {
        Self {
            code: "FOREIGN_ROLE".into(),
            what: "the person left but is not deleted, because somebody else gave them a role in Permit"
                .into(),
            remedy: "take that role away in Permit, and the next run deletes them; or delete the user there"
                .into(),
        }
    }

    /// The cause for a record that the directory cannot turn into a person. `reason` says what is wrong
    /// and, after a colon, what to do.
    pub fn of_record(reason: &str) -> Self {
        Self::of_text("INVALID_INPUT", reason, "correct the record in the directory")
    }

    /// Splits `text` into what is wrong and, after a colon, what to do. `otherwise` is what to do if the
    /// text does not say.
    fn of_text(code: &str, text: &str, otherwise: &str) -> Self {
        let (what, remedy) = text.split_once(": ").unwrap_or((text, otherwise));
        Self { code: code.into(), what: what.into(), remedy: remedy.into() }
    }
}

impl Problems {
    pub fn add(&mut self, user: &str, cause: Cause) {
        let Cause { code, mut what, remedy } = cause;
        if !self.0.contains_key(&(code.clone(), what.clone())) && self.0.len() >= CAUSES {
            what = masked(&what);
            if !self.0.contains_key(&(code.clone(), what.clone())) && self.0.len() >= 2 * CAUSES {
                "other causes".clone_into(&mut what);
            }
        }
        let new = || Problem { code: code.clone(), what: what.clone(), remedy, count: 0, users: Vec::new() };
        let problem = self.0.entry((code.clone(), what.clone())).or_insert_with(new);
        problem.count += 1;
        if problem.users.len() < NAMED {
            problem.users.push(user.to_owned());
        }
    }

    /// The problems, the most common first.
    pub fn sorted(&self) -> Vec<&Problem> {
        let mut sorted: Vec<&Problem> = self.0.values().collect();
        sorted.sort_by_key(|problem| std::cmp::Reverse(problem.count));
        sorted
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Problems {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.sorted())
    }
}

/// The text with quoted values and numbers masked, because they differ from one record to the next.
fn masked(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut quote = None;
    for character in text.chars() {
        match quote {
            Some(open) if character != open => {}
            Some(_) => {
                quote = None;
                masked.push_str("...");
                masked.push(character);
            }
            None if matches!(character, '`' | '"') => {
                quote = Some(character);
                masked.push(character);
            }
            None if character.is_ascii_digit() => {
                if !masked.ends_with('N') {
                    masked.push('N');
                }
            }
            None => masked.push(character),
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::domain::grant::Key;

    #[test]
    fn one_cause_is_one_problem_and_the_greatest_comes_first() {
        let mut problems = Problems::default();
        problems.add("a", Cause::of_record("the record has no `sub`"));
        for n in 0..1_600 {
            let missing = crate::sync::catalog::Missing::Tenant(Key::new("nosuch").unwrap());
            let grant = format!("nosuch/r{n}").parse().unwrap();
            problems.add(&format!("u{n}"), Cause::of_part(&LeftOut::Grant { grant, missing }));
        }
        let told = serde_json::to_value(&problems).unwrap();
        assert_eq!(told[0]["count"], 1_600);
        assert_eq!(told[0]["users"].as_array().unwrap().len(), NAMED);
        assert_eq!(told[0]["what"], "the tenant `nosuch` does not exist in Permit");
        assert!(told[0]["do"].as_str().unwrap().contains("create it"), "{told}");
        assert_eq!(
            told[1],
            json!({"code": "INVALID_INPUT", "what": "the record has no `sub`",
                   "do": "correct the record in the directory", "count": 1, "users": ["a"]})
        );
    }

    #[test]
    fn a_million_different_reasons_are_a_few_problems() {
        let mut problems = Problems::default();
        for n in 0..10_000 {
            problems.add("u", Cause::of_record(&format!("`v{n}` is not a status: write \"x{n}\"")));
        }
        let sorted = problems.sorted();
        assert_eq!(sorted[0].what, "`...` is not a status");
        assert_eq!(sorted[0].count, 10_000 - CAUSES as u64);
        assert!(sorted.len() <= CAUSES + 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
        #[test]
        fn nobody_is_lost_in_the_groups(reasons in prop::collection::vec("[a-c`\"0-9: ]{0,8}", 0..600)) {
            let mut problems = Problems::default();
            for reason in &reasons {
                problems.add("u", Cause::of_record(reason));
            }
            let counted: u64 = problems.sorted().iter().map(|problem| problem.count).sum();
            prop_assert_eq!(counted, reasons.len() as u64);
            prop_assert!(problems.sorted().len() <= 2 * CAUSES + 1);
        }
    }
}
