//! The forms of a source: `claims`, `lists` and `words`, and what only a provider's file says.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::DeValue;

use super::TOKENS;
use crate::domain::identity::UserKey;
use crate::domain::source::{Asks, Claims, FileForms, Forms, KeyEncoding, ListForm, Test, Words};
use crate::domain::table::{Faults, Table, one_or_many};

/// Reads a provider's file.
pub(in crate::domain::source) fn forms(read: &mut Forms, mut table: Table<'_, '_>) {
    overlay(read, &mut table);
    read.kind = table.word("tokens", &TOKENS).flatten();
    read.own_key_set = table.value("own_key_set");
    read.tells = table.value("tells");
    read.file.claims = read.claims.clone();
    if let Some(mut file) = table.table("file", "[file]") {
        file_forms(&mut read.file, &mut file);
        file.finish();
    }
    default_separators(&mut read.lists);
    default_separators(&mut read.file.lists);
    table.finish();
}

/// Marks a provider's separators as defaults: a text without the separator may still be a list of another
/// form.
fn default_separators(lists: &mut BTreeMap<String, ListForm>) {
    for form in lists.values_mut() {
        if let ListForm::Separated { is_default, .. } = form {
            *is_default = true;
        }
    }
}

fn file_forms(file: &mut FileForms, table: &mut Table<'_, '_>) {
    if let Some(claims) = table.table("claims", "[file.claims]") {
        put_over(&mut [&mut file.claims], claims);
    }
    if let Some(lists) = table.table("lists", "[file.lists]") {
        lists_of(&mut file.lists, lists);
    }
    file.names = table.value("names");
    file.spread = table.value("spread");
    file.pairs = table.value("pairs");
    file.columns = table.value("columns");
    file.widths = table.value("widths");
    file.people = table.value("people");
    file.ignored = table.value("ignored");
    file.left_empty = table.value("left_empty");
    file.unquoted = table.value("unquoted");
    file.text_mark = table.value("text_mark");
    file.status_hint = table.value("status_hint");
    file.cells = table.value("cells");
}

/// Puts `claims`, `lists` and `words` on top of the existing ones. The operator's claims and lists apply
/// to files too.
pub(super) fn overlay(read: &mut Forms, table: &mut Table<'_, '_>) {
    if let Some(claims) = table.table("claims", "[source.claims]") {
        put_over(&mut [&mut read.claims, &mut read.file.claims], claims);
    }
    if let Some(lists) = table.table("lists", "[source.lists]") {
        let mut given = BTreeMap::new();
        lists_of(&mut given, lists);
        read.file.lists.extend(given.clone());
        read.lists.extend(given);
    }
    if let Some(mut words) = table.table("words", "[source.words]") {
        let Words { may_sign_in, may_not: barred } = &mut read.words;
        for (name, known) in [("may_sign_in", &mut *may_sign_in), ("may_not", &mut *barred)] {
            if let Some(texts) = words.texts(name) {
                *known = texts.into_iter().map(|(word, _)| word.trim().to_lowercase()).collect();
            }
        }
        if let Some(both) = may_sign_in.intersection(barred).next() {
            words.faults.add(
                &words.at,
                format!("`{both}` is both in may_sign_in and in may_not: take it out of one"),
            );
        }
        words.finish();
    }
}

/// Applies `[source.claims]` to each of `all`.
fn put_over(all: &mut [&mut Claims], mut table: Table<'_, '_>) {
    let faults = table.faults;
    let before = faults.count();
    let key = table.names::<Vec<_>>("key");
    if key.as_ref().is_some_and(Vec::is_empty) && faults.count() == before {
        faults.add(&table.at, "`key` is empty, so nobody would have a key: name a claim");
    }
    let key_prefix = table.text("key_prefix").map(|(prefix, at)| {
        if !prefix.is_empty() && UserKey::new(&format!("{prefix}x")).is_err() {
            faults.add(&at, format!("`{prefix}` cannot begin a Permit user key: only letters, digits and | @ + - . _ can be in it"));
        }
        prefix.to_owned()
    });
    let encodings = [("none", KeyEncoding::None), ("percent", KeyEncoding::Percent)];
    put(all, key, |claims| &mut claims.key);
    put(all, key_prefix, |claims| &mut claims.key_prefix);
    put(all, table.word("key_encoding", &encodings), |claims| &mut claims.key_encoding);
    put(all, table.names("email"), |claims| &mut claims.email);
    put(all, tests(&mut table, "email_verified"), |claims| &mut claims.email_verified);
    put(all, table.names("first_name"), |claims| &mut claims.first_name);
    put(all, table.names("last_name"), |claims| &mut claims.last_name);
    put(all, table.names("groups"), |claims| &mut claims.groups);
    put(all, tests(&mut table, "status"), |claims| &mut claims.status);
    table.finish();
}

fn put<T: Clone>(all: &mut [&mut Claims], given: Option<T>, field: fn(&mut Claims) -> &mut T) {
    if let Some(given) = given {
        all.iter_mut().for_each(|claims| field(claims).clone_from(&given));
    }
}

/// One claim, one test such as `{ present = "claim" }`, or a list of them.
fn tests(table: &mut Table<'_, '_>, name: &'static str) -> Option<Vec<Test>> {
    let value = table.take(name)?;
    Some(one_or_many(value).into_iter().filter_map(|one| test(table.faults, name, one)).collect())
}

fn test(faults: &Faults<'_>, name: &str, value: &Spanned<DeValue<'_>>) -> Option<Test> {
    let table = match value.get_ref() {
        DeValue::String(path) if !path.is_empty() => {
            return Some(Test { path: path.to_string(), asks: Asks::Says, may: true });
        }
        DeValue::Table(table) => table,
        _ => {
            faults.add(&value.span(), format!("`{name}` is a claim, or {{ present = \"claim\" }}"));
            return None;
        }
    };
    let mut table = Table::new("the test", table, value.span(), faults);
    let may = table.flag("may").unwrap_or(true);
    let asked = [
        ("says", Asks::Says),
        ("present", Asks::Present),
        ("future", Asks::Future),
        ("contains", Asks::Contains),
    ]
    .map(|(name, asks)| table.text(name).map(|(path, _)| Test { path: path.to_owned(), asks, may }));
    table.finish();
    let mut asked = asked.into_iter().flatten();
    match (asked.next(), asked.next()) {
        (Some(test), None) if !test.path.is_empty() => Some(test),
        _ => {
            faults.add(
                &value.span(),
                format!(
                    "a test in `{name}` asks one thing: says, present, future or contains, each with a claim"
                ),
            );
            None
        }
    }
}

fn lists_of(lists: &mut BTreeMap<String, ListForm>, mut table: Table<'_, '_>) {
    for (path, at, form) in table.rest() {
        let form = match form.get_ref().as_str() {
            Some(form) => ListForm::parse(form, false).map_err(|error| error.to_string()),
            None => {
                Err("the form of a list is a text: \"brackets\", \"json\", \"dn\", \"text\", or a separator"
                    .to_owned())
            }
        };
        match form {
            Ok(form) => drop(lists.insert(path.to_owned(), form)),
            Err(message) => table.faults.add(&at, message),
        }
    }
}
