//! People in JSON: one object per line, or documents with the people in an array. Streamed, with one
//! person in memory at a time.
//!
//! - `places`: where to look for the people of a document; `walk`: finds the way there;
//! - `beside`: the fields beside the people, and whether they announce more people.

mod beside;
mod places;
mod walk;

use std::cell::Cell;
use std::io::{self, BufReader, Read};

use serde::de::DeserializeSeed as _;
use serde_json::{Map, Value};

pub(super) use self::beside::Beside;
use self::places::Goal;
pub(super) use self::places::Places;
use self::walk::{Node, Walk};
use crate::domain::strict_json::{self, JsonFault};

/// The deepest nesting. No data about a person is nested deeper.
const DEEPEST: usize = 32;

pub(super) fn object(text: &str) -> Result<Map<String, Value>, String> {
    strict_json::object(text.as_bytes(), DEEPEST).map_err(|fault| match fault {
        JsonFault::Invalid(why) => format!("not JSON ({why}): correct the record"),
        JsonFault::NotAnObject | JsonFault::DuplicateName | JsonFault::TooDeep => {
            format!("{fault}: correct the record")
        }
    })
}

/// Why documents were not read to their end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// The place of the people is ambiguous, or there are none at it.
    Places(String),
    /// The text is not JSON. Everything from there on is unsure.
    Broken(String),
}

/// Takes a person's place (`users[3]`) and text. Returns false to end the reading.
pub(super) type Each<'a> = &'a mut dyn FnMut(&str, &str) -> bool;

/// Reads the documents one after another, and passes every person to `each`.
///
/// # Errors
/// The text is not JSON, or the place of the people is ambiguous.
pub(super) fn documents(reader: impl Read, places: &Places, each: Each<'_>) -> Result<Beside, Fault> {
    let unread = Cell::new(0);
    let bounded = BufReader::with_capacity(1 << 16, Bounded { inner: reader, unread: &unread });
    let mut deserializer = serde_json::Deserializer::from_reader(bounded);
    let mut walk = Walk::new(places, &unread, each);
    // `end` skips blanks, and fails if another document follows.
    while deserializer.end().is_err() {
        let read = Node::document(&mut walk, Goal::of(places)).deserialize(&mut deserializer);
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

/// The longest part of a document in memory: a person, or the fields beside the people.
const LONGEST_PART: u64 = 64 << 20;

/// A reader that fails if one part is too long.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const USUAL: Places = Places::Usual { more: Vec::new(), keys: Vec::new() };

    /// The people in a text, each with their place, and what is beside them.
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
            "people, and empty arrays are none"
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
            (r#"{"a":1}{"b":2}"#, "not JSON (trailing"),
            (r#"{"a":1"#, "not JSON (EOF"),
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
        /// Whatever a name contains, the people read are exactly the people written.
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
