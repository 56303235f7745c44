//! Captured messages, as other programs print them.

use anyhow::{Context, bail};
use serde_json::Value;

use ninewatch_core::time::TimeMs;

/// A message as it was published.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Captured {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    /// When it came in, where that is known.
    pub(super) arrival_ms: Option<TimeMs>,
}

/// Reads what `mosquitto_sub -v`, `mosquitto_sub -F %J` or `ninewatch journal` printed, or payloads
/// alone, whose topic is then `filter`. Keeps the messages whose topic fits `filter`.
///
/// # Errors
/// Where a payload stands without a topic and `filter` does not name one.
pub(super) fn read(bytes: &[u8], filter: Option<&str>) -> anyhow::Result<Vec<Captured>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = Reader { filter, found: Vec::new() };
    match serde_json::from_slice(bytes) {
        Ok(value) => reader.json(value, bytes.trim_ascii()).context("the file is one JSON value")?,
        Err(_) => reader.lines(bytes)?,
    }
    Ok(reader.found)
}

struct Reader<'f> {
    filter: Option<&'f str>,
    found: Vec<Captured>,
}

impl Reader<'_> {
    fn lines(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let mut rest = bytes;
        let mut line_number = 1;
        while !rest.is_empty() {
            let (topic, begin) = self.topic_of_line(first_line(rest));
            let payload = payload_at(rest.get(begin..).unwrap_or_default());
            let read = payload.trim_ascii();
            if !read.is_empty() {
                let at_line = || format!("line {line_number}");
                match (topic, serde_json::from_slice(read)) {
                    (Some(topic), _) => self.take(topic, read.to_vec(), None),
                    (None, Ok(value)) => self.json(value, read).with_context(at_line)?,
                    (None, Err(_)) => self.bare(read).with_context(at_line)?,
                }
            }
            let (done, left) = rest.split_at((begin + payload.len() + 1).min(rest.len()));
            line_number += done.iter().filter(|byte| **byte == b'\n').count();
            rest = left;
        }
        Ok(())
    }

    /// The topic before the line's payload, and where the payload begins.
    fn topic_of_line(&self, line: &[u8]) -> (Option<String>, usize) {
        if line.trim_ascii_start().first().is_none_or(|byte| b"{[\"".contains(byte)) {
            return (None, 0);
        }
        let Some(space) = line.iter().position(|byte| *byte == b' ') else { return (None, 0) };
        let (before, _) = line.split_at(space);
        match std::str::from_utf8(before) {
            // With a topic named, a line may be a text alone: `T: 21.5, H: 40`.
            Ok(word) if word.contains('/') || self.filter.is_none_or(|filter| fits(word, filter)) => {
                (Some(word.to_owned()), space + 1)
            }
            _ => (None, 0),
        }
    }

    /// A value that is a captured message, a list of them, or a payload alone.
    fn json(&mut self, value: Value, raw: &[u8]) -> anyhow::Result<()> {
        match value {
            Value::Object(_) if is_message(&value) => self.message(&value),
            Value::Array(list) if !list.is_empty() && list.iter().all(is_message) => {
                list.iter().for_each(|value| self.message(value));
            }
            _ => self.bare(raw)?,
        }
        Ok(())
    }

    fn message(&mut self, value: &Value) {
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        let Some(topic) = text("topic") else { return };
        let payload = match value.get("payload") {
            Some(Value::String(text)) => text.clone().into_bytes(),
            Some(other) => other.to_string().into_bytes(),
            None => return,
        };
        // `tst` is mosquitto's word, `at` ours. What was retained came earlier than it arrived.
        let retained = value.get("retain").and_then(Value::as_u64) == Some(1);
        let stamp = text("tst").or_else(|| text("at")).filter(|_| !retained);
        let arrival = stamp.and_then(|stamp| stamp.parse::<jiff::Timestamp>().ok());
        self.take(topic.to_owned(), payload, arrival.map(jiff::Timestamp::as_millisecond));
    }

    fn bare(&mut self, payload: &[u8]) -> anyhow::Result<()> {
        match self.filter {
            Some(topic) if !topic.contains(['#', '+']) => {
                self.take(topic.to_owned(), payload.to_vec(), None);
                Ok(())
            }
            _ => bail!("this is a payload without its topic; name the topic: --topic site/device-1/state"),
        }
    }

    fn take(&mut self, topic: String, payload: Vec<u8>, arrival_ms: Option<TimeMs>) {
        if self.filter.is_none_or(|filter| fits(&topic, filter)) {
            self.found.push(Captured { topic, payload, arrival_ms });
        }
    }
}

fn is_message(value: &Value) -> bool {
    value.get("topic").is_some_and(Value::is_string) && value.get("payload").is_some()
}

fn first_line(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == b'\n').next().unwrap_or_default()
}

/// The payload at the beginning of `bytes`: a line, or as many as its JSON needs.
fn payload_at(bytes: &[u8]) -> &[u8] {
    let line = first_line(bytes);
    if !line.trim_ascii_start().first().is_some_and(|byte| b"{[".contains(byte)) {
        return line;
    }
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<serde::de::IgnoredAny>();
    match values.next() {
        Some(Ok(_)) => {
            let end = values.byte_offset();
            // What follows on the line of the closing bracket belongs to it.
            bytes.get(..end + first_line(bytes.get(end..).unwrap_or_default()).len()).unwrap_or(line)
        }
        _ => line,
    }
}

/// Whether a topic fits an MQTT topic filter.
pub(super) fn fits(topic: &str, filter: &str) -> bool {
    // Wildcards in front do not reach the topics of the broker itself (MQTT 5, 4.7.2).
    if topic.starts_with('$') && !filter.starts_with('$') {
        return false;
    }
    let (mut levels, mut wanted) = (topic.split('/'), filter.split('/'));
    loop {
        match (wanted.next(), levels.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, filter: Option<&str>) -> Vec<(String, String)> {
        let text_of = |captured: Captured| (captured.topic, String::from_utf8(captured.payload).unwrap());
        read(text.as_bytes(), filter).unwrap().into_iter().map(text_of).collect()
    }

    fn one(topic: &str, payload: &str) -> (String, String) {
        (topic.to_owned(), payload.to_owned())
    }

    #[test]
    fn lines_of_mosquitto_sub_verbose() {
        let text = "z/a {\"x\": 1}\r\n\nz/b ON\nz/c {\n  \"x\": 2\n}\nz/d a text with spaces\n";
        let all = [one("z/a", "{\"x\": 1}"), one("z/b", "ON"), one("z/c", "{\n  \"x\": 2\n}")];
        assert_eq!(found(text, None)[..3], all);
        assert_eq!(found(text, None)[3], one("z/d", "a text with spaces"));
        assert_eq!(found(text, Some("z/b")), [one("z/b", "ON")]);
    }

    #[test]
    fn json_lines_of_mosquitto_sub_and_of_the_journal() {
        let text = r#"{"tst":"2026-11-24T05:35:00.250000+0800","topic":"a/1","qos":0,"retain":0,"payload":{"x":1}}
{"at":"2026-11-24T05:36:00.000+08:00","door":"broker:b","device":null,"topic":"a/2","payload":"{\"x\":2}","rejected":"no_known_field"}
{"tst":"2026-11-24T05:35:00.250000+0800","topic":"a/3","retain":1,"payload":"ON"}
"#;
        let all = read(text.as_bytes(), None).unwrap();
        assert_eq!(all[0].payload, b"{\"x\":1}");
        assert_eq!(all[0].arrival_ms, Some(1_795_469_700_250));
        assert_eq!((all[1].topic.as_str(), all[1].payload.as_slice()), ("a/2", b"{\"x\":2}".as_slice()));
        assert_eq!(all[2].arrival_ms, None, "nobody knows when a retained message was published");
        assert_eq!(found(text, Some("+/2")), [one("a/2", "{\"x\":2}")]);
    }

    #[test]
    fn payloads_alone_are_of_the_topic_that_is_named() {
        let whole = "{\n \"x\": 1\n}\n";
        assert_eq!(found(whole, Some("a/b")), [one("a/b", whole.trim())]);
        assert_eq!(found("{\"x\":1}\n{\"x\":2}\n", Some("a/b")).len(), 2);
        assert_eq!(found("[{\"x\":1}]", Some("a/b")), [one("a/b", "[{\"x\":1}]")]);
        assert_eq!(found("T: 21.5, H: 40\nT=1;H=2\n", Some("a")).len(), 2);
        let refused = read(b"{\"x\":1}\n{\"x\":2}", Some("a/#")).unwrap_err();
        assert!(format!("{refused:#}").starts_with("line 1: this is a payload without its topic"), "{refused:#}");
    }

    #[test]
    fn bytes_that_are_no_text_stay_as_they_are() {
        assert_eq!(read(b"a/b \x01\xff\x02\n", None).unwrap()[0].payload, b"\x01\xff\x02");
    }

    #[test]
    fn filters_fit_as_brokers_say() {
        for (topic, filter, expected) in [
            ("a/b/c", "a/#", true),
            ("a", "a/#", true),
            ("a/b", "a/+", true),
            ("a/b/c", "a/+", false),
            ("$SYS/x", "#", false),
            ("$oc/devices/d", "$oc/#", true),
            ("设备/1", "设备/+", true),
        ] {
            assert_eq!(fits(topic, filter), expected, "{topic} {filter}");
        }
    }
}
