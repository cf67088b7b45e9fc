//! Permit's rate limits, as an operator sets them.

use std::str::FromStr;

/// How many requests Permit accepts in a minute, in all and of each kind.
///
/// Written as `all=1000,write=300,delete=60,bulk=10`. A limit that is left out has its documented value.
/// Permit documents 100 bulk calls in 10 minutes, so `bulk` is a tenth of what 10 minutes allow.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Limits {
    pub(super) all: u32,
    pub(super) write: u32,
    pub(super) delete: u32,
    pub(super) bulk: u32,
    pub(super) speed: f64,
}

impl Default for Limits {
    /// The documented limits.
    fn default() -> Self {
        Self { all: 1000, write: 300, delete: 60, bulk: 10, speed: 1.0 }
    }
}

impl Limits {
    /// The limits a minute: all requests, writes, deletes and bulk calls.
    pub fn per_minute(&self) -> [(&'static str, u32); 4] {
        let Self { all, write, delete, bulk, speed: _ } = *self;
        [("all", all), ("write", write), ("delete", delete), ("bulk", bulk)]
    }

    /// The limits above the documented ones: each with its name, its value and the documented value.
    pub fn above_documented(&self) -> Vec<(&'static str, u32, u32)> {
        let documented = Self::default().per_minute();
        let pairs = self.per_minute().into_iter().zip(documented);
        pairs
            .filter(|((_, limit), (_, documented))| limit > documented)
            .map(|((name, limit), (_, documented))| (name, limit, documented))
            .collect()
    }

    /// The same limits in windows that are `factor` times shorter, for a sandbox whose clock runs faster.
    #[must_use]
    pub fn sped_up(self, factor: f64) -> Self {
        Self { speed: self.speed * factor, ..self }
    }
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidLimits {
    #[error(
        "`{0}` is not a valid limit: write NAME=REQUESTS A MINUTE, as in all=1000,write=300,delete=60,bulk=10"
    )]
    NotLimit(String),
    #[error("there is no limit `{0}`: the limits are all, write, delete and bulk")]
    UnknownName(String),
    /// The number is zero, negative, too large or not whole.
    #[error("the limit `{0}` must be a whole number of requests a minute, 1 or more")]
    NotPositive(String),
    #[error("the limit `{0}` is given twice")]
    Twice(String),
}

impl FromStr for Limits {
    type Err = InvalidLimits;

    fn from_str(text: &str) -> Result<Self, InvalidLimits> {
        let mut limits = Self::default();
        let mut seen = Vec::new();
        for item in text.split(',').map(str::trim) {
            let Some((name, number)) = item.split_once('=') else {
                return Err(InvalidLimits::NotLimit(item.to_owned()));
            };
            let name = name.trim();
            let limit = match name {
                "all" => &mut limits.all,
                "write" => &mut limits.write,
                "delete" => &mut limits.delete,
                "bulk" => &mut limits.bulk,
                _ => return Err(InvalidLimits::UnknownName(name.to_owned())),
            };
            if seen.contains(&name) {
                return Err(InvalidLimits::Twice(name.to_owned()));
            }
            seen.push(name);
            *limit = match number.trim().parse() {
                Ok(0) | Err(_) => return Err(InvalidLimits::NotPositive(name.to_owned())),
                Ok(number) => number,
            };
        }
        Ok(limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_as_documented() {
        let documented = Limits::default();
        assert_eq!("all=1000,write=300,delete=60,bulk=10".parse(), Ok(documented));
        assert_eq!("write = 30".parse(), Ok(Limits { write: 30, ..documented }));
        assert_eq!("bulk=2, all=9".parse(), Ok(Limits { bulk: 2, all: 9, ..documented }));
    }

    #[test]
    fn only_what_is_above_the_documented_ones_is_named() {
        let limits: Limits = "all=999,write=301,delete=60,bulk=11".parse().unwrap();
        assert_eq!(limits.above_documented(), [("write", 301, 300), ("bulk", 11, 10)]);
        assert_eq!(Limits::default().above_documented(), []);
    }

    #[test]
    fn what_is_no_limit_is_named() {
        for (text, error) in [
            ("", InvalidLimits::NotLimit(String::new())),
            ("all", InvalidLimits::NotLimit("all".into())),
            ("all=1,", InvalidLimits::NotLimit(String::new())),
            ("reads=1", InvalidLimits::UnknownName("reads".into())),
            ("all=0", InvalidLimits::NotPositive("all".into())),
            ("all=-1", InvalidLimits::NotPositive("all".into())),
            ("all=1.5", InvalidLimits::NotPositive("all".into())),
            ("all=99999999999", InvalidLimits::NotPositive("all".into())),
            ("all=1,all=2", InvalidLimits::Twice("all".into())),
        ] {
            assert_eq!(text.parse::<Limits>(), Err(error), "{text}");
        }
    }
}
