//! Which values are clean, and which part of a text counts.

use serde_json::Value;

/// Whether the value has no control character and no other invisible character (Permit's store cannot
/// hold NUL, for example). Line breaks and tabs are allowed between other characters, as in a postal
/// address.
///
/// The meaning of an unclean value is unsure: without the invisible character it is another value,
/// perhaps one that grants something. So it grants nothing, takes nothing away and is not copied.
pub fn is_clean(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => is_clean_text(text),
        Value::Array(items) => items.iter().all(is_clean),
        Value::Object(members) => members.iter().all(|(name, value)| is_clean_text(name) && is_clean(value)),
    }
}

/// Whether the character is invisible: a control character, or one that only changes how others are
/// displayed. Characters that join letters (as in Persian, or in emoji) are part of the text.
pub(in crate::domain) fn is_unseen(c: char) -> bool {
    let directs = |c| matches!(c, '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || directs(c)
}

fn is_clean_text(text: &str) -> bool {
    let is_break = |c: char| matches!(c, '\n' | '\r' | '\t');
    let inner = text.trim_matches(|c: char| c.is_whitespace() && !is_break(c));
    !text.contains(|c: char| is_unseen(c) && !is_break(c))
        && !inner.starts_with(is_break)
        && !inner.ends_with(is_break)
}

/// The value without blanks around its texts. `None` if nothing is left. A value that is not clean stays
/// unchanged.
pub(in crate::domain) fn trimmed(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        value if !is_clean(&value) => Some(value),
        Value::String(text) => {
            let text = text.trim();
            (!text.is_empty()).then(|| Value::String(text.to_owned()))
        }
        Value::Array(items) => Some(Value::Array(items.into_iter().filter_map(trimmed).collect())),
        Value::Object(members) => Some(Value::Object(
            members.into_iter().filter_map(|(name, value)| Some((name, trimmed(value)?))).collect(),
        )),
        Value::Bool(_) | Value::Number(_) => Some(value),
    }
}

/// A name for people to read. It decides nothing, so control characters are simply removed.
pub(in crate::domain) fn readable(name: &str) -> Option<String> {
    let name = name.replace(is_unseen, "");
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}
