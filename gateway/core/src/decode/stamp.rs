//! When it was measured, by what the payload says.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime;

use super::node::Node;
use super::source::{Scope, Source};
use crate::decode::DecodeError;
use crate::time::{TimeMs, UtcOffset};

/// Where a kind of message has its time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stamp {
    /// Left out: of the arrival.
    pub(super) from: Option<Source>,
    pub(super) format: Format,
    /// What numbers count from, since 1970.
    pub(super) epoch_ms: TimeMs,
    /// For a time without an offset; the site's where it is left out.
    pub(super) zone: Option<UtcOffset>,
    /// What is added, and how many milliseconds its unit has.
    pub(super) plus: Option<(Source, f64)>,
    pub(super) step: Option<Step>,
}

/// How a time is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Format {
    /// Since 1970; so many milliseconds each.
    Epoch(f64),
    /// Before the arrival; so many milliseconds each.
    Ago(f64),
    Rfc3339,
    /// As of `strftime`.
    Pattern(String),
}

/// Elements that are equally far apart, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) ms: Interval,
    /// The time is that of the last element, not of the first.
    pub(super) of_last: bool,
}

/// How far apart elements are.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Interval {
    Fixed(i64),
    /// As the payload says; so many milliseconds each.
    Sent(Source, f64),
}

/// When and where a message came in.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// When.
    pub at_ms: TimeMs,
    /// The site's, for times that have none.
    pub utc_offset: UtcOffset,
}

/// The year 2286: beyond it the number is not of that unit.
const FARTHEST: TimeMs = 10_000_000_000_000;

impl Format {
    /// Reads the `format` of a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "s" => Self::Epoch(1000.0),
            "ms" => Self::Epoch(1.0),
            "us" => Self::Epoch(1e-3),
            "ns" => Self::Epoch(1e-6),
            "ago_s" => Self::Ago(1000.0),
            "ago_ms" => Self::Ago(1.0),
            "rfc3339" => Self::Rfc3339,
            pattern if pattern.contains('%') => {
                // What it cannot write it cannot read either.
                let written = strtime::format(pattern, Timestamp::UNIX_EPOCH);
                written.map_err(|error| format!("`{pattern}`: {error}"))?;
                Self::Pattern(pattern.to_owned())
            }
            other => return Err(format!("`{other}` is no format of a time")),
        })
    }
}

impl Stamp {
    /// The time of an element, of which there are `count`; `None` where the payload does not tell.
    ///
    /// # Errors
    /// `bad_time`.
    pub(super) fn time(
        &self,
        scope: &Scope<'_>,
        count: usize,
        arrival: Arrival,
    ) -> Result<Option<TimeMs>, DecodeError> {
        let node = self.from.as_ref().and_then(|from| from.find(scope));
        let told = node.filter(|node| !matches!(&**node, Node::Text(text) if text.trim().is_empty()));
        let mut at = match (told, &self.step) {
            (Some(node), _) => self.read(&node, arrival)?,
            // Without a clock they are apart all the same.
            (None, Some(_)) => arrival.at_ms,
            (None, None) => return Ok(None),
        };
        if let Some((source, unit_ms)) = &self.plus
            && let Some(node) = source.find(scope)
        {
            at = whole_ms(number(&node)? * unit_ms)?.saturating_add(at);
        }
        if let (Some(step), Some(called)) = (&self.step, scope.called.last()) {
            let apart = match &step.ms {
                Interval::Fixed(ms) => *ms,
                Interval::Sent(source, unit_ms) => match source.find(scope) {
                    Some(node) => whole_ms(number(&node)? * unit_ms)?,
                    None => 0,
                },
            };
            let steps = i64::try_from(called.index).unwrap_or(0);
            let before_last = i64::try_from(count).unwrap_or(0).saturating_sub(1);
            let from_stamp = if step.of_last { steps - before_last } else { steps };
            at = at.saturating_add(from_stamp.saturating_mul(apart));
        }
        // What is added may lead anywhere.
        if !(-FARTHEST..FARTHEST).contains(&at) {
            return Err(bad("is not of this age"));
        }
        Ok(Some(at))
    }

    fn read(&self, node: &Node<'_>, arrival: Arrival) -> Result<TimeMs, DecodeError> {
        match &self.format {
            Format::Epoch(unit_ms) => Ok(whole_ms(number(node)? * unit_ms)?.saturating_add(self.epoch_ms)),
            Format::Ago(unit_ms) => Ok(arrival.at_ms.saturating_sub(whole_ms(number(node)? * unit_ms)?)),
            Format::Rfc3339 => {
                let text = text(node)?;
                let text = text.trim();
                match text.parse::<Timestamp>() {
                    Ok(stamp) => Ok(stamp.as_millisecond()),
                    Err(_) => {
                        let local = text.parse::<DateTime>();
                        self.local(
                            local.map_err(|_| bad(&format!("`{text}` is no date and time of RFC 3339")))?,
                            arrival,
                        )
                    }
                }
            }
            Format::Pattern(pattern) => {
                let text = text(node)?;
                let wrong = |_| bad(&format!("`{text}` is not of the form `{pattern}`"));
                let parts = strtime::parse(pattern, text.trim().as_bytes()).map_err(wrong)?;
                if let Ok(stamp) = parts.to_timestamp() {
                    return Ok(stamp.as_millisecond());
                }
                self.local(parts.to_datetime().map_err(wrong)?, arrival)
            }
        }
    }

    fn local(&self, local: DateTime, arrival: Arrival) -> Result<TimeMs, DecodeError> {
        self.zone.unwrap_or(arrival.utc_offset).time_ms(local).ok_or_else(|| bad("lies beyond all years"))
    }
}

/// A length of time's unit in milliseconds.
pub(super) fn unit_ms(unit: &str) -> Option<f64> {
    Some(match unit {
        "us" => 1e-3,
        "ms" => 1.0,
        "s" => 1000.0,
        "min" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        _ => return None,
    })
}

fn number(node: &Node<'_>) -> Result<f64, DecodeError> {
    node.number().ok_or_else(|| bad(&format!("{} is no number", shown(node))))
}

fn text<'n>(node: &'n Node<'_>) -> Result<std::borrow::Cow<'n, str>, DecodeError> {
    node.text().ok_or_else(|| bad(&format!("{} is no text", node.kind())))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "checked to be in range")]
fn whole_ms(ms: f64) -> Result<TimeMs, DecodeError> {
    let inside = ms.abs() < FARTHEST as f64;
    inside.then(|| ms.round() as TimeMs).ok_or_else(|| bad(&format!("{ms} ms since 1970 is not of this age")))
}

fn shown(node: &Node<'_>) -> String {
    node.text().map_or_else(|| node.kind().to_owned(), |text| format!("`{text}`"))
}

fn bad(problem: &str) -> DecodeError {
    DecodeError { code: "bad_time", detail: format!("the time {problem}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::source::Called;
    use crate::decode::topic::Captured;

    /// 2026-11-24T05:35:00.250+08:00
    const AT: TimeMs = 1_795_469_700_250;
    const ARRIVAL: Arrival = Arrival { at_ms: AT + 5_000, utc_offset: UtcOffset::CHINA };

    fn read(format: &str, payload: &str) -> Result<Option<TimeMs>, String> {
        let stamp = Stamp {
            from: Some(Source::parse("/t", &[]).unwrap()),
            format: Format::parse(format).unwrap(),
            epoch_ms: 0,
            zone: None,
            plus: Some((Source::parse("/dt", &[]).unwrap(), 1.0)),
            step: payload.contains("list").then_some(Step { ms: Interval::Fixed(1_000), of_last: true }),
        };
        let root = Node::from_json(payload.as_bytes()).unwrap();
        let path = [&root];
        let called = [Called { index: 1, key: None }];
        let scope = Scope { path: &path, captured: &Captured::default(), called: &called };
        stamp.time(&scope, 3, ARRIVAL).map_err(|error| error.to_string())
    }

    #[test]
    fn every_way_to_write_a_time_is_read() {
        for (format, payload) in [
            ("s", r#"{"t":1795469700.25}"#),
            ("s", r#"{"t":"1795469700.250"}"#),
            ("s", r#"{"t":1795469700,"dt":250}"#),
            ("ms", r#"{"t":1795469700250}"#),
            ("us", r#"{"t":1795469700250000}"#),
            ("ns", r#"{"t":1795469700250000000}"#),
            ("ago_s", r#"{"t":5}"#),
            ("ago_ms", r#"{"t":"5000"}"#),
            ("rfc3339", r#"{"t":"2026-11-23T21:35:00.25Z"}"#),
            ("rfc3339", r#"{"t":"2026-11-24T05:35:00.25+08:00"}"#),
            ("rfc3339", r#"{"t":"2026-11-24 05:35:00.250"}"#),
            ("%Y-%m-%d %H:%M:%S%.f", r#"{"t":"2026-11-24 05:35:00.25"}"#),
            ("%Y%m%d%H%M%S", r#"{"t":20261124053500,"dt":250}"#),
            ("%Y%m%dT%H%M%SZ%z", r#"{"t":"20261123T213500Z+0000","dt":250}"#),
            // The second of three, a second before the last.
            ("ms", r#"{"t":1795469701250,"list":[1,2,3]}"#),
        ] {
            assert_eq!(read(format, payload), Ok(Some(AT)), "{format} {payload}");
        }
    }

    #[test]
    fn no_time_is_of_the_arrival_and_a_bad_one_is_told() {
        assert_eq!(read("s", r#"{"list":[1,2,3]}"#), Ok(Some(ARRIVAL.at_ms - 1_000)), "they are apart all the same");
        for payload in ["{}", r#"{"t":null}"#, r#"{"t":""}"#] {
            assert_eq!(read("s", payload), Ok(None), "{payload}");
        }
        for (format, payload) in [
            ("s", r#"{"t":1795469700250}"#),
            ("s", r#"{"t":"soon"}"#),
            ("rfc3339", r#"{"t":"2026-13-24T05:35:00Z"}"#),
            ("%Y%m%d", r#"{"t":"24.11.2026"}"#),
            ("ms", r#"{"t":[1]}"#),
            ("ms", r#"{"t":9999999999999,"dt":9999999999999}"#),
            ("rfc3339", r#"{"t":"9999-01-01T00:00:00Z"}"#),
        ] {
            let told = read(format, payload).unwrap_err();
            assert!(told.starts_with("bad_time: the time "), "{told}");
        }
        for format in ["seconds", "%!"] {
            assert!(Format::parse(format).is_err(), "{format}");
        }
    }
}
