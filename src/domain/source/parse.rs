//! Reads `[[source]]` from TOML. Reports every fault at once, each with its line.

mod forms;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

pub(super) use self::forms::forms;
use self::forms::overlay;
use super::provider::{PROVIDERS, file_of, load};
use super::{Forms, SourceConfig, Sources, TokenDoor, TokenKind};
use crate::domain::identity::Source;
use crate::domain::table::{Fault, Faults, Table, Text, did_you_mean};

/// The default for the age, in seconds, after which a token changes nothing.
pub(super) const FRESH_SECONDS: u32 = 600;
/// The longest leeway that can be set, in seconds.
const MAX_LEEWAY_SECONDS: u64 = 60;
/// The default leeway, in seconds. The clocks of Lambda and of providers are right to well under a
/// second.
const LEEWAY_SECONDS: u64 = 10;
/// The kinds of token that a source may have. With `auto`, each token says what it is.
const TOKENS: [(&str, Option<TokenKind>); 3] =
    [("id", Some(TokenKind::Id)), ("access", Some(TokenKind::Access)), ("auto", None)];
/// The placeholder for the tenant in an issuer's name.
const TENANT_ID: &str = "{tenant_id}";

impl Sources {
    /// The sources of these `[[source]]` tables, as far as they can be read; what is wrong with them is in
    /// `faults`.
    pub(in crate::domain) fn read(tables: Vec<Table<'_, '_>>, faults: &Faults<'_>) -> Self {
        let mut declared: Vec<SourceConfig> = Vec::new();
        for table in tables {
            declared.extend(source(table, &declared, faults));
        }
        Self { declared: declared.into_iter().map(Arc::new).collect() }
    }
}

/// `None` if the source has no usable name.
fn source(mut table: Table<'_, '_>, others: &[SourceConfig], faults: &Faults<'_>) -> Option<SourceConfig> {
    let at = table.at.clone();
    let before = faults.count();
    let named = table.text("name");
    // A name of another type is already reported.
    let is_broken = faults.count() > before;
    let user_pool = table.text("user_pool");
    let issuers = table.texts("issuer");
    let is_cognitos = issuers.iter().flatten().any(|(one, _)| Source::issuer(one).as_str() != *one);
    let (provider, mut read) = provider_of(&mut table, user_pool.is_some(), is_cognitos);
    if let Some((id, at)) = &user_pool
        && !id.split_once('_').is_some_and(|(region, id)| !region.is_empty() && !id.is_empty())
    {
        faults.add(
            at,
            format!("`{id}` is not a user pool's id: it has the form REGION_ID, as in eu-west-1_AbCdEfGhI"),
        );
    }
    let tokens = tokens(&mut table, issuers, &read);
    let fresh_seconds = table.number("fresh_seconds", 10 * 365 * 24 * 3600).unwrap_or(FRESH_SECONDS);
    let adopt = table.flag("adopt").unwrap_or(false);
    overlay(&mut read, &mut table);
    table.finish();

    let by_pool = user_pool.as_ref().map(|(id, _)| Source::named(id));
    let by_issuer = || tokens.as_ref()?.issuers.first().map(|issuer| Source::issuer(issuer));
    let name = match named {
        Some(named) => given_name(&named, faults)?,
        None if is_broken => return None,
        None => by_pool.or_else(by_issuer).or_else(|| nameless(&at, faults))?,
    };
    let line = faults.line(&at);
    let user_pool = user_pool.map(|(id, _)| id.to_owned());
    if (user_pool.is_some() || name.is_user_pool()) && read.claims.key != ["sub"] {
        faults.add(
            &at,
            format!(
                "the key of a user pool's people is `sub`, not `{}`: events name a person by `sub`, and a pool cannot be searched \
                 by most other attributes. Leave `key` out. \
                 `key_prefix` can be put before the `sub`, and `attributes` in [user] can copy another attribute",
                read.claims.key.join("`, `")
            ),
        );
    }
    let source = SourceConfig { line, name, provider, user_pool, tokens, fresh_seconds, adopt, forms: read };
    for other in others {
        clash(&source, other, faults, &at);
    }
    Some(source)
}

fn nameless(at: &Range<usize>, faults: &Faults<'_>) -> Option<Source> {
    faults.add(at, "the source has no name: give `name`, `user_pool` or `issuer`");
    None
}

fn given_name((name, at): &Text<'_>, faults: &Faults<'_>) -> Option<Source> {
    if name.chars().any(char::is_control) {
        faults.add(at, "the source's name contains a control character: remove it");
    }
    if name.trim().is_empty() { nameless(at, faults) } else { Some(Source::named(name)) }
}

/// Reports two sources with the same name, user pool or issuer.
fn clash(source: &SourceConfig, other: &SourceConfig, faults: &Faults<'_>, at: &Range<usize>) {
    let line = other.line;
    if source.name == other.name {
        faults.add(
            at,
            format!(
                "the source `{}` is declared twice, see line {line}: give each source its own name",
                source.name
            ),
        );
    }
    if let Some(pool) = source.user_pool.as_ref().filter(|_| source.user_pool == other.user_pool) {
        faults.add(at, format!("the user pool {pool} is another source's already, see line {line}"));
    }
    let issuers = |source: &SourceConfig| {
        source.tokens.as_ref().map(|tokens| tokens.issuers.clone()).unwrap_or_default()
    };
    let others = issuers(other);
    for issuer in issuers(source).iter().filter(|issuer| others.contains(issuer)) {
        faults.add(at, format!("the issuer {issuer} is another source's already, see line {line}"));
    }
}

/// The provider's name and forms. The default is `cognito` for a user pool or a Cognito issuer, else
/// `oidc`.
fn provider_of(table: &mut Table<'_, '_>, has_pool: bool, is_cognitos: bool) -> (String, Forms) {
    let default = if has_pool || is_cognitos { "cognito" } else { "oidc" };
    let (name, at) = table.text("provider").unwrap_or((default, table.at.clone()));
    if has_pool && name != "cognito" {
        table.faults.add(
            &at,
            format!("`user_pool` needs the provider `cognito`, but the provider is `{name}`: leave one of them out"),
        );
    }
    let Some(text) = file_of(name) else {
        let known = PROVIDERS.map(|(name, _)| name);
        let near = did_you_mean(name, known);
        let near = if near.is_empty() { format!(": use one of {}", known.join(", ")) } else { near };
        table.faults.add(&at, format!("`{name}` is not a known provider{near}"));
        return (name.to_owned(), Forms::default());
    };
    let (forms, broken) = load(text);
    for Fault { line, message } in broken {
        table.faults.add(&at, format!("this program's own providers/{name}.toml, line {line}: {message}"));
    }
    (name.to_owned(), forms)
}

fn tokens(table: &mut Table<'_, '_>, issuers: Option<Vec<Text<'_>>>, forms: &Forms) -> Option<TokenDoor> {
    let faults = table.faults;
    let tenants = table.texts("tenants");
    let audiences = exact(table, "audiences");
    let client_ids = exact(table, "client_ids");
    let jwks_uri = table.text("jwks_uri");
    let jwks = table.text("jwks");
    let algorithms = table.names::<Vec<_>>("algorithms");
    let token_use = table.word("token_use", &TokenKind::NAMES);
    let kind = table.word("tokens", &TOKENS).unwrap_or(forms.kind);
    let leeway_seconds = table.number("leeway_seconds", MAX_LEEWAY_SECONDS).unwrap_or(LEEWAY_SECONDS);

    let Some(issuers) = issuers else {
        let given = [
            ("tenants", tenants.is_some()),
            ("audiences", audiences.is_some()),
            ("client_ids", client_ids.is_some()),
            ("jwks_uri", jwks_uri.is_some()),
            ("algorithms", algorithms.is_some()),
        ];
        for (name, _) in given.into_iter().filter(|(_, is_given)| *is_given) {
            faults.add(
                &table.at,
                format!("`{name}` says how tokens are checked, and there is no `issuer`: name it"),
            );
        }
        return None;
    };
    if issuers.is_empty() {
        faults.add(&table.at, "`issuer` names no issuer: set it to the `iss` of the tokens");
    }
    let (audiences, client_ids) = (audiences.unwrap_or_default(), client_ids.unwrap_or_default());
    if audiences.is_empty() && client_ids.is_empty() && !(forms.own_key_set && jwks_uri.is_some()) {
        let otherwise = if forms.own_key_set { ", or the client's own key set as `jwks_uri`" } else { "" };
        faults.add(&table.at, format!("the source needs `audiences` or `client_ids`{otherwise}: without them a token for any other application would do"));
    }
    if algorithms.as_ref().is_some_and(Vec::is_empty) {
        faults.add(
            &table.at,
            "`algorithms` is empty: name at least one, or leave it out to allow every public-key one",
        );
    }
    Some(TokenDoor {
        issuers: with_tenants(faults, &issuers, tenants),
        audiences,
        client_ids,
        jwks_uri: jwks_uri.map(|(text, _)| text.to_owned()),
        jwks: jwks.map(|(text, _)| text.to_owned()),
        algorithms,
        token_use,
        kind,
        leeway_seconds,
    })
}

fn exact(table: &mut Table<'_, '_>, name: &'static str) -> Option<BTreeSet<String>> {
    let texts = table.texts(name)?;
    for (text, at) in &texts {
        if *text == "*" || text.contains(char::is_whitespace) {
            table
                .faults
                .add(at, format!("`{name}` takes exact texts, without blanks and wildcards, not `{text}`"));
        }
    }
    Some(texts.into_iter().map(|(text, _)| text.to_owned()).collect())
}

fn with_tenants(faults: &Faults<'_>, issuers: &[Text<'_>], tenants: Option<Vec<Text<'_>>>) -> Vec<String> {
    let has_tenant = issuers.iter().any(|(issuer, _)| issuer.contains(TENANT_ID));
    if let (Some(tenants), false) = (&tenants, has_tenant) {
        let at = tenants.first().map(|(_, at)| at.clone()).unwrap_or_default();
        faults.add(&at, format!("`tenants` replace {TENANT_ID} in `issuer`, but `issuer` does not contain it: add it, or remove `tenants`"));
    }
    let tenants = tenants.unwrap_or_default();
    let mut all = Vec::new();
    for (issuer, at) in issuers {
        if issuer.contains(TENANT_ID) {
            if tenants.is_empty() {
                faults.add(
                    at,
                    format!(
                        "{TENANT_ID} is a placeholder for the trusted tenants: list them as tenants = [\"...\"]"
                    ),
                );
            }
            all.extend(tenants.iter().map(|(tenant, _)| issuer.replace(TENANT_ID, tenant)));
        } else {
            all.push((*issuer).to_owned());
        }
    }
    for (tenant, at) in &tenants {
        if tenant.is_empty() || !tenant.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            faults.add(
                at,
                format!("`{tenant}` is not a tenant's id: it may contain only letters, digits, - _ and ."),
            );
        }
    }
    let mut seen = BTreeSet::new();
    all.retain(|issuer| seen.insert(issuer.clone()));
    all
}
