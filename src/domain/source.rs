//! A source: a directory of people with a name, and the doors by which it shows them.
//!
//! The policy's `[[source]]`, over its provider's default forms (`providers/*.toml`). In reading order:
//!
//! - [`SourceConfig`], [`Sources`]: what the policy says of each;
//! - `parse`, `provider`: from TOML;
//! - `test`, `list`, `key`, `cell`: what single claims say;
//! - `columns`, `views`: what only files have; what each door tells;
//! - `read`: from a person's claims at a door to an [`Identity`](super::identity::Identity), or to why there
//!   is none.

mod cell;
mod columns;
mod key;
mod list;
mod parse;
mod provider;
mod read;
mod rejected;
mod test;
mod views;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;

pub use self::cell::Cell;
pub use self::key::{KeyEncoding, decode as decode_key};
pub use self::list::{InvalidListForm, ListForm, could_be_one as could_be_a_list, readings as list_readings};
pub use self::provider::PROVIDERS;
pub use self::rejected::Rejected;
pub(super) use self::test::flag;
pub use self::test::{Asks, Test, Words};
pub use self::views::{Door, POOL_GROUPS};
use super::identity::{Source, UserKey};
use super::table::did_you_mean;
use super::told::OneOf;

/// One `[[source]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceConfig {
    /// Where it stands in the policy; 0: it does not, and is a user pool's default.
    pub line: usize,
    /// What the ledger says.
    pub name: Source,
    /// The provider whose forms it has.
    pub provider: String,
    /// Door 1: a user pool's triggers and its list.
    pub user_pool: Option<String>,
    /// Door 2: tokens.
    pub tokens: Option<TokenDoor>,
    /// An older token creates nobody and grants nothing, in seconds; 0: any age will do.
    pub fresh_seconds: u32,
    /// Whether its tokens may take on a Permit user that no ledger names.
    pub adopt: bool,
    /// Where things are.
    pub forms: Forms,
}

/// The tokens of a source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenDoor {
    /// The `iss` of its tokens, in every spelling; at least one.
    pub issuers: Vec<String>,
    /// One of these is in `aud`.
    pub audiences: BTreeSet<String>,
    /// The client is one of these.
    pub client_ids: BTreeSet<String>,
    /// Where the keys are; `None`: where the discovery document says.
    pub jwks_uri: Option<String>,
    /// A key set for the first moments, as JSON.
    pub jwks: Option<String>,
    /// The algorithms by name; `None`: every one with a public key.
    pub algorithms: Option<Vec<String>>,
    /// The value that `token_use` must have.
    pub token_use: Option<TokenKind>,
    /// What the tokens are; `None`: each tells by itself.
    pub kind: Option<TokenKind>,
    /// How far the clocks may be apart, in seconds.
    pub leeway_seconds: u64,
}

/// What a token was made for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenKind {
    /// An ID token: its claims are the person's profile.
    Id,
    /// An access token: it may leave the profile out.
    Access,
}

impl TokenKind {
    /// Each with its name.
    pub const NAMES: [(&str, Self); 2] = [("id", Self::Id), ("access", Self::Access)];

    /// From its name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, kind)| kind)
    }
}

/// Where a source has what: the provider's forms, with what the policy says over them.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Forms {
    /// Where things are in tokens, trigger events and the pool's list.
    pub claims: Claims,
    /// Which texts hold several values, by path.
    pub lists: BTreeMap<String, ListForm>,
    /// The status words.
    pub words: Words,
    /// What each door tells.
    pub tells: Tells,
    /// What its tokens are, where they do not say it.
    pub kind: Option<TokenKind>,
    /// Whether its tokens do without an audience and a client, since the key set is the client's own.
    pub own_key_set: bool,
    /// Its exports.
    pub file: FileForms,
}

/// Where things are. Of several paths the first that has a value counts; of groups and statuses, all.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Claims {
    /// The user's key.
    pub key: Vec<String>,
    /// Put before it.
    pub key_prefix: String,
    /// How what Permit does not take in a key is written.
    pub key_encoding: KeyEncoding,
    /// The address.
    pub email: Vec<String>,
    /// Whether it is verified: any yes will do.
    pub email_verified: Vec<Test>,
    /// The first name.
    pub first_name: Vec<String>,
    /// The last name.
    pub last_name: Vec<String>,
    /// The groups.
    pub groups: Vec<String>,
    /// Whether they may sign in: every answer must be a yes.
    pub status: Vec<Test>,
}

/// What each door tells: whether a claim that it does not show is absent, or unknown.
#[derive(Clone, PartialEq, Eq, Default, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tells {
    /// The user pool's attributes: what its list and its trigger events tell.
    pub pool: BTreeSet<String>,
    /// What an ID token leaves out although the person may have it.
    pub id_token_hides: BTreeSet<String>,
    /// What every access token has where the person has it.
    pub access_token: BTreeSet<String>,
    /// Objects that a token may leave out, and that are whole where it has them.
    pub whole: BTreeSet<String>,
    /// What a token shows of one organization alone, although the person may be in several.
    #[serde(rename = "one_organization")]
    pub one_of: Option<OneOrganization>,
}

/// What a token shows of the organization that is active in its session.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct OneOrganization {
    /// It is so where this claim is there; `None`: always.
    pub with: Option<String>,
    /// The claims; their groups are those that `claims.groups` finds below them, or all of them.
    #[serde(flatten)]
    pub shows: OneOf,
}

/// How a provider's exports differ from its tokens.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct FileForms {
    /// Where things are in a file.
    pub claims: Claims,
    /// Texts that hold several values in a file alone.
    pub lists: BTreeMap<String, ListForm>,
    /// Columns that a policy may also call by another name: as the tokens call it.
    pub names: BTreeMap<String, Vec<String>>,
    /// Objects whose members are claims of their own.
    pub spread: Vec<String>,
    /// Lists of `{"Name": ..., "Value": ...}` that are claims of their own.
    pub pairs: Vec<String>,
    /// The columns of a CSV file that has no header line.
    pub columns: Vec<String>,
    /// How many of them the exporter's versions write; empty: all.
    pub widths: Vec<usize>,
    /// The array in a JSON document that holds the people.
    pub people: Vec<String>,
    /// Columns that look like a status and say nothing of who may sign in.
    pub ignored: Vec<String>,
    /// What is put before texts in CSV, so that no spreadsheet runs them.
    pub text_mark: Option<String>,
    /// What the exporter writes into the cells of its CSV, by column.
    pub cells: BTreeMap<String, Cell>,
    /// Whether its CSV leaves texts that people choose without quotes, so that they can write lines of their
    /// own into it.
    pub unquoted: bool,
    /// Lists that the exporter leaves empty for everybody where it does not tell them.
    pub left_empty: Vec<String>,
    /// How an export is made that says who may sign in, where there are others.
    pub status_hint: Option<String>,
}

impl SourceConfig {
    /// A source that the policy does not have, with its provider's forms.
    fn undeclared(name: Source, provider: &str) -> Self {
        Self {
            line: 0,
            name,
            provider: provider.to_owned(),
            user_pool: None,
            tokens: None,
            fresh_seconds: parse::FRESH_SECONDS,
            adopt: false,
            forms: provider::forms_of(provider),
        }
    }
}

impl SourceConfig {
    /// The key of the person that a user pool calls `sub`: in a pool, that is what a key is made of.
    pub fn key_of_sub(&self, sub: &str) -> Option<UserKey> {
        let Claims { key_prefix, key_encoding, .. } = &self.forms.claims;
        key::user_key(key_prefix, sub, *key_encoding).ok()
    }

    /// The `sub` of the person with this key; `None`: the pool's people have no such keys.
    pub fn sub_of(&self, key: &UserKey) -> Option<String> {
        let Claims { key_prefix, key_encoding, .. } = &self.forms.claims;
        key::name_of(key_prefix, key, *key_encoding)
    }
}

/// The sources of a policy.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Sources {
    declared: Vec<Arc<SourceConfig>>,
}

impl Sources {
    /// In the order of the policy.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<SourceConfig>> {
        self.declared.iter()
    }

    /// The source of this user pool; a default one, where the policy has none.
    pub fn of_user_pool(&self, id: &str) -> Arc<SourceConfig> {
        let is_of_pool = |source: &&Arc<SourceConfig>| {
            source.user_pool.as_deref() == Some(id) || source.name.as_str() == id
        };
        let declared = self.declared.iter().find(is_of_pool);
        declared.cloned().unwrap_or_else(|| {
            let source = SourceConfig::undeclared(Source::named(id), "cognito");
            Arc::new(SourceConfig { user_pool: Some(id.to_owned()), ..source })
        })
    }

    /// The source whose tokens have this very `iss`; a default one, where the policy has none: to explain a
    /// token that nobody trusts.
    pub fn of_any_issuer(&self, issuer: &str) -> Arc<SourceConfig> {
        let declared = self.of_issuer(issuer).cloned();
        declared.unwrap_or_else(|| {
            let name = Source::issuer(issuer);
            let provider = if name.as_str() == issuer { "oidc" } else { "cognito" };
            Arc::new(SourceConfig::undeclared(name, provider))
        })
    }

    /// The source whose tokens have this very `iss`.
    pub fn of_issuer(&self, issuer: &str) -> Option<&Arc<SourceConfig>> {
        let has = |tokens: &TokenDoor| tokens.issuers.iter().any(|one| one == issuer);
        self.declared.iter().find(|source| source.tokens.as_ref().is_some_and(has))
    }

    /// The source of this name, for a file; one with the usual forms, where the policy has none.
    ///
    /// # Errors
    /// Where the policy has one of nearly this name: two names are two directories.
    pub fn of_file(&self, name: &str) -> Result<Arc<SourceConfig>, String> {
        if let Some(declared) = self.named(name) {
            return Ok(declared.clone());
        }
        let near = did_you_mean(name, self.declared.iter().map(|source| source.name.as_str()));
        if !near.is_empty() || name.trim().is_empty() {
            return Err(format!("the policy has no source `{name}`{near}"));
        }
        Ok(Arc::new(SourceConfig::undeclared(Source::issuer(name), "oidc")))
    }

    /// The source of this name.
    pub fn named(&self, name: &str) -> Option<&Arc<SourceConfig>> {
        self.declared.iter().find(|source| source.name.as_str() == name)
    }
}

#[cfg(test)]
mod tests;
