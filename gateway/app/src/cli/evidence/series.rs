//! Readings one by one, laid out as the set that the model learnt from is.

use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use ninewatch_core::detect::features::OPENING_V1;
use ninewatch_core::detect::features::series::{
    LOOP_DEVIATION_V1, ROOM_SIGNS_V1, SMOKE_SIGNS_V1, TEMPERATURE_RECORDS_V1, channels,
};
use ninewatch_core::time::{TimeMs, UtcOffset};

use super::findings::Matter;
use super::folder::Folder;
use super::windows::Window;

/// What stands in a column.
#[derive(Debug, Clone, Copy)]
enum Cell {
    /// Counts up from 1.
    Row,
    /// The time as a clock on the wall shows it.
    Clock,
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
    /// The model's channel of this name.
    Channel(&'static str),
    /// 1 within the stretch of a true alarm.
    Label,
    /// Nobody measured it, and no model looks at it.
    Nothing,
}

use Cell::{Channel, Clock, Label, Milliseconds, Nothing, Row, Seconds};

struct Layout {
    folder: String,
    ending: &'static str,
    separator: u8,
    columns: Vec<(&'static str, Cell)>,
}

impl Layout {
    /// Of the set that has what features of this kind are made from; where there is none, a plain one.
    fn of(kind: &str, model: &str) -> Self {
        let (folder, columns) = match kind {
            LOOP_DEVIATION_V1 => (
                "skab",
                vec![
                    ("datetime", Clock),
                    ("Accelerometer1RMS", Channel("vibration_1")),
                    ("Accelerometer2RMS", Channel("vibration_2")),
                    ("Current", Channel("current")),
                    ("Pressure", Channel("pressure")),
                    ("Temperature", Channel("motor_temperature")),
                    ("Thermocouple", Channel("water_temperature")),
                    ("Voltage", Channel("voltage")),
                    ("Volume Flow RateRMS", Channel("flow")),
                    ("anomaly", Label),
                ],
            ),
            TEMPERATURE_RECORDS_V1 => (NAB, vec![("timestamp", Clock), ("value", Channel("temperature"))]),
            ROOM_SIGNS_V1 => (
                "uci-occupancy",
                vec![
                    ("no", Row),
                    ("date", Clock),
                    ("Temperature", Nothing),
                    ("Humidity", Nothing),
                    ("Light", Channel("light")),
                    ("CO2", Channel("co2")),
                    ("HumidityRatio", Nothing),
                    ("Occupancy", Label),
                ],
            ),
            SMOKE_SIGNS_V1 => (
                "smoke-iot",
                vec![
                    ("", Row),
                    ("UTC", Seconds),
                    ("Temperature[C]", Channel("temperature")),
                    ("Humidity[%]", Channel("humidity")),
                    ("eCO2[ppm]", Channel("eco2")),
                    ("Fire Alarm", Label),
                ],
            ),
            _ => {
                let columns = names(kind).into_iter().map(|name| (name, Channel(name)));
                let columns = std::iter::once(("time_ms", Milliseconds)).chain(columns).collect();
                return Self { folder: format!("series/{model}"), ending: "csv", separator: b',', columns };
            }
        };
        let ending = if kind == ROOM_SIGNS_V1 { "txt" } else { "csv" };
        let separator = if kind == LOOP_DEVIATION_V1 { b';' } else { b',' };
        Self { folder: folder.to_owned(), ending, separator, columns }
    }
}

const NAB: &str = "nab";

/// What the readings are of, in order.
fn names(kind: &str) -> Vec<&'static str> {
    if kind == OPENING_V1 {
        return vec!["door", "presence", "camera"];
    }
    channels(kind).iter().map(|channel| channel.name).collect()
}

/// Writes a file for each matter.
pub(super) struct Writer<'f> {
    folder: &'f Folder,
    utc_offset: UtcOffset,
    taken: BTreeSet<String>,
    /// Of the files of NAB's layout the windows that were true.
    windows: BTreeMap<String, Vec<[String; 2]>>,
}

impl<'f> Writer<'f> {
    pub(super) fn new(folder: &'f Folder, utc_offset: UtcOffset) -> Self {
        Self { folder, utc_offset, taken: BTreeSet::new(), windows: BTreeMap::new() }
    }

    /// Writes the readings of a matter; gives the file.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn write(
        &mut self,
        matter: &Matter,
        window: &Window,
        readings: &BTreeMap<TimeMs, Vec<Option<f64>>>,
    ) -> anyhow::Result<String> {
        let layout = Layout::of(&window.kind, &matter.model);
        let path = |name: &str| format!("{}/{name}.{}", layout.folder, layout.ending);
        // Several devices or rules may have had a part in one alert.
        let paths =
            (1..).map(|count| if count == 1 { matter.alert.to_string() } else { format!("{}-{count}", matter.alert) });
        let path = paths.map(|name| path(&name)).find(|path| !self.taken.contains(path)).unwrap_or_default();
        self.taken.insert(path.clone());
        let stretch = matter.stretch(window.quiet_ms);
        if layout.folder == NAB {
            let file = path.rsplit('/').next().unwrap_or_default().to_owned();
            let clock = |at_ms| clock(self.utc_offset, at_ms);
            let windows = if matter.is_true() { vec![[clock(stretch.0), clock(stretch.1)]] } else { Vec::new() };
            self.windows.insert(file, windows);
        }
        let names = names(&window.kind);
        let place = |name: &str| names.iter().position(|known| *known == name);
        self.folder.write(&path, |out| {
            let mut sheet = csv::WriterBuilder::new().delimiter(layout.separator).from_writer(out);
            sheet.write_record(layout.columns.iter().map(|(title, _)| title))?;
            for (row, (at_ms, values)) in (1..).zip(readings) {
                let is_label = matter.is_true() && (stretch.0..=stretch.1).contains(at_ms);
                let cell = |cell: &Cell| match cell {
                    Row => i64::to_string(&row),
                    Clock => clock(self.utc_offset, *at_ms),
                    Seconds => (at_ms / 1000).to_string(),
                    Milliseconds => at_ms.to_string(),
                    Channel(name) => {
                        let value = place(name).and_then(|place| values.get(place).copied().flatten());
                        value.map_or_else(|| "nan".to_owned(), |value| value.to_string())
                    }
                    Label => u8::from(is_label).to_string(),
                    Nothing => String::new(),
                };
                sheet.write_record(layout.columns.iter().map(|(_, kind)| cell(kind)))?;
            }
            Ok(sheet.flush()?)
        })?;
        Ok(path)
    }

    /// Writes NAB's table of windows.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        if self.windows.is_empty() {
            return Ok(());
        }
        let windows: BTreeMap<_, _> = self.windows.iter().filter(|(_, windows)| !windows.is_empty()).collect();
        self.folder.write(&format!("{NAB}/windows.json"), |out| Ok(writeln!(out, "{:#}", json!(windows))?))
    }
}

/// As a clock on the wall shows it: `2026-11-24 07:30:00`, with a fraction where there is one.
pub(super) fn clock(utc_offset: UtcOffset, at_ms: TimeMs) -> String {
    let local = jiff::Timestamp::from_millisecond(utc_offset.local_ms(at_ms)).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    local.strftime("%Y-%m-%d %H:%M:%S%.f").to_string()
}
