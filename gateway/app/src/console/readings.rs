//! What a device measured in the last hours, out of the journal: few enough points to draw, and every peak among them.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ninewatch_core::alert::Text;
use ninewatch_core::detect::Past;
use ninewatch_core::pipeline::{Message, Site};
use ninewatch_core::replay::Recorded;
use ninewatch_core::time::TimeMs;

use super::Shared;
use super::gate::Who;
use super::problem::Problem;
use super::rights::{self, OfPeople};
use crate::journal;

/// Of what time and which field.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    from_ms: TimeMs,
    to_ms: TimeMs,
    field: Option<String>,
}

/// `GET /devices/{id}/readings`
#[derive(Debug, Serialize)]
pub(super) struct Readings {
    device: String,
    from_ms: TimeMs,
    to_ms: TimeMs,
    /// What came before was not looked at, or is not kept any more: there it is not known what was measured.
    known_from_ms: TimeMs,
    series: Vec<Curve>,
}

/// What a field was, by time.
#[derive(Debug, Serialize)]
struct Curve {
    field: String,
    label: Text,
    /// As people write it; empty for a switch.
    unit: String,
    points: Vec<(TimeMs, f64)>,
}

const LONGEST_MS: TimeMs = 7 * 86_400_000;
/// A curve has up to four points of each: the first, the lowest, the highest and the last.
const BUCKETS: usize = 150;
/// A reading may come out of a backlog, so much later than it was made.
const LATEST_MS: TimeMs = 3_600_000;
/// A large ring on a slow card is read as far back as there is time for.
const PATIENCE: Duration = Duration::from_secs(4);

/// Answers `GET /devices/{id}/readings`.
pub(super) async fn readings(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    who: Who,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<(Option<Extension<OfPeople>>, Json<Readings>), Problem> {
    let Query(wanted) = wanted?;
    if wanted.to_ms <= wanted.from_ms || wanted.to_ms.saturating_sub(wanted.from_ms) > LONGEST_MS {
        return Err(Problem::bad("the time is none", "give from_ms before to_ms, and at most seven days between"));
    }
    let site = shared.site();
    let no_device = || Problem::no_device(&id);
    let index = site.device_index(&id).ok_or_else(no_device)?;
    let device = site.registry.device(&id).filter(|device| who.rights.sees_place(&site, &device.place));
    let is_of_a_person = rights::is_of_a_person(&site, device.ok_or_else(no_device)?);
    if is_of_a_person && !who.rights.sees_people() {
        return Err(Problem::wrong_role(who.rights.role));
    }
    let field = wanted.field.clone();
    let is_field = |name: &String| {
        site.sensor_type_of(index).is_some_and(|of| of.fields.iter().any(|field| *field.name == **name))
    };
    if let Some(field) = field.filter(|field| !is_field(field)) {
        let mend = "GET /api/v1/devices lists its values by field";
        return Err(Problem::bad(format!("device `{id}` has no field `{field}`"), mend));
    }
    let journal_dir = shared.state.journal_dir.clone();
    let read =
        shared.look_back_at(move || read(&journal_dir, &site, index, &wanted, Instant::now() + PATIENCE)).await?;
    let readings = read.map_err(|error| {
        Problem::unavailable("no_journal", format!("the journal cannot be read: {error}"), "look at GET /api/v1/health")
    })?;
    Ok((rights::of_people(is_of_a_person), Json(readings)))
}

/// Reads the ring from its newest segment that matters back to `from_ms`, or as far as there is time until `deadline`.
fn read(dir: &FilePath, site: &Site, index: usize, wanted: &Wanted, deadline: Instant) -> io::Result<Readings> {
    let fields = site.sensor_type_of(index).map(|of| of.fields.as_slice()).unwrap_or_default();
    let is_wanted = |name: &str| wanted.field.as_ref().is_none_or(|field| field == name);
    let mut curves: Vec<Option<Thinned>> =
        fields.iter().map(|field| is_wanted(&field.name).then(|| Thinned::new(wanted.from_ms, wanted.to_ms))).collect();
    let latest_ms = wanted.to_ms.saturating_add(LATEST_MS);
    let mut known_from_ms = wanted.to_ms;
    for segment in journal::intake_segments(dir)?.iter().rev() {
        let Some(begun_at_ms) = segment.begun_at_ms() else { continue };
        if begun_at_ms > latest_ms {
            continue;
        }
        // The ring may let go of it meanwhile.
        let Ok(mut frames) = journal::read_intake(segment) else { break };
        let mut past = Past::new(site, index);
        while let Some(frame) = frames.next() {
            if Instant::now() >= deadline || frame.at_ms > latest_ms {
                break;
            }
            let Ok(Recorded::Message { device, topic, payload, redelivered, .. }) = frame.recorded() else { continue };
            let message = Message { device, topic, payload, redelivered };
            for (made, reading) in past.readings(&message, frame.at_ms) {
                for (field, curve) in curves.iter_mut().enumerate() {
                    if let (Some(curve), Some(value)) = (curve, reading.number(field)) {
                        curve.take(made, value);
                    }
                }
            }
        }
        if Instant::now() >= deadline {
            break;
        }
        known_from_ms = known_from_ms.min(begun_at_ms);
        if begun_at_ms <= wanted.from_ms {
            break;
        }
    }
    let series = fields.iter().zip(curves).filter_map(|(field, curve)| {
        let points = curve?.points();
        let curve = || Curve {
            field: field.name.to_string(),
            label: field.label.clone(),
            unit: field.unit().to_owned(),
            points,
        };
        Some(curve()).filter(|curve| !curve.points.is_empty())
    });
    Ok(Readings {
        device: site.registry.devices.get(index).map(|device| device.id.clone()).unwrap_or_default(),
        from_ms: wanted.from_ms,
        to_ms: wanted.to_ms,
        known_from_ms: known_from_ms.max(wanted.from_ms),
        series: series.collect(),
    })
}

/// Of each stretch of time the first, lowest, highest and last value.
struct Thinned {
    from_ms: TimeMs,
    bucket_ms: TimeMs,
    buckets: Vec<Option<[(TimeMs, f64); 4]>>,
}

impl Thinned {
    fn new(from_ms: TimeMs, to_ms: TimeMs) -> Self {
        let buckets = TimeMs::try_from(BUCKETS).unwrap_or(1);
        let bucket_ms = ((to_ms - from_ms + buckets - 1) / buckets).max(1);
        Self { from_ms, bucket_ms, buckets: vec![None; BUCKETS] }
    }

    fn take(&mut self, at: TimeMs, value: f64) {
        let bucket = usize::try_from(at.saturating_sub(self.from_ms).div_euclid(self.bucket_ms)).ok();
        let Some(bucket) = bucket.and_then(|bucket| self.buckets.get_mut(bucket)) else { return };
        let point = (at, value);
        let [first, lowest, highest, last] = bucket.get_or_insert([point; 4]);
        if at < first.0 {
            *first = point;
        }
        if value < lowest.1 {
            *lowest = point;
        }
        if value > highest.1 {
            *highest = point;
        }
        if at >= last.0 {
            *last = point;
        }
    }

    fn points(self) -> Vec<(TimeMs, f64)> {
        let mut points: Vec<_> = self.buckets.into_iter().flatten().flatten().collect();
        points.sort_by(|one, other| one.0.cmp(&other.0).then(one.1.total_cmp(&other.1)));
        points.dedup();
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// However many there are, in whatever order: few points, in order, each of them measured, and the extremes among them.
        #[test]
        fn peaks_survive(readings in proptest::collection::vec((0_i64..3_600_000, -1e6_f64..1e6), 1..3000)) {
            let mut curve = Thinned::new(0, 3_600_000);
            readings.iter().for_each(|(at, value)| curve.take(*at, *value));
            let points = curve.points();
            prop_assert!(points.len() <= 4 * BUCKETS && points.is_sorted_by_key(|point| point.0));
            prop_assert!(points.iter().all(|point| readings.contains(point)));
            let extreme = |of: &[(i64, f64)], pick: fn(f64, f64) -> f64| of.iter().map(|point| point.1).reduce(pick);
            prop_assert_eq!(extreme(&points, f64::max), extreme(&readings, f64::max));
            prop_assert_eq!(extreme(&points, f64::min), extreme(&readings, f64::min));
        }
    }

    #[test]
    fn what_lies_outside_is_left_out() {
        let mut curve = Thinned::new(1_000, 2_000);
        [(999, 1.0), (1_000, 2.0), (1_999, 3.0), (9_000, 4.0)]
            .into_iter()
            .for_each(|(at, value)| curve.take(at, value));
        assert_eq!(curve.points(), [(1_000, 2.0), (1_999, 3.0)]);
    }
}
