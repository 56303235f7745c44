//! How the models in use are doing: errors, yeses, alerts, whether what they see is what they learnt from, and how a
//! shadow compares.

use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ninewatch_core::detect::features;
use ninewatch_core::detect::model::{Asked, ModelCard, Usual};
use ninewatch_core::time::TimeMs;

/// So many scores in a row that fail are the model's fault and no accident.
const ERRORS_IN_A_ROW: u32 = 3;
/// Fewer alerts than this are no rate.
const FEWEST_ALERTS: usize = 3;
const DAY_MS: i64 = 86_400_000;
/// Over how many scores a share is taken, and how many have to be there before it is told.
const SHARE_OVER: f64 = 500.0;
const SHARE_FROM: u64 = 200;
/// 2 % of what training saw lies outside of what is usual. Ten times that is another world.
const DRIFTED: f64 = 0.2;

/// All models in use, by name. Written by the deciding thread, read by anybody.
#[derive(Debug, Default)]
pub(crate) struct Watch(Mutex<BTreeMap<String, Doing>>);

/// How a model is doing.
#[derive(Debug, Clone)]
pub(super) struct Doing {
    card: ModelCard,
    /// What each input usually is, in order.
    usual: Vec<Usual>,
    asked: u64,
    errors: u64,
    errors_in_a_row: u32,
    yeses: u64,
    outside: Vec<f64>,
    score_above: f64,
    about: BTreeSet<String>,
    alerts: VecDeque<TimeMs>,
    shadows: BTreeMap<String, Compared>,
}

/// How a shadow compares with the model in use.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Compared {
    pub(crate) version: String,
    /// Scores that both gave.
    pub(crate) scores: u64,
    pub(crate) both_yes: u64,
    pub(crate) only_active_yes: u64,
    pub(crate) only_shadow_yes: u64,
    pub(crate) errors: u64,
    pub(crate) mean_difference: f64,
    pub(crate) most_difference: f64,
}

/// How a model is doing, for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ModelReport {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) sha256: String,
    pub(crate) threshold: f64,
    /// Scores since the gateway started, or the model came into use.
    pub(crate) scores: u64,
    pub(crate) errors: u64,
    pub(crate) yeses: u64,
    /// In the last 24 hours.
    pub(crate) alerts: usize,
    /// Devices or places that it was asked about.
    pub(crate) devices: usize,
    pub(crate) most_alerts_per_device_day: Option<f64>,
    /// What it sees lies outside of what training saw: each with its share of the last scores.
    pub(crate) drifted: BTreeMap<String, f64>,
    pub(crate) shadows: BTreeMap<String, Compared>,
}

impl Watch {
    /// Over these models and their shadows. What is known of a model that stays is kept.
    pub(super) fn new(cards: &[ModelCard], before: Option<&Self>) -> Self {
        let mut known = before.map(|before| before.lock().clone()).unwrap_or_default();
        let mut doing: BTreeMap<String, Doing> = BTreeMap::new();
        for card in cards.iter().filter(|card| card.shadow_of.is_none()) {
            let kept = known.remove(&card.name).filter(|kept| kept.card == *card);
            doing.insert(card.name.clone(), kept.unwrap_or_else(|| Doing::new(card)));
        }
        for shadow in cards {
            let Some(active) = shadow.shadow_of.as_ref().and_then(|name| doing.get_mut(name)) else { continue };
            let kept = active.shadows.remove(&shadow.name).filter(|kept| kept.version == shadow.version);
            let new = || Compared { version: shadow.version.clone(), ..Compared::default() };
            active.shadows.insert(shadow.name.clone(), kept.unwrap_or_else(new));
        }
        for active in doing.values_mut() {
            let name = active.card.name.clone();
            let is_there = |shadow: &String| {
                cards.iter().any(|card| card.name == *shadow && card.shadow_of.as_deref() == Some(&name))
            };
            active.shadows.retain(|shadow, _| is_there(shadow));
        }
        Self(Mutex::new(doing))
    }

    /// A model was asked about something measured, and gave this score, or none.
    pub(super) fn scored(&self, asked: &Asked<'_>, score: Option<f32>) {
        if let Some(doing) = self.lock().get_mut(asked.model) {
            doing.scored(asked, score);
        }
    }

    /// A model's run had to be ended: it would never have been done. Another failure after it is too many; one alone
    /// may be the machine's, that stood still for a second.
    pub(super) fn hung(&self, model: &str) {
        if let Some(doing) = self.lock().get_mut(model) {
            doing.errors_in_a_row = doing.errors_in_a_row.max(ERRORS_IN_A_ROW - 1);
        }
    }

    /// A shadow was asked the same as the model in use.
    pub(super) fn compared(&self, active: &ModelCard, score: f32, shadow: &ModelCard, shadow_score: Option<f32>) {
        let mut all = self.lock();
        let Some(compared) = all.get_mut(&active.name).and_then(|doing| doing.shadows.get_mut(&shadow.name)) else {
            return;
        };
        let Some(shadow_score) = shadow_score else {
            compared.errors += 1;
            return;
        };
        let yes = (f64::from(score) >= active.threshold, f64::from(shadow_score) >= shadow.threshold);
        compared.scores += 1;
        compared.both_yes += u64::from(yes == (true, true));
        compared.only_active_yes += u64::from(yes == (true, false));
        compared.only_shadow_yes += u64::from(yes == (false, true));
        let difference = f64::from((score - shadow_score).abs());
        #[allow(clippy::cast_precision_loss, reason = "a count of scores")]
        let count = compared.scores as f64;
        compared.mean_difference += (difference - compared.mean_difference) / count;
        compared.most_difference = compared.most_difference.max(difference);
    }

    /// An alert came of a model.
    pub(crate) fn alerted(&self, model: &str, at: TimeMs) {
        if let Some(doing) = self.lock().get_mut(model) {
            doing.alerts.push_back(at);
            while doing.alerts.front().is_some_and(|oldest| at - oldest >= DAY_MS) {
                doing.alerts.pop_front();
            }
        }
    }

    /// Staff judged an alert of a model to be true: it speaks for the model and not against it.
    pub(crate) fn confirmed(&self, model: &str) {
        if let Some(doing) = self.lock().get_mut(model) {
            doing.alerts.pop_front();
        }
    }

    /// The models that have gone astray, with why.
    pub(super) fn astray(&self) -> Vec<(ModelCard, String)> {
        let all = self.lock();
        all.values().filter_map(|doing| Some((doing.card.clone(), doing.astray()?))).collect()
    }

    /// How each is doing.
    pub(crate) fn report(&self) -> Vec<ModelReport> {
        self.lock().values().map(Doing::report).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Doing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Doing {
    fn new(card: &ModelCard) -> Self {
        let features = features::of(&card.features);
        let usual: Vec<Usual> = features.iter().filter_map(|feature| card.usual.get(feature.name)).copied().collect();
        Self {
            outside: vec![0.0; usual.len()],
            usual,
            card: card.clone(),
            asked: 0,
            errors: 0,
            errors_in_a_row: 0,
            yeses: 0,
            score_above: 0.0,
            about: BTreeSet::new(),
            alerts: VecDeque::new(),
            shadows: BTreeMap::new(),
        }
    }

    fn scored(&mut self, asked: &Asked<'_>, score: Option<f32>) {
        self.asked += 1;
        if !self.about.contains(asked.about) {
            self.about.insert(asked.about.to_owned());
        }
        let Some(score) = score.map(f64::from) else {
            self.errors += 1;
            self.errors_in_a_row += 1;
            return;
        };
        self.errors_in_a_row = 0;
        self.yeses += u64::from(score >= self.card.threshold);
        #[allow(clippy::cast_precision_loss, reason = "a count of scores")]
        let over = (self.asked as f64).min(SHARE_OVER);
        let follow = |share: &mut f64, is: bool| *share += (f64::from(u8::from(is)) - *share) / over;
        for ((share, usual), value) in self.outside.iter_mut().zip(&self.usual).zip(asked.features) {
            follow(share, !(usual.low..=usual.high).contains(&f64::from(*value)));
        }
        follow(&mut self.score_above, score > self.card.usual_score.high);
    }

    fn astray(&self) -> Option<String> {
        if self.errors_in_a_row >= ERRORS_IN_A_ROW {
            return Some(format!("it gave no score {} times in a row", self.errors_in_a_row));
        }
        let most = self.card.most_alerts_per_device_day?;
        #[allow(clippy::cast_precision_loss, reason = "a day's alerts, a site's devices")]
        let (alerts, devices) = (self.alerts.len() as f64, self.about.len().max(1) as f64);
        let is_beyond = self.alerts.len() >= FEWEST_ALERTS && alerts > most * devices;
        is_beyond
            .then(|| format!("{alerts} alerts in a day of {devices} devices; at most {most} a device were expected"))
    }

    fn drifted(&self) -> BTreeMap<String, f64> {
        if self.asked < SHARE_FROM {
            return BTreeMap::new();
        }
        let names = features::of(&self.card.features).iter().map(|feature| feature.name);
        let shares = names.zip(self.outside.iter().copied()).chain([("score", self.score_above)]);
        shares.filter(|(_, share)| *share > DRIFTED).map(|(name, share)| (name.to_owned(), share)).collect()
    }

    fn report(&self) -> ModelReport {
        ModelReport {
            name: self.card.name.clone(),
            version: self.card.version.clone(),
            sha256: self.card.sha256.clone(),
            threshold: self.card.threshold,
            scores: self.asked - self.errors,
            errors: self.errors,
            yeses: self.yeses,
            alerts: self.alerts.len(),
            devices: self.about.len(),
            most_alerts_per_device_day: self.card.most_alerts_per_device_day,
            drifted: self.drifted(),
            shadows: self.shadows.clone(),
        }
    }
}
