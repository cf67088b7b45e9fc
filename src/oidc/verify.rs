//! From a token to its claims: the order of the checks.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};

use super::{
    claims::Claims,
    clock::{Clock, SystemClock},
    fetch,
    key_set::KeySet,
    keys::IssuerKeys,
    rejection::Rejection,
    rules,
    settings::{Issuer, Issuers},
    unverified::UnverifiedToken,
};
use crate::tls::NoClient;

/// Verifies the tokens of the configured issuers. Make one per program and share it: it holds the key
/// sets.
pub struct Verifier {
    issuers: HashMap<String, IssuerKeys>,
    clock: Arc<dyn Clock>,
}

impl Verifier {
    /// A verifier with the machine's clock. Fails if no TLS client can be made, for lack of root
    /// certificates.
    pub fn new(issuers: Issuers) -> Result<Self, NoClient> {
        Self::with_clock(issuers, Arc::new(SystemClock))
    }

    pub fn with_clock(issuers: Issuers, clock: Arc<dyn Clock>) -> Result<Self, NoClient> {
        let client = fetch::client()?;
        let Issuers(issuers) = issuers;
        let issuers = issuers
            .into_iter()
            .map(|issuer| {
                let name = issuer.name.clone();
                (name, IssuerKeys::new(issuer, client.clone(), Arc::clone(&clock)))
            })
            .collect();
        Ok(Self { issuers, clock })
    }

    /// Fetches all key sets concurrently, at the start of a program, so that the first token finds them.
    /// A provider that cannot be reached is logged, and asked again when a token needs it.
    pub async fn warm_up(&self) {
        join_all(self.issuers.values().map(IssuerKeys::warm_up)).await;
    }

    /// The time by this verifier's clock.
    pub fn now(&self) -> Timestamp {
        let since_epoch = SignedDuration::try_from(self.clock.now()).unwrap_or(SignedDuration::MAX);
        Timestamp::from_duration(since_epoch).unwrap_or(Timestamp::MAX)
    }

    /// The claims of a token, if its signature and all claims that limit it are good. `token` is the bare
    /// token, without `Bearer`.
    pub async fn verify(&self, token: &str) -> Result<Claims, Rejection> {
        let unverified = UnverifiedToken::parse(token)?;
        let keys = self.issuers.get(unverified.unverified_issuer()).ok_or(Rejection::IssuerUnknown)?;
        let issuer = &keys.issuer;
        check_algorithm(&unverified, issuer)?;
        let key = keys.find(unverified.kid(), unverified.algorithm()).await?;
        let signed = unverified.check_signature(&key)?;
        rules::check(signed, issuer, self.clock.now())
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("issuers", &self.issuers.keys()).finish_non_exhaustive()
    }
}

/// Verifies with keys at hand: the same checks as [`Verifier::verify`], without the network. `now` is the
/// time since the Unix epoch.
pub fn verify_offline(
    token: &str,
    issuers: &Issuers,
    keys: &KeySet,
    now: Duration,
) -> Result<Claims, Rejection> {
    let unverified = UnverifiedToken::parse(token)?;
    let issuer = issuers.get(unverified.unverified_issuer()).ok_or(Rejection::IssuerUnknown)?;
    check_algorithm(&unverified, issuer)?;
    let key = keys.find(unverified.kid(), unverified.algorithm())?;
    let signed = unverified.check_signature(key)?;
    rules::check(signed, issuer, now)
}

fn check_algorithm(unverified: &UnverifiedToken<'_>, issuer: &Issuer) -> Result<(), Rejection> {
    if issuer.algorithms.contains(&unverified.algorithm()) { Ok(()) } else { Err(Rejection::AlgNotAllowed) }
}
