//! Turns a person's claims at a door into an identity.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::columns::split;
use super::key::user_key;
use super::list::could_be_one;
use super::rejected::Rejected;
use super::test::{Asks, Test, Unclear};
use super::views::{Door, POOL_GROUPS, overage};
use super::{Claims, Forms, ListForm, SourceConfig, Words};
use crate::domain::identity::{
    Email, Evidence, Identity, InvalidIdentity, UserKey, VerifiedEmail, is_clean, readable, trimmed,
};
use crate::domain::names::Names;
use crate::domain::path::{self, values};
use crate::domain::told::Told;

impl SourceConfig {
    /// The person that a user pool's attributes describe, with their groups. `groups` is `None` if they
    /// were not looked up.
    ///
    /// # Errors
    /// As [`SourceConfig::identity`].
    pub fn identity_of_user(
        &self,
        door: &Door,
        attributes: impl IntoIterator<Item = (String, String)>,
        groups: Option<BTreeSet<String>>,
        now: Timestamp,
    ) -> Result<Identity, Rejected> {
        let mut claims: Map<String, Value> =
            attributes.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
        // No attribute of a pool can be this claim: a custom one begins with `custom:`.
        claims.remove(POOL_GROUPS);
        if let Some(groups) = groups {
            claims.insert(POOL_GROUPS.to_owned(), groups.into_iter().collect());
        }
        let mut identity = self.identity(door, claims, now)?;
        identity.attributes.remove(POOL_GROUPS);
        identity.attributes.remove("sub");
        Ok(identity)
    }

    /// The person of these claims, as `door` shows them.
    ///
    /// # Errors
    /// If there is no key that Permit takes, if it is unclear whether the person may sign in, and, in a file,
    /// if a text may hold several groups. Everything else is cleaned or left out.
    pub fn identity(
        &self,
        door: &Door,
        claims: Map<String, Value>,
        now: Timestamp,
    ) -> Result<Identity, Rejected> {
        let forms = &self.forms;
        if let (Door::File(_), Some(path)) = (door, forms.file.hole(&claims)) {
            return Err(Rejected::NotAGroup(path.clone()));
        }
        let record = Record::new(forms, door, claims);
        let at = record.at;
        let (email, verified_email) = record.email(now)?;
        let key = record.key(now)?;
        let enabled = record.may_sign_in(forms, now)?;
        let groups = record.groups()?;
        let (first_name, last_name) = (record.name(&at.first_name), record.name(&at.last_name));
        // A token shows names only if the client asked for them. Without the scope `profile`, everybody
        // would lose theirs.
        let lacks = match door {
            Door::Token(_) => Names::default(),
            Door::Pool | Door::Trigger | Door::File(_) => {
                Names { first: record.lacks(&at.first_name), last: record.lacks(&at.last_name) }
            }
        };
        Ok(Identity {
            tells_email: record.tells_email(),
            told: record.told(),
            plain: record.plain,
            key,
            user_name: None,
            source: self.name.clone(),
            evidence: Evidence::default(),
            email,
            verified_email,
            first_name,
            last_name,
            lacks,
            attributes: record.claims,
            groups: groups.whole.then(|| groups.names.clone()),
            known_groups: if groups.whole { BTreeSet::new() } else { groups.names },
            unsplit_groups: groups.unsplit,
            enabled,
        })
    }
}

impl SourceConfig {
    /// The key of the person with these claims, whatever else is wrong with them.
    ///
    /// # Errors
    /// If there is no key that Permit accepts.
    pub fn key_at(
        &self,
        door: &Door,
        claims: Map<String, Value>,
        now: Timestamp,
    ) -> Result<UserKey, Rejected> {
        Record::new(&self.forms, door, claims).key(now)
    }
}

/// A person's claims, with their lists split.
struct Record<'s> {
    at: &'s Claims,
    is_file: bool,
    claims: Map<String, Value>,
    told: Told,
    /// The paths of texts that are declared to be a single value.
    plain: BTreeSet<String>,
    /// The other names of a file's columns.
    names: &'s BTreeMap<String, Vec<String>>,
    /// Claims that exist but are unknown, for example because the text does not have its declared form.
    hidden: BTreeSet<String>,
    /// Columns that exist but are empty.
    blank: BTreeSet<String>,
}

#[derive(Default)]
struct Groups {
    names: BTreeSet<String>,
    /// Texts that may hold several groups, with the path of each.
    unsplit: BTreeMap<String, String>,
    /// Whether the person has no other groups.
    whole: bool,
}

impl<'s> Record<'s> {
    fn new(forms: &'s Forms, door: &Door, claims: Map<String, Value>) -> Self {
        let told = forms.told(door);
        let is_file = matches!(door, Door::File(_));
        let (mut all, mut blank) = (Map::new(), BTreeSet::new());
        for (name, value) in claims {
            match trimmed(value) {
                Some(value) => drop(all.insert(name, value)),
                None if is_file => drop(blank.insert(name)),
                None => {}
            }
        }
        let mut claims = all;
        let mut hidden = match door {
            Door::Token(_) => overage(&claims),
            _ => BTreeSet::new(),
        };
        let names = &forms.file.names;
        if is_file {
            forms.file_claims(&mut claims, &mut hidden);
            let is_told = |columns: &Vec<String>| columns.iter().any(|column| told.tells(column));
            let renamed: Vec<String> =
                names.iter().filter(|(_, columns)| is_told(columns)).map(|(name, _)| name.clone()).collect();
            let told = told.and(renamed);
            let plain = plain(forms.lists.iter().chain(&forms.file.lists));
            return Self { at: &forms.file.claims, is_file, claims, told, plain, names, hidden, blank };
        }
        for (path, form) in &forms.lists {
            split(&mut claims, path, form, &mut hidden);
        }
        let told = match door {
            Door::Token(_) => forms.tells.shown(told, &claims, &forms.claims.groups),
            _ => told,
        };
        let plain = plain(forms.lists.iter());
        Self { at: &forms.claims, is_file, claims, told, plain, names, hidden, blank }
    }

    fn told(&self) -> Told {
        self.told.clone().hiding(self.hidden.iter().cloned())
    }

    /// Whether an address that is missing or unverified here is so in the directory too.
    fn tells_email(&self) -> bool {
        let told = self.told();
        let is_there = |path: &String| !values(&self.claims, path).is_empty();
        let tells = |path: &String| is_there(path) || told.tells(path);
        if self.at.email.iter().flat_map(|path| values(&self.claims, path)).any(|value| !is_clean(value)) {
            return false;
        }
        (self.at.email.iter().any(is_there) || self.at.email.iter().all(tells))
            && self.at.email_verified.iter().all(|test| tells(&test.path))
    }

    /// The text at the first of these paths that has one.
    fn text(&self, paths: &[String]) -> Option<String> {
        paths.iter().find_map(|path| values(&self.claims, path).into_iter().find_map(one_text))
    }

    /// Whether there is nothing at these paths although the view would show it.
    fn lacks(&self, paths: &[String]) -> bool {
        let told = self.told();
        !paths.is_empty()
            && paths.iter().all(|path| values(&self.claims, path).is_empty() && told.tells(path))
    }

    /// A name that people can read.
    fn name(&self, paths: &[String]) -> Option<String> {
        self.text(paths).as_deref().and_then(readable)
    }

    /// The address, and the same address again if it is verified.
    fn email(&self, now: Timestamp) -> Result<(Option<Email>, Option<VerifiedEmail>), Rejected> {
        let email = self.text(&self.at.email).and_then(|text| Email::new(&text));
        let is_verified = self.is_verified(email.as_ref(), now)?;
        let verified = email.clone().filter(|_| is_verified).map(VerifiedEmail::verified);
        Ok((email, verified))
    }

    fn key(&self, now: Timestamp) -> Result<UserKey, Rejected> {
        let at = self.at;
        let refused = |error| Rejected::Key(error, at.key.clone());
        // An address is a key only if it is verified, and then in lower case.
        let is_email = |path: &String| path == "email" || at.email.contains(path);
        let has_key = |path: &&String| self.text(std::slice::from_ref(*path)).is_some();
        let key = match at.key.iter().find(has_key) {
            None => Err(InvalidIdentity::NoKey),
            Some(path) if is_email(path) => {
                self.email(now)?.1.as_ref().map(VerifiedEmail::folded).ok_or(InvalidIdentity::NoVerifiedEmail)
            }
            Some(path) => self.text(std::slice::from_ref(path)).ok_or(InvalidIdentity::NoKey),
        };
        let key = key.map_err(refused)?;
        user_key(&at.key_prefix, &key, at.key_encoding).map_err(refused)
    }

    fn is_verified(&self, email: Option<&Email>, now: Timestamp) -> Result<bool, Rejected> {
        let email = email.map(Email::as_str);
        for test in &self.at.email_verified {
            // A token says `true`, and Cognito says "true". Any other value proves nothing.
            if !self.is_file && test.asks == Asks::Says {
                let found = values(&self.claims, &test.path);
                let says =
                    |flag: bool, word: &str| found.iter().any(|value| **value == flag || **value == word);
                let is_told =
                    if test.may { says(true, "true") } else { says(false, "false") && !says(true, "true") };
                if is_told {
                    return Ok(true);
                }
                continue;
            }
            // A word for who may sign in says nothing of an address.
            let answer = test.ask(&self.claims, &Words::default(), email, now);
            if answer.map_err(|unclear| rejected(test, &unclear, Rejected::UnclearVerified))? == Some(true) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn may_sign_in(&self, forms: &Forms, now: Timestamp) -> Result<bool, Rejected> {
        let (mut may, mut says_so, mut blank) = (true, false, None);
        for test in &self.at.status {
            let answer = test
                .ask(&self.claims, &forms.words, None, now)
                .map_err(|unclear| rejected(test, &unclear, Rejected::UnknownWord))?;
            may &= answer.unwrap_or(true);
            // An empty `blocked` means that the person is not blocked. An empty `active` may mean
            // anything.
            if test.may && test.asks == Asks::Says {
                says_so |= answer.is_some();
                blank = blank.or(Some(&test.path).filter(|path| self.blank.contains(*path)));
            }
        }
        match blank {
            Some(path) if !says_so && may => Err(Rejected::NoStatus(path.clone())),
            _ => Ok(may),
        }
    }

    fn groups(&self) -> Result<Groups, Rejected> {
        let told = self.told();
        let mut groups = Groups { whole: !self.at.groups.is_empty(), ..Groups::default() };
        for path in &self.at.groups {
            let values = values(&self.claims, path);
            // If the view shows one organization, it shows all groups in it. `told` says that there may
            // be groups in others.
            let is_told = || told.tells(path) || told.is_of_one(path);
            groups.whole &= !self.hidden.contains(path) && (!values.is_empty() || is_told());
            if self.is_file && self.hidden.contains(path) {
                let mut columns = self.names.get(path).into_iter().flatten();
                let column = columns.find(|column| self.hidden.contains(*column)).unwrap_or(path);
                return Err(Rejected::UnsureList(column.clone()));
            }
            if self.is_read_above(path) {
                continue;
            }
            for value in values {
                match value {
                    // The name without its control characters would be a guess.
                    value if !is_clean(value) => groups.whole = false,
                    // If an item were left out, it would look as if the person had left that group.
                    Value::Array(items) => {
                        for item in items {
                            let name = item.as_str().or_else(|| self.name_in(path, item));
                            let name = name.ok_or_else(|| Rejected::NotAGroup(path.clone()))?;
                            groups.names.insert(name.to_owned());
                        }
                    }
                    Value::String(text) if self.plain.contains(path) => {
                        groups.names.insert(text.clone());
                    }
                    Value::String(text) if self.is_file && could_be_one(text) => {
                        return Err(Rejected::UnsureList(path.clone()));
                    }
                    Value::String(text) => {
                        groups.unsplit.insert(text.clone(), path.clone());
                    }
                    _ => return Err(Rejected::NotAGroup(path.clone())),
                }
            }
        }
        Ok(groups)
    }

    /// The name of a group that is an object in the list at `path`, if another path leads to the name:
    /// `groups.display`.
    fn name_in<'v>(&self, path: &str, item: &'v Value) -> Option<&'v str> {
        let members = item.as_object()?;
        let below =
            |other: &String| path::value(members, other.strip_prefix(path)?.strip_prefix('.')?)?.as_str();
        self.at.groups.iter().find_map(below)
    }

    /// Whether `path` leads through a list whose items are read at a shorter path.
    fn is_read_above(&self, path: &str) -> bool {
        self.at.groups.iter().any(|above| {
            path.strip_prefix(above.as_str()).is_some_and(|rest| rest.starts_with('.'))
                && values(&self.claims, above).first().is_some_and(|value| value.is_array())
        })
    }
}

fn plain<'f>(lists: impl Iterator<Item = (&'f String, &'f ListForm)>) -> BTreeSet<String> {
    lists.filter(|(_, form)| **form == ListForm::Text).map(|(path, _)| path.clone()).collect()
}

/// Makes the error for an unclear value. `word` makes it for a word that is neither yes nor no.
fn rejected(test: &Test, unclear: &Unclear, word: fn(String) -> Rejected) -> Rejected {
    match unclear {
        Unclear::Word => word(test.path.clone()),
        Unclear::Time => Rejected::NotATime(test.path.clone()),
    }
}

/// The value as one text: a text, a whole number, or the only item of a list. `None` for a number that is
/// not whole or too large to be exact: one such number has several spellings, and two of them may have
/// the same one.
fn one_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        Value::Array(items) if items.len() == 1 && !items[0].is_array() => one_text(&items[0]),
        _ => None,
    }
}
