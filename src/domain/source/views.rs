//! What a view tells: by its door, and by what is in it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Forms, OneOrganization, SourceConfig, Tells, TokenKind};
use crate::domain::path;
use crate::domain::told::{Told, covers};

/// The name under which the groups of a user pool stand among a person's claims.
pub const POOL_GROUPS: &str = "cognito:groups";

/// By which door a person came, and so what the silence of their claims means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Door {
    /// A user pool's list. The groups are put in as `cognito:groups`, `UserStatus` as `cognito:user_status`.
    Pool,
    /// A trigger event. Groups that were not looked up are not there.
    Trigger,
    /// A verified token.
    Token(TokenKind),
    /// A record of a file whose columns, or whose fields that some record has, are told.
    File(Told),
}

impl SourceConfig {
    /// What this door tells of everybody: a claim that is not there is absent.
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
    /// What a token with these claims tells, beside what every token of its kind does.
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
