//! Asking a model: its score, whether that is a yes at this place, and which inputs moved it.

use super::features;
use super::model::{Asked, ModelCard, Scorer};
use super::rule::Rule;
use super::threshold::Thresholds;
use crate::alert::{MovedBy, Score, Text};

/// What models are asked with.
pub(super) struct Models<'a> {
    pub(super) scorer: &'a mut dyn Scorer,
    pub(super) thresholds: &'a Thresholds,
}

/// What a model is asked about.
pub(super) struct Question<'a> {
    pub(super) rule: &'a Rule,
    pub(super) card: &'a ModelCard,
    /// The place's id.
    pub(super) place: &'a str,
    /// The id of the device, or of the place where it is about all of them.
    pub(super) about: &'a str,
    pub(super) features: Vec<f32>,
    /// The same where nothing is amiss.
    pub(super) usual: Vec<f32>,
}

impl Models<'_> {
    /// The score with its reason where the model says yes and that `counts`: it is scored in any case, for whoever
    /// compares and watches scores. A model that gives no score is told by whoever scores.
    pub(super) fn ask(&mut self, question: &Question<'_>, counts: bool) -> Option<Score> {
        let Question { rule, card, place, about, features, .. } = question;
        let asked = Asked { model: &card.name, about, features, what_if: false };
        let value = f64::from(self.scorer.score(&asked).ok()?);
        let threshold = self.thresholds.of(place, rule, card);
        if !counts || value < threshold {
            return None;
        }
        let known = features::of(&card.features);
        Some(Score {
            model: card.name.clone(),
            version: card.version.clone(),
            value,
            threshold,
            features: known
                .iter()
                .zip(features)
                .map(|(known, input)| (known.name.to_owned(), f64::from(*input)))
                .collect(),
            moved_by: self.moved_by(question, threshold),
        })
    }

    /// The inputs without which it would not have been a yes, those that matter most first: one after the other is
    /// put to what is usual, until the score is below the threshold. Nothing where even that does not help.
    ///
    /// An input counts by how much the score falls without it, and by how much it rises with it alone: where several
    /// say the same, none of them is missed as long as another is there.
    fn moved_by(&mut self, question: &Question<'_>, threshold: f64) -> Vec<MovedBy> {
        let Question { card, features, usual, .. } = question;
        let mut left: Vec<usize> = (0..features.len().min(usual.len())).filter(|i| features[*i] != usual[*i]).collect();
        let mut alone = vec![0.0; features.len()];
        for input in &left {
            let Some(score) = self.supposed(question, usual, &[(*input, features[*input])]) else { return Vec::new() };
            alone[*input] = score;
        }
        let mut row = features.clone();
        let mut moved = Vec::new();
        while !left.is_empty() {
            let mut best: Option<(usize, f64)> = None;
            for (at, input) in left.iter().enumerate() {
                let Some(without) = self.supposed(question, &row, &[(*input, usual[*input])]) else {
                    return Vec::new();
                };
                if best.is_none_or(|(than, least)| without - alone[*input] < least - alone[left[than]]) {
                    best = Some((at, without));
                }
            }
            let Some((at, score_without)) = best else { break };
            let input = left.remove(at);
            row[input] = usual[input];
            moved.push((input, score_without));
            if score_without < threshold {
                return self
                    .needed(question, moved, threshold)
                    .into_iter()
                    .map(|of| moved_by(card, question, of))
                    .collect();
            }
        }
        Vec::new()
    }

    /// Without those that turned out not to be needed for it.
    fn needed(&mut self, question: &Question<'_>, moved: Vec<(usize, f64)>, threshold: f64) -> Vec<(usize, f64)> {
        let Question { features, usual, .. } = question;
        let found = moved.len();
        let mut needed = moved;
        let mut at = 0;
        while needed.len() > 1 && at < needed.len() {
            let others = needed.iter().enumerate().filter(|(other, _)| *other != at);
            let others: Vec<(usize, f32)> = others.map(|(_, (input, _))| (*input, usual[*input])).collect();
            match self.supposed(question, features, &others) {
                Some(score) if score < threshold => _ = needed.remove(at),
                _ => at += 1,
            }
        }
        if needed.len() < found {
            // Their scores were found with those that are gone.
            let mut row = features.clone();
            for (input, score_without) in &mut needed {
                row[*input] = usual[*input];
                *score_without = self.supposed(question, &row, &[]).unwrap_or(*score_without);
            }
        }
        needed
    }

    /// What the score would be of `row` with these inputs changed.
    fn supposed(&mut self, question: &Question<'_>, row: &[f32], with: &[(usize, f32)]) -> Option<f64> {
        let mut row = row.to_vec();
        for (input, value) in with {
            row[*input] = *value;
        }
        let asked = Asked { model: &question.card.name, about: question.about, features: &row, what_if: true };
        self.scorer.score(&asked).ok().map(f64::from)
    }
}

fn moved_by(card: &ModelCard, question: &Question<'_>, (input, score_without): (usize, f64)) -> MovedBy {
    let (name, unit, label) = match features::of(&card.features).get(input) {
        Some(known) => (known.name, known.unit, Text { zh: known.zh.to_owned(), en: known.en.to_owned() }),
        None => ("", "", Text::default()),
    };
    MovedBy {
        input: name.to_owned(),
        label,
        unit: unit.to_owned(),
        value: f64::from(question.features[input]),
        usual: f64::from(question.usual[input]),
        score_without,
    }
}
