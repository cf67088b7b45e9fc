//! What a view shows, depending on its door and its content.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Forms, OneOrganization, SourceConfig, Tells, TokenKind};
use crate::domain::path;
use crate::domain::told::{Told, covers};

/// The claim that holds the groups of a user pool.
pub const POOL_GROUPS: &str = "cognito:groups";

/// The door through which a person came. It decides what a missing claim means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Door {
    /// A user pool's list. The groups are put in as `cognito:groups`, `UserStatus` as `cognito:user_status`.
    Pool,
    /// A trigger event. It has groups only if they were looked up.
    Trigger,
    /// A verified token.
    Token(TokenKind),
    /// A record of a file. The file shows these columns, or these fields that some record has.
    File(Told),
}

impl SourceConfig {
    /// What this door shows of everybody: if such a claim is missing, it is absent.
    pub fn told(&self, door: &Door) -> Told {
        self.forms.told(door)
    }
}

impl Forms {
    pub(super) fn told(&self, door: &Door) -> Told {
        let tells = &self.tells;
        match door {
            Door::Pool => Told::only(tells.pool.iter().cloned().chain([POOL_GROUPS.to_owned()])),
            Door::Trigger => Told::only(tells.pool.iter().cloned()),
            Door::Token(TokenKind::Id) => Told::all_but(tells.id_token_hides.iter().cloned()),
            Door::Token(TokenKind::Access) => Told::only(tells.access_token.iter().cloned()),
            Door::File(told) => told.clone(),
        }
    }
}

impl Tells {
    /// What a token with these claims shows, in addition to what every token of its kind shows.
    pub(super) fn shown(&self, told: Told, claims: &Map<String, Value>, groups: &[String]) -> Told {
        let (here, elsewhere): (Vec<_>, Vec<_>) =
            self.whole.iter().cloned().partition(|name| claims.get(name).is_some_and(Value::is_object));
        let told = told.and(here).hiding(elsewhere);
        let Some(OneOrganization { with, shows }) = &self.one_of else { return told };
        if with.as_ref().is_some_and(|claim| path::value(claims, claim).is_none()) {
            return told;
        }
        let mut shows = shows.clone();
        shows.groups |= groups.iter().any(|path| shows.claims.iter().any(|claim| covers(claim, path)));
        told.showing(shows)
    }
}

/// Entra ID's marks for "too many for this token": `_claim_names` names the claims that are elsewhere,
/// `hasgroups` means the groups.
pub(super) fn overage(claims: &Map<String, Value>) -> BTreeSet<String> {
    let named = claims.get("_claim_names").and_then(Value::as_object);
    let mut hidden: BTreeSet<String> = named.into_iter().flat_map(Map::keys).cloned().collect();
    if claims.get("hasgroups").is_some_and(|has| has != false) {
        hidden.insert("groups".to_owned());
    }
    hidden
}
