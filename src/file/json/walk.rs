//! Walks through a document to its people.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::Each;
use super::beside::Beside;
use super::places::{Goal, Places};

/// Where the people of a file are. A file has only one form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Arrays,
    Objects,
}

/// The state of reading a file.
pub(super) struct Walk<'a> {
    places: &'a Places,
    unread: &'a Cell<u64>,
    each: Each<'a>,
    pub(super) beside: Beside,
    /// `None` until a document was read.
    pub(super) form: Option<Form>,
    /// Why the place of the people is ambiguous.
    pub(super) failed: Option<String>,
    /// `each` wants no more people.
    pub(super) stopped: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(places: &'a Places, unread: &'a Cell<u64>, each: Each<'a>) -> Self {
        Self { places, unread, each, beside: Beside::default(), form: None, failed: None, stopped: false }
    }

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

    /// Takes a document without people in an array. It is a person, or its array is empty.
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
            Some(other) if other != form => Err(self.fail(
                "some documents have people in an array, others are people themselves: use one form per file"
                    .to_owned(),
            )),
            _ => Ok(()),
        }
    }
}

/// A value on the way to the people. Deserializes to itself if it contains none of them.
pub(super) struct Node<'w, 'a, 'p> {
    walk: &'w mut Walk<'a>,
    path: String,
    goal: Goal<'p>,
}

impl<'w, 'a, 'p> Node<'w, 'a, 'p> {
    /// A whole document.
    pub(super) fn document(walk: &'w mut Walk<'a>, goal: Goal<'p>) -> Self {
        Self { walk, path: String::new(), goal }
    }
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
                        "people are in `{other}` and in `{below}`: choose one, as in --people {other}"
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

/// Reads an array that does not contain people.
fn collected<'de, A: SeqAccess<'de>>(
    mut values: Vec<Value>,
    mut items: A,
) -> Result<Option<Value>, A::Error> {
    while let Some(value) = items.next_element()? {
        values.push(value);
    }
    Ok(Some(Value::Array(values)))
}
