//! Takes out of a text who and where: what stands in the gateway's files, and what looks like an address, a number of a
//! person or a secret. The same gives the same mark in one bundle, and another one in the next: the key of the marks is
//! drawn for the bundle and thrown away.

use ring::hmac;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::looks::Scan;
use crate::private;

/// Keys in log lines and labels of metrics whose values name a person, a place or a thing of this site.
const NAMING: [&str; 26] = [
    "account", "address", "broker", "by", "channel", "client", "device", "file", "folder", "from", "gateway", "grid",
    "host", "id", "line", "name", "node", "path", "peer", "person", "place", "to", "topic", "upstream", "user", "what",
];
/// Keys whose values count.
const COUNTING: [&str; 4] = ["seq", "bytes", "records", "number"];

/// Knows what must not be in a bundle.
pub(super) struct Mask {
    key: hmac::Key,
    /// By the first character in lower case, the longest first: the word in lower case, and its mark.
    words: HashMap<char, Vec<(String, String)>>,
    /// What is of the program, and never masked.
    vocabulary: BTreeSet<String>,
}

impl Mask {
    /// # Errors
    /// Where the system gives no random numbers.
    pub(super) fn new(vocabulary: BTreeSet<String>, known: BTreeMap<String, &'static str>) -> anyhow::Result<Self> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &private::random::<32>()?);
        let mut mask = Self { key, words: HashMap::new(), vocabulary };
        for (word, kind) in known {
            let word = word.trim().to_lowercase();
            let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
            let is_short = word.chars().count() < 2 || (is_number && word.len() < 5);
            let Some(first) = word.chars().next() else { continue };
            if !is_short && !mask.vocabulary.contains(&word) {
                let mark = mask.mark(kind, &word);
                mask.words.entry(first).or_default().push((word, mark));
            }
        }
        for words in mask.words.values_mut() {
            words.sort_by(|one, other| other.0.len().cmp(&one.0.len()).then_with(|| one.cmp(other)));
            words.dedup();
        }
        Ok(mask)
    }

    /// What stands for something: `[device-kbdaphcl]`. Letters alone, so that no part of it looks like a number.
    pub(super) fn mark(&self, kind: &str, word: &str) -> String {
        let tag = hmac::sign(&self.key, word.to_lowercase().as_bytes());
        let letters = tag.as_ref().iter().take(4).flat_map(|byte| [byte >> 4, byte & 15]);
        let letters: String = letters.map(|half| char::from(b'a' + half)).collect();
        format!("[{kind}-{letters}]")
    }

    /// What is of the program stays; everything else is a mark, as it is among the known words or anew.
    pub(super) fn whole(&self, kind: &str, word: &str) -> String {
        let lower = word.trim().to_lowercase();
        if lower.is_empty() || self.vocabulary.contains(&lower) {
            return word.to_owned();
        }
        let known = lower.chars().next().and_then(|first| self.words.get(&first));
        let known = known.and_then(|words| words.iter().find(|(known, _)| *known == lower));
        known.map_or_else(|| self.mark(kind, &lower), |(_, mark)| mark.clone())
    }

    /// A sentence: known words, what looks like one of the kinds that must not be in it, and whatever stands in quotes.
    pub(super) fn text(&self, text: &str) -> String {
        self.scan(text, true, false)
    }

    /// A line of the gateway's log.
    pub(super) fn log_line(&self, line: &str) -> String {
        let line = without_colours(line);
        if let Ok(serde_json::Value::Object(object)) = serde_json::from_str(&line) {
            let masked: serde_json::Map<_, _> = object.into_iter().map(|(key, value)| self.field(key, value)).collect();
            return serde_json::Value::Object(masked).to_string();
        }
        self.scan(&line, true, true)
    }

    fn field(&self, key: String, value: serde_json::Value) -> (String, serde_json::Value) {
        use serde_json::Value;
        let value = match value {
            Value::String(text) if NAMING.contains(&key.as_str()) => Value::String(self.whole("name", &text)),
            Value::String(text) => Value::String(self.text(&text)),
            Value::Object(object) => {
                Value::Object(object.into_iter().map(|(key, value)| self.field(key, value)).collect())
            }
            Value::Array(list) => {
                Value::Array(list.into_iter().map(|value| self.field(key.clone(), value).1).collect())
            }
            other => other,
        };
        (key, value)
    }

    /// Metrics in Prometheus' text format.
    pub(super) fn metrics(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for line in text.lines() {
            match line.split_once('{').filter(|_| !line.starts_with('#')) {
                None => out.push_str(line),
                Some((name, rest)) => {
                    let (labels, value) = rest.rsplit_once('}').unwrap_or((rest, ""));
                    let labels: Vec<String> = labels.split("\",").map(|label| self.label(label)).collect();
                    out.push_str(&format!("{name}{{{}}}{value}", labels.join(",")));
                }
            }
            out.push('\n');
        }
        out
    }

    fn label(&self, label: &str) -> String {
        let Some((key, value)) = label.split_once("=\"") else { return self.text(label) };
        let value = value.trim_end_matches('"');
        let value = match key {
            _ if NAMING.contains(&key) => self.whole(key, value),
            // `upstream:city`: of these the program's own words stay.
            "part" => value.split(':').map(|part| self.whole("name", part)).collect::<Vec<_>>().join(":"),
            _ => self.scan(value, false, false),
        };
        format!("{key}=\"{value}\"")
    }

    /// Known words alone: the last look at what was masked already.
    pub(super) fn known(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut at = Scan::new(text);
        while let Some(sign) = at.first() {
            match self.word_at(&at) {
                Some((length, mark)) => {
                    out.push_str(mark);
                    at.skip(length);
                }
                None => at.copy(sign.len_utf8(), &mut out),
            }
        }
        out
    }

    fn scan(&self, text: &str, with_quotes: bool, with_fields: bool) -> String {
        let mut out = String::with_capacity(text.len());
        let mut at = Scan::new(text);
        while let Some(sign) = at.first() {
            if let Some((length, mark)) = self.word_at(&at) {
                out.push_str(mark);
                at.skip(length);
            } else if let Some((kind, length)) = at.looks_like() {
                match kind {
                    "" => at.copy(length, &mut out),
                    kind => {
                        out.push_str(&self.mark(kind, at.rest().get(..length).unwrap_or_default()));
                        at.skip(length);
                    }
                }
            } else if let Some((before, quoted, after)) = with_quotes.then(|| at.quoted()).flatten() {
                let inside = at.rest().get(before..before + quoted).unwrap_or_default();
                let masked = self.whole("text", inside);
                at.copy(before, &mut out);
                out.push_str(&masked);
                at.skip(quoted);
                at.copy(after, &mut out);
            } else if let Some((key, value)) = with_fields.then(|| at.field()).flatten() {
                let is_counting = |name: &str| {
                    COUNTING.contains(&name)
                        || ["_ms", "_us", "_s", "_bytes", "_seq"].iter().any(|end| name.ends_with(end))
                };
                let name = at.rest().get(..key - 1).unwrap_or_default().to_owned();
                let said = at.rest().get(key..key + value).unwrap_or_default();
                let is_number = !said.is_empty() && said.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
                if NAMING.contains(&name.as_str()) {
                    let masked = self.whole(&name, said.trim_matches('"'));
                    at.copy(key, &mut out);
                    out.push_str(&masked);
                    at.skip(value);
                } else if is_counting(&name) && is_number {
                    at.copy(key + value, &mut out);
                } else {
                    at.copy(key, &mut out);
                }
            } else {
                at.copy(sign.len_utf8(), &mut out);
            }
        }
        out
    }

    /// The known word that stands here, as long as it is in the text.
    fn word_at(&self, at: &Scan<'_>) -> Option<(usize, &str)> {
        let first = at.first()?.to_lowercase().next()?;
        let words = self.words.get(&first)?;
        let is_part = |sign: Option<char>| sign.is_some_and(|sign| sign.is_ascii_alphanumeric() || sign == '_');
        words.iter().find_map(|(word, mark)| {
            let length = begins_with(at.rest(), word)?;
            let ends = word.chars().last();
            let cuts_before = is_part(word.chars().next()) && is_part(at.before());
            let cuts_after = is_part(ends) && is_part(at.rest().get(length..).and_then(|rest| rest.chars().next()));
            (!cuts_before && !cuts_after).then_some((length, mark.as_str()))
        })
    }
}

/// How many bytes of a text are this word, which is in lower case.
fn begins_with(text: &str, word: &str) -> Option<usize> {
    let mut length = 0;
    let mut signs = text.chars();
    let mut wanted = word.chars();
    loop {
        let Some(first) = wanted.next() else { return Some(length) };
        let sign = signs.next()?;
        let mut lower = sign.to_lowercase();
        if lower.next()? != first {
            return None;
        }
        for more in lower {
            if wanted.next()? != more {
                return None;
            }
        }
        length += sign.len_utf8();
    }
}

fn without_colours(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut signs = line.chars();
    while let Some(sign) = signs.next() {
        if sign == '\u{1b}' {
            signs.by_ref().find(char::is_ascii_alphabetic);
        } else {
            out.push(sign);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask() -> Mask {
        let known = [
            ("home-12", "place"),
            ("王桂兰", "person"),
            ("city", "name"),
            ("device-home-12", "device"),
            ("smoke", "name"),
        ];
        let known = known.into_iter().map(|(word, kind)| (word.to_owned(), kind)).collect();
        Mask::new(["smoke", "silent", "upstream"].map(str::to_owned).into(), known).unwrap()
    }

    #[test]
    fn one_name_has_one_mark_in_a_bundle_and_another_one_in_the_next() {
        let (one, other) = (mask(), mask());
        let mark = one.text("home-12");
        assert!(
            mark.starts_with("[place-")
                && one.text("at Home-12, 王桂兰的家").starts_with(&format!("at {mark}, [person-"))
        );
        assert_ne!(mark, other.text("home-12"), "nobody joins two bundles");
        assert_eq!(one.text(&mark), mark, "a mark stays");
        assert_eq!(one.whole("x", "home-12"), mark);
        assert!(one.text("device-home-12").starts_with("[device-"), "the longest counts");
        assert_eq!(one.text("home-123 capacity"), "home-123 capacity", "a part of another word is none");
        assert_eq!(one.text("smoke"), "smoke", "a word of the program");
    }

    #[test]
    fn what_looks_like_a_person_or_an_address_is_masked_and_figures_stay() {
        let mask = mask();
        for (told, kind) in [
            ("call 13800138000 now", "number"),
            ("call +86 138-0013-8000", "number"),
            ("card 52262219800101123X", "number"),
            ("from 192.168.1.20:51234", "ip"),
            ("from [fd00::1:2]:443", "ip"),
            ("from fe80::77%eth0", "ip"),
            ("from ::ffff:192.168.1.20", "ip"),
            ("mac a4:c1:38:01:02:03", "ip"),
            ("to li.wei@example.org.", "mail"),
            ("mqtts://broker.city.gov.cn:8883/x", "address"),
            ("no such file /home/li/secrets/pw.txt", "path"),
            ("there is no device `wang-bed`", "text"),
            ("invalid type: string \"hunter2\", expected u16", "text"),
            ("名为“李伟”的账号", "text"),
            ("token Zm9vYmFyYmF6cXV4MTIz", "secret"),
        ] {
            let masked = mask.text(told);
            assert!(masked.contains(&format!("[{kind}-")), "{told}: {masked}");
            for secret in [
                "138", "5226", "192.168", "fd00", "fe80", "a4:c1", "li.wei", "city.gov", "/home", "wang-bed",
                "hunter2", "李伟", "Zm9v",
            ] {
                assert!(!masked.contains(secret), "{told}: {masked}");
            }
        }
        for harmless in [
            "2026-11-29T03:00:12.123456Z took 12.5 s, 4096 bytes of 65536",
            "/dev/ttyUSB0: no such device; 0.123456789",
            "2026-11-29 10:23 +08:00",
        ] {
            assert_eq!(mask.text(harmless), harmless);
        }
    }

    #[test]
    fn log_lines_keep_what_happened_and_lose_to_whom() {
        let mask = mask();
        let line = "2026-11-29T03:00:12Z  \u{1b}[32mINFO\u{1b}[0m a device is refused device=gone-7 account=\"zhao\" seq=12345678 why=no_secret";
        let masked = mask.log_line(line);
        assert!(masked.starts_with("2026-11-29T03:00:12Z  INFO a device is refused device=[device-"), "{masked}");
        assert!(masked.ends_with("seq=12345678 why=no_secret"), "{masked}");
        assert!(!masked.contains("gone-7") && !masked.contains("zhao"), "{masked}");
        let json = "{\"fields\":{\"message\":\"from 10.0.0.7\",\"device\":\"gone-7\",\"n\":3}}";
        let masked = mask.log_line(json);
        assert!(!masked.contains("10.0.0.7") && !masked.contains("gone-7") && masked.contains("\"n\":3"), "{masked}");
        let metrics = "# HELP up Up.\nup{upstream=\"city\"} 1\nparts{part=\"upstream:city\",lane=\"urgent\"} 12345678901\nx 1795000000\n";
        let masked = mask.metrics(metrics);
        assert!(!masked.contains("city") && masked.contains("part=\"upstream:[name-"), "{masked}");
        assert!(masked.contains("lane=\"urgent\"} 12345678901\nx 1795000000\n"), "{masked}");
    }
}
