//! What a channel says next: the words, whom it calls, and for a program the event.

use ninewatch_core::alert::{Alert, AlertChange, ChangeKind, Severity, Status};
use ninewatch_core::pipeline::Settings;
use ninewatch_core::time::TimeMs;

use super::channel::Channel;
use super::config::{Kind, NotifyConfig};
use super::rungs::Called;
use super::service::Message;
use super::waiting::Telling;
use super::wording::Wording;
use crate::forward::cloudevent;

/// Why one message tells of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Digest {
    /// They are more than the service takes.
    Many,
    /// They waited for the end of the quiet.
    AfterQuiet,
}

impl Channel {
    /// The message; notes in a telling whom it calls.
    pub(super) fn message(&self, tellings: &mut [Telling], digest: Option<Digest>) -> Message {
        let settings = self.shared.settings.borrow().clone();
        let now_ms = self.shared.clock.now_ms();
        let wording = wording(&self.config, &settings, now_ms);
        let waits = |alert: &Alert| alert.status == Status::Raised && alert.recovered_at_ms.is_none();
        let mut called = Called::default();
        if let ([one], None) = (&mut *tellings, digest)
            && waits(&one.alert)
        {
            let roster = self.shared.roster.in_force();
            called =
                self.shared.with_rungs(|rungs| rungs.called(&roster, self.config.kind, &one.alert, &one.rungs, now_ms));
            one.people = called.people.iter().map(|person| person.id.clone()).collect();
        }
        let is_urgent = |one: &Telling| one.alert.severity == Severity::Critical && waits(&one.alert);
        let urgent = self.config.mention_all && (called.everybody || tellings.iter().any(is_urgent));
        match &*tellings {
            [one] if digest.is_none() => Message {
                id: self.shared.source.id(one.alert.id.as_str(), one.seq),
                text: wording.one(one, &called.unmanned),
                urgent,
                people: called.people,
                event: self.event(one),
            },
            many => {
                let seqs = || many.iter().map(|telling| telling.seq);
                let (first, last) = (seqs().min().unwrap_or(0), seqs().max().unwrap_or(0));
                let id = format!("digest.{}.{first}.{last}", self.shared.source.gateway);
                let text = wording.digest(many, digest.unwrap_or(Digest::Many));
                Message { id, text, urgent, people: Vec::new(), event: Vec::new() }
            }
        }
    }

    fn event(&self, telling: &Telling) -> Vec<u8> {
        if self.config.kind != Kind::Webhook {
            return Vec::new();
        }
        let change = AlertChange {
            seq: telling.seq,
            at_ms: telling.at_ms,
            kind: telling.kinds.last().copied().unwrap_or(ChangeKind::Raised),
            by: None,
            note: None,
            alert: telling.alert.clone(),
            evidence: None,
            action: None,
        };
        let told = cloudevent::Told { rungs: &telling.rungs, people: &telling.people };
        cloudevent::told(&self.shared.source, &change, &told).unwrap_or_default()
    }
}

fn wording<'s>(config: &NotifyConfig, settings: &'s Settings, now_ms: TimeMs) -> Wording<'s> {
    Wording { lang: config.language, settings, now_ms, longest: config.kind.limits().bytes }
}

/// What shows that a channel works.
pub(super) fn test_message(config: &NotifyConfig, settings: &Settings, now_ms: TimeMs) -> Message {
    let id = format!("test.{}.{now_ms}", settings.gateway);
    let event = cloudevent::channel_test(&settings.gateway, &id, &config.name).unwrap_or_default();
    Message { id, text: wording(config, settings, now_ms).test(&config.name), urgent: false, people: Vec::new(), event }
}
