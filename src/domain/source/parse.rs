//! `[[source]]`, from TOML: every fault at once, each with its line.

mod forms;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

pub(super) use self::forms::forms;
use self::forms::overlay;
use super::provider::{PROVIDERS, load};
use super::{Forms, SourceConfig, Sources, TokenDoor, TokenKind};
use crate::domain::identity::Source;
use crate::domain::table::{Fault, Faults, Table, Text, did_you_mean, one_or_many};

/// How old a token may be that changes something, where the policy does not say.
pub(super) const FRESH_SECONDS: u64 = 600;
/// The longest leeway that can be set, in seconds.
const MAX_LEEWAY_SECONDS: u64 = 60;
/// The leeway where none is set: the clocks of Lambda and of providers are kept to well under a second.
const LEEWAY_SECONDS: u64 = 10;
/// What stands for the tenant in an issuer's name.
const TENANT_ID: &str = "{tenant_id}";

/// The sources of the policy `text`, and what is wrong with them. Its other tables are not looked at.
pub(crate) fn sources(text: &str) -> (Sources, Vec<Fault>) {
    let faults = Faults::of(text);
    // What is no TOML at all is the policy's fault, and told there.
    let (document, _) = DeTable::parse_recoverable(text);
    let mut declared: Vec<SourceConfig> = Vec::new();
    if let Some(tables) = document.get_ref().get("source") {
        for value in one_or_many(tables) {
            match value.get_ref() {
                DeValue::Table(table) => {
                    let table = Table::new("[[source]]", table, value.span(), &faults);
                    declared.extend(source(table, &declared));
                }
                _ => faults.add(&value.span(), "a source is a table: write [[source]]"),
            }
        }
    }
    let (cognito, _) = provider("cognito").map(load).unwrap_or_default();
    let (usual, _) = provider("oidc").map(load).unwrap_or_default();
    let declared = declared.into_iter().map(Arc::new).collect();
    (Sources { declared, cognito, usual }, faults.into_inner())
}

fn provider(name: &str) -> Option<&'static str> {
    PROVIDERS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// `None`: what it is called cannot be told.
fn source(mut table: Table<'_, '_>, others: &[SourceConfig]) -> Option<SourceConfig> {
    let (at, faults) = (table.at.clone(), table.faults);
    let named = table.text("name");
    let (provider, mut read) = provider_of(&mut table);
    let user_pool = table.text("user_pool");
    if let Some((id, at)) = &user_pool
        && !id.split_once('_').is_some_and(|(region, id)| !region.is_empty() && !id.is_empty())
    {
        faults.add(
            at,
            format!("`{id}` is not a user pool's id: it has the form REGION_ID, as in eu-west-1_AbCdEfGhI"),
        );
    }
    let tokens = tokens(&mut table, &read);
    let fresh_seconds = table.number("fresh_seconds", 10 * 365 * 24 * 3600).unwrap_or(FRESH_SECONDS);
    let adopt = table.flag("adopt").unwrap_or(false);
    overlay(&mut read, &mut table);
    table.finish();

    let by_door = || {
        let pool = user_pool.as_ref().map(|(id, _)| Source::user_pool(id));
        pool.or_else(|| {
            tokens.as_ref().and_then(|tokens| tokens.issuers.first()).map(|issuer| Source::issuer(issuer))
        })
    };
    let (name, name_at) = match named {
        Some((name, at)) => (Some(Source::user_pool(name)).filter(|_| !name.trim().is_empty()), at),
        None => (by_door(), at.clone()),
    };
    let Some(name) = name else {
        faults.add(&name_at, "the source has no name: give `name`, `user_pool` or `issuer`");
        return None;
    };
    let line = faults.line(&at);
    let user_pool = user_pool.map(|(id, _)| id.to_owned());
    let source = SourceConfig { line, name, provider, user_pool, tokens, fresh_seconds, adopt, forms: read };
    for other in others {
        clash(&source, other, faults, &at);
    }
    Some(source)
}

/// Two sources that would be one another.
fn clash(source: &SourceConfig, other: &SourceConfig, faults: &Faults<'_>, at: &Range<usize>) {
    let line = other.line;
    if source.name == other.name {
        faults.add(
            at,
            format!(
                "the source `{}` is there twice, see line {line}: what a ledger names must be one directory",
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

fn provider_of(table: &mut Table<'_, '_>) -> (String, Forms) {
    let (name, at) = table.text("provider").unwrap_or(("oidc", table.at.clone()));
    let Some(text) = provider(name) else {
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

fn tokens(table: &mut Table<'_, '_>, forms: &Forms) -> Option<TokenDoor> {
    let faults = table.faults;
    let issuers = table.texts("issuer");
    let tenants = table.texts("tenants");
    let audiences = exact(table, "audiences");
    let client_ids = exact(table, "client_ids");
    let jwks_uri = table.text("jwks_uri");
    let algorithms = table.texts("algorithms");
    let token_use = table.text("token_use").and_then(|text| kind(faults, "token_use", &text, false));
    let kind = match table.text("tokens") {
        Some(text) => kind(faults, "tokens", &text, true),
        None => forms.kind,
    };
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
        faults.add(&table.at, "`issuer` names none: give the `iss` of the tokens");
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
        algorithms: algorithms.map(|names| names.into_iter().map(|(name, _)| name.to_owned()).collect()),
        token_use,
        kind,
        leeway_seconds,
    })
}

fn kind(faults: &Faults<'_>, name: &str, (text, at): &Text<'_>, takes_auto: bool) -> Option<TokenKind> {
    let kind = TokenKind::parse(text);
    if kind.is_none() && !(takes_auto && *text == "auto") {
        let auto = if takes_auto { ", or \"auto\"" } else { "" };
        faults.add(at, format!("`{name}` is \"id\" or \"access\"{auto}, not `{text}`"));
    }
    kind
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
        faults.add(&at, format!("`tenants` are put in for {TENANT_ID}, which `issuer` does not have"));
    }
    let tenants = tenants.unwrap_or_default();
    let mut all = Vec::new();
    for (issuer, at) in issuers {
        if issuer.contains(TENANT_ID) {
            if tenants.is_empty() {
                faults.add(
                    at,
                    format!(
                        "{TENANT_ID} stands for the tenants that are trusted: name them, tenants = [\"...\"]"
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
            faults.add(at, format!("`{tenant}` is not a tenant's id: only letters, digits, - _ and . are"));
        }
    }
    let mut seen = BTreeSet::new();
    all.retain(|issuer| seen.insert(issuer.clone()));
    all
}
