//! A client's settings and counts.

use std::time::Duration;

use serde::Serialize;

use crate::permit::address::Address;
use crate::permit::limits::Limits;
use crate::permit::pacing::Class;

/// How to reach Permit.
#[derive(Clone, Debug)]
pub struct Settings {
    pub api_url: Address,
    /// The environment. `None` means the key's own.
    pub environment: Option<Environment>,
    /// A PDP that takes the writes of handles which are not [patient](Permit::patient).
    pub pdp_url: Option<Address>,
    /// The limits of which [`Permit::patient`] takes a share.
    pub limits: Limits,
    /// How long one attempt of a request may take.
    pub timeout: Duration,
}

impl Settings {
    /// The key's environment, no PDP, the documented limits, ten seconds an attempt.
    pub fn new(api_url: Address) -> Self {
        let (environment, pdp_url) = (None, None);
        Self { api_url, environment, pdp_url, limits: Limits::default(), timeout: Duration::from_secs(10) }
    }
}

/// A Permit environment and its project, each by id or by key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Environment {
    pub project: String,
    pub environment: String,
}

/// Requests sent so far. Each attempt counts.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Counts {
    /// GET.
    pub read: u64,
    /// Writes of one object: POST, PUT, PATCH and DELETE.
    pub write: u64,
    pub bulk: u64,
    /// How many of these Permit answered with 429.
    pub throttled: u64,
}

impl Counts {
    /// The requests since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            read: self.read.saturating_sub(before.read),
            write: self.write.saturating_sub(before.write),
            bulk: self.bulk.saturating_sub(before.bulk),
            throttled: self.throttled.saturating_sub(before.throttled),
        }
    }
}

/// The kind of request to wait for: see [`Permit::turn`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    /// A POST or PUT of one thing.
    Write,
    /// A DELETE of one thing.
    Delete,
    /// A bulk call that creates or replaces.
    BulkWrite,
    /// A bulk call that deletes.
    BulkDelete,
}

impl Turn {
    pub(in crate::permit) fn class(self) -> Class {
        let bulk = matches!(self, Self::BulkWrite | Self::BulkDelete);
        let delete = matches!(self, Self::Delete | Self::BulkDelete);
        Class { bulk, delete, write: true }
    }
}
