//! What is fitted to a node, in the words that an installer types: `contact:2 device=smoke-1 field=smoke_alarm`.

use anyhow::{Context, bail};
use std::collections::BTreeMap;

use ninewatch_core::time::Span;
use ninewatch_wire::table::{Fitted, GasElement};

use crate::intake::nodes::list::ChannelEntry;

const KINDS: &str = "contact, line, button, thermometer, sht3x, mq2, mq5, clamp, ld2410, output";

/// Reads a channel.
///
/// # Errors
/// Which word is wrong, and what would be right.
pub(super) fn parse(words: &str) -> anyhow::Result<ChannelEntry> {
    let mut words = words.split_whitespace();
    let what = words.next().with_context(|| format!("it is empty; begin with one of {KINDS}"))?;
    let mut options = Options::default();
    for word in words {
        let (key, value) = word.split_once('=').with_context(|| format!("`{word}` is not key=value"))?;
        if options.0.insert(key, value).is_some() {
            bail!("`{key}` is there twice");
        }
    }
    let fitted = fitted(what, &mut options)?;
    let device = options.take("device").context("say device=ID, of a registered device")?.to_owned();
    let field = options.take("field").map(str::to_owned);
    let humidity_field = options.take("humidity").map(str::to_owned);
    let every = options.take("every").map(span).transpose()?.unwrap_or(Span::from_secs(60));
    let urgent = match options.take("urgent") {
        None => None,
        Some("yes") => Some(true),
        Some("no") => Some(false),
        Some(other) => bail!("urgent={other} is neither yes nor no"),
    };
    if let Some(key) = options.0.keys().next() {
        bail!("`{key}` is not known for `{what}`");
    }
    Ok(ChannelEntry { device, field, humidity_field, urgent, every, fitted })
}

#[derive(Default)]
struct Options<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Options<'a> {
    fn take(&mut self, key: &str) -> Option<&'a str> {
        self.0.remove(key)
    }

    fn number<T: TryFrom<u32>>(&mut self, key: &str, default: u32) -> anyhow::Result<T> {
        let text = self.take(key);
        let value = text.map_or(Ok(default), number).with_context(|| format!("`{key}`"))?;
        T::try_from(value).ok().with_context(|| format!("{key}={value} is too large"))
    }

    fn needed(&mut self, key: &str, what: &str) -> anyhow::Result<u32> {
        number(self.take(key).with_context(|| format!("say {key}=…, {what}"))?).with_context(|| format!("`{key}`"))
    }

    /// Contacts and outputs are on at the low level, unless somebody says otherwise.
    fn active_low(&mut self, default: &'static str) -> anyhow::Result<bool> {
        match self.take("active").unwrap_or(default) {
            "low" => Ok(true),
            "high" => Ok(false),
            other => bail!("active={other} is neither low nor high"),
        }
    }
}

fn fitted(what: &str, options: &mut Options<'_>) -> anyhow::Result<Fitted> {
    let (kind, at) = what.split_once(':').map_or((what, None), |(kind, at)| (kind, Some(at)));
    let terminal = || -> anyhow::Result<u8> {
        let text = at.with_context(|| format!("say where: {kind}:2 for terminal 2, {kind}:0x48 for an I²C address"))?;
        u8::try_from(number(text)?).ok().with_context(|| format!("`{text}` is no terminal"))
    };
    let gas = |element, options: &mut Options<'_>| -> anyhow::Result<Fitted> {
        let r0_ohm = options.needed("r0", "the element's resistance in clean air, in Ω, as it was calibrated")?;
        Ok(Fitted::Gas { adc: terminal()?, element, load_ohm: options.number("load", 5_000)?, r0_ohm })
    };
    Ok(match kind {
        "contact" => Fitted::Contact {
            input: terminal()?,
            active_low: options.active_low("low")?,
            settle_ms: options.number("settle", 50)?,
        },
        "line" => Fitted::Line { adc: terminal()? },
        "button" => Fitted::Button { input: terminal()?, active_low: options.active_low("low")? },
        "thermometer" => Fitted::Thermometer { address: terminal()? },
        "sht3x" => Fitted::Sht3x { address: terminal()? },
        "mq2" => gas(GasElement::Mq2, options)?,
        "mq5" => gas(GasElement::Mq5, options)?,
        "clamp" => Fitted::Current {
            adc: terminal()?,
            turns: options.number("turns", 2_000)?,
            burden_decohm: u16::try_from(options.number::<u32>("burden", 33)?.saturating_mul(10))
                .ok()
                .context("`burden` is too large")?,
        },
        "ld2410" if at.is_none() => Fitted::Ld2410,
        "ld2410" => bail!("an ld2410 is on the board's second UART: write it without a terminal"),
        "output" => Fitted::Output { output: terminal()?, active_low: options.active_low("high")? },
        other => bail!("there is no kind `{other}`; there are {KINDS}"),
    })
}

/// As people write it, `0x` for an address.
fn number(text: &str) -> anyhow::Result<u32> {
    let read = text.strip_prefix("0x").map_or_else(|| text.parse(), |hex| u32::from_str_radix(hex, 16));
    read.ok().with_context(|| format!("`{text}` is not a number"))
}

fn span(text: &str) -> anyhow::Result<Span> {
    let value = toml::Value::String(text.to_owned());
    value.try_into().map_err(|_| anyhow::anyhow!("every={text} is not a length of time; write it like 30s or 10m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fitted_is_typed_in_a_few_words() {
        let channel = parse("contact:2 device=smoke-1 field=smoke_alarm active=high every=30s").unwrap();
        assert_eq!(channel.fitted, Fitted::Contact { input: 2, active_low: false, settle_ms: 50 });
        assert_eq!((channel.device.as_str(), channel.field.as_deref()), ("smoke-1", Some("smoke_alarm")));
        assert_eq!(channel.every, Span::from_secs(30));
        let channel = parse("sht3x:0x44 device=c field=t humidity=h").unwrap();
        assert_eq!((channel.fitted, channel.humidity_field.as_deref()), (Fitted::Sht3x { address: 0x44 }, Some("h")));
        let clamp = parse("clamp:1 device=c field=a").unwrap().fitted;
        assert_eq!(clamp, Fitted::Current { adc: 1, turns: 2_000, burden_decohm: 330 });
        assert_eq!(parse("ld2410 device=p field=present").unwrap().fitted, Fitted::Ld2410);
    }

    #[test]
    fn a_wrong_word_is_named_with_what_would_be_right() {
        for (words, wanted) in [
            ("", "begin with one of contact"),
            ("kontakt:2 device=a", "no kind `kontakt`"),
            ("contact device=a field=b", "say where: contact:2"),
            ("contact:x device=a field=b", "`x` is not a number"),
            ("contact:2 field=b", "say device=ID"),
            ("contact:2 device=a field=b every=soon", "30s or 10m"),
            ("contact:2 device=a field=b active=up", "neither low nor high"),
            ("contact:2 device=a device=b", "there twice"),
            ("contact:2 device=a field=b load=3", "`load` is not known"),
            ("mq2:0 device=a field=b", "say r0="),
        ] {
            let said = format!("{:#}", parse(words).unwrap_err());
            assert!(said.contains(wanted), "{words}: {said}");
        }
    }
}
