//! From a condition that came true to a finding: sentence, curves, score.

use super::condition::{lowest, points};
use super::fields::SHOWN_MS;
use super::memory::Spot;
use super::reason::{Facts, number, quantity};
use super::rule::{Bound, Condition, Step, Test};
use super::window::Window;
use crate::alert::{Evidence, Finding, Scene, Score, Series, Severity, Signal};
use crate::decode::{Field, FieldKind};
use crate::detect::routine::Watch;
use crate::reading::{Burst, Reading, SensorClass, Value};
use crate::site::PlaceKind;
use crate::time::TimeMs;

/// More inputs than a sentence can name.
const MOST_MOVED_BY: usize = 3;
/// More points than a chart can show.
const MOST_POINTS: usize = 240;

/// What came true.
pub(super) struct Found {
    /// When, by the device's corrected clock.
    pub(super) at: TimeMs,
    pub(super) severity: Severity,
    /// Whether it can be over, rather than happen.
    pub(super) lasting: bool,
}

/// A condition has lasted long enough.
pub(super) fn lasting(spot: Spot<'_>, bound: &Bound, step: &Step<usize>, found: &Found, windows: &[Window]) -> Signal {
    let mut facts = facts(spot);
    facts.put_duration("for", step.for_ms);
    let value_of = |field: usize| Some(windows.get(field)?.at_or_before(found.at)?.1);
    let mut threshold = None;
    match &step.test {
        Test::Level { field, limit, .. } => {
            threshold = Some(*limit);
            put_value(&mut facts, spot, "value", *field, value_of(*field));
            put_value(&mut facts, spot, "limit", *field, Some(*limit));
        }
        Test::State { .. } => {}
        Test::Rise { field, within_ms, .. } => {
            let lowest = windows.get(*field).map(|window| lowest(window, found.at - within_ms, found.at));
            let rise = value_of(*field).zip(lowest).map(|(value, lowest)| value - lowest);
            put_value(&mut facts, spot, "value", *field, value_of(*field));
            put_value(&mut facts, spot, "rise", *field, rise);
            facts.put_duration("within", *within_ms);
        }
        Test::Bands { fields, .. } => {
            let mut total = 0;
            let (mut zh, mut en) = (Vec::new(), Vec::new());
            for (index, bands) in fields {
                let (Some(field), Some(value)) = (spot.sensor_type.fields.get(*index), value_of(*index)) else {
                    continue;
                };
                let points = points(bands, value);
                total += points;
                if points > 0 {
                    let value = quantity(value, field.unit());
                    zh.push(format!("{} {value}（{points} 分）", field.label.zh));
                    en.push(format!("{} {value} ({points})", field.label.en));
                }
            }
            facts.put_same("points", total.to_string());
            facts.put("detail", zh.join("、"), en.join(", "));
        }
    }
    let span = bound.condition.reach_ms().max(SHOWN_MS);
    let curve = |index: &usize| {
        let field = spot.sensor_type.fields.get(*index)?;
        Some(series(field, windows.get(*index)?.between(found.at - span, found.at), threshold))
    };
    let curves = step.test.fields().into_iter().filter_map(curve).collect();
    raise(spot, bound, found, &facts, curves, None)
}

/// Something happened, `count` times.
pub(super) fn event(
    spot: Spot<'_>,
    bound: &Bound,
    found: &Found,
    reading: &Reading,
    count: usize,
    within_ms: i64,
) -> Signal {
    let mut facts = facts(spot);
    facts.put_same("count", count.to_string());
    facts.put_duration("within", within_ms);
    let mut curves = Vec::new();
    for (field, value) in spot.sensor_type.fields.iter().zip(&reading.values) {
        match value {
            Some(Value::Number(value)) => {
                facts.put_same(&field.name, quantity(*value, field.unit()));
                curves.push(series(field, [(found.at, *value)].into_iter(), None));
            }
            Some(Value::Text(word)) => facts.put_same(&field.name, &**word),
            Some(Value::Burst(_)) | None => {}
        }
    }
    raise(spot, bound, found, &facts, curves, None)
}

/// Nothing happened from `from` to `found.at` where something should have.
pub(super) fn inactive(spot: Spot<'_>, bound: &Bound, found: &Found, from: TimeMs, windows: &[Window]) -> Signal {
    let mut facts = facts(spot);
    let Condition::Inactive { field: index, between, .. } = &bound.condition else {
        return raise(spot, bound, found, &facts, Vec::new(), None);
    };
    facts.put_same("hours", between.to_string());
    let curve = spot.sensor_type.fields.get(*index).zip(windows.get(*index));
    let curves = curve.map(|(field, window)| series(field, window.between(from, found.at), None));
    raise(spot, bound, found, &facts, curves.into_iter().collect(), None)
}

/// The device is unheard for `unheard_ms`.
pub(super) fn silent(spot: Spot<'_>, bound: &Bound, at: TimeMs, unheard_ms: i64) -> Signal {
    let mut facts = facts(spot);
    facts.put_duration("for", unheard_ms);
    let found = Found { at, severity: bound.rule.severity, lasting: true };
    raise(spot, bound, &found, &facts, Vec::new(), None)
}

/// A model said yes.
pub(super) fn model(spot: Spot<'_>, bound: &Bound, at: TimeMs, score: Score, curves: Vec<Series>) -> Signal {
    let facts = score_facts(spot, &score);
    let found = Found { at, severity: bound.rule.severity, lasting: false };
    raise(spot, bound, &found, &facts, curves, Some(score))
}

/// A model said yes to what goes on in the home.
pub(super) fn routine(
    spot: Spot<'_>,
    bound: &Bound,
    at: TimeMs,
    watch: &Watch,
    score: Score,
    curves: Vec<Series>,
) -> Signal {
    let mut facts = score_facts(spot, &score);
    let [minutes, usual_min, ..] = watch.features;
    #[allow(clippy::cast_possible_truncation, reason = "days at most")]
    let ms = |minutes: f32| minutes.round() as i64 * 60_000;
    facts.put_duration("for", ms(minutes));
    facts.put_duration("usual", ms(usual_min));
    let found = Found { at, severity: bound.rule.severity, lasting: true };
    raise(spot, bound, &found, &facts, curves, Some(score))
}

/// The score, and in words which inputs moved it.
fn score_facts(spot: Spot<'_>, score: &Score) -> Facts {
    let mut facts = facts(spot);
    facts.put_same("score", number(score.value));
    facts.put_same("limit", number(score.threshold));
    let told = score.moved_by.iter().take(MOST_MOVED_BY);
    let (zh, en): (Vec<_>, Vec<_>) = told
        .map(|by| {
            let (value, usual) = (quantity(by.value, &by.unit), quantity(by.usual, &by.unit));
            (format!("{} {value}（平常 {usual}）", by.label.zh), format!("{} {value} (usually {usual})", by.label.en))
        })
        .unzip();
    if zh.is_empty() {
        facts.put("why", "各项输入的综合", "all inputs together");
    } else {
        facts.put("why", zh.join("、"), en.join(", "));
    }
    facts
}

/// What the fields that the rule looks at did up to `at`.
pub(super) fn curves(spot: Spot<'_>, bound: &Bound, at: TimeMs, windows: &[Window]) -> Vec<Series> {
    let span = bound.condition.reach_ms().max(SHOWN_MS);
    let curve = |index: &usize| {
        let field = spot.sensor_type.fields.get(*index)?;
        Some(series(field, windows.get(*index)?.between(at - span, at), None))
    };
    bound.condition.fields().into_iter().filter_map(curve).collect()
}

/// The magnitudes of the burst in field `index`; its last sample is at `at`.
pub(super) fn burst(spot: Spot<'_>, index: usize, burst: &Burst, at: TimeMs) -> Vec<Series> {
    spot.sensor_type.fields.get(index).map(|field| burst_series(field, burst, at)).unwrap_or_default()
}

fn raise(
    spot: Spot<'_>,
    bound: &Bound,
    found: &Found,
    facts: &Facts,
    series: Vec<Series>,
    score: Option<Score>,
) -> Signal {
    let rule = &bound.rule;
    let scene = rule.scene.unwrap_or_else(|| scene_of(spot.sensor_type.class, spot.place.kind));
    Signal::Raise(Box::new(Finding {
        place: spot.place.id.clone(),
        group: rule.group.clone().unwrap_or_else(|| scene.name().into()),
        scene,
        severity: found.severity,
        lasting: found.lasting,
        title: rule.title.clone(),
        evidence: Evidence {
            at_ms: found.at,
            device: spot.device.id.clone(),
            rule: rule.id.to_string(),
            reason: rule.reason.fill(facts),
            series,
            score,
        },
    }))
}

fn facts(spot: Spot<'_>) -> Facts {
    let mut facts = Facts::default();
    let device = spot.device;
    facts.put_same("spot", if device.spot.is_empty() { &device.id } else { &device.spot });
    facts
}

fn put_value(facts: &mut Facts, spot: Spot<'_>, name: &str, field: usize, value: Option<f64>) {
    if let (Some(value), Some(field)) = (value, spot.sensor_type.fields.get(field)) {
        facts.put_same(name, quantity(value, field.unit()));
    }
}

/// Whose matter a device is, where the rule does not say.
fn scene_of(class: SensorClass, place: PlaceKind) -> Scene {
    match class {
        SensorClass::Smoke | SensorClass::Gas | SensorClass::Electrical | SensorClass::Water => Scene::Fire,
        SensorClass::Bracelet | SensorClass::Sos => Scene::ElderCare,
        SensorClass::Door | SensorClass::Presence if place == PlaceKind::Home => Scene::ElderCare,
        SensorClass::Door | SensorClass::Presence | SensorClass::FaceCamera => Scene::Security,
    }
}

fn series(field: &Field, points: impl DoubleEndedIterator<Item = (TimeMs, f64)>, threshold: Option<f64>) -> Series {
    // The newest first, so that thinning keeps the moment itself.
    let mut points: Vec<(TimeMs, f64)> = points.rev().collect();
    let stride = points.len().div_ceil(MOST_POINTS).max(1);
    points = points.into_iter().step_by(stride).collect();
    points.reverse();
    Series { field: field.name.to_string(), unit: field.unit().to_owned(), points, threshold }
}

/// The magnitude of each kind of channel (those of one unit), sample by sample; the last at `end`.
fn burst_series(field: &Field, burst: &Burst, end: TimeMs) -> Vec<Series> {
    let FieldKind::Burst(shape) = &field.kind else { return Vec::new() };
    let mut units: Vec<&str> = shape.channels.iter().map(|channel| channel.unit.as_str()).collect();
    units.dedup();
    let samples = burst.samples.chunks_exact(burst.channels.max(1));
    let count = samples.len();
    let magnitude = |unit: &str, sample: &[f32]| {
        let squares = sample.iter().zip(&shape.channels).filter(|(_, channel)| channel.unit == unit);
        squares.map(|(value, _)| f64::from(*value).powi(2)).sum::<f64>().sqrt()
    };
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a few seconds of samples")]
    let time = |index: usize| end - ((count - 1 - index) as f64 / f64::from(burst.rate_hz) * 1000.0) as TimeMs;
    let curve = |unit: &&str| {
        let channels: Vec<&str> = shape
            .channels
            .iter()
            .filter(|channel| channel.unit == **unit)
            .map(|channel| channel.name.as_str())
            .collect();
        Series {
            field: format!("|{}|", channels.join(" ")),
            unit: (*unit).to_owned(),
            points: samples
                .clone()
                .enumerate()
                .map(|(index, sample)| (time(index), (magnitude(unit, sample) * 1000.0).round() / 1000.0))
                .collect(),
            threshold: None,
        }
    };
    units.iter().map(curve).collect()
}
