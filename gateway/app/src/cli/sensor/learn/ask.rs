//! Asking a person, only where the draft is not sure.

use anyhow::bail;
use serde_json::Value;
use std::io::{BufRead, Write};

use ninewatch_core::reading::SensorClass;

use super::device::Found;
use super::draft::{Device, Draft};
use super::field::{Doubt, Field, Kind};
use super::{as_span, names, toml_text};
use crate::lang::Lang;

/// Who answers.
pub(super) trait Asker {
    /// The answer, or the default where there is none; `None` where nobody answers at all.
    ///
    /// # Errors
    /// Where asking or hearing fails.
    fn ask(&mut self, question: &str, default: &str) -> anyhow::Result<Option<String>>;
}

/// The person at the terminal.
pub(super) struct Terminal;

impl Asker for Terminal {
    fn ask(&mut self, question: &str, default: &str) -> anyhow::Result<Option<String>> {
        let mut out = std::io::stderr();
        write!(out, "{question} [{default}] ")?;
        out.flush()?;
        let mut answer = String::new();
        if std::io::stdin().lock().read_line(&mut answer)? == 0 {
            writeln!(out)?;
            return Ok(None);
        }
        let answer = answer.trim();
        Ok(Some(if answer.is_empty() { default.to_owned() } else { answer.to_owned() }))
    }
}

/// Nobody: the draft says itself what it is not sure of.
pub(super) struct Nobody;

impl Asker for Nobody {
    fn ask(&mut self, _: &str, _: &str) -> anyhow::Result<Option<String>> {
        Ok(None)
    }
}

/// How often one question is asked before an answer that cannot be used ends it.
const TRIES: usize = 3;

/// Asks until the answer can be read; `None` where nobody answers.
fn ask_for<T>(
    asker: &mut dyn Asker,
    question: &str,
    default: &str,
    read: impl Fn(&str) -> Option<T>,
) -> anyhow::Result<Option<T>> {
    for _ in 0..TRIES {
        let Some(answer) = asker.ask(question, default)? else { return Ok(None) };
        if let Some(read) = read(&answer) {
            return Ok(Some(read));
        }
    }
    bail!("no answer to `{question}` could be used; `--yes` asks nothing and marks the guesses")
}

/// Which of what was found names the device; asks where that is not sure.
pub(super) fn device(asker: &mut dyn Asker, lang: Lang, topic: &str, found: Found) -> anyhow::Result<(Device, bool)> {
    let Some(first) = found.candidates.first() else { return Ok((Device::Topic, false)) };
    if found.sure || found.candidates.len() == 1 && first.device != Device::Topic {
        return Ok((first.device.clone(), found.sure));
    }
    let mut question = format!("{topic}: {}\n", lang.pick("设备由哪一项标识？", "what names the device?"));
    for (number, candidate) in found.candidates.iter().enumerate() {
        let source = match candidate.device {
            Device::Topic => lang.pick("主题", "the topic").to_owned(),
            _ => candidate.device.source(),
        };
        question.push_str(&format!("  {} {source}: {}\n", number + 1, candidate.names.join(", ")));
    }
    question.push_str(lang.pick("序号", "number"));
    let chosen = ask_for(asker, &question, "1", |answer| {
        let number: usize = answer.parse().ok()?;
        found.candidates.get(number.checked_sub(1)?)
    })?;
    Ok(chosen.map_or_else(|| (first.device.clone(), false), |chosen| (chosen.device.clone(), true)))
}

/// Settles what the draft is not sure of. What nobody answers stays a guess.
pub(super) fn settle(draft: &mut Draft, asker: &mut dyn Asker, lang: Lang) -> anyhow::Result<()> {
    if !draft.class_is_sure {
        let all: Vec<&str> = SensorClass::ALL.iter().map(|class| class.name()).collect();
        let question = format!("{} ({})", lang.pick("设备类别", "Sensor class"), all.join(" "));
        let by_name = |name: &str| SensorClass::ALL.into_iter().find(|class| class.name() == name);
        if let Some(class) = ask_for(asker, &question, draft.class.name(), by_name)? {
            (draft.class, draft.class_is_sure) = (class, true);
        }
    }
    draft.name_by_class();
    let label = match lang {
        Lang::Zh => &mut draft.label.zh,
        Lang::En => &mut draft.label.en,
    };
    if let Some(answer) = asker.ask(lang.pick("设备名称", "What people call it"), label)? {
        *label = answer;
    }
    if draft.cadence.is_none() {
        let question = lang.pick("多久上报一次（如 90s、10m、4h）", "How often it reports (90s, 10m, 4h)");
        draft.cadence = ask_for(asker, question, &as_span(draft.usual_cadence()), |answer| super::span(answer).ok())?;
    }
    let mut index = 0;
    while index < draft.fields.len() {
        let source = draft.source_of(index);
        let Some(field) = draft.fields.get_mut(index) else { break };
        if field.settle(&source, asker, lang)? {
            index += 1;
        } else if draft.fields.len() == 1 {
            bail!("without `{source}` nothing is left to draft");
        } else {
            draft.remove(index);
        }
    }
    Ok(())
}

impl Field {
    /// `false` where the person leaves it out.
    fn settle(&mut self, source: &str, asker: &mut dyn Asker, lang: Lang) -> anyhow::Result<bool> {
        for doubt in self.doubts.clone() {
            let settled = match doubt {
                Doubt::Meaning => match self.ask_meaning(source, asker, lang)? {
                    Some(true) => true,
                    Some(false) => return Ok(false),
                    None => false,
                },
                Doubt::Scale => self.ask_scale(source, asker, lang)?,
                Doubt::OnOff | Doubt::Contact => self.ask_on_off(source, asker, lang)?,
                Doubt::Threshold => self.ask_threshold(source, asker, lang)?,
                // Whoever knows these writes them into the file.
                Doubt::Words | Doubt::Burst | Doubt::Bytes => false,
            };
            if settled {
                self.doubts.retain(|there| *there != doubt);
            }
        }
        Ok(true)
    }

    /// What was seen of it, for a person.
    pub(super) fn shown(&self) -> String {
        let seen = self.seen.iter().filter(|value| !value.is_array()).take(4).map(toml_text::value);
        seen.collect::<Vec<_>>().join(", ")
    }

    fn ask_meaning(&mut self, source: &str, asker: &mut dyn Asker, lang: Lang) -> anyhow::Result<Option<bool>> {
        let seen = self.shown();
        let question = match lang {
            Lang::Zh => format!("`{source}`（{seen}）的字段名；不要它就答 -"),
            Lang::En => format!("`{source}` ({seen}): the field's name; - leaves it out"),
        };
        let is_name = |name: &str| {
            let signs = |sign: u8| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == b'_';
            (name == "-" || (name.bytes().all(signs) && name.starts_with(|sign: char| sign.is_ascii_lowercase())))
                .then(|| name.to_owned())
        };
        let Some(name) = ask_for(asker, &question, &self.name, is_name)? else { return Ok(None) };
        if name == "-" {
            return Ok(Some(false));
        }
        if let Some(known) = names::common(&name).filter(|_| name != self.name) {
            self.label = ninewatch_core::alert::Text { zh: known.zh.to_owned(), en: known.en.to_owned() };
        }
        self.name = name;
        if let Kind::Measure(measure) = &mut self.kind {
            let known = names::common(&self.name).and_then(|known| match known.means {
                names::Means::Measure(unit, ..) => Some(unit),
                _ => None,
            });
            let question = format!("{}: {}", self.name, lang.pick("单位（/ 表示没有）", "unit (/ for none)"));
            if let Some(unit) = asker.ask(&question, known.unwrap_or(&measure.unit))? {
                measure.unit = unit;
            }
        }
        for (label, question) in [
            (&mut self.label.zh, lang.pick("中文名称", "label in Chinese")),
            (&mut self.label.en, lang.pick("英文名称", "label in English")),
        ] {
            if let Some(answer) = asker.ask(&format!("{}: {question}", self.name), label)? {
                *label = answer;
            }
        }
        Ok(Some(true))
    }

    fn ask_scale(&mut self, source: &str, asker: &mut dyn Asker, lang: Lang) -> anyhow::Result<bool> {
        let (seen, name) = (self.shown(), self.name.clone());
        let Kind::Measure(measure) = &mut self.kind else { return Ok(false) };
        let unit = &measure.unit;
        let question = match lang {
            Lang::Zh => format!("{name}: `{source}` 上报 {seen}，1 相当于多少 {unit}"),
            Lang::En => format!("{name}: `{source}` sent {seen}; how many {unit} is 1 of it"),
        };
        let read = |answer: &str| answer.parse::<f64>().ok().filter(|scale| scale.is_finite() && *scale != 0.0);
        let Some(scale) = ask_for(asker, &question, &toml_text::number(measure.scale), read)? else { return Ok(false) };
        measure.scale = scale;
        if self.seen.iter().any(|sent| measure.of(sent).is_err()) {
            measure.range = None;
        }
        Ok(true)
    }

    fn ask_on_off(&mut self, source: &str, asker: &mut dyn Asker, lang: Lang) -> anyhow::Result<bool> {
        let (seen, values) = (self.shown(), self.seen.clone());
        let what = lang.of(&self.label).to_owned();
        let Kind::State(state) = &mut self.kind else { return Ok(false) };
        let is_default = state.on.is_empty() && state.off.is_empty();
        let numeric = values.iter().all(Value::is_number);
        let usual = |on: bool| if numeric { Value::from(u8::from(on)) } else { Value::from(on) };
        let mut answers = Vec::new();
        for (values_now, on) in [(&state.on, true), (&state.off, false)] {
            let default = if is_default { vec![usual(on)] } else { values_now.clone() };
            let default: Vec<String> = default.iter().map(plain).collect();
            let question = match (lang, on) {
                (Lang::Zh, true) => format!("`{source}`（{seen}）哪些值表示“{what}”"),
                (Lang::Zh, false) => "  哪些值表示相反".to_owned(),
                (Lang::En, true) => format!("`{source}` ({seen}): which values mean \"{what}\""),
                (Lang::En, false) => "  which values mean the opposite".to_owned(),
            };
            match asker.ask(&question, &default.join(","))? {
                Some(answer) => answers.push(values_of(&answer, &values)),
                None => return Ok(false),
            }
        }
        let off = answers.pop().unwrap_or_default();
        let on = answers.pop().unwrap_or_default();
        // The usual ones need no saying.
        (state.on, state.off) =
            if on == [usual(true)] && off == [usual(false)] { (Vec::new(), Vec::new()) } else { (on, off) };
        Ok(true)
    }

    fn ask_threshold(&mut self, source: &str, asker: &mut dyn Asker, lang: Lang) -> anyhow::Result<bool> {
        let seen = self.shown();
        let what = lang.of(&self.label).to_owned();
        let Kind::State(state) = &mut self.kind else { return Ok(false) };
        let question = match lang {
            Lang::Zh => format!("`{source}`（{seen}）达到多少表示“{what}”"),
            Lang::En => format!("`{source}` ({seen}): from which number on it means \"{what}\""),
        };
        let default = toml_text::number(state.at_least.unwrap_or(1.0));
        let least = ask_for(asker, &question, &default, |answer| answer.parse::<f64>().ok().filter(|n| n.is_finite()))?;
        state.at_least = least.or(state.at_least);
        Ok(least.is_some())
    }
}

/// A value as a person types it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Values as a person types them: of the sort that was sent.
fn values_of(answer: &str, seen: &[Value]) -> Vec<Value> {
    let texts = seen.iter().any(Value::is_string);
    let one = |word: &str| match serde_json::from_str(word) {
        Ok(value @ (Value::Bool(_) | Value::Number(_))) if !texts => value,
        _ => Value::from(word),
    };
    answer.split([',', '，']).map(str::trim).filter(|word| !word.is_empty()).map(one).collect()
}
