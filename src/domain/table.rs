//! Reads a TOML table field by field, and collects every fault with its line.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The line at fault, counted from 1.
    pub line: usize,
    /// What is wrong with it and what to do.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

pub(crate) struct Faults<'t> {
    text: &'t str,
    faults: RefCell<Vec<Fault>>,
}

impl<'t> Faults<'t> {
    pub(crate) fn of(text: &'t str) -> Self {
        Self { text, faults: RefCell::default() }
    }

    pub(crate) fn add(&self, at: &Range<usize>, message: impl Into<String>) {
        self.faults.borrow_mut().push(Fault { line: self.line(at), message: message.into() });
    }

    /// Adds a fault if only its line is known.
    pub(crate) fn add_at(&self, line: usize, message: impl Into<String>) {
        self.faults.borrow_mut().push(Fault { line, message: message.into() });
    }

    pub(crate) fn count(&self) -> usize {
        self.faults.borrow().len()
    }

    /// The line in which `at` begins, counted from 1.
    pub(crate) fn line(&self, at: &Range<usize>) -> usize {
        self.text.bytes().take(at.start).filter(|byte| *byte == b'\n').count() + 1
    }

    /// All faults, in the order in which they were added.
    pub(crate) fn into_inner(self) -> Vec<Fault> {
        self.faults.into_inner()
    }

    /// `value` if nothing is wrong, else all faults, sorted by line.
    pub(crate) fn none_or_all<T>(self, value: T) -> Result<T, Vec<Fault>> {
        let mut faults = self.faults.into_inner();
        faults.sort_by_key(|fault| fault.line);
        if faults.is_empty() { Ok(value) } else { Err(faults) }
    }
}

/// The known name that `name` is probably a typo of.
pub(crate) fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let folded = |name: &str| name.to_lowercase().replace(['-', ' '], "_");
    let name = folded(name);
    let distances = known.into_iter().map(|known| (strsim::osa_distance(&name, &folded(known)), known));
    let (distance, near) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= (name.chars().count() / 3).max(1)).then_some(near)
}

/// `; did you mean NAME?` if a known name is near, else empty.
pub(crate) fn did_you_mean<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> String {
    nearest(name, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

/// A table whose fields are taken one by one. A field that is not taken is unknown, and so a fault.
pub(crate) struct Table<'d, 't> {
    /// Where it is in the text.
    pub(crate) at: Range<usize>,
    /// Its name in messages: `[[source]]`.
    name: &'static str,
    fields: Vec<(&'d str, Range<usize>, &'d Spanned<DeValue<'d>>)>,
    asked: Vec<&'static str>,
    pub(crate) faults: &'d Faults<'t>,
}

/// A text and where it is.
pub(crate) type Text<'d> = (&'d str, Range<usize>);

impl<'d, 't> Table<'d, 't> {
    pub(crate) fn new(
        name: &'static str,
        table: &'d DeTable<'d>,
        at: Range<usize>,
        faults: &'d Faults<'t>,
    ) -> Self {
        let fields = table.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span(), value)).collect();
        Self { at, name, fields, asked: Vec::new(), faults }
    }

    /// Takes a field of any type.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.asked.push(name);
        let at = self.fields.iter().position(|(field, ..)| *field == name)?;
        Some(self.fields.swap_remove(at).2)
    }

    /// Takes all fields that are left: their names are the operator's own.
    pub(crate) fn rest(&mut self) -> Vec<(&'d str, Range<usize>, &'d Spanned<DeValue<'d>>)> {
        let mut rest = std::mem::take(&mut self.fields);
        rest.sort_by_key(|(_, at, _)| at.start);
        rest
    }

    fn expected(&self, name: &str, value: &Spanned<DeValue<'_>>, what: &str) {
        let is = value.get_ref().type_str();
        self.faults.add(&value.span(), format!("`{name}` is {what}, not of type {is}"));
    }

    pub(crate) fn text(&mut self, name: &'static str) -> Option<Text<'d>> {
        let value = self.take(name)?;
        let text = value.get_ref().as_str().map(|text| (text, value.span()));
        if text.is_none() {
            self.expected(name, value, "a text");
        }
        text
    }

    /// Takes a text, or a list of texts. None of them may be empty.
    pub(crate) fn texts(&mut self, name: &'static str) -> Option<Vec<Text<'d>>> {
        let value = self.take(name)?;
        let mut texts = Vec::new();
        for one in one_or_many(value) {
            match one.get_ref().as_str() {
                Some("") => self.faults.add(&one.span(), format!("`{name}` has an empty text: leave it out")),
                Some(text) => texts.push((text, one.span())),
                None => self.expected(name, one, "a text, or a list of texts"),
            }
        }
        Some(texts)
    }

    /// As [`Self::texts`], without the places.
    pub(crate) fn names<C: FromIterator<String>>(&mut self, name: &'static str) -> Option<C> {
        let texts = self.texts(name)?;
        Some(texts.into_iter().map(|(text, _)| text.to_owned()).collect())
    }

    /// A field that reads as a `T`.
    pub(crate) fn value<T: DeserializeOwned + Default>(&mut self, name: &'static str) -> T {
        let Some(value) = self.take(name) else { return T::default() };
        T::deserialize(ValueDeserializer::from(value.clone())).unwrap_or_else(|error| {
            self.faults.add(&error.span().unwrap_or(value.span()), error.message());
            T::default()
        })
    }

    pub(crate) fn flag(&mut self, name: &'static str) -> Option<bool> {
        let value = self.take(name)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.expected(name, value, "true or false");
        }
        flag
    }

    pub(crate) fn number<T>(&mut self, name: &'static str, most: T) -> Option<T>
    where
        T: FromStr + PartialOrd + fmt::Display,
    {
        let value = self.take(name)?;
        let number =
            value.get_ref().as_integer().and_then(|number| number.as_str().replace('_', "").parse().ok());
        let number = number.filter(|number| *number <= most);
        if number.is_none() {
            self.faults.add(&value.span(), format!("`{name}` is a whole number from 0 to {most}"));
        }
        number
    }

    pub(crate) fn decimal(&mut self, name: &'static str) -> Option<(f64, Range<usize>)> {
        let value = self.take(name)?;
        let text = match value.get_ref() {
            DeValue::Integer(number) => number.as_str(),
            DeValue::Float(number) => number.as_str(),
            _ => "",
        };
        let number = text.replace('_', "").parse().ok().map(|number| (number, value.span()));
        if number.is_none() {
            self.expected(name, value, "a number");
        }
        number
    }

    pub(crate) fn word<T: Copy>(&mut self, name: &'static str, words: &[(&str, T)]) -> Option<T> {
        let (text, at) = self.text(name)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let known: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            let near = did_you_mean(text, words.iter().map(|(word, _)| *word));
            self.faults.add(&at, format!("`{name}` is {}, not `{text}`{near}", known.join(" or ")));
        }
        found
    }

    pub(crate) fn tables(&mut self, name: &'static str, called: &'static str) -> Vec<Table<'d, 't>> {
        let Some(value) = self.take(name) else { return Vec::new() };
        let tables = one_or_many(value).into_iter().filter_map(|one| {
            let table = one.get_ref().as_table();
            if table.is_none() {
                self.faults.add(&one.span(), format!("`{name}` is a list of tables: write {called}"));
            }
            table.map(|table| Table::new(called, table, one.span(), self.faults))
        });
        tables.collect()
    }

    pub(crate) fn table(&mut self, name: &'static str, called: &'static str) -> Option<Table<'d, 't>> {
        let value = self.take(name)?;
        let table =
            value.get_ref().as_table().map(|table| Table::new(called, table, value.span(), self.faults));
        if table.is_none() {
            self.expected(name, value, "a table");
        }
        table
    }

    /// Reports every field that was not taken.
    pub(crate) fn finish(mut self) {
        for (name, at, _) in self.rest() {
            let near = did_you_mean(name, self.asked.iter().copied());
            let known = if near.is_empty() { format!("; it has {}", self.asked.join(", ")) } else { near };
            self.faults.add(&at, format!("{} has no field `{name}`{known}", self.name));
        }
    }
}

pub(crate) fn one_or_many<'d>(value: &'d Spanned<DeValue<'d>>) -> Vec<&'d Spanned<DeValue<'d>>> {
    match value.get_ref() {
        DeValue::Array(items) => items.iter().collect(),
        _ => vec![value],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_has_a_near_name_and_another_word_has_none() {
        let known = ["key", "email", "email_verified", "first_name", "groups"];
        for (slip, near) in
            [("emial", "email"), ("Email-Verified", "email_verified"), ("group", "groups"), ("kye", "key")]
        {
            assert_eq!(nearest(slip, known), Some(near), "{slip}");
        }
        assert_eq!(nearest("department", known), None);
    }

    #[test]
    fn every_fault_has_its_line() {
        let text = "a = 1\nb = 'x'\nflog = true\nn = 99\nlist = ['x', 2, '']\n";
        let document = DeTable::parse(text).unwrap();
        let faults = Faults::of(text);
        let mut table = Table::new("[t]", document.get_ref(), document.span(), &faults);
        assert!(table.text("a").is_none() && table.flag("flag").is_none() && table.number("n", 9).is_none());
        assert_eq!(table.texts("list").unwrap().len(), 1);
        assert_eq!(table.text("b").unwrap().0, "x");
        table.finish();
        let told: Vec<String> = faults.into_inner().iter().map(Fault::to_string).collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        line 1: `a` is a text, not of type integer
        line 4: `n` is a whole number from 0 to 9
        line 5: `list` is a text, or a list of texts, not of type integer
        line 5: `list` has an empty text: leave it out
        line 3: [t] has no field `flog`; did you mean `flag`?
        ");
    }
}
