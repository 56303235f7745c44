//! Staff at the console and upstream, who know of each other what they can.

use ninewatch_core::alert::{AlertId, StaffAction, TurnStep, Verb, Verdict, WalkTurn};

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
        match self.chance.below(9) {
            0..3 => Verb::Accept,
            3..6 => self.any_dispatch(),
            6 => Verb::Handle,
            7 => Verb::Note,
            _ => Verb::Close { verdict: Verdict::FalseAlarm },
        }
    }

    /// Somebody takes back what they did of late, or try to: that it is too late they are told.
    fn any_undo(&mut self, via: Option<&str>) -> Option<StaffAction> {
        let lately = self.promises.lately_asked(via);
        let done = lately.get(self.chance.index(lately.len().max(1)))?.clone();
        let undo = self.action(&done.alert, Verb::Undo { action: done.id });
        Some(StaffAction { by: done.by, via: done.via, ..undo })
    }

    fn any_dispatch(&mut self) -> Verb {
        Verb::Dispatch { to: format!("grid-{}", self.chance.below(9)) }
    }

    pub(super) fn console_acts(&mut self) {
        let Some(alert) = self.any_alert() else { return };
        let verb = self.any_verb();
        let undo = if self.chance.one_in(3) { self.any_undo(None) } else { None };
        let action = undo.unwrap_or_else(|| self.action(&alert, verb));
        let Some(gateway) = &mut self.gateway else { return };
        let engine = gateway.engine.engine.clone();
        self.promises.asked(&action);
        gateway.asked.push((action.id.clone(), tokio::spawn(async move { engine.act(action).await })));
    }

    /// An installer begins or ends a device's turn; what becomes of it shows in the changes.
    pub(super) fn installer_walks(&mut self) {
        let device = self.senders[self.chance.index(self.senders.len())].id.to_owned();
        let walk_test = self.chance.pick(&[(3, "walk-1"), (1, "walk-2")]).to_owned();
        let step = self.chance.pick(&[(1, TurnStep::Begin), (1, TurnStep::End)]);
        self.note(format!("  {device}: {step:?} in {walk_test}"));
        let Some(gateway) = &self.gateway else { return };
        let engine = gateway.engine.engine.clone();
        let turn = WalkTurn { walk_test, device, by: "installer".into(), step };
        tokio::spawn(async move { engine.turn(turn).await });
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
        if self.chance.one_in(4)
            && let Some(undo) = self.any_undo(Some("city"))
        {
            let made_at_ms = Some(self.now_ms);
            let undo = StaffAction { made_at_ms, ..undo };
            self.promises.asked(&undo);
            self.platform.act(&undo, &mut self.chance);
            return;
        }
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
