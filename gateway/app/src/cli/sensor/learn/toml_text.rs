//! Values as TOML writes them.

use serde_json::Value;
use std::fmt::Write as _;

/// A number that reads back as the same one.
pub(super) fn number(number: f64) -> String {
    // Up to here a whole number is exact, and people write it without a point.
    const EXACT: f64 = 9e15;
    if number.fract() == 0.0 && number.abs() < EXACT { format!("{number:.0}") } else { format!("{number:?}") }
}

/// A text in double quotes.
pub(super) fn text(text: &str) -> String {
    let mut quoted = String::from('"');
    for sign in text.chars() {
        match sign {
            '"' | '\\' => quoted.extend(['\\', sign]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            sign if sign.is_control() => _ = write!(quoted, "\\u{:04X}", u32::from(sign)),
            sign => quoted.push(sign),
        }
    }
    quoted.push('"');
    quoted
}

/// A text as it was captured: in single quotes where they hold it as it is.
pub(super) fn captured(text: &str) -> String {
    let is_plain = |sign: char| !sign.is_control() || sign == '\t';
    if !text.contains('\'') && text.chars().all(is_plain) {
        return format!("'{text}'");
    }
    let fits =
        !text.contains("'''") && !text.ends_with('\'') && text.chars().all(|sign| is_plain(sign) || sign == '\n');
    // TOML drops the line break right behind the opening quotes.
    if fits { format!("'''\n{text}'''") } else { self::text(text) }
}

/// A boolean, a number or a text.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::String(string) => text(string),
        Value::Number(sent) if sent.is_f64() => number(sent.as_f64().unwrap_or_default()),
        other => other.to_string(),
    }
}

/// A key, quoted where it has to be.
pub(super) fn key(key: &str) -> String {
    let bare = |sign: char| sign.is_ascii_alphanumeric() || sign == '_' || sign == '-';
    if !key.is_empty() && key.chars().all(bare) { key.to_owned() } else { text(key) }
}

/// A list.
pub(super) fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(", "))
}

/// A table in one line.
pub(super) fn table(items: impl IntoIterator<Item = String>) -> String {
    format!("{{ {} }}", items.into_iter().collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(written: &str) -> toml::Value {
        toml::from_str::<toml::Table>(&format!("x = {written}")).unwrap()["x"].clone()
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_reads_back_the_same(sent in proptest::num::f64::NORMAL, any in ".*", quotes in "['\"\\\\\n\r\t ]*") {
            let read = back(&number(sent));
            assert_eq!(read.as_float().or_else(|| read.as_integer().map(|whole| whole as f64)), Some(sent));
            for written in [&any, &quotes] {
                assert_eq!(back(&text(written)).as_str(), Some(written.as_str()));
                assert_eq!(back(&captured(written)).as_str(), Some(written.as_str()));
            }
        }
    }
}
