//! Checks that the operator's options fit the file, and that every column that may say who may sign in is
//! read.

use std::collections::BTreeSet;

use super::records::Form;
use super::survey::Survey;
use super::{Reading, mapping, status};
use crate::domain::policy::Policy;
use crate::domain::source::{Claims, SourceConfig};
use crate::domain::table::did_you_mean;
use crate::domain::told::covers;

/// Checks that every named column exists, and that every status column is read.
pub(super) fn check(
    survey: &Survey,
    form: &Form,
    source: &SourceConfig,
    reading: &Reading,
    policy: &Policy,
) -> Result<(), String> {
    let names: Vec<&str> = match form {
        Form::Csv { columns, .. } => columns.iter().map(String::as_str).collect(),
        Form::Lines | Form::Documents(_) => survey.fields.iter().map(String::as_str).collect(),
    };
    // The file has no people, so its columns are unknown.
    if names.is_empty() {
        return Ok(());
    }
    let has = |path: &str| survey.fields.iter().any(|field| touches(path, field));
    let named = reading.mapped.iter().map(|(column, _)| column).chain(&reading.ignored);
    if let Some(name) = named.into_iter().find(|name| !has(name)) {
        let near = did_you_mean(name, names.iter().copied());
        return Err(format!(
            "it has no column `{name}`{}",
            if near.is_empty() { has_columns(&names) } else { near }
        ));
    }
    let at = &source.forms.file.claims;
    let key = at.key.iter().find(|path| has(path));
    if let Some(key) = key {
        one_key_space(key, source)?;
    } else {
        let arrays = survey.arrays.as_ref().map(|arrays| format!("; {arrays}")).unwrap_or_default();
        let otherwise = match form {
            Form::Csv { .. } => "; without a header line, name the columns, as in --columns id,email",
            Form::Documents(_) => "; if the people are in an array, name it, as in --people members",
            Form::Lines => "",
        };
        return Err(format!(
            "no column holds the person's key: it was looked for at `{}`{}{arrays}. Say which it is, as in --map {}{otherwise}",
            at.key.join("`, `"),
            has_columns(&names),
            word(&format!("{}=sub", keylike(&names)))
        ));
    }
    check_statuses(&names, source, reading, policy)
}

/// A column that may be the key, for the error message.
fn keylike<'n>(names: &[&'n str]) -> &'n str {
    let is_like = |name: &&&str| {
        let name = name.to_lowercase();
        ["id", "uid", "guid", "key", "number", "login"].iter().any(|end| name.ends_with(end))
    };
    names.iter().find(is_like).copied().unwrap_or("COLUMN")
}

/// Checks that the file's key is not an e-mail address while the source's other doors use another key:
/// each person would become two Permit users.
fn one_key_space(key: &str, source: &SourceConfig) -> Result<(), String> {
    let is_email = |key: &str, claims: &Claims| claims.email.iter().any(|email| email == key);
    let others = &source.forms.claims;
    let has_others = source.tokens.is_some() || source.user_pool.is_some();
    if !has_others
        || !is_email(key, &source.forms.file.claims)
        || others.key.iter().any(|key| is_email(key, others))
    {
        return Ok(());
    }
    Err(format!(
        "its only key is the address `{key}`, and the key of the source `{}` is `{}`: each person would be two Permit users. \
         Use an export that has that key; or make the address the key of both, key = \"email\" in [source.claims]",
        source.name,
        others.key.join("`, `")
    ))
}

/// Checks that every column that may say who may sign in is read.
fn check_statuses(
    names: &[&str],
    source: &SourceConfig,
    reading: &Reading,
    policy: &Policy,
) -> Result<(), String> {
    let at = &source.forms.file.claims;
    let mut read: BTreeSet<&str> = mapping::asked(policy).into_iter().collect();
    read.extend(at.status.iter().chain(&at.email_verified).map(|test| test.path.as_str()));
    let forms = &source.forms.file;
    let names_read = [&at.key, &at.email, &at.first_name, &at.last_name, &at.groups];
    let names_read = names_read.into_iter().chain([&reading.ignored, &forms.ignored]);
    // The source also knows the columns that it renames.
    let renamed = forms.names.iter().flat_map(|(name, columns)| columns.iter().chain([name]));
    read.extend(names_read.flatten().chain(renamed).map(String::as_str));
    if reading.columns.is_some() {
        slips(names, &read)?;
    }
    let unread = status::alike(names);
    let unread: Vec<&str> =
        unread.into_iter().filter(|name| !read.iter().any(|path| touches(path, name))).collect();
    let Some(first) = unread.first() else { return Ok(()) };
    let (read, disabled) = (word(&format!("{first}=status")), word(&format!("{first}=disabled")));
    Err(format!(
        "`{}` may say who may sign in, and nothing reads it: where it does, give --map {read} (or --map {disabled}, where a yes \
         means that they may not), or `status` in [source.claims]; where it says nothing of that, --ignore {}",
        unread.join("`, `"),
        word(first)
    ))
}

/// Finds likely typos in --columns: names that nothing reads, but that are close to one that is read.
fn slips(names: &[&str], read: &BTreeSet<&str>) -> Result<(), String> {
    for name in names.iter().filter(|name| !read.iter().any(|path| touches(path, name))) {
        // Lower-case names first.
        let near = did_you_mean(name, read.iter().rev().copied());
        if !near.is_empty() {
            return Err(format!(
                "nothing reads the column `{name}` of --columns{near} If it is another column, give it a different name"
            ));
        }
    }
    Ok(())
}

/// Quotes `text` as a word of a command line.
pub(super) fn word(text: &str) -> String {
    let is_plain = text.chars().all(|c| c.is_alphanumeric() || "._-=:@/+,".contains(c));
    if is_plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// Whether the paths are equal or one is a prefix of the other.
pub(super) fn touches(one: &str, other: &str) -> bool {
    covers(one, other) || covers(other, one)
}

/// The list of columns, for an error message.
fn has_columns(names: &[&str]) -> String {
    const SHOWN: usize = 40;
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    format!("; it has {}{more}", names[..names.len().min(SHOWN)].join(", "))
}
