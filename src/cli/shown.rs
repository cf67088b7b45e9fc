//! Makes text from elsewhere (a token, a directory, a file, Permit) safe to show on a terminal or in a
//! page.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character is safe to show: it does not control the terminal, change the text's direction, or
/// stay invisible.
fn shows(c: char) -> bool {
    if c.is_control() {
        return false;
    }
    !matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        // Zero-width characters, direction marks, line and paragraph separators, embeddings, overrides,
        // isolates.
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// The text, with every unsafe character escaped, as in `\u{1b}`.
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    if text.chars().all(shows) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if shows(c) { safe.push(c) } else { safe.extend(c.escape_unicode()) }
    }
    Cow::Owned(safe)
}

/// Like `shown`, but keeps line breaks.
pub(super) fn shown_lines(text: &str) -> String {
    text.split('\n').map(shown).collect::<Vec<_>>().join("\n")
}

/// JSON text with unsafe characters as JSON escapes. The values stay the same.
pub(super) fn shown_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if shows(c) || c == '\n' {
            safe.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a `String` cannot fail.
            let _ = write!(safe, "\\u{unit:04x}");
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_steers_turns_or_hides_is_written_out() {
        for (text, expected) in [
            ("Jane Example", "Jane Example"),
            ("José 名前 😀 a\u{301}", "José 名前 😀 a\u{301}"),
            (
                "\u{1b}[2J\u{1b}]8;;https://evil.example\u{7}x",
                r"\u{1b}[2J\u{1b}]8;;https://evil.example\u{7}x",
            ),
            ("\u{9b}31m\u{9d}0;t\u{9c}", r"\u{9b}31m\u{9d}0;t\u{9c}"),
            ("a\u{202e}nimda\u{2066}b\u{200f}", r"a\u{202e}nimda\u{2066}b\u{200f}"),
            ("ad\u{200b}min\u{feff}\u{ad}\u{3164}", r"ad\u{200b}min\u{feff}\u{ad}\u{3164}"),
            ("a\r\nb\tc\u{8}\u{7f}\u{0}", r"a\u{d}\u{a}b\u{9}c\u{8}\u{7f}\u{0}"),
            ("\u{e0041}\u{2028}", r"\u{e0041}\u{2028}"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    proptest! {
        #[test]
        fn nothing_but_what_shows_is_left(text in "(\\PC|\\pC|\u{1b}\\[[0-9;]{0,3}m?){0,20}") {
            prop_assert!(shown(&text).chars().all(shows));
            let once = shown(&text);
            prop_assert_eq!(&shown(&once), &once);
        }

        #[test]
        fn json_means_the_same(text in "(\\PC|\\pC){0,20}") {
            let json = serde_json::to_string_pretty(&[text]).unwrap();
            let safe = shown_json(&json);
            prop_assert!(safe.chars().all(|c| shows(c) || c == '\n'));
            let (before, after): (serde_json::Value, serde_json::Value) =
                (serde_json::from_str(&json).unwrap(), serde_json::from_str(&safe).unwrap());
            prop_assert_eq!(before, after);
        }
    }
}
