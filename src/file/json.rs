//! People in JSON: an object a line, or documents that have them in an array. Streamed: one person is in memory at a time.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufReader, Read};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

use crate::domain::path;

/// Where lists of people are in a document, whatever the provider.
const PLACES: [&str; 5] = ["value", "Resources", "Users", "users", "data"];

/// Where the people of a document are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Places {
    /// In the array at this path, and nowhere else. `[].users`: in those of each item of a document that is an array.
    At(String),
    /// In an array at one of the usual paths; or the document is an array, or a person.
    Usual {
        /// More such paths.
        more: Vec<String>,
        /// Where a person has a key: an object with one of them is no document, although it has an empty array.
        keys: Vec<String>,
    },
}

impl Places {
    /// Whether `object` has people in it, and is not one of them.
    pub(super) fn are_in(&self, object: &Map<String, Value>) -> bool {
        let is_list = |value: &Value| {
            let items = value.as_array();
            items.is_some_and(|items| {
                items.iter().all(Value::is_object) && !(items.is_empty() && self.is_person(object))
            })
        };
        let goal = Goal::of(self);
        object.iter().any(|(name, value)| match goal.below(name) {
            None => false,
            Some(Goal::Here { .. }) => is_list(value),
            Some(Goal::At(_) | Goal::Usual(_)) => matches!(self, Self::At(_)),
        })
    }

    /// Whether `object` has the key of a person.
    pub(super) fn is_person(&self, object: &Map<String, Value>) -> bool {
        match self {
            Self::At(_) => false,
            Self::Usual { keys, .. } => keys.iter().any(|key| path::value(object, key).is_some()),
        }
    }
}

/// The longest part of a document that is in memory: a person, or what stands beside the people.
const LONGEST_PART: u64 = 64 << 20;

/// Nothing that says something of a person is nested deeper.
const DEEPEST: usize = 32;

/// The object that `text` is.
pub(super) fn object(text: &str) -> Result<Map<String, Value>, String> {
    let flaw = Cell::new(None);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = Strict { left: DEEPEST, flaw: &flaw }.deserialize(&mut deserializer);
    let value = read.and_then(|value| deserializer.end().map(|()| value));
    match (value, flaw.take()) {
        (Ok(Value::Object(object)), None) => Ok(object),
        (_, Some(flaw)) => Err(flaw.to_owned()),
        (Ok(_), None) => Err("not a JSON object".to_owned()),
        // serde's own message quotes nothing of the text.
        (Err(error), None) => Err(format!("not JSON: {error}")),
    }
}

/// Builds a [`Value`] of what no two parsers read differently.
#[derive(Clone, Copy)]
struct Strict<'a> {
    left: usize,
    flaw: &'a Cell<Option<&'static str>>,
}

impl Strict<'_> {
    fn refuse<E: serde::de::Error>(self, flaw: &'static str) -> E {
        self.flaw.set(Some(flaw));
        E::custom(flaw)
    }

    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        let left = self.left.checked_sub(1).ok_or_else(|| self.refuse("it is nested too deeply"))?;
        Ok(Self { left, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| self.refuse("a number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(self.refuse("it has the same name twice"));
            }
            object.insert(name, members.next_value_seed(inner)?);
        }
        Ok(Value::Object(object))
    }
}

/// Why documents were not read to their end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// Where the people are is unsure, or they are not there.
    Places(String),
    /// The text is broken: from there on nothing is sure.
    Broken(String),
}

/// Takes a person: where they are (`users[3]`), and their text. `false`: no more are wanted.
pub(super) type Each<'a> = &'a mut dyn FnMut(&str, &str) -> bool;

/// What stands in documents beside their people.
#[derive(Default, Debug)]
pub(super) struct Beside {
    /// Why more people are in the directory than here.
    pub(super) more: Option<String>,
    /// The arrays, as paths.
    arrays: Vec<String>,
    /// How many people there were.
    people: u64,
    /// How many there are in the directory, as the last document has it.
    total: Option<u64>,
}

/// Reads one document after another, and gives every person to `each`.
///
/// # Errors
/// Where the text is not JSON, or it is unsure where its people are.
pub(super) fn documents(reader: impl Read, places: &Places, each: Each<'_>) -> Result<Beside, Fault> {
    let unread = Cell::new(0);
    let bounded = BufReader::with_capacity(1 << 16, Bounded { inner: reader, unread: &unread });
    let mut deserializer = serde_json::Deserializer::from_reader(bounded);
    let beside = Beside::default();
    let mut walk = Walk { places, unread: &unread, each, beside, form: None, failed: None, stopped: false };
    // `end` skips blanks, and fails where there is another document.
    while deserializer.end().is_err() {
        let read = Node { walk: &mut walk, path: String::new(), goal: Goal::of(places) }
            .deserialize(&mut deserializer);
        match read {
            Ok(None) => {}
            _ if walk.stopped => return Ok(walk.beside),
            Ok(Some(_)) => {
                return Err(Fault::Places("a document is neither an object nor an array".to_owned()));
            }
            Err(error) => {
                let broken = || Fault::Broken(format!("not JSON from here on: {error}"));
                return Err(walk.failed.map_or_else(broken, Fault::Places));
            }
        }
    }
    match places {
        Places::At(place) if walk.form.is_none() => {
            Err(Fault::Places(format!("there is no array at `{place}`; {}", walk.beside.named_arrays())))
        }
        _ => Ok(walk.beside.counted()),
    }
}

impl Beside {
    fn counted(mut self) -> Self {
        let missing = self.total.filter(|total| *total > self.people);
        if let (None, Some(total)) = (&self.more, missing) {
            self.more = Some(format!("it has {} of {total} people", self.people));
        }
        self
    }

    /// What the fields beside the people say of others.
    fn note(&mut self, fields: &[(String, Value)]) {
        self.more = None;
        for (name, value) in fields {
            let inner = |member: &str| value.get(member).filter(|value| is_something(value));
            let next = match name.as_str() {
                "@odata.nextLink" | "nextPageToken" | "next_page_token" | "PaginationToken" | "NextToken"
                | "nextPage" | "next" => Some(value).filter(|value| is_something(value)),
                "list_metadata" | "listMetadata" => inner("after"),
                "links" | "_links" | "paging" => inner("next"),
                "totalResults" | "total" | "total_count" | "totalCount" => {
                    self.total = value.as_u64();
                    None
                }
                _ => None,
            };
            if next.is_some() {
                self.more = Some(format!("`{name}` says that more people follow on another page"));
            }
        }
    }

    /// The arrays, for people.
    pub(super) fn named_arrays(&self) -> String {
        if self.arrays.is_empty() {
            return "it has no arrays".to_owned();
        }
        format!("it has the arrays `{}`: --people PATH says which has the people", self.arrays.join("`, `"))
    }

    fn note_arrays(&mut self, path: &str, value: &Value) {
        match value {
            Value::Array(_) if self.arrays.len() < 20 && !self.arrays.iter().any(|known| known == path) => {
                self.arrays.push(path.to_owned());
            }
            Value::Object(members) if path.split('.').count() < 4 => {
                members.iter().for_each(|(name, value)| self.note_arrays(&format!("{path}.{name}"), value));
            }
            _ => {}
        }
    }
}

fn is_something(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false)) && value.as_str() != Some("")
}

/// Ends where too much was read for one part.
struct Bounded<'a, R> {
    inner: R,
    unread: &'a Cell<u64>,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.unread.set(self.unread.get() + read as u64);
        if self.unread.get() > LONGEST_PART {
            return Err(io::Error::other("one part of it is longer than 64 MiB"));
        }
        Ok(read)
    }
}

/// How a file has its people: one form a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Arrays,
    Objects,
}

/// A reading on its way.
struct Walk<'a> {
    places: &'a Places,
    unread: &'a Cell<u64>,
    each: Each<'a>,
    beside: Beside,
    form: Option<Form>,
    failed: Option<String>,
    stopped: bool,
}

impl Walk<'_> {
    fn fail<E: serde::de::Error>(&mut self, reason: String) -> E {
        self.failed = Some(reason);
        E::custom("refused")
    }

    fn give<E: serde::de::Error>(&mut self, place: &str, text: &str) -> Result<(), E> {
        self.unread.set(0);
        self.beside.people += 1;
        if (self.each)(place, text) {
            return Ok(());
        }
        self.stopped = true;
        Err(E::custom("stopped"))
    }

    /// Takes a document that has nobody in an array: it is a person, or has an empty array.
    fn take_object<E: serde::de::Error>(&mut self, fields: Vec<(String, Value)>) -> Result<(), E> {
        let goal = Goal::of(self.places);
        let is_empty = |(name, value): &(String, Value)| {
            goal.below(name).is_some() && value.as_array().is_some_and(Vec::is_empty)
        };
        let has_nobody = fields.iter().any(is_empty);
        let object = fields.iter().cloned().collect();
        if has_nobody && !self.places.is_person(&object) {
            self.beside.note(&fields);
            return self.has_form(Form::Arrays);
        }
        self.has_form(Form::Objects)?;
        let place = format!("object {}", self.beside.people + 1);
        self.give(&place, &Value::Object(object).to_string())
    }

    fn has_form<E: serde::de::Error>(&mut self, form: Form) -> Result<(), E> {
        match self.form.replace(form) {
            Some(other) if other != form => {
                Err(self.fail("some documents have people in an array, and others are people".to_owned()))
            }
            _ => Ok(()),
        }
    }
}

/// Where the people may be, seen from a value.
#[derive(Clone, Copy)]
enum Goal<'p> {
    /// At a usual place below it, or at one of these.
    Usual(&'p [String]),
    /// At this path below it.
    At(&'p str),
    /// It is the array. `sure`: whatever is in it.
    Here { sure: bool },
}

impl<'p> Goal<'p> {
    fn of(places: &'p Places) -> Self {
        match places {
            Places::At(path) => Self::At(path),
            Places::Usual { more, .. } => Self::Usual(more),
        }
    }

    fn below(self, name: &str) -> Option<Self> {
        match self {
            Self::Usual(more) if PLACES.contains(&name) || more.iter().any(|path| path == name) => {
                Some(Self::Here { sure: false })
            }
            Self::Usual(more) => more.iter().find_map(|path| Self::At(path).below(name)),
            Self::At(path) if path == name => Some(Self::Here { sure: true }),
            Self::At(path) => path.strip_prefix(name)?.strip_prefix('.').map(Self::At),
            Self::Here { .. } => None,
        }
    }
}

/// A value on the way to the people: gives itself where it has none of them.
struct Node<'w, 'a, 'p> {
    walk: &'w mut Walk<'a>,
    path: String,
    goal: Goal<'p>,
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_, '_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Value>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_, '_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Option<Value>, E> {
        Ok(Some(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Option<Value>, E> {
        Ok(Some(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Option<Value>, E> {
        Ok(Some(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Option<Value>, E> {
        Ok(Some(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Option<Value>, E> {
        Ok(Some(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Option<Value>, E> {
        Ok(Some(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Option<Value>, A::Error> {
        let Self { walk, path, goal } = self;
        let is_document = path.is_empty() && matches!(goal, Goal::Usual(_));
        if let (true, Goal::At(place)) = (path.is_empty(), goal)
            && let Some(rest) = place.strip_prefix("[].")
        {
            let mut count = 0;
            loop {
                let node = Node { walk: &mut *walk, path: format!("[{count}]"), goal: Goal::At(rest) };
                if items.next_element_seed(node)?.is_none() {
                    return Ok(None);
                }
                count += 1;
            }
        }
        let sure = is_document || matches!(goal, Goal::Here { sure: true });
        if !sure && !matches!(goal, Goal::Here { .. }) {
            return collected(Vec::new(), items);
        }
        let mut count = 0;
        while let Some(item) = items.next_element::<Box<RawValue>>()? {
            if count == 0 && !sure && !item.get().starts_with('{') {
                return collected(vec![serde_json::from_str(item.get()).map_err(A::Error::custom)?], items);
            }
            if count == 0
                && is_document
                && let Ok(first) = serde_json::from_str(item.get())
            {
                walk.beside.note_arrays("[]", &first);
            }
            walk.give(&format!("{path}[{count}]"), item.get())?;
            count += 1;
        }
        if count == 0 && !sure {
            return Ok(Some(Value::Array(Vec::new())));
        }
        walk.has_form(Form::Arrays)?;
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Option<Value>, A::Error> {
        let Self { walk, path, goal } = self;
        let mut fields: Vec<(String, Value)> = Vec::new();
        let mut found: Option<String> = None;
        while let Some(name) = members.next_key::<String>()? {
            if fields.iter().any(|(known, _)| *known == name) {
                return Err(walk.fail(format!("`{name}` is there twice in one object")));
            }
            let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let value = match goal.below(&name) {
                Some(goal) => {
                    members.next_value_seed(Node { walk: &mut *walk, path: below.clone(), goal })?
                }
                None => Some(members.next_value()?),
            };
            walk.unread.set(0);
            match (value, &found) {
                (Some(value), _) => fields.push((name, value)),
                (None, Some(other)) => {
                    return Err(walk.fail(format!(
                        "people are in `{other}` and in `{below}`: say which are meant, as in --people {other}"
                    )));
                }
                (None, None) => found = Some(below),
            }
        }
        fields.iter().for_each(|(name, value)| {
            let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            walk.beside.note_arrays(&below, value);
        });
        if found.is_some() {
            walk.beside.note(&fields);
            return Ok(None);
        }
        if !path.is_empty() {
            return Ok(Some(Value::Object(fields.into_iter().collect())));
        }
        if let Goal::At(place) = goal {
            let arrays = walk.beside.named_arrays();
            return Err(walk.fail(format!("there is no array at `{place}`; {arrays}")));
        }
        walk.take_object(fields)?;
        Ok(None)
    }
}

/// An array that is not one of people.
fn collected<'de, A: SeqAccess<'de>>(
    mut values: Vec<Value>,
    mut items: A,
) -> Result<Option<Value>, A::Error> {
    while let Some(value) = items.next_element()? {
        values.push(value);
    }
    Ok(Some(Value::Array(values)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const USUAL: Places = Places::Usual { more: Vec::new(), keys: Vec::new() };

    /// The people of a text, with where they were; what stood beside them.
    fn read(text: &str, place: Option<&str>) -> Result<(Vec<String>, Beside), Fault> {
        let mut people = Vec::new();
        let places = place.map_or(USUAL, |place| Places::At(place.to_owned()));
        let beside = documents(text.as_bytes(), &places, &mut |at, person| {
            people.push(format!(
                "{at} {}",
                object(person)
                    .map_or_else(|error| error, |o| o.get("id").map_or_else(String::new, Value::to_string))
            ));
            true
        })?;
        Ok((people, beside))
    }

    #[test]
    fn people_are_found_where_providers_have_them() {
        for (text, expected) in [
            (r#"[{"id":1},{"id":2}]"#, vec!["[0] 1", "[1] 2"]),
            (r#"{"users":[{"id":1}]}"#, vec!["users[0] 1"]),
            (
                "{\"realm\":\"acme\",\n\"roles\":{\"realm\":[{\"id\":7}]},\n\"users\":[{\"id\":1}],\"x\":[8]}",
                vec!["users[0] 1"],
            ),
            (r#"{"@odata.context":"x","value":[{"id":1}]}"#, vec!["value[0] 1"]),
            (
                r#"{"schemas":["urn"],"Resources":[{"id":1},{"id":2}]}"#,
                vec!["Resources[0] 1", "Resources[1] 2"],
            ),
            (r#"{"value":[{"id":1}]} {"value":[{"id":2}]}"#, vec!["value[0] 1", "value[0] 2"]),
            (
                "{\n\"id\": 1, \"data\": [7], \"users\": \"x\"}\n{\n\"id\": 2}",
                vec!["object 1 1", "object 2 2"],
            ),
            (r#"{"users":[]}"#, vec![]),
            ("", vec![]),
        ] {
            assert_eq!(read(text, None).unwrap().0, expected, "{text}");
        }
        let people = Places::Usual { more: Vec::new(), keys: vec!["id".to_owned()] };
        let mut seen = Vec::new();
        documents(r#"{"id":1,"data":[]}{"id":2,"users":[]}"#.as_bytes(), &people, &mut |_, text| {
            seen.push(text.to_owned());
            true
        })
        .unwrap();
        assert_eq!(
            seen,
            [r#"{"data":[],"id":1}"#, r#"{"id":2,"users":[]}"#],
            "people, of whom something is empty"
        );
        let realms =
            r#"[{"realm":"a","users":[{"id":1}]},{"realm":"b","users":[]},{"realm":"c","users":[{"id":2}]}]"#;
        assert_eq!(read(realms, Some("[].users")).unwrap().0, ["[0].users[0] 1", "[2].users[0] 2"]);
        assert_eq!(read(realms, None).unwrap().1.arrays, ["[].users"]);
        assert!(read(realms, Some("[].people")).is_err());
        let nested = r#"{"response":{"people":[{"id":1}],"users":3},"users":[{"id":9}]}"#;
        assert_eq!(read(nested, Some("response.people")).unwrap().0, ["response.people[0] 1"]);
    }

    #[test]
    fn where_people_are_not_found_the_arrays_are_named() {
        let (people, beside) = read(r#"{"response":{"items":[{"id":1}]},"tags":["a"]}"#, None).unwrap();
        assert_eq!((people.len(), beside.arrays), (1, vec!["response.items".to_owned(), "tags".to_owned()]));
        let Err(Fault::Places(error)) = read(r#"{"items":[{"id":1}]}"#, Some("itms")) else {
            panic!("found")
        };
        assert!(error.contains("no array at `itms`; it has the arrays `items`"), "{error}");
    }

    #[test]
    fn two_places_and_two_forms_are_not_guessed_between() {
        for (text, words) in [
            (r#"{"users":[{"id":1}],"value":[{"id":2}]}"#, "people are in `users` and in `value`"),
            (r#"{"users":[{"id":1}],"users":[{"id":2}]}"#, "people are in `users` and in `users`"),
            (r#"{"users":[{"id":1}]}{"id":2}"#, "others are people"),
            (r#"{"id":1,"id":2}"#, "`id` is there twice"),
            (r#"[{"id":1}] x"#, "not JSON from here on"),
            (r#"[{"id":1},"#, "not JSON from here on"),
            ("7", "neither an object nor an array"),
        ] {
            let (is_broken, error) = match read(text, None).unwrap_err() {
                Fault::Places(error) => (false, error),
                Fault::Broken(error) => (true, error),
            };
            assert_eq!(is_broken, words.starts_with("not JSON"), "{text}");
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn one_page_of_more_says_so() {
        for (text, words) in [
            (r#"{"value":[{"id":1}],"@odata.nextLink":"https://graph.example/x"}"#, "`@odata.nextLink`"),
            (r#"{"Users":[{"id":1}],"PaginationToken":"x"}"#, "`PaginationToken`"),
            (r#"{"data":[{"id":1}],"list_metadata":{"before":null,"after":"user_1"}}"#, "`list_metadata`"),
            (r#"{"totalResults":3,"Resources":[{"id":1}]}"#, "1 of 3"),
        ] {
            let more = read(text, None).unwrap().1.more.unwrap();
            assert!(more.contains(words), "{text}: {more}");
        }
        for whole in [
            r#"{"value":[{"id":1}],"@odata.nextLink":"x"}{"value":[{"id":2}]}"#,
            r#"{"data":[{"id":1}],"list_metadata":{"before":"x","after":null}}"#,
            r#"{"totalResults":2,"Resources":[{"id":1}]}{"totalResults":2,"Resources":[{"id":2}]}"#,
            r#"{"id":1,"total":7,"next":"x"}"#,
        ] {
            assert_eq!(read(whole, None).unwrap().1.more, None, "{whole}");
        }
    }

    #[test]
    fn what_two_parsers_read_differently_is_refused() {
        for (text, words) in [
            (r#"{"sub":"a","sub":"b"}"#, "same name twice"),
            (r#"{"a":{"b":1,"\u0062":2}}"#, "same name twice"),
            ("[1]", "not a JSON object"),
            (r#"{"a":1}{"b":2}"#, "not JSON: trailing"),
            (r#"{"a":1"#, "not JSON: EOF"),
        ] {
            let error = object(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(DEEPEST), "]".repeat(DEEPEST));
        assert!(object(&deep).unwrap_err().contains("too deeply"));
        assert_eq!(
            object(r#"{"a":[1,-2,3.5,null,true,"x"]}"#).unwrap()["a"],
            json!([1, -2, 3.5, null, true, "x"])
        );
    }

    #[test]
    fn the_reading_ends_when_no_more_are_wanted() {
        let mut seen = 0;
        let stop = documents(r#"{"users":[{"id":1},{"id":2}, broken"#.as_bytes(), &USUAL, &mut |_, _| {
            seen += 1;
            false
        });
        assert!(stop.is_ok() && seen == 1);
    }

    proptest! {
        /// Whatever is in a name: the people are as many as they were, in a line each as in an array.
        #[test]
        fn no_text_in_a_value_changes_the_people(names in prop::collection::vec(".*", 1..8)) {
            let people: Vec<Value> = names.iter().enumerate().map(|(n, name)| json!({"id": n, "name": name})).collect();
            let pretty = serde_json::to_string_pretty(&json!({"users": people})).unwrap();
            let mut read = Vec::new();
            documents(pretty.as_bytes(), &USUAL, &mut |_, text| {
                read.push(Value::Object(object(text).unwrap()));
                true
            }).unwrap();
            prop_assert_eq!(read, people);
        }
    }
}
