//! Texts that hold more than one value.
//!
//! A text with a declared form is split. A text without one that could be a list is never taken for one
//! name ([`could_be_one`]), and never split on a guess. If its readings differ, what it says is unknown
//! ([`readings`]).

use serde_json::Value;

use crate::domain::strict_json;

/// No list of names is nested deeper, and no object that describes a person.
const DEEPEST: usize = 32;

/// How a text holds several values: `[source.lists]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ListForm {
    /// `text`: a single value. A comma in it is part of the value.
    Text,
    /// `brackets`: `[a, b]`, or `a` for a single value. Cognito writes a SAML attribute with several
    /// values this way.
    Brackets,
    /// `json`: JSON in a text. The items of an array are the values.
    Json,
    /// `dn`: distinguished names separated by `;`. The `CN` counts. Active Directory's `MemberOf` has
    /// this form.
    DistinguishedNames,
    /// Any other text is the separator between the values.
    Separated {
        by: String,
        /// Whether a text without the separator may still be a list of another form. True for a
        /// provider's default, false if the operator chose the separator.
        is_default: bool,
    },
}

impl ListForm {
    /// The form with this name in the policy. `is_default`: the form is a provider's default.
    ///
    /// # Errors
    /// If the text is neither a form's name nor a separator. A separator with letters or digits would cut
    /// names in two.
    pub fn parse(text: &str, is_default: bool) -> Result<Self, InvalidListForm> {
        Ok(match text {
            "text" => Self::Text,
            "brackets" => Self::Brackets,
            "json" => Self::Json,
            "dn" => Self::DistinguishedNames,
            _ if text.is_empty() || text.chars().any(|c| c.is_alphanumeric() || c == '-' || c == '_') => {
                return Err(InvalidListForm(text.to_owned()));
            }
            by => Self::Separated { by: by.to_owned(), is_default },
        })
    }

    /// The values in `text`: an array, or the JSON value. `None` if the text does not have this form, so
    /// its values are unknown.
    pub fn read(&self, text: &str) -> Option<Value> {
        let text = text.trim();
        match self {
            Self::Text => Some(text.into()),
            Self::Json => json(text),
            Self::Brackets => brackets(text),
            Self::DistinguishedNames => distinguished_names(text),
            Self::Separated { by, is_default } => {
                if text.starts_with(['[', '{']) {
                    return None;
                }
                // The operator did not choose this separator. If a part still looks like a list after the
                // split, the text has another form.
                if *is_default && text.split(by.as_str()).any(could_be_one) {
                    return None;
                }
                // This is one name with a mark in it, or two names. The text stays whole, and the policy
                // considers both readings.
                if *is_default && !text.contains(by.as_str()) && readings(text).next().is_some() {
                    return Some(text.into());
                }
                Some(array(text.split(by.as_str())))
            }
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "`{0}` is not a form of a list: use \"brackets\", \"json\", \"dn\", \"text\", or a separator such as \",\" or \"|\""
)]
pub struct InvalidListForm(String);

/// Whether a text looks as if it may hold several values.
pub fn could_be_one(text: &str) -> bool {
    let text = text.trim();
    text.starts_with(['[', '{']) || text.contains(SEPARATORS)
}

/// The separators between values, in exports and attributes that providers make and people write.
const SEPARATORS: [char; 12] =
    [',', ';', '|', '\n', '\r', '\t', '\u{2028}', '\u{2029}', '\u{3001}', '\u{ff0c}', '\u{ff1b}', '\u{60c}'];

/// Every value that some reading of an undeclared text would find in it, except the text itself.
///
/// Blanks, colons and the like separate here too: `acme/editor beta/viewer` may be two names, while `Ops
/// Team` is probably one. The difference does not matter until a rule asks for `Ops`.
pub fn readings(text: &str) -> impl Iterator<Item = &str> {
    let is_wrapping = |c: char| c.is_whitespace() || "[]{}()\"'`\\".contains(c);
    let coarse = text.split(SEPARATORS);
    let fine = text.split(|c: char| c.is_whitespace() || SEPARATORS.contains(&c) || "+:&<>\"'`#".contains(c));
    let names = text
        .split(SEPARATORS)
        .filter_map(move |rdn| rdn.trim_start_matches(is_wrapping).split_once('='))
        .map(|(_, name)| name);
    coarse
        .chain(fine)
        .chain(names)
        .map(move |piece| piece.trim_matches(is_wrapping))
        .filter(move |piece| !piece.is_empty() && *piece != text)
}

fn array<'a>(items: impl Iterator<Item = &'a str>) -> Value {
    items.map(str::trim).filter(|item| !item.is_empty()).map(Value::from).collect()
}

fn json(text: &str) -> Option<Value> {
    if text.is_empty() {
        return Some(Value::Null);
    }
    // A bare name. Auth0's CSV has these beside arrays.
    let is_json = text.starts_with(['[', '{', '"']);
    if !is_json && !could_be_one(text) {
        return Some(Value::Array(vec![text.into()]));
    }
    // A JSON text of one name is that name.
    match strict_json::value(text.as_bytes(), DEEPEST).ok()? {
        Value::String(name) => Some(Value::Array(vec![Value::String(name)])),
        value => Some(value),
    }
}

fn brackets(text: &str) -> Option<Value> {
    let Some(inner) = text.strip_prefix('[') else {
        // A bare text is one name, unless it looks like another form.
        return (!could_be_one(&unescaped(text, ',')) || is_escaped_name(text))
            .then(|| array(std::iter::once(unescaped(text, ',').as_str())));
    };
    let inner = inner.strip_suffix(']')?;
    if let Ok(Value::Array(items)) = serde_json::from_str(text) {
        return items.iter().all(Value::is_string).then_some(Value::Array(items));
    }
    let items = split_unescaped(inner, ',');
    // With a bracket or a quotation mark inside, it is unclear where a name ends.
    let is_plain = |item: &String| !item.contains(['[', ']', '"']);
    items.iter().all(is_plain).then(|| array(items.iter().map(String::as_str)))
}

/// Whether the text is one name: all of its commas are escaped, and it has no other separator.
fn is_escaped_name(text: &str) -> bool {
    split_unescaped(text, ',').len() == 1 && !text.contains(['[', ']', ';', '|', '\n', '\r', '\t'])
}

fn distinguished_names(text: &str) -> Option<Value> {
    let names: Option<Vec<Value>> = split_escaped_raw(text, ';')
        .into_iter()
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| common_name(name).map(Value::String))
        .collect();
    names.map(Value::Array)
}

/// The value of the first `CN` of a distinguished name (RFC 4514). `None` if the text is not a
/// distinguished name, or is several that are not separated by a semicolon.
fn common_name(name: &str) -> Option<String> {
    let mut parts = split_escaped_raw(name, ',').into_iter().map(|part| {
        let (kind, value) = part.split_once('=')?;
        let is_one = split_escaped_raw(value, '=').len() == 1 && !value.contains(['|', '\n', '\r', '\t']);
        let is_one = is_one && !value.trim().is_empty();
        is_one.then(|| (kind.trim().to_lowercase(), value.trim()))
    });
    let (kind, value) = parts.next()??;
    if kind != "cn" {
        return None;
    }
    // The domain's components come last. Anything after them is another name.
    let mut in_domain = false;
    for part in parts {
        let is_domain = part?.0 == "dc";
        if in_domain && !is_domain {
            return None;
        }
        in_domain = is_domain;
    }
    unescape_dn(value)
}

/// RFC 4514 §2.4: a backslash before a special character, or before two hexadecimal digits of a byte.
fn unescape_dn(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes().iter().copied();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let escaped = rest.next()?;
        match (hex(escaped), escaped.is_ascii_hexdigit()) {
            (Some(high), true) => bytes.push(high * 16 + hex(rest.next()?)?),
            _ => bytes.push(escaped),
        }
    }
    String::from_utf8(bytes).ok()
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The pieces between unescaped `separator`s. The pieces stay escaped.
fn split_escaped_raw(text: &str, separator: char) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut is_escaped) = (0, false);
    for (at, c) in text.char_indices() {
        if c == separator && !is_escaped {
            pieces.push(&text[start..at]);
            start = at + c.len_utf8();
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    pieces.push(&text[start..]);
    pieces
}

fn split_unescaped(text: &str, separator: char) -> Vec<String> {
    split_escaped_raw(text, separator).into_iter().map(|piece| unescaped(piece, separator)).collect()
}

fn unescaped(text: &str, separator: char) -> String {
    text.replace(&format!("\\{separator}"), &separator.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(form: &str, text: &str) -> Option<Value> {
        ListForm::parse(form, false).unwrap().read(text)
    }

    #[test]
    fn brackets_are_what_cognito_makes_of_a_saml_attribute() {
        for (text, expected) in [
            ("admins", Some(json!(["admins"]))),
            ("[admins, editors]", Some(json!(["admins", "editors"]))),
            ("[admins,editors]", Some(json!(["admins", "editors"]))),
            (r#"["admins","editors"]"#, Some(json!(["admins", "editors"]))),
            ("[Everyone, acme/editor]", Some(json!(["Everyone", "acme/editor"]))),
            (r"[CN=Admins\,OU=x, admins]", Some(json!(["CN=Admins,OU=x", "admins"]))),
            (r"CN=Admins\,OU=x", Some(json!(["CN=Admins,OU=x"]))),
            ("[]", Some(json!([]))),
            ("Ops Team", Some(json!(["Ops Team"]))),
            ("admins,editors", None),
            ("[admins, editors", None),
            ("[a, [b]]", None),
            (r#"["a", 7]"#, None),
            ("a|b", None),
        ] {
            assert_eq!(read("brackets", text), expected, "{text}");
        }
    }

    #[test]
    fn json_is_read_as_it_is_and_a_bare_name_is_one() {
        assert_eq!(read("json", r#"["a","b"]"#), Some(json!(["a", "b"])));
        assert_eq!(read("json", r#"{"admin":true}"#), Some(json!({"admin": true})));
        assert_eq!(read("json", "admin"), Some(json!(["admin"])));
        assert_eq!(read("json", r#""a, b""#), Some(json!(["a, b"])));
        assert_eq!(read("json", ""), Some(Value::Null));
        for unsure in ["[a, b]", "a,b", "{\"a\":", "[\"a\"", r#"{"a":1,"a":2}"#] {
            assert_eq!(read("json", unsure), None, "{unsure}");
        }
    }

    #[test]
    fn a_separator_splits_and_a_default_one_takes_no_other_form_for_a_name() {
        assert_eq!(read("|", "cy@old.example|cy@acme.com"), Some(json!(["cy@old.example", "cy@acme.com"])));
        assert_eq!(read(";", " a ; b;"), Some(json!(["a", "b"])));
        assert_eq!(read(";", "Sales, EMEA"), Some(json!(["Sales, EMEA"])), "the operator says so");
        let default = ListForm::parse(";", true).unwrap();
        assert_eq!(default.read("a;b"), Some(json!(["a", "b"])));
        assert_eq!(default.read("a;"), Some(json!(["a"])));
        for unsure in ["a, b", "a|b", "[a;b]", r#"["a"]"#, "a\nb", "a;b, x", "a,b;"] {
            assert_eq!(default.read(unsure), None, "{unsure}");
        }
        for one_or_two in ["Ops Team", "a/x:b/y", "a/x+b/y", "\"a\"", "<g>a</g>", "a&b"] {
            assert_eq!(
                default.read(one_or_two),
                Some(json!(one_or_two)),
                "held against the policy as either"
            );
        }
        assert_eq!(read("text", "a, b"), Some(json!("a, b")));
        for form in ["", "a", "bracket", "-", "_", " x "] {
            assert!(ListForm::parse(form, false).is_err(), "{form}");
        }
    }

    #[test]
    fn distinguished_names_give_their_common_names() {
        let text =
            r"CN=Ops\, Night,OU=Groups,DC=acme,DC=example;cn=Editors,DC=acme;CN=B\C3\BCcher;CN=a\;b,DC=x";
        assert_eq!(read("dn", text), Some(json!(["Ops, Night", "Editors", "Bücher", "a;b"])));
        assert_eq!(read("dn", ""), Some(json!([])));
        assert_eq!(read("dn", "CN=Admins,CN=Users,DC=acme,DC=example"), Some(json!(["Admins"])));
        for unsure in [
            "Microsoft.ActiveDirectory.Management.ADPropertyValueCollection",
            "OU=x,CN=y",
            "Editors",
            r"CN=x\",
            "CN=Editors,DC=acme|CN=Ops,DC=acme",
            "CN=Editors,DC=acme\nCN=Ops,DC=acme",
            "CN=Editors,DC=acme, CN=Ops,DC=acme",
            "CN=Editors,DC=acme CN=Ops,DC=acme",
            "CN=Editors|Ops",
            "CN=Editors,",
        ] {
            assert_eq!(read("dn", unsure), None, "{unsure}");
        }
    }

    #[test]
    fn every_reading_of_an_undeclared_text_finds_its_names() {
        for text in [
            "acme/editor, beta/viewer",
            "acme/editor|beta/viewer",
            "[acme/editor, beta/viewer]",
            r#"["acme/editor","beta/viewer"]"#,
            "acme/editor;beta/viewer",
            "acme/editor beta/viewer",
            "acme/editor\nbeta/viewer",
            "'acme/editor' 'beta/viewer'",
            "CN=acme/editor,OU=x;CN=beta/viewer",
            "acme/editor\u{2028}beta/viewer",
            "acme/editor\u{ff0c}beta/viewer",
            "acme/editor:beta/viewer",
            "acme/editor+beta/viewer",
            "acme/editor & beta/viewer",
            "<g>acme/editor</g><g>beta/viewer</g>",
            "\"acme/editor\"-\"beta/viewer\"",
        ] {
            for name in ["acme/editor", "beta/viewer"] {
                assert!(readings(text).any(|reading| reading == name), "{text}: {name}");
            }
        }
        assert_eq!(readings("admins").count(), 0);
    }
}
