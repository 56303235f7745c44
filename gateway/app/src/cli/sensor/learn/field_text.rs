//! A field of a draft, as the file writes it.

use super::draft::Message;
use super::field::{Doubt, Field, Kind, Measure};
use super::file::File;
use super::payload::Form;
use super::toml_text::{key, list, number, table, text, value};

impl File {
    pub(super) fn field(&mut self, field: &Field, from: Option<(&Message, &str)>) {
        self.line("\n[[field]]");
        for doubt in &field.doubts {
            self.doubt(*doubt, field);
        }
        self.set("name", &text(&field.name));
        self.set(
            "label",
            &table([format!("zh = {}", text(&field.label.zh)), format!("en = {}", text(&field.label.en))]),
        );
        match &field.kind {
            Kind::Measure(measure) => self.set("unit", &text(&measure.unit)),
            Kind::State(_) => self.set("kind", "\"state\""),
            Kind::Word { .. } => self.set("kind", "\"word\""),
            Kind::Burst { .. } => self.set("kind", "\"burst\""),
        }
        if let Some((message, pointer)) = from {
            let source = message.source(pointer);
            if message.form != Form::Senml || source != field.name {
                self.set("from", &text(&source));
            }
        }
        self.kind(&field.kind);
    }

    fn kind(&mut self, kind: &Kind) {
        match kind {
            Kind::Measure(measure) => {
                if (measure.scale, measure.offset) == Measure::FAHRENHEIT {
                    self.set("sent_unit", "\"°F\"");
                } else {
                    if measure.scale != 1.0 {
                        self.set("scale", &number(measure.scale));
                    }
                    if measure.offset != 0.0 {
                        self.set("offset", &number(measure.offset));
                    }
                }
                if let Some((min, max)) = measure.range {
                    self.set("min", &number(min));
                    self.set("max", &number(max));
                }
            }
            Kind::State(state) => {
                if let Some(least) = state.at_least {
                    self.set("at_least", &number(least));
                } else if !(state.on.is_empty() && state.off.is_empty()) {
                    self.set("on", &list(state.on.iter().map(value)));
                    self.set("off", &list(state.off.iter().map(value)));
                }
            }
            Kind::Word { words, map } => {
                let mut meant: Vec<&str> = words
                    .iter()
                    .map(|word| map.iter().find(|(from, _)| from == word).map_or(word.as_str(), |(_, to)| to))
                    .collect();
                meant.dedup();
                if !map.is_empty() {
                    self.set("map", &table(map.iter().map(|(from, to)| format!("{} = {}", key(from), text(to)))));
                }
                if !meant.is_empty() {
                    self.set("words", &list(meant.into_iter().map(text)));
                }
            }
            Kind::Burst { samples, channels } => {
                self.set("sent_as", "\"list\"");
                self.set("rate_hz", "25");
                self.set("max_samples", &samples.to_string());
                let names = match channels {
                    3 => vec!["ax".to_owned(), "ay".to_owned(), "az".to_owned()],
                    _ => (1..=*channels).map(|number| format!("c{number}")).collect(),
                };
                let channel = |name: String| format!("{{ name = {}, unit = \"/\", per_count = 1.0 }}", text(&name));
                self.set("channels", &list(names.into_iter().map(channel)));
            }
        }
    }

    fn doubt(&mut self, doubt: Doubt, field: &Field) {
        let seen = field.shown();
        let (zh, en) = match doubt {
            Doubt::Meaning => (format!("含义是猜的；见过 {seen}"), format!("what it means is a guess; seen: {seen}")),
            Doubt::Scale => (
                format!("上报值 {seen} 如何换算成这个单位是猜的"),
                format!("how {seen}, as sent, becomes this unit is a guess"),
            ),
            Doubt::OnOff => (
                format!("只见过 {seen}；另一个值是猜的"),
                format!("only {seen} was seen; the other value is a guess"),
            ),
            Doubt::Contact => (
                "按惯例：contact 为 true 是闭合（门关着），open、door 为 true 是打开；请开一次门核对".to_owned(),
                "as is usual, a true `contact` is taken as closed and a true `open` or `door` as open; open it once and see"
                    .to_owned(),
            ),
            Doubt::Threshold => {
                (format!("见过 {seen}；从哪个数起算是猜的"), format!("seen: {seen}; from which number on is a guess"))
            }
            Doubt::Words => {
                (format!("见过 {seen}；可能还有别的词"), format!("seen: {seen}; there may be other words"))
            }
            Doubt::Burst => (
                "采样率和各通道的单位是猜的".to_owned(),
                "the samples per second and the channels' units are guesses".to_owned(),
            ),
            Doubt::Bytes => ("只取了第一个字节，作为例子".to_owned(), "only the first byte, to begin with".to_owned()),
        };
        self.check(&zh, &en);
    }
}
