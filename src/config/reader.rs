//! Reads variables and collects what is wrong with them.

use std::fmt;
use std::fs;

use crate::domain::policy::{Fault, Policy};
use crate::domain::table::Faults;
use crate::oidc::Issuers;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SettingFault {
    /// The setting at fault, or several, separated by `, `.
    pub settings: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

/// Everything that is wrong with the settings, one line each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InvalidSettings(pub Vec<SettingFault>);

impl std::error::Error for InvalidSettings {}

impl fmt::Display for InvalidSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("some settings (environment variables) are wrong; correct them and start again:")?;
        self.0
            .iter()
            .try_for_each(|SettingFault { settings, message }| write!(f, "\n- {settings}: {message}"))
    }
}

/// Builds settings: all of them, or every fault.
///
/// `build` reads every variable before it uses `?`, so that no fault hides another.
pub(super) fn read<T>(
    lookup: &dyn Fn(&str) -> Option<String>,
    build: impl FnOnce(&mut Reader<'_>) -> Option<T>,
) -> Result<T, InvalidSettings> {
    let mut reader = Reader::new(lookup);
    match build(&mut reader) {
        Some(settings) if reader.faults.is_empty() => Ok(settings),
        _ => Err(InvalidSettings(reader.faults)),
    }
}

/// An optional setting.
pub(super) enum Setting<T> {
    Unset,
    /// Set but invalid. The fault is recorded.
    Wrong,
    Is(T),
}

impl<T> Setting<T> {
    pub(super) fn is_set(&self) -> bool {
        !matches!(self, Self::Unset)
    }

    pub(super) fn value(self) -> Option<T> {
        match self {
            Self::Unset | Self::Wrong => None,
            Self::Is(value) => Some(value),
        }
    }

    pub(super) fn map<U>(self, f: impl FnOnce(T) -> U) -> Setting<U> {
        match self {
            Self::Unset => Setting::Unset,
            Self::Wrong => Setting::Wrong,
            Self::Is(value) => Setting::Is(f(value)),
        }
    }
}

pub(super) struct Reader<'l> {
    lookup: &'l dyn Fn(&str) -> Option<String>,
    faults: Vec<SettingFault>,
    /// The issuers of the policy. `None` until a valid policy was read.
    pub(super) issuers: Option<Issuers>,
}

impl<'l> Reader<'l> {
    pub(super) fn new(lookup: &'l dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup, faults: Vec::new(), issuers: None }
    }

    pub(super) fn fault(&mut self, settings: &'static str, message: impl Into<String>) {
        self.faults.push(SettingFault { settings, message: message.into() });
    }

    fn text(&self, name: &str) -> Option<String> {
        let text = (self.lookup)(name)?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    pub(super) fn parsed<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Setting<T> {
        let Some(text) = self.text(name) else { return Setting::Unset };
        match parse(&text) {
            Ok(value) => Setting::Is(value),
            Err(message) => {
                self.fault(name, message);
                Setting::Wrong
            }
        }
    }

    /// `None` if invalid. The fault is recorded.
    pub(super) fn parsed_or<T>(
        &mut self,
        name: &'static str,
        default: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(name).unwrap_or_else(|| default.to_owned());
        parse(&text).map_err(|message| self.fault(name, message)).ok()
    }

    /// One of these words; the first is the default. `None` if it is another word, which is noted as a
    /// fault.
    pub(super) fn one_of<T: Copy>(&mut self, name: &'static str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(name).unwrap_or_else(|| words[0].0.to_owned());
        let known = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if known.is_none() {
            let words: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            self.fault(name, format!("`{text}` is not valid: use {}", words.join(" or ")));
        }
        known
    }

    /// `None` if missing or invalid. The fault is recorded.
    pub(super) fn required<T>(
        &mut self,
        name: &'static str,
        what_to_do: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let parsed = self.parsed(name, parse);
        if !parsed.is_set() {
            self.fault(name, format!("not set: {what_to_do}"));
        }
        parsed.value()
    }

    /// Records a fault unless exactly one of two settings is set.
    pub(super) fn exactly_one(
        &mut self,
        (one, one_is_set): (&'static str, bool),
        (other, other_is_set): (&'static str, bool),
        what_to_do: &str,
    ) {
        if one_is_set && other_is_set {
            self.fault(one, format!("{other} is set too: only one of the two may be; unset the other"));
        }
        if !one_is_set && !other_is_set {
            self.fault(one, format!("neither this nor {other} is set: {what_to_do}"));
        }
    }

    /// `HANDOFF_POLICY` or the file that `HANDOFF_POLICY_FILE` names.
    pub(super) fn policy(&mut self) -> Option<Policy> {
        let (text, file) = ("HANDOFF_POLICY", "HANDOFF_POLICY_FILE");
        // Not trimmed: the faults count lines from the policy's first line.
        let inline = (self.lookup)(text).filter(|policy| !policy.trim().is_empty());
        let path = self.text(file);
        self.exactly_one(
            (text, inline.is_some()),
            (file, path.is_some()),
            "set HANDOFF_POLICY_FILE to the policy's path, or HANDOFF_POLICY to its text",
        );
        let inline = inline.map(|policy| (text, policy, String::new()));
        let read = |path: String| match fs::read_to_string(&path) {
            Ok(policy) => Ok((file, policy, format!("{path}, "))),
            Err(error) => {
                Err(format!("the file {path} cannot be read ({error}): give the path of the policy"))
            }
        };
        let (setting, policy, place) = match inline.map(Ok).or_else(|| path.map(read))? {
            Ok(policy) => policy,
            Err(message) => {
                self.fault(file, message);
                return None;
            }
        };
        match self::policy(&policy) {
            Ok((policy, issuers)) => {
                self.issuers = Some(issuers);
                Some(policy)
            }
            Err(faults) => {
                for Fault { line, message } in faults {
                    self.fault(setting, format!("{place}line {line}: {message}"));
                }
                None
            }
        }
    }
}

/// Reads the policy `text`, and the issuers of its sources.
///
/// # Errors
/// Every fault, by line.
pub fn policy(text: &str) -> Result<(Policy, Issuers), Vec<Fault>> {
    let faults = Faults::of(text);
    let policy = Policy::read(text, &faults);
    let issuers = Issuers::of(&policy.sources, &faults);
    faults.none_or_all((policy, issuers))
}
