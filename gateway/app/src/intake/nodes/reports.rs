//! What nodes report, as the engine takes it: SenML of a device.

use serde_json::{Value, json};
use std::sync::Arc;

use ninewatch_core::time::TimeMs;
use ninewatch_wire::message::{Line, Measure, Report};

use super::list::{ChannelEntry, NodeEntry};

/// What one device has measured at one time.
#[derive(Debug, PartialEq)]
pub(super) struct Pack {
    pub(super) device: Arc<str>,
    pub(super) at_ms: TimeMs,
    records: Vec<Value>,
}

impl Pack {
    /// As the engine takes it.
    pub(super) fn payload(&self) -> Vec<u8> {
        Value::from(self.records.clone()).to_string().into_bytes()
    }
}

/// The reports of a frame by device and time, in their order.
pub(super) fn packs(node: &NodeEntry, reports: &[Report]) -> Vec<Pack> {
    let mut packs: Vec<Pack> = Vec::new();
    for report in reports {
        let Some(channel) = node.channels.get(usize::from(report.channel)) else {
            tracing::warn!(node = node.name, channel = report.channel, "a node reports of a channel that it has not");
            continue;
        };
        let Some((field, label, value)) = record(channel, report.measure) else { continue };
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of this era fit into 53 bits")]
        let seconds = report.at_ms as f64 / 1_000.0;
        let record = json!({"n": field, "t": seconds, label: value});
        match packs.iter_mut().find(|pack| *pack.device == channel.device && pack.at_ms == report.at_ms) {
            Some(pack) => pack.records.push(record),
            None => {
                packs.push(Pack { device: channel.device.as_str().into(), at_ms: report.at_ms, records: vec![record] })
            }
        }
    }
    packs
}

/// The field, and what SenML calls its value; none where the measure says nothing of the field.
fn record(channel: &ChannelEntry, measure: Measure) -> Option<(&str, &'static str, Value)> {
    let field = match measure {
        Measure::Humidity(_) => channel.humidity_field.as_deref(),
        _ => channel.field.as_deref(),
    }?;
    let value = match measure {
        Measure::Made(on) | Measure::Pressed(on) | Measure::Present(on) => return Some((field, "vb", on.into())),
        Measure::Line(Line::Normal) => return Some((field, "vb", false.into())),
        Measure::Line(Line::Alarm) => return Some((field, "vb", true.into())),
        // Nobody knows then; that the line is broken is told as what ails the node.
        Measure::Line(Line::Open | Line::Short) => return None,
        Measure::Temperature(value) | Measure::Humidity(value) | Measure::Gas(value) | Measure::Current(value) => value,
    };
    // 23.1 is to be read as 23.1, and not with the digits that an f32 has besides.
    let rounded = (f64::from(value) * 1_000.0).round() / 1_000.0;
    rounded.is_finite().then(|| (field, "v", rounded.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> NodeEntry {
        toml::from_str(
            r#"
id = "3f7a01bc"
key = "000102030405060708090a0b0c0d0e0f"
name = "kitchen"
channel = [
  { device = "smoke-1", field = "smoke_alarm", fitted = { line = { adc = 0 } } },
  { device = "smoke-1", field = "temperature_c", humidity_field = "humidity_percent", fitted = { sht3x = { address = 68 } } },
]"#,
        )
        .unwrap()
    }

    fn said(reports: &[(u8, i64, Measure)]) -> Vec<String> {
        let reports: Vec<Report> = reports
            .iter()
            .zip(1..)
            .map(|((channel, at_ms, measure), number)| Report {
                number,
                channel: *channel,
                at_ms: *at_ms,
                measure: *measure,
            })
            .collect();
        packs(&node(), &reports).iter().map(|pack| String::from_utf8(pack.payload()).unwrap()).collect()
    }

    #[test]
    fn reports_of_one_device_and_time_are_one_reading() {
        const AT: i64 = 1_795_467_300_250;
        let reports = [
            (1, AT, Measure::Temperature(23.1)),
            (1, AT, Measure::Humidity(40.0)),
            (1, AT + 1, Measure::Humidity(41.0)),
        ];
        assert_eq!(
            said(&reports),
            [
                r#"[{"n":"temperature_c","t":1795467300.25,"v":23.1},{"n":"humidity_percent","t":1795467300.25,"v":40.0}]"#,
                r#"[{"n":"humidity_percent","t":1795467300.251,"v":41.0}]"#,
            ]
        );
    }

    #[test]
    fn a_supervised_line_is_an_alarm_or_none_and_says_nothing_while_it_is_broken() {
        let lines = [Line::Alarm, Line::Normal, Line::Open, Line::Short].map(Measure::Line);
        let reports: Vec<_> = lines.into_iter().zip(1..).map(|(line, at)| (0, at * 1000, line)).collect();
        assert_eq!(
            said(&reports),
            [r#"[{"n":"smoke_alarm","t":1.0,"vb":true}]"#, r#"[{"n":"smoke_alarm","t":2.0,"vb":false}]"#]
        );
    }

    #[test]
    fn what_is_no_number_or_of_no_channel_makes_no_reading() {
        assert!(said(&[(1, 1, Measure::Temperature(f32::NAN)), (9, 1, Measure::Made(true))]).is_empty());
    }
}
