//! What a device's readings tell of people: what goes on in a home, who is noticed at a place.

use super::{Memory, Spot, sight};
use crate::detect::model::{Seen, Sight};
use crate::detect::opening::Sign;
use crate::detect::routine::Role;
use crate::detect::rule::{Bound, Condition};
use crate::reading::{Reading, SensorClass, Value};
use crate::time::TimeMs;

impl Memory {
    /// Whether `reading`, made at `at`, is a sign of somebody by the fields of `bound`: a door that moves, a sensor or a
    /// camera that notices.
    #[allow(clippy::float_cmp, reason = "a switch is 0 or 1")]
    pub(in crate::detect) fn notices(
        &self,
        spot: Spot<'_>,
        bound: &Bound,
        reading: &Reading,
        at: TimeMs,
    ) -> Option<Sign> {
        let Condition::Place { signs, .. } = &bound.condition else { return None };
        let moved = |field: &usize, value: f64| {
            let before = self.fields.windows().get(*field).and_then(|window| window.before(at));
            before.is_some_and(|(_, before)| before != value)
        };
        let sign = if spot.sensor_type.class == SensorClass::Door {
            Sign::Door
        } else if spot.sensor_type.class == SensorClass::FaceCamera {
            Sign::Camera
        } else {
            Sign::Presence
        };
        let notices = |field: &usize| match reading.values.get(*field) {
            Some(Some(Value::Number(value))) if sign == Sign::Door => moved(field, *value),
            Some(Some(Value::Number(value))) => *value == 1.0,
            Some(Some(Value::Text(_))) => true,
            _ => false,
        };
        signs.iter().any(notices).then_some(sign)
    }

    /// The switches by which `reading`, made at `at`, is a sign of what goes on in the home. A switch that is not a
    /// motion sensor's is one only as it changes.
    #[allow(clippy::float_cmp, reason = "a switch is 0 or 1")]
    pub(in crate::detect) fn signs<'a>(&'a self, spot: Spot<'a>, reading: &Reading, at: TimeMs) -> Vec<Sight<'a>> {
        let of_home = |bound: &'a Bound| match &bound.condition {
            Condition::Home { signs, card, .. } => Some((&bound.rule, card, signs)),
            _ => None,
        };
        let Some((rule, card, fields)) = self.bound.iter().find_map(of_home) else { return Vec::new() };
        let sign = |field: usize| {
            let value = reading.number(field)?;
            let before = self.fields.windows().get(field).and_then(|window| window.before(at));
            let name = &spot.sensor_type.fields.get(field)?.name;
            let is_anew = Role::is_motion(name) || before.is_none_or(|(_, before)| before != value);
            let role = || Role::of(&spot.device.spot, name, "");
            is_anew.then(|| sight(spot, rule, card, at, Seen::Sign { field: name, role: role(), on: value == 1.0 }))
        };
        fields.iter().copied().filter_map(sign).collect()
    }
}
