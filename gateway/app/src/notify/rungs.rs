//! What ladders, roster and quiet rules say of telling an alert on a channel: whether, whom it calls, and whether it waits.

use ninewatch_core::alert::{Alert, Severity};
use ninewatch_core::duty::{Ladders, Person, Roster, Title};
use ninewatch_core::pipeline::Settings;
use ninewatch_core::time::TimeMs;

use super::config::{Kind, NotifyConfig};

/// What is in force, looked at from the channels.
#[derive(Clone, Copy)]
pub(super) struct Rungs<'s> {
    pub(super) settings: &'s Settings,
    pub(super) ladders: &'s Ladders,
    /// All channels.
    pub(super) channels: &'s [NotifyConfig],
}

/// Whom a message calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Called {
    pub(super) people: Vec<Person>,
    /// As these nobody is on duty.
    pub(super) unmanned: Vec<Title>,
    /// Somebody was to be called, and nobody can be: the whole channel is.
    pub(super) everybody: bool,
}

impl Rungs<'_> {
    /// Whether the rung on which the alert is tells on the channel. One that no rung of the ladder names tells by its own
    /// keys, as where there is no ladder: writing a ladder silences nobody whom it does not name.
    pub(super) fn tells(self, config: &NotifyConfig, alert: &Alert) -> bool {
        let by_its_keys = || config.wants(alert, &self.settings.registry);
        let Some(ladder) = self.ladders.of(alert).filter(|ladder| ladder.names(&config.name)) else {
            return by_its_keys();
        };
        match ladder.rungs.get(usize::from(alert.escalation)) {
            Some(rung) => rung.channels.contains(&config.name) || self.reaches_nobody(alert),
            // The ladder was made shorter meanwhile.
            None => by_its_keys(),
        }
    }

    /// Whether nobody would be told on the alert's rung: there is none of the channels that it names, or it names none and
    /// there is none besides those of the ladder that wants the alert. Then all that the ladder names tell.
    fn reaches_nobody(self, alert: &Alert) -> bool {
        let Some(ladder) = self.ladders.of(alert) else { return false };
        let Some(rung) = ladder.rungs.get(usize::from(alert.escalation)) else { return false };
        let registry = &self.settings.registry;
        !self.channels.iter().any(|channel| match &*rung.channels {
            [] => !ladder.names(&channel.name) && !channel.kind.is_siren() && channel.wants(alert, registry),
            named => named.contains(&channel.name),
        })
    }

    /// Whether a siren sounds for an alert that waits: from the first rung on that names it.
    pub(super) fn sounds(self, config: &NotifyConfig, alert: &Alert, now: TimeMs) -> bool {
        if !alert.may_sound() || self.quiet_until(alert, now).is_some() {
            return false;
        }
        let climbed = (0..=alert.escalation).map(|rung| Alert { escalation: rung, ..alert.clone() });
        climbed.into_iter().any(|alert| self.tells(config, &alert))
    }

    /// Until when telling of the alert waits.
    pub(super) fn quiet_until(self, alert: &Alert, at: TimeMs) -> Option<TimeMs> {
        self.ladders.quiet_until(alert, self.settings.utc_offset, at)
    }

    /// Whom a message on these rungs calls on a channel of this kind, with who is on duty now.
    pub(super) fn called(self, roster: &Roster, kind: Kind, alert: &Alert, rungs: &[u8], now: TimeMs) -> Called {
        let mut called = Called::default();
        let Some(ladder) = self.ladders.of(alert) else { return called };
        let grid = self.ladders.grid(alert);
        let mut wanted = false;
        for rung in rungs.iter().filter_map(|rung| ladder.rungs.get(usize::from(*rung))) {
            wanted |= !rung.titles.is_empty() || !rung.people.is_empty();
            for title in &rung.titles {
                let on = roster.on_duty(*title, grid, self.settings.utc_offset, now);
                if on.is_empty() && !called.unmanned.contains(title) {
                    called.unmanned.push(*title);
                }
                called.people.extend(on.into_iter().cloned());
            }
            called.people.extend(rung.people.iter().filter_map(|id| roster.person(id)).cloned());
        }
        let mut seen = Vec::new();
        called.people.retain(|person| {
            let is_new = !seen.contains(&person.id) && kind.can_call(person);
            seen.push(person.id.clone());
            is_new
        });
        called.everybody = wanted && (called.people.is_empty() || !called.unmanned.is_empty());
        called
    }
}

impl Kind {
    /// Whether a channel of this kind has a way to call somebody.
    fn can_call(self, person: &Person) -> bool {
        match self {
            Self::Wecom => !person.wecom.is_empty() || !person.phone.is_empty(),
            Self::Dingtalk => !person.dingtalk.is_empty() || !person.phone.is_empty(),
            Self::Feishu => !person.feishu.is_empty(),
            Self::Email => !person.email.is_empty(),
            // A program finds them by their ids.
            Self::Webhook => true,
            Self::MqttSiren | Self::GpioSiren => false,
        }
    }
}

/// Whether an alert goes before all that can wait: critical ones do, drills only play at it.
pub(super) fn goes_first(alert: &Alert) -> bool {
    alert.severity == Severity::Critical && !alert.drill
}
