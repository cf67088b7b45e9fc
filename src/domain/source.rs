//! A source: a named directory of people, and the doors through which it shows them.
//!
//! It is the policy's `[[source]]`, on top of its provider's default forms (`providers/*.toml`). In
//! reading order:
//!
//! - [`SourceConfig`], [`Sources`]: what the policy says about each source;
//! - `parse`, `provider`: read it from TOML;
//! - `test`, `list`, `key`, `cell`: what single claims say;
//! - `columns`, `views`: what only files have; what each door shows;
//! - `read`: turns a person's claims at a door into an [`Identity`](super::identity::Identity), or says
//!   why it cannot.

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
    /// The line in the policy. 0 if the policy does not declare this source.
    pub line: usize,
    /// The name in the ledger.
    pub name: Source,
    /// The provider whose forms the source uses.
    pub provider: String,
    /// Door 1: a user pool's triggers and its list.
    pub user_pool: Option<String>,
    /// Door 2: tokens.
    pub tokens: Option<TokenDoor>,
    /// The age in seconds after which a token creates no user and grants nothing. 0 means no limit.
    pub fresh_seconds: u32,
    /// Whether its tokens may adopt a Permit user who has no ledger.
    pub adopt: bool,
    /// Where claims are, and how they are written.
    pub forms: Forms,
}

/// The tokens of a source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenDoor {
    /// The `iss` of its tokens, in every spelling; at least one.
    pub issuers: Vec<String>,
    /// If not empty, `aud` must name one of these.
    pub audiences: BTreeSet<String>,
    /// If not empty, the client must be one of these.
    pub client_ids: BTreeSet<String>,
    /// The address of the keys. If `None`, the discovery document has it.
    pub jwks_uri: Option<String>,
    /// A key set to start with, as JSON.
    pub jwks: Option<String>,
    /// The names of the accepted algorithms. If `None`, every public-key algorithm.
    pub algorithms: Option<Vec<String>>,
    /// The value that `token_use` must have.
    pub token_use: Option<TokenKind>,
    /// The kind of the tokens. If `None`, each token says it.
    pub kind: Option<TokenKind>,
    /// How far the clocks may differ, in seconds.
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
    /// Each kind with its name.
    pub const NAMES: [(&str, Self); 2] = [("id", Self::Id), ("access", Self::Access)];

    pub fn parse(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, kind)| kind)
    }
}

/// Where a source has what: the provider's forms, with the policy's own on top.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Forms {
    /// Where each claim is in tokens, trigger events and the pool's list.
    pub claims: Claims,
    /// Which texts hold several values, by path.
    pub lists: BTreeMap<String, ListForm>,
    pub words: Words,
    pub tells: Tells,
    /// The kind of its tokens, if they do not say it.
    pub kind: Option<TokenKind>,
    /// Whether its tokens need no audience and no client, because the key set is the client's own.
    pub own_key_set: bool,
    pub file: FileForms,
}

/// Where each claim is. Of several paths, the first one with a value counts. Of groups and statuses, all
/// count.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Claims {
    pub key: Vec<String>,
    /// A text that is put before the key.
    pub key_prefix: String,
    /// How characters that a Permit key cannot have are written.
    pub key_encoding: KeyEncoding,
    pub email: Vec<String>,
    /// Whether the address is verified: one yes is enough.
    pub email_verified: Vec<Test>,
    pub first_name: Vec<String>,
    pub last_name: Vec<String>,
    pub groups: Vec<String>,
    /// Whether they may sign in: every answer must be a yes.
    pub status: Vec<Test>,
}

/// What each door shows: whether a missing claim is absent or unknown.
#[derive(Clone, PartialEq, Eq, Default, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tells {
    /// The user pool's attributes, which its list and its trigger events show.
    pub pool: BTreeSet<String>,
    /// What an ID token may leave out although the person has it.
    pub id_token_hides: BTreeSet<String>,
    /// What every access token contains if the person has it.
    pub access_token: BTreeSet<String>,
    /// Objects that a token may leave out, and that are complete if it has them.
    pub whole: BTreeSet<String>,
    /// What a token shows of only one organization, although the person may be in several.
    #[serde(rename = "one_organization")]
    pub one_of: Option<OneOrganization>,
}

/// What a token shows of the organization that is active in its session.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct OneOrganization {
    /// A token with this claim shows one organization alone. If `None`, every token does.
    pub with: Option<String>,
    /// The claims. The groups in them are those that `claims.groups` finds below them, or all groups.
    #[serde(flatten)]
    pub shows: OneOf,
}

/// How a provider's exports differ from its tokens.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct FileForms {
    /// Where each claim is in a file.
    pub claims: Claims,
    /// Texts that hold several values in files only.
    pub lists: BTreeMap<String, ListForm>,
    /// The tokens' names for columns. A policy may use these too.
    pub names: BTreeMap<String, Vec<String>>,
    /// Objects whose members become claims.
    pub spread: Vec<String>,
    /// Lists of `{"Name": ..., "Value": ...}` whose entries become claims.
    pub pairs: Vec<String>,
    /// The columns of a CSV file that has no header line.
    pub columns: Vec<String>,
    /// How many columns the exporter's versions write. If empty, all.
    pub widths: Vec<usize>,
    /// The array in a JSON document that holds the people.
    pub people: Vec<String>,
    /// Columns that look like a status, but do not say who may sign in.
    pub ignored: Vec<String>,
    /// What the exporter puts before texts in CSV, so that no spreadsheet runs them.
    pub text_mark: Option<String>,
    /// The form of the cells in its CSV, by column.
    pub cells: BTreeMap<String, Cell>,
    /// Whether its CSV leaves texts that people choose without quotes. People can then write lines of
    /// their own into it.
    pub unquoted: bool,
    /// Lists that are empty for everybody if the exporter does not show them.
    pub left_empty: Vec<String>,
    /// How to make an export that says who may sign in, if the provider has others that do not.
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
    /// The key of the person that a user pool calls `sub`. In a pool, every key is made from a `sub`.
    pub fn key_of_sub(&self, sub: &str) -> Option<UserKey> {
        let Claims { key_prefix, key_encoding, .. } = &self.forms.claims;
        key::user_key(key_prefix, sub, *key_encoding).ok()
    }

    /// The `sub` of the person with this key. `None` if the pool makes no such key.
    pub fn sub_of(&self, key: &UserKey) -> Option<String> {
        let Claims { key_prefix, key_encoding, .. } = &self.forms.claims;
        key::name_of(key_prefix, key, *key_encoding)
    }
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Sources {
    declared: Vec<Arc<SourceConfig>>,
}

impl Sources {
    /// The sources, in the order of the policy.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<SourceConfig>> {
        self.declared.iter()
    }

    /// The source of this user pool. A default one if the policy has none.
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

    /// The source whose tokens have exactly this `iss`. If the policy has none, a default one, so that a
    /// token that nobody trusts can be explained.
    pub fn of_any_issuer(&self, issuer: &str) -> Arc<SourceConfig> {
        let declared = self.of_issuer(issuer).cloned();
        declared.unwrap_or_else(|| {
            let name = Source::issuer(issuer);
            let provider = if name.as_str() == issuer { "oidc" } else { "cognito" };
            Arc::new(SourceConfig::undeclared(name, provider))
        })
    }

    /// The source whose tokens have exactly this `iss`.
    pub fn of_issuer(&self, issuer: &str) -> Option<&Arc<SourceConfig>> {
        let has = |tokens: &TokenDoor| tokens.issuers.iter().any(|one| one == issuer);
        self.declared.iter().find(|source| source.tokens.as_ref().is_some_and(has))
    }

    /// The source with this name, for a file. If the policy has none, one with the usual forms.
    ///
    /// # Errors
    /// If the policy has one with nearly this name, because two names are two directories, or if `name`
    /// is blank.
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

    pub fn named(&self, name: &str) -> Option<&Arc<SourceConfig>> {
        self.declared.iter().find(|source| source.name.as_str() == name)
    }
}

#[cfg(test)]
mod tests;
