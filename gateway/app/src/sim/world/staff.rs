//! Staff at the console and upstream, who know of each other what they can.

use ninewatch_core::alert::{AlertId, StaffAction, Verb, Verdict};

use super::World;

impl World<'_> {
    /// An alert that somebody may act on: one that is open, or, as whoever is cut off does not know, was.
    fn any_alert(&mut self) -> Option<AlertId> {
        let alerts = self.promises.alerts(!self.chance.one_in(4));
        (!alerts.is_empty()).then(|| alerts[self.chance.index(alerts.len())].clone())
    }

    fn action(&mut self, alert: &AlertId, verb: Verb) -> StaffAction {
        self.last_action += 1;
        let number = self.last_action;
        let id = format!("action-{number}");
        StaffAction { note: Some(id.clone()), ..StaffAction::new(id, alert.clone(), format!("officer-{number}"), verb) }
    }

    fn any_verb(&mut self) -> Verb {
        match self.chance.below(8) {
            0..3 => Verb::Accept,
            3..6 => self.any_dispatch(),
            6 => Verb::Handle,
            _ => Verb::Close { verdict: Verdict::FalseAlarm },
        }
    }

    fn any_dispatch(&mut self) -> Verb {
        Verb::Dispatch { to: format!("grid-{}", self.chance.below(9)) }
    }

    pub(super) fn console_acts(&mut self) {
        let Some(alert) = self.any_alert() else { return };
        let verb = self.any_verb();
        let action = self.action(&alert, verb);
        let Some(gateway) = &mut self.gateway else { return };
        let engine = gateway.engine.engine.clone();
        self.promises.asked(&action);
        gateway.asked.push((action.id.clone(), tokio::spawn(async move { engine.act(action).await })));
    }

    /// Somebody upstream acts once, or carries an alert through its life by what they have seen of it.
    pub(super) fn platform_acts(&mut self) {
        let Some(alert) = self.any_alert() else { return };
        let verbs = if self.chance.one_in(2) {
            vec![self.any_verb()]
        } else {
            let verdict = self.chance.pick(&[(1, Verdict::TrueAlarm), (1, Verdict::Nuisance)]);
            let life = [Verb::Accept, self.any_dispatch(), Verb::Handle, Verb::Close { verdict }];
            let so_far = self.chance.index(life.len()) + 1;
            life.into_iter().take(so_far).collect()
        };
        let upon = self.platform.newest_of(&alert).filter(|_| !self.chance.one_in(4));
        // Its clock is nobody's business.
        let mut made_at_ms = self.now_ms + self.chance.below(120_000).cast_signed() - 60_000;
        for verb in verbs {
            made_at_ms += self.chance.below(5_000).cast_signed();
            let made_at_ms = (!self.chance.one_in(4)).then_some(made_at_ms);
            let action = StaffAction { via: Some("city".into()), made_at_ms, upon, ..self.action(&alert, verb) };
            self.promises.asked(&action);
            self.platform.act(&action, &mut self.chance);
        }
    }
}
