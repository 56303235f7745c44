//! The draft as the file that a person goes on with.

use std::fmt::Write as _;

use ninewatch_core::time::{Span, TimeMs, UtcOffset};

use super::draft::{Decoded, Device, Draft, Example, Message, from_root};
use super::payload::{FIRST_BYTE, Form};
use super::toml_text::{captured, key, list, number, table, text};
use super::tree::Each;
use super::whole::silent_after;
use crate::lang::Lang;

/// What follows on this in the file is a guess that nobody has confirmed.
pub(super) const CHECK: &str = "# check:";

/// The file's text.
pub(super) fn write(draft: &Draft, examples: &[Example], lang: Lang) -> String {
    let mut file = File { out: String::new(), lang };
    file.head(draft);
    let alone = draft.messages.len() == 1;
    for message in &draft.messages {
        file.message(draft, message, alone);
    }
    for (index, field) in draft.fields.iter().enumerate() {
        // Where all messages are of one kind, the field itself says where it stands.
        let from = if alone { draft.messages.first() } else { None };
        file.field(field, from.and_then(|message| Some((message, message.pointer(index)?))));
    }
    for example in examples {
        file.example(draft, example);
    }
    file.out
}

/// The file as far as it is written.
pub(super) struct File {
    out: String,
    lang: Lang,
}

impl File {
    pub(super) fn line(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }

    pub(super) fn set(&mut self, key: &str, value: &str) {
        let _ = writeln!(self.out, "{key} = {value}");
    }

    pub(super) fn check(&mut self, zh: &str, en: &str) {
        let _ = writeln!(self.out, "{CHECK} {}", self.lang.pick(zh, en));
    }

    fn head(&mut self, draft: &Draft) {
        let how_many: usize = draft.messages.iter().map(|message| message.captured.len()).sum();
        let drafted = match self.lang {
            Lang::Zh => format!("# 由 {how_many} 条捕获的消息起草。"),
            Lang::En => format!("# Drafted out of {how_many} captured messages."),
        };
        self.line(&drafted);
        if let Some((one, other)) = draft.strangers() {
            self.check(
                &format!("{one} 和 {other} 没有共同的字段，不像同一类型；可用 --topic 只选一种"),
                &format!("{one} and {other} have nothing in common; are they of one type? --topic picks some"),
            );
        }
        self.set("id", &text(&draft.id));
        if !draft.class_is_sure {
            self.check("类别是猜的", "the class is a guess");
        }
        self.set("class", &text(draft.class.name()));
        let label = table([format!("zh = {}", text(&draft.label.zh)), format!("en = {}", text(&draft.label.en))]);
        self.set("label", &label);
        if draft.cadence.is_none() {
            self.check(
                "看不出多久上报一次；按此类设备的惯例",
                "how often it reports does not show; this is what such devices do",
            );
        }
        let cadence = draft.cadence.unwrap_or_else(|| draft.usual_cadence());
        self.set("cadence", &text(&as_span(cadence)));
        self.set("silent_after", &text(&as_span(silent_after(cadence))));
    }

    fn message(&mut self, draft: &Draft, message: &Message, alone: bool) {
        self.line("\n[[message]]");
        let by_topic = message.device == Device::Topic;
        if !message.device_is_sure {
            self.check("哪一项标识设备是猜的", "what names the device is a guess");
        }
        self.set("topic", &text(&message.topic.pattern(by_topic)));
        match &message.form {
            Form::Json => {}
            Form::Senml => self.set("payload", "\"senml\""),
            Form::Packed("bytes") => self.set("payload", "\"bytes\""),
            _ => self.set("payload", "\"text\""),
        }
        if !by_topic {
            self.set("device", &text(&message.device.source()));
        }
        if let Some(time) = &message.time {
            let from = format!("{}{}", if time.outside { "$" } else { "" }, time.pointer);
            self.set("time", &table([format!("from = {}", text(&from)), format!("format = {}", text(time.format))]));
        }
        if let Some(each) = &message.each {
            self.set("each", &text(&each.pointer));
        }
        if !alone {
            let name = |index: usize| draft.fields.get(index).map_or("", |field| field.name.as_str());
            let fields = message
                .fields
                .iter()
                .map(|(index, pointer)| format!("{} = {}", key(name(*index)), text(&message.source(pointer))));
            self.set("fields", &table(fields));
        }
        if !message.discard.is_empty() {
            let pointers = message.discard.iter().map(|pointer| text(pointer));
            self.set("discard", &list(pointers));
        }
        if !message.passed_over.is_empty() {
            let what = self.lang.pick("未采用", "Passed over");
            self.line(&format!("# {what}: {}", message.passed_over.join(" ")));
        }
        self.unpack(message);
    }

    fn unpack(&mut self, message: &Message) {
        let step = |at: &str, by: &str| format!("\n[[message.unpack]]\nat = {}\nas = {}\n", text(at), text(by));
        let opened = match &message.form {
            Form::Pairs { between, sign } => {
                format!("{}between = {}\nsign = {}\n", step("", "pairs"), text(between), text(sign))
            }
            Form::List { between } => format!("{}between = {}\n", step("", "list"), text(between)),
            Form::Packed(by) => {
                let table = format!("bytes = [\n  {{ name = \"{FIRST_BYTE}\", offset = 0, type = \"u8\" }},\n]\n");
                self.line("");
                self.check(
                    "二进制内容：在 bytes 表中写明每个量的偏移和类型，并为每个量加一个 [[field]]",
                    "binary: say in the table `bytes` what stands at which offset, and give each a [[field]]",
                );
                step("", by).trim_start().to_owned() + &table
            }
            _ => message.nested.iter().map(|at| step(at, "json")).collect(),
        };
        self.out.push_str(&opened);
        for (at, by, bytes) in &message.blobs {
            let shown: Vec<String> = bytes.iter().take(24).map(|byte| format!("{byte:02x}")).collect();
            let more = if bytes.len() > shown.len() { " …" } else { "" };
            let (zh, en) = (
                format!("{at} 是 {by} 编码的字节：{}{more}；如需解析，取消下面的注释并填好表", shown.join(" ")),
                format!(
                    "{at} is bytes in {by}: {}{more}; to read them, fill in the table and uncomment it",
                    shown.join(" ")
                ),
            );
            self.line("");
            self.check(&zh, &en);
            let table = "bytes = [{ name = \"temperature\", offset = 0, type = \"i16\" }]";
            for line in format!("{}{table}", step(at, by)).trim().lines() {
                self.line(&format!("# {line}"));
            }
            let below = inside(message.each.as_ref(), at);
            self.line(&format!("# [[field]] … from = {}, scale = 0.1", text(&format!("{below}/temperature"))));
        }
    }

    fn example(&mut self, draft: &Draft, example: &Example) {
        self.line("\n[[example]]");
        self.set("topic", &text(&example.captured.topic));
        match std::str::from_utf8(&example.captured.payload) {
            Ok(payload) if !payload.contains('\0') => self.set("payload", &captured(payload)),
            _ => {
                let hex: String = example.captured.payload.iter().map(|byte| format!("{byte:02x}")).collect();
                self.set("payload_hex", &text(&hex));
            }
        }
        if let Some(arrival_ms) = example.captured.arrival_ms {
            self.set("arrival", &text(&rfc3339(arrival_ms)));
        }
        let mut readings = Vec::new();
        for reading in &example.taken.readings {
            let mut items = vec![format!("device = {}", text(&reading.device))];
            items.extend(reading.at_ms.map(|at_ms| format!("at = {}", text(&rfc3339(at_ms)))));
            for (index, decoded) in &reading.values {
                let Some(field) = draft.fields.get(*index) else { continue };
                items.push(format!("{} = {}", field.name, decoded_text(decoded)));
            }
            readings.push(table(items));
        }
        let joined = readings.join(",\n  ");
        let readings = if readings.len() > 1 { format!("[\n  {joined},\n]") } else { format!("[{joined}]") };
        self.set("readings", &readings);
        let refused: Vec<String> = example.taken.refused.iter().map(|code| text(code)).collect();
        if !refused.is_empty() {
            self.set("refused", &list(refused));
        }
    }
}

impl Message {
    fn pointer(&self, field: usize) -> Option<&str> {
        self.fields.iter().find(|(index, _)| *index == field).map(|(_, pointer)| pointer.as_str())
    }
}

fn decoded_text(decoded: &Decoded) -> String {
    match decoded {
        Decoded::Number(decoded) => number(*decoded),
        Decoded::Bool(on) => on.to_string(),
        Decoded::Word(word) => text(word),
        Decoded::Samples(samples) => format!("{{ samples = {samples} }}"),
    }
}

/// With milliseconds only where there are some.
fn rfc3339(at_ms: TimeMs) -> String {
    UtcOffset::CHINA.rfc3339(at_ms).replace(".000+", "+")
}

/// The pointer in the element to what stands at a pointer of the payload.
fn inside<'p>(each: Option<&Each>, pointer: &'p str) -> &'p str {
    pointer.strip_prefix(&from_root(each, "")).filter(|_| each.is_some()).unwrap_or(pointer)
}

/// As a sensor type file writes it: `1h30m`.
pub(super) fn as_span(span: Span) -> String {
    span.to_string().replace(' ', "")
}
