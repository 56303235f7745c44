//! `wrist_motion_v1`: the motion of a wrist around its hardest impact, however the bracelet is worn.
//!
//! Every feature is a magnitude, an angle between two directions or a count, so turning the sensor
//! changes none. Accelerations count up to 4 g and turns up to 2000 °/s: beyond that cheap sensors
//! saturate, each at its own range. Windows are seconds around the impact: a fall is an unsteady
//! second, a hard 100 ms, a second of settling, and then another posture, at rest.

use std::ops::Range;

use super::vector::{Vec3, add, angle_deg, cross, dot, norm, scale, unit};
use super::{Feature, FeatureError, name};
use crate::reading::Burst;

/// ax, ay, az in m/s², gx, gy, gz in rad/s.
const CHANNELS: usize = 6;
/// 50 Hz, give or take a cheap clock.
const RATE_HZ: (f32, f32) = (45.0, 55.0);
/// From 4 s, enough to see what came before and after the impact, to a minute.
const SAMPLES: (usize, usize) = (200, 3000);
/// The impact is looked for this far from both ends of the burst, in samples (1.5 s).
const MARGIN: usize = 75;
/// Standard gravity, m/s².
const G: f64 = 9.806_65;
/// Accelerations beyond this are cut, m/s².
const ACCEL_MAX: f64 = 4.0 * G;
/// Turn rates beyond this are cut, rad/s (2000 °/s).
const TURN_MAX: f64 = 34.9;

/// Seconds from the impact.
type Window = (f64, f64);
const WHOLE: Window = (-2.0, 4.0);
const BEFORE: Window = (-2.0, -1.0);
const FALLING: Window = (-1.0, 0.0);
const IMPACT: Window = (-0.3, 0.5);
const AROUND: Window = (-0.5, 0.5);
const SETTLING: Window = (0.5, 1.5);
const NEXT: Window = (1.0, 2.0);
const REST: Window = (1.5, 4.0);
const LATER: Window = (1.0, 4.0);

/// Each feature, and how it is computed.
type Row = (Feature, fn(&Motion) -> f64);
const TABLE: [Row; 40] = [
    // The impact itself: m/s² unless said otherwise.
    (name("peak_mps2", "m/s²", "撞击峰值", "peak of the impact"), |m| max(m.accel_in((-0.3, 0.3)))),
    (name("peak_100ms_mps2", "m/s²", "撞击 0.1 秒均值", "impact over 0.1 s"), |m| {
        max(m.accel_100ms_in((-0.1, 0.1)))
    }),
    (name("peak_300ms_mps2", "m/s²", "撞击 0.3 秒均值", "impact over 0.3 s"), |m| {
        max(&smooth(m.accel_in(AROUND), 7))
    }),
    (name("impact_spread_mps2", "m/s²", "撞击时加速度起伏", "spread of acceleration at the impact"), |m| {
        spread(m.accel_in(IMPACT))
    }),
    (name("impact_impulse_mps", "m/s", "撞击冲量", "impulse of the impact"), |m| {
        m.integral(m.accel_in(AROUND), |a| (a - G).max(0.0))
    }),
    (name("impact_energy", "m²/s³", "撞击能量", "energy of the impact"), |m| {
        m.integral(m.accel_in(AROUND), |a| (a - G).powi(2))
    }),
    (name("impact_over_1_5g_s", "s", "超过 1.5 g 的时间", "time above 1.5 g"), |m| {
        m.integral(m.accel_in(AROUND), |a| f64::from(a > 1.5 * G))
    }),
    (name("impact_turn_radps", "rad/s", "撞击时转速", "turn rate at the impact"), |m| {
        mean(m.turn_in((-0.2, 0.5)))
    }),
    (name("jerk_mps3", "m/s³", "加速度变化率", "jerk"), Motion::jerk),
    // The fall before it.
    (name("low_mps2", "m/s²", "下落时最低加速度", "lowest acceleration while falling"), |m| {
        min(m.accel_60ms_in(FALLING))
    }),
    (name("weightless_mps", "m/s", "失重量", "weightlessness before the impact"), |m| {
        m.integral(m.accel_in(FALLING), |a| (G - a).max(0.0))
    }),
    (name("falling_spread_mps2", "m/s²", "下落时加速度起伏", "spread of acceleration while falling"), |m| {
        spread(m.accel_in((-1.0, -0.2)))
    }),
    (name("falling_turn_radps", "rad/s", "下落时转速", "turn rate while falling"), |m| mean(m.turn_in(FALLING))),
    (name("turn_peak_radps", "rad/s", "最高转速", "highest turn rate"), |m| max(m.turn_100ms_in((-1.0, 0.5)))),
    (name("descent_mps", "m/s", "下落速度", "speed downwards"), |m| m.descent.speed_mps),
    (name("drop_m", "m", "下落高度", "height of the drop"), |m| m.descent.drop_m),
    (name("turned_deg", "°", "下落时转过的角度", "turn while going down"), |m| m.descent.turned_deg),
    // What went before.
    (name("before_shake_mps2", "m/s²", "之前的晃动", "shaking before"), |m| m.shake(BEFORE)),
    (name("before_turn_radps", "rad/s", "之前的转速", "turn rate before"), |m| mean(m.turn_in(BEFORE))),
    (name("before_peak_mps2", "m/s²", "之前的峰值", "peak before"), |m| max(m.accel_100ms_in((-2.0, -0.5)))),
    (name("before_knocks", "", "之前的磕碰次数", "knocks before"), |m| m.knocks((-2.0, -0.4), 1.6 * G)),
    // What came after.
    (name("settling_spread_mps2", "m/s²", "撞击后一秒的起伏", "spread in the second after"), |m| {
        spread(m.accel_in(SETTLING))
    }),
    (name("settling_shake_mps2", "m/s²", "撞击后一秒的晃动", "shaking in the second after"), |m| {
        m.shake(SETTLING)
    }),
    (name("settling_turn_radps", "rad/s", "撞击后一秒的转速", "turn rate in the second after"), |m| {
        mean(m.turn_in(SETTLING))
    }),
    (name("rest_spread_mps2", "m/s²", "之后的加速度起伏", "spread of acceleration afterwards"), |m| {
        spread(m.accel_in(REST))
    }),
    (name("rest_shake_mps2", "m/s²", "之后的晃动", "shaking afterwards"), |m| m.shake(REST)),
    (name("rest_turn_radps", "rad/s", "之后的转速", "turn rate afterwards"), |m| mean(m.turn_in(REST))),
    (name("rest_peak_mps2", "m/s²", "之后的峰值", "peak afterwards"), |m| max(m.accel_100ms_in(LATER))),
    (name("rest_turn_peak_radps", "rad/s", "之后的最高转速", "highest turn rate afterwards"), |m| {
        max(m.turn_100ms_in(LATER))
    }),
    (name("rest_knocks", "", "之后的磕碰次数", "knocks afterwards"), |m| m.knocks((0.8, 4.0), 1.6 * G)),
    (name("still_share", "", "之后静止的比例", "share of stillness afterwards"), Motion::still_share),
    (name("end_shake_mps2", "m/s²", "最后的晃动", "shaking at the end"), |m| m.shake(m.end())),
    (name("end_turn_radps", "rad/s", "最后的转速", "turn rate at the end"), |m| mean(m.turn_in(m.end()))),
    // Posture: how far gravity has moved over the wrist.
    (name("tilt_falling_deg", "°", "下落前后的倾角变化", "tilt while falling"), |m| {
        m.tilt_deg(BEFORE, (-0.5, 0.0))
    }),
    (name("tilt_impact_deg", "°", "撞击前后的倾角变化", "tilt across the impact"), |m| {
        m.tilt_deg((-0.6, -0.2), (0.3, 0.7))
    }),
    (name("tilt_next_deg", "°", "撞击后一秒的倾角变化", "tilt a second after"), |m| {
        m.tilt_deg(BEFORE, NEXT)
    }),
    (name("tilt_end_deg", "°", "最后的倾角变化", "tilt at the end"), |m| m.tilt_deg(BEFORE, m.end())),
    (name("tilt_after_deg", "°", "撞击后的倾角再变化", "further tilt after the impact"), |m| {
        m.tilt_deg(NEXT, m.end())
    }),
    // Rhythm: claps and steps come again, a fall does not.
    (name("knocks", "", "磕碰次数", "knocks in all"), |m| m.knocks(WHOLE, 2.0 * G)),
    (name("rhythm", "", "节奏性", "rhythm"), Motion::rhythm),
];

/// What [`extract`] gives, in order.
pub(super) const FEATURES: &[Feature] = &{
    let mut features = [TABLE[0].0; TABLE.len()];
    let mut index = 0;
    while index < features.len() {
        features[index] = TABLE[index].0;
        index += 1;
    }
    features
};

/// See [`super::extract`].
pub(super) fn extract(burst: &Burst) -> Result<Vec<f32>, FeatureError> {
    let motion = Motion::new(burst)?;
    #[allow(clippy::cast_possible_truncation, reason = "bounded by the cuts, far inside an f32")]
    Ok(TABLE.iter().map(|(_, compute)| compute(&motion) as f32).collect())
}

/// A burst made ready: everything by the sample.
struct Motion {
    /// Seconds from one sample to the next.
    step_s: f64,
    /// Where the impact is.
    impact: usize,
    accel: Vec<Vec3>,
    turn: Vec<Vec3>,
    accel_size: Vec<f64>,
    accel_60ms: Vec<f64>,
    accel_100ms: Vec<f64>,
    turn_size: Vec<f64>,
    turn_100ms: Vec<f64>,
    descent: Descent,
}

/// How the wrist went down, by dead reckoning: gravity is carried along by the turn rates, and what
/// is left of the acceleration along it is summed up from 1.5 s before the impact to 0.6 s after.
/// It starts from rest, and the wrist does not: a rough measure, and useful all the same.
#[derive(Default)]
struct Descent {
    /// The highest speed downwards.
    speed_mps: f64,
    /// The deepest point, below the start.
    drop_m: f64,
    /// How far gravity had moved over the wrist when it hit.
    turned_deg: f64,
}

impl Motion {
    fn new(burst: &Burst) -> Result<Self, FeatureError> {
        check(burst)?;
        let (accel, turn): (Vec<Vec3>, Vec<Vec3>) = burst
            .samples
            .as_chunks::<CHANNELS>()
            .0
            .iter()
            .map(|sample| sample.map(f64::from))
            .map(|[ax, ay, az, gx, gy, gz]| (cut([ax, ay, az], ACCEL_MAX), cut([gx, gy, gz], TURN_MAX)))
            .unzip();
        let accel_size: Vec<f64> = accel.iter().map(|accel| norm(*accel)).collect();
        let turn_size: Vec<f64> = turn.iter().map(|turn| norm(*turn)).collect();
        let accel_100ms = smooth(&accel_size, 2);
        let mut motion = Self {
            step_s: 1.0 / f64::from(burst.rate_hz),
            impact: hardest(&accel_100ms, MARGIN),
            accel_60ms: smooth(&accel_size, 1),
            turn_100ms: smooth(&turn_size, 2),
            accel,
            turn,
            accel_size,
            accel_100ms,
            turn_size,
            descent: Descent::default(),
        };
        motion.descent = motion.reckon_descent();
        Ok(motion)
    }

    /// The samples of a window, as far as the burst reaches.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "clamped")]
    fn range(&self, (from_s, to_s): Window) -> Range<usize> {
        let index = |at_s: f64| {
            let index = self.impact as f64 + (at_s / self.step_s).round();
            index.clamp(0.0, self.accel.len() as f64) as usize
        };
        index(from_s)..index(to_s)
    }

    /// The last second: 3 to 4 s after the impact, or earlier where the burst ends earlier.
    #[allow(clippy::cast_precision_loss, reason = "a few thousand samples")]
    fn end(&self) -> Window {
        let left_s = (self.accel.len() - self.impact) as f64 * self.step_s;
        let end_s = left_s.min(4.0);
        (end_s - 1.0, end_s)
    }

    fn accel_in(&self, window: Window) -> &[f64] {
        self.accel_size.get(self.range(window)).unwrap_or_default()
    }

    fn accel_60ms_in(&self, window: Window) -> &[f64] {
        self.accel_60ms.get(self.range(window)).unwrap_or_default()
    }

    fn accel_100ms_in(&self, window: Window) -> &[f64] {
        self.accel_100ms.get(self.range(window)).unwrap_or_default()
    }

    fn turn_in(&self, window: Window) -> &[f64] {
        self.turn_size.get(self.range(window)).unwrap_or_default()
    }

    fn turn_100ms_in(&self, window: Window) -> &[f64] {
        self.turn_100ms.get(self.range(window)).unwrap_or_default()
    }

    fn vectors_in(&self, window: Window) -> &[Vec3] {
        self.accel.get(self.range(window)).unwrap_or_default()
    }

    /// Where gravity points, and how strongly, on average.
    fn gravity(&self, window: Window) -> Vec3 {
        mean_vector(self.vectors_in(window))
    }

    fn tilt_deg(&self, one: Window, other: Window) -> f64 {
        angle_deg(self.gravity(one), self.gravity(other))
    }

    /// How far accelerations, with their directions, are from their mean.
    fn shake(&self, window: Window) -> f64 {
        let vectors = self.vectors_in(window);
        let middle = scale(mean_vector(vectors), -1.0);
        let squares: Vec<f64> = vectors.iter().map(|vector| add(*vector, middle)).map(|off| dot(off, off)).collect();
        mean(&squares).sqrt()
    }

    fn integral(&self, values: &[f64], of: impl Fn(f64) -> f64) -> f64 {
        values.iter().map(|value| of(*value)).sum::<f64>() * self.step_s
    }

    /// The fastest change of acceleration, over 60 ms means.
    fn jerk(&self) -> f64 {
        let means: Vec<Vec3> = self.vectors_in(AROUND).windows(3).map(mean_vector).collect();
        let changes = means.iter().zip(means.iter().skip(1)).map(|(one, next)| norm(add(*next, scale(*one, -1.0))));
        changes.fold(0.0, f64::max) / self.step_s
    }

    /// How often the acceleration passes `limit`; within 140 ms it is the same knock.
    fn knocks(&self, window: Window, limit: f64) -> f64 {
        let mut knocks = 0;
        let mut quiet = usize::MAX;
        for accel in self.accel_in(window) {
            if *accel >= limit {
                knocks += u32::from(quiet >= 7);
                quiet = 0;
            } else {
                quiet = quiet.saturating_add(1);
            }
        }
        f64::from(knocks)
    }

    /// The share of the time from 0.8 s on in which nothing but gravity is felt and nothing turns.
    fn still_share(&self) -> f64 {
        let after = (0.8, 4.0);
        let pairs = self.accel_100ms_in(after).iter().zip(self.turn_100ms_in(after));
        let still: Vec<f64> = pairs.map(|(accel, turn)| f64::from((accel - G).abs() < 1.0 && *turn < 0.6)).collect();
        mean(&still)
    }

    /// The highest autocorrelation of the acceleration at a lag of 0.26 to 1.2 s.
    fn rhythm(&self) -> f64 {
        let accel = self.accel_100ms_in(WHOLE);
        let middle = mean(accel);
        let off: Vec<f64> = accel.iter().map(|accel| accel - middle).collect();
        let product = |lag: usize| off.iter().zip(off.iter().skip(lag)).map(|(one, later)| one * later).sum::<f64>();
        let power = product(0);
        if power > 0.0 { (13..60).map(|lag| product(lag) / power).fold(0.0, f64::max) } else { 0.0 }
    }

    fn reckon_descent(&self) -> Descent {
        let start = unit(self.gravity(BEFORE));
        let (mut up, mut speed, mut height) = (start, 0.0_f64, 0.0_f64);
        let mut descent = Descent::default();
        let range = self.range((-1.5, 0.6));
        let moments = range.clone().zip(self.accel.iter().zip(&self.turn).skip(range.start));
        for (index, (accel, turn)) in moments {
            up = unit(add(up, scale(cross(up, *turn), self.step_s)));
            speed += (dot(*accel, up) - G) * self.step_s;
            height += speed * self.step_s;
            descent.speed_mps = descent.speed_mps.max(-speed);
            descent.drop_m = descent.drop_m.max(-height);
            if index == self.impact {
                descent.turned_deg = angle_deg(start, up);
            }
        }
        descent
    }
}

fn check(burst: &Burst) -> Result<(), FeatureError> {
    let (min_hz, max_hz) = RATE_HZ;
    let (min, max) = (SAMPLES.0 * CHANNELS, SAMPLES.1 * CHANNELS);
    let found = burst.samples.len();
    if burst.channels != CHANNELS {
        let names = "ax, ay, az in m/s², gx, gy, gz in rad/s";
        return Err(FeatureError::Channels { found: burst.channels, needed: CHANNELS, names });
    }
    if !(min_hz..=max_hz).contains(&burst.rate_hz) {
        return Err(FeatureError::Rate { found: burst.rate_hz, min: min_hz, max: max_hz });
    }
    if !(min..=max).contains(&found) || !found.is_multiple_of(CHANNELS) {
        return Err(FeatureError::Length { found, channels: CHANNELS, min, max });
    }
    match burst.samples.iter().position(|sample| !sample.is_finite()) {
        Some(index) => Err(FeatureError::NotFinite { index }),
        None => Ok(()),
    }
}

/// The same direction, no longer than `limit`.
fn cut(vector: Vec3, limit: f64) -> Vec3 {
    let size = norm(vector);
    if size > limit { scale(vector, limit / size) } else { vector }
}

/// Where the highest value is, the first of equals, at least `margin` from both ends.
fn hardest(values: &[f64], margin: usize) -> usize {
    let inner = values.get(margin..values.len() - margin).unwrap_or_default();
    let mut best = 0;
    for (index, value) in inner.iter().enumerate() {
        if *value > inner[best] {
            best = index;
        }
    }
    margin + best
}

/// The mean over `half` samples to both sides, as far as there are any.
fn smooth(values: &[f64], half: usize) -> Vec<f64> {
    let around = |index: usize| index.saturating_sub(half)..(index + half + 1).min(values.len());
    (0..values.len()).map(|index| mean(&values[around(index)])).collect()
}

/// 0 where there is nothing.
#[allow(clippy::cast_precision_loss, reason = "a few thousand samples")]
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

#[allow(clippy::cast_precision_loss, reason = "a few thousand samples")]
fn mean_vector(vectors: &[Vec3]) -> Vec3 {
    let sum = vectors.iter().fold([0.0; 3], |sum, vector| add(sum, *vector));
    scale(sum, 1.0 / vectors.len().max(1) as f64)
}

/// The standard deviation.
fn spread(values: &[f64]) -> f64 {
    let middle = mean(values);
    let squares: Vec<f64> = values.iter().map(|value| (value - middle).powi(2)).collect();
    mean(&squares).sqrt()
}

fn max(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// 0 where there is nothing.
fn min(values: &[f64]) -> f64 {
    values.iter().copied().reduce(f64::min).unwrap_or(0.0)
}
