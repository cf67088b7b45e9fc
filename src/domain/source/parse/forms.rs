//! The forms of a source: `claims`, `lists` and `words`, and what only a provider's file says.

use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;
use toml::de::DeValue;

use super::kind;
use crate::domain::identity::UserKey;
use crate::domain::source::{
    Asks, Cell, Claims, FileForms, Forms, KeyEncoding, ListForm, OneOrganization, Tells, Test, Words,
};
use crate::domain::table::{Faults, Table, Text, one_or_many};
use crate::domain::told::OneOf;

/// What a provider's file says.
pub(in crate::domain::source) fn forms(read: &mut Forms, mut table: Table<'_, '_>) {
    overlay(read, &mut table);
    if let Some(text) = table.text("tokens") {
        read.kind = kind(table.faults, "tokens", &text, true);
    }
    read.own_key_set = table.flag("own_key_set").unwrap_or(false);
    if let Some(mut tells) = table.table("tells", "[tells]") {
        let mut names = |name| {
            tells.texts(name).unwrap_or_default().into_iter().map(|(name, _)| name.to_owned()).collect()
        };
        let (pool, id_token_hides, access_token) =
            (names("pool"), names("id_token_hides"), names("access_token"));
        let whole = names("whole");
        let one_of = tells.table("one_organization", "[tells.one_organization]").map(one_organization);
        read.tells = Tells { pool, id_token_hides, access_token, whole, one_of };
        tells.finish();
    }
    read.file.claims = read.claims.clone();
    if let Some(mut file) = table.table("file", "[file]") {
        file_forms(&mut read.file, &mut file);
        file.finish();
    }
    default_separators(&mut read.lists);
    default_separators(&mut read.file.lists);
    table.finish();
}

fn one_organization(mut table: Table<'_, '_>) -> OneOrganization {
    let with = table.text("with").map(|(claim, _)| claim.to_owned());
    let mut names =
        |name| table.texts(name).unwrap_or_default().into_iter().map(|(name, _)| name.to_owned()).collect();
    let (claims, named) = (names("claims"), names("named"));
    let groups = table.flag("groups").unwrap_or(false);
    table.finish();
    OneOrganization { with, shows: OneOf { claims, named, groups } }
}

/// A provider's separators are defaults: a text that has none of them may yet be a list of another form.
fn default_separators(lists: &mut BTreeMap<String, ListForm>) {
    for form in lists.values_mut() {
        if let ListForm::Separated { is_default, .. } = form {
            *is_default = true;
        }
    }
}

fn file_forms(file: &mut FileForms, table: &mut Table<'_, '_>) {
    if let Some(claims) = table.table("claims", "[file.claims]") {
        given(claims).put_over(&mut file.claims);
    }
    if let Some(lists) = table.table("lists", "[file.lists]") {
        lists_of(&mut file.lists, lists);
    }
    if let Some(mut names) = table.table("names", "[file.names]") {
        for (name, at, columns) in names.rest() {
            let columns: Option<Vec<String>> = one_or_many(columns)
                .into_iter()
                .map(|column| column.get_ref().as_str().map(str::to_owned))
                .collect();
            match columns {
                Some(columns) => drop(file.names.insert(name.to_owned(), columns)),
                None => table.faults.add(&at, "a name is given to a column: write claim = \"column\""),
            }
        }
    }
    let mut names = |name| -> Vec<String> {
        table.texts(name).unwrap_or_default().into_iter().map(|(name, _)| name.to_owned()).collect()
    };
    (file.spread, file.pairs) = (names("spread"), names("pairs"));
    (file.columns, file.people, file.ignored) = (names("columns"), names("people"), names("ignored"));
    file.left_empty = names("left_empty");
    file.widths = table.numbers("widths");
    file.unquoted = table.flag("unquoted").unwrap_or(false);
    file.text_mark = table.text("text_mark").map(|(mark, _)| mark.to_owned());
    file.status_hint = table.text("status_hint").map(|(hint, _)| hint.to_owned());
    if let Some(mut cells) = table.table("cells", "[file.cells]") {
        for (column, at, form) in cells.rest() {
            let known = |text: &str| Cell::NAMES.iter().find(|(name, _)| *name == text);
            match form.get_ref().as_str().and_then(known) {
                Some((_, cell)) => drop(file.cells.insert(column.to_owned(), *cell)),
                None => table.faults.add(&at, format!("`{column}` has no form of a cell")),
            }
        }
    }
}

/// `claims`, `lists` and `words`, over what is there. What the operator says of claims and lists holds for
/// files too.
pub(super) fn overlay(read: &mut Forms, table: &mut Table<'_, '_>) {
    if let Some(claims) = table.table("claims", "[source.claims]") {
        let given = given(claims);
        given.put_over(&mut read.claims);
        given.put_over(&mut read.file.claims);
    }
    if let Some(lists) = table.table("lists", "[source.lists]") {
        let mut given = BTreeMap::new();
        lists_of(&mut given, lists);
        read.file.lists.extend(given.clone());
        read.lists.extend(given);
    }
    if let Some(mut words) = table.table("words", "[source.words]") {
        let mut folded = |name| {
            words.texts(name).map(|texts| {
                texts.into_iter().map(|(word, _)| word.trim().to_lowercase()).collect::<BTreeSet<_>>()
            })
        };
        let (may, may_not) = (folded("may_sign_in"), folded("may_not"));
        let Words { may_sign_in, may_not: barred } = &mut read.words;
        may.into_iter().for_each(|may| *may_sign_in = may);
        may_not.into_iter().for_each(|may_not| *barred = may_not);
        if let Some(both) = may_sign_in.intersection(barred).next() {
            words.faults.add(
                &words.at,
                format!("`{both}` is both in may_sign_in and in may_not: take it out of one"),
            );
        }
        words.finish();
    }
}

/// `[source.claims]` as it is given.
struct Given {
    key: Option<Vec<String>>,
    key_prefix: Option<String>,
    key_encoding: Option<KeyEncoding>,
    email: Option<Vec<String>>,
    email_verified: Option<Vec<Test>>,
    first_name: Option<Vec<String>>,
    last_name: Option<Vec<String>>,
    groups: Option<Vec<String>>,
    status: Option<Vec<Test>>,
}

impl Given {
    fn put_over(&self, claims: &mut Claims) {
        fn put<T: Clone>(given: Option<&T>, over: &mut T) {
            if let Some(given) = given {
                over.clone_from(given);
            }
        }
        put(self.key.as_ref(), &mut claims.key);
        put(self.key_prefix.as_ref(), &mut claims.key_prefix);
        put(self.key_encoding.as_ref(), &mut claims.key_encoding);
        put(self.email.as_ref(), &mut claims.email);
        put(self.email_verified.as_ref(), &mut claims.email_verified);
        put(self.first_name.as_ref(), &mut claims.first_name);
        put(self.last_name.as_ref(), &mut claims.last_name);
        put(self.groups.as_ref(), &mut claims.groups);
        put(self.status.as_ref(), &mut claims.status);
    }
}

fn given(mut table: Table<'_, '_>) -> Given {
    let faults = table.faults;
    let paths = |texts: Vec<Text<'_>>| texts.into_iter().map(|(path, _)| path.to_owned()).collect();
    let is_empty =
        table.peek("key").is_some_and(|key| key.get_ref().as_array().is_some_and(|key| key.is_empty()));
    let key = table.texts("key");
    if is_empty {
        faults.add(&table.at, "`key` names no claim: nobody would have a key");
    }
    let key_prefix = table.text("key_prefix").map(|(prefix, at)| {
        if !prefix.is_empty() && UserKey::new(&format!("{prefix}x")).is_err() {
            faults.add(&at, format!("`{prefix}` cannot begin a Permit user key: only letters, digits and | @ + - . _ can be in it"));
        }
        prefix.to_owned()
    });
    let key_encoding = table.text("key_encoding").map(|(name, at)| match name {
        "none" => KeyEncoding::None,
        "percent" => KeyEncoding::Percent,
        _ => {
            faults.add(&at, format!("`key_encoding` is \"none\" or \"percent\", not `{name}`"));
            KeyEncoding::None
        }
    });
    let given = Given {
        key: key.map(paths),
        key_prefix,
        key_encoding,
        email: table.texts("email").map(paths),
        email_verified: tests(&mut table, "email_verified"),
        first_name: table.texts("first_name").map(paths),
        last_name: table.texts("last_name").map(paths),
        groups: table.texts("groups").map(paths),
        status: tests(&mut table, "status"),
    };
    table.finish();
    given
}

/// A claim, `{ present = "claim" }` or the like; or a list of them.
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
