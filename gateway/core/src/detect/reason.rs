//! The sentence that says why: a template in zh and en with the numbers put in.

use std::collections::BTreeMap;

use crate::alert::Text;

/// A sentence with `{name}` where a fact belongs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Template {
    zh: Vec<Piece>,
    en: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Words(String),
    Fact(String),
}

/// Facts by name, as people read them.
#[derive(Debug, Default)]
pub(super) struct Facts(BTreeMap<String, Text>);

impl Facts {
    pub(super) fn put(&mut self, name: &str, zh: impl Into<String>, en: impl Into<String>) {
        self.0.insert(name.to_owned(), Text { zh: zh.into(), en: en.into() });
    }

    /// A fact that reads the same in both languages.
    pub(super) fn put_same(&mut self, name: &str, text: impl Into<String>) {
        let text = text.into();
        self.put(name, text.clone(), text);
    }

    pub(super) fn put_duration(&mut self, name: &str, ms: i64) {
        self.put(name, duration(ms, [" 小时", " 分钟", " 秒"]), duration(ms, [" h", " min", " s"]));
    }
}

impl Template {
    /// # Errors
    /// The name of a fact that is none of `known`, or an open brace.
    pub(super) fn parse(text: &Text, known: &dyn Fn(&str) -> bool) -> Result<Self, String> {
        Ok(Self { zh: pieces(&text.zh, known)?, en: pieces(&text.en, known)? })
    }

    /// Whether both sentences have the fact `name`.
    pub(super) fn says(&self, name: &str) -> bool {
        let has = |pieces: &[Piece]| pieces.iter().any(|piece| matches!(piece, Piece::Fact(fact) if fact == name));
        has(&self.zh) && has(&self.en)
    }

    /// The sentence with its facts.
    pub(super) fn fill(&self, facts: &Facts) -> Text {
        let fill = |pieces: &[Piece], pick: fn(&Text) -> &str| {
            let piece = |piece: &Piece| match piece {
                Piece::Words(words) => words.clone(),
                Piece::Fact(name) => facts.0.get(name).map_or_else(|| "—".to_owned(), |fact| pick(fact).to_owned()),
            };
            pieces.iter().map(piece).collect()
        };
        Text { zh: fill(&self.zh, |text| &text.zh), en: fill(&self.en, |text| &text.en) }
    }
}

fn pieces(text: &str, known: &dyn Fn(&str) -> bool) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((words, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or("`{` without `}`")?;
        if !known(name) {
            return Err(format!("nothing here is called `{{{name}}}`"));
        }
        pieces.push(Piece::Words(words.to_owned()));
        pieces.push(Piece::Fact(name.to_owned()));
        rest = after;
    }
    pieces.push(Piece::Words(rest.to_owned()));
    Ok(pieces)
}

/// A number with as many digits as matter: `62`, `21.5`, `0.08`.
pub(super) fn number(value: f64) -> String {
    let digits = match value.abs() {
        large if large >= 100.0 => 0,
        middle if middle >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A number with its unit.
pub(super) fn quantity(value: f64, unit: &str) -> String {
    let number = number(value);
    if unit.is_empty() {
        number
    } else if unit.starts_with('%') || matches!(unit, "°" | "×") {
        format!("{number}{unit}")
    } else {
        format!("{number} {unit}")
    }
}

fn duration(ms: i64, [hour, minute, second]: [&str; 3]) -> String {
    let seconds = ms / 1000;
    let parts = [(seconds / 3600, hour), (seconds / 60 % 60, minute), (seconds % 60, second)];
    let said: Vec<String> =
        parts.iter().filter(|(count, _)| *count != 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if said.is_empty() { format!("0{second}") } else { said.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_filled_in_both_languages() {
        let text = Text {
            zh: "{spot}一氧化碳 {value}，持续 {for}".into(),
            en: "CO at {spot} is {value} for {for}".into(),
        };
        let template = Template::parse(&text, &|name| ["spot", "value", "for"].contains(&name)).unwrap();
        let mut facts = Facts::default();
        facts.put_same("spot", "后厨");
        facts.put_same("value", quantity(62.04, "ppm"));
        facts.put_duration("for", 5_400_000);
        let said = template.fill(&facts);
        assert_eq!(said.zh, "后厨一氧化碳 62 ppm，持续 1 小时 30 分钟");
        assert_eq!(said.en, "CO at 后厨 is 62 ppm for 1 h 30 min");
        assert_eq!(Template::parse(&text, &|name| name != "for").unwrap_err(), "nothing here is called `{for}`");
        let open = Text { zh: "{value".into(), en: String::new() };
        assert_eq!(Template::parse(&open, &|_| true).unwrap_err(), "`{` without `}`");
    }

    #[test]
    fn numbers_have_the_digits_that_matter() {
        let said: Vec<String> = [300.4, 21.54, 9.0, 0.084, -0.5].map(number).to_vec();
        assert_eq!(said, ["300", "21.5", "9", "0.08", "-0.5"]);
        assert_eq!(quantity(12.0, "%LEL"), "12%LEL");
        assert_eq!(quantity(91.9, "°"), "91.9°");
    }
}
