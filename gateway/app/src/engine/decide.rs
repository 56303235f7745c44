//! The thread that decides: events in, in order, batches of their effects out.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::SyncSender;
use std::time::Duration;
use tokio::sync::oneshot;

use ninewatch_core::ailment::Complaint;
use ninewatch_core::alert::{
    Acted, ActionError, AlertChange, AlertId, Drill, DrillError, Matter, Regrade, StaffAction, TurnError, Verdict,
    WalkTurn,
};
use ninewatch_core::decode::without_bulk;
use ninewatch_core::pipeline::{Called, Effects, Event, Heard, Intake, Message, Pipeline, Reject, Settings, Site};
use ninewatch_core::replay::Recorded;
use ninewatch_core::time::TimeMs;

use super::deferred::Deferred;
use super::lanes::{Inbox, LifeSafety};
use super::load::{Became, Load};
use super::quarantine::Samples;
use super::{Ack, Acked, Command, Fate, InForce, Inbound, LastHeard};
use crate::clock::Clock;
use crate::journal::{self, DiskRoom, Sizes};
use crate::metrics::Counters;
use crate::scorer::Serving;
#[cfg(test)]
use crate::sim::{Bug, planted};

/// What must be durable together, and who is told then.
#[derive(Default)]
pub(super) struct Batch {
    /// When `intake` begins a new segment, with a checkpoint.
    pub(super) begins_segment: Option<TimeMs>,
    /// Frames for the intake log.
    pub(super) intake: Vec<u8>,
    /// How many messages the frames hold.
    pub(super) messages: usize,
    pub(super) changes: Vec<AlertChange>,
    pub(super) acks: Vec<(Ack, Acked)>,
    pub(super) replies: Vec<Box<dyn FnOnce() + Send>>,
}

pub(super) struct Decide {
    pipeline: Pipeline,
    serving: Serving,
    clock: Clock,
    tells: Tells,
    sizes: Sizes,
    room: Arc<DiskRoom>,
    deferred: Deferred,
    /// Written to the segment so far, and how much of that makes it full.
    segment_used: u64,
    segment_full: u64,
    segment_begun_ms: TimeMs,
    samples: Samples,
    /// By id, the devices that can be told something.
    heard: HashMap<String, LastHeard>,
    batch: Batch,
    batches: SyncSender<Batch>,
}

/// Whom it keeps informed.
#[derive(Default)]
pub(super) struct Tells {
    pub(super) counters: Arc<Counters>,
    pub(super) load: Arc<Load>,
    pub(super) life_safety: Arc<LifeSafety>,
}

/// There is no going on: the writer is gone because its disk failed, or memory is short.
pub(super) struct Halt;

/// However little falls due, time is looked at this often, so that a clock set forward is noticed.
const LONGEST_REST: Duration = Duration::from_secs(1);
/// A segment holds at least so many times its checkpoint's bytes in events.
const LEAST_EVENTS: u64 = 4;
/// A quiet gateway begins a segment all the same, so that old readings can go.
const LONGEST_SEGMENT_MS: TimeMs = 86_400_000;
/// Commands taken at once.
pub(super) const TAKE: usize = 64;

impl Decide {
    pub(super) fn new(
        pipeline: Pipeline,
        serving: Serving,
        clock: Clock,
        tells: Tells,
        (sizes, room): (Sizes, Arc<DiskRoom>),
        batches: SyncSender<Batch>,
    ) -> Self {
        tells.life_safety.learn(&pipeline);
        // Recovery has just begun a segment.
        Self {
            segment_begun_ms: pipeline.now_ms(),
            pipeline,
            serving,
            clock,
            tells,
            sizes,
            room,
            deferred: Deferred::default(),
            segment_used: 0,
            segment_full: sizes.segment_bytes,
            samples: Samples::default(),
            heard: HashMap::new(),
            batch: Batch::default(),
            batches,
        }
    }

    /// Decides until everybody who could ask is gone, or the writer is.
    pub(super) fn run(mut self, mut inbox: Inbox) {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_time().build() {
            Ok(runtime) => runtime,
            Err(error) => return tracing::error!(%error, "the engine cannot start"),
        };
        let mut commands = Vec::with_capacity(TAKE);
        loop {
            let rest = self.rest();
            let taken = runtime.block_on(async { tokio::time::timeout(rest, inbox.take(&mut commands, TAKE)).await });
            let done = taken.is_ok() && commands.is_empty();
            self.tells.load.flood();
            if self.turn(&mut commands, taken.is_err()).is_err() || done {
                return;
            }
        }
    }

    /// Lets time pass, if it is time, takes the commands and hands over what follows.
    pub(super) fn turn(&mut self, commands: &mut Vec<Command>, time: bool) -> Result<(), Halt> {
        if time {
            self.tick()?;
        }
        commands.drain(..).try_for_each(|command| self.take(command))?;
        // A few at a time: nobody's alarm waits for them.
        for _ in 0..TAKE {
            if self.room.is_short() {
                break;
            }
            let Some(message) = self.deferred.next(&self.tells.counters, &self.tells.load) else { break };
            self.message(message)?;
        }
        if self.pipeline.now_ms() - self.segment_begun_ms >= (self.sizes.oldest_ms / 8).min(LONGEST_SEGMENT_MS) {
            self.begin_segment()?;
        }
        self.hand_over()
    }

    /// How long there is nothing to do but wait for commands.
    fn rest(&self) -> Duration {
        if !self.deferred.is_empty() && !self.room.is_short() {
            return Duration::ZERO;
        }
        let Some(due) = self.pipeline.next_due() else { return LONGEST_REST };
        let wait_ms = u32::try_from((due - self.clock.now_ms()).max(0)).unwrap_or(u32::MAX);
        Duration::from_secs_f64(f64::from(wait_ms) / 1000.0 / self.clock.speed()).min(LONGEST_REST)
    }

    fn take(&mut self, command: Command) -> Result<(), Halt> {
        match command {
            Command::Messages(messages) => messages.into_iter().try_for_each(|message| self.admit(message)),
            Command::Act(action, reply) => self.act(action, reply),
            Command::Drill(drill, reply) => self.drill(drill, reply),
            Command::Turn(turn, reply) => self.turn_of(turn, reply),
            Command::Configure(settings, serving, reply) => {
                if let Some(serving) = serving {
                    self.serving = serving;
                }
                let in_force = self.configure(*settings)?;
                self.reply(move || _ = reply.send(in_force));
                Ok(())
            }
            Command::Devices(reply) => {
                // Nothing to be made durable; whoever asked may be gone.
                let _ = reply.send(self.pipeline.devices());
                Ok(())
            }
            Command::Thresholds(reply) => {
                let _ = reply.send(self.pipeline.thresholds());
                Ok(())
            }
            Command::Complaints(complaints, reply) => self.complain(complaints, reply),
            Command::Report(matter, reply) => self.report(matter, reply),
            Command::Regrade(regrade, reply) => self.regrade(regrade, reply),
            Command::Heard(device, reply) => {
                let _ = reply.send(self.heard.get(&device).cloned());
                Ok(())
            }
        }
    }

    fn reply(&mut self, reply: impl FnOnce() + Send + 'static) {
        self.batch.replies.push(Box::new(reply));
    }

    /// Lets time pass; gives the time. What falls due is recorded as a tick, so that every other event has its own
    /// effects only.
    fn tick(&mut self) -> Result<TimeMs, Halt> {
        let now = self.clock.now_ms();
        if self.pipeline.next_due().is_none_or(|due| due > now) {
            return Ok(now);
        }
        let effects = self.pipeline.step(Event::Tick, now, &mut *self.serving.scorer);
        self.count_scores(&effects);
        if !effects.changes.is_empty() || !effects.scores.is_empty() {
            self.decided(&Recorded::Tick { scores: effects.scores }, effects.changes)?;
        }
        Ok(now)
    }

    /// Takes a message, or puts it off: on a full disk there is room for what can be a matter of life. It is told by the
    /// device, not by what it says now: acknowledgements go out in the order of the messages, so an alarm behind a
    /// reading that waits would wait too. Behind a broker all devices share one window, so nothing there waits. While
    /// some wait, what comes after them does, so that no device's order is turned round.
    fn admit(&mut self, inbound: Inbound) -> Result<(), Halt> {
        let waits = (self.room.is_short() || !self.deferred.is_empty())
            && inbound.device.is_some()
            && !self.pipeline.message_can_be_critical(&as_message(&inbound), self.clock.now_ms());
        #[cfg(test)]
        let waits = waits || self.room.is_short() && planted(Bug::FullDiskDefersAlarms);
        if waits {
            self.deferred.put_off(inbound, &self.tells.counters, &self.tells.load);
            return Ok(());
        }
        self.message(inbound)
    }

    fn message(&mut self, mut inbound: Inbound) -> Result<(), Halt> {
        let now = self.tick()?;
        // What must not be stored is gone before anybody decides by it: a replay gets no more.
        if let Some(rest) = self.pipeline.site().without_discarded(as_message(&inbound)) {
            inbound.payload = rest;
        }
        let message = as_message(&inbound);
        let folded = self.pipeline.folded();
        let mut effects = self.pipeline.step(Event::Message(message), now, &mut *self.serving.scorer);
        self.count(&effects, folded);
        let intake = effects.intake.take();
        match &intake {
            Some(Ok(intake)) => note_doors(&mut self.heard, self.pipeline.site(), intake, &inbound),
            // It is kept as a sample, and no sensor type has said what in it must not be.
            Some(Err(Reject::UnknownDevice(_) | Reject::UnknownType { .. } | Reject::WrongTopic { .. })) => {
                if let Some(rest) = without_bulk(&inbound.payload) {
                    inbound.payload = rest;
                }
            }
            _ => {}
        }
        let device = inbound.device.as_deref();
        if let Some(ack) = inbound.ack {
            let fate = if matches!(intake, Some(Err(_))) { Fate::Rejected } else { Fate::Taken };
            let acked = Acked { token: ack.token, fate };
            self.batch.acks.push((ack, acked));
        }
        self.batch.messages += 1;
        let rejected = match &intake {
            Some(Err(reject)) if !self.samples.wants(device.unwrap_or_default(), reject.code(), now) => {
                // It has no effect, and enough of its like is in quarantine.
                return Ok(());
            }
            Some(Err(reject)) => Some(reject.to_string()),
            Some(Ok(intake)) => intake.refused.first().map(ToString::to_string),
            None => None,
        };
        self.record(&Recorded::Message {
            door: &inbound.door,
            device,
            topic: &inbound.topic,
            payload: &inbound.payload,
            redelivered: inbound.redelivered,
            scores: effects.scores,
            rejected: rejected.map(Cow::Owned),
        })?;
        tracing::debug!(
            door = %inbound.door,
            topic = inbound.topic,
            bytes = inbound.payload.len(),
            changes = effects.changes.len(),
            "a message"
        );
        self.batch.changes.extend(effects.changes);
        if self.segment_used >= self.segment_full { self.begin_segment() } else { Ok(()) }
    }

    /// Counts what a message brought.
    fn count(&self, effects: &Effects, folded_before: u64) {
        let counters = &*self.tells.counters;
        self.tells.load.decided(match &effects.intake {
            Some(Err(_)) => Became::Rejected,
            _ if !effects.changes.is_empty() => Became::Raised,
            _ if self.pipeline.folded() > folded_before => Became::Folded,
            _ => Became::Quiet,
        });
        counters.messages.fetch_add(1, Relaxed);
        self.count_scores(effects);
        match &effects.intake {
            Some(Ok(intake)) => self.count_intake(intake),
            Some(Err(reject)) => {
                counters.count_rejected(reject.code());
                tracing::debug!(%reject, "a message brought nothing");
            }
            None => {}
        }
    }

    fn count_scores(&self, effects: &Effects) {
        for error in &effects.score_errors {
            self.tells.counters.score_errors.fetch_add(1, Relaxed);
            tracing::warn!(%error, "the rules stand alone here");
        }
        for change in &effects.changes {
            if let Some(score) = change.evidence.as_ref().and_then(|evidence| evidence.score.as_ref()) {
                self.serving.watch.alerted(&score.model, change.at_ms);
            }
        }
    }

    fn count_intake(&self, intake: &Intake) {
        let site = self.pipeline.site();
        for heard in intake.devices.iter().filter(|heard| heard.new_reading) {
            if let Some(known) = site.sensor_type_of(heard.device) {
                self.tells.counters.count_readings(known.class, 1);
            }
        }
        self.tells.counters.duplicates.fetch_add(u64::from(intake.duplicates), Relaxed);
        self.tells.counters.late.fetch_add(u64::from(intake.late), Relaxed);
        self.tells.counters.folded.store(self.pipeline.folded(), Relaxed);
        for refused in &intake.refused {
            self.tells.counters.count_rejected(refused.code);
        }
    }

    fn act(&mut self, action: StaffAction, reply: oneshot::Sender<Result<Acted, ActionError>>) -> Result<(), Halt> {
        let now = self.tick()?;
        let mut effects = self.pipeline.step(Event::Action(&action), now, &mut *self.serving.scorer);
        let Some(result) = effects.action.take() else { return Ok(()) };
        if let Ok(acted) = &result
            && !acted.again
        {
            self.record(&Recorded::Action(action))?;
            let is_confirmed = acted.judged == Some(Verdict::TrueAlarm);
            for change in effects.changes.iter().filter(|_| is_confirmed) {
                let models = change.alert.rules.iter().filter_map(|rule| self.pipeline.site().rules.model_of(rule));
                models.for_each(|model| self.serving.watch.confirmed(model));
            }
            self.batch.changes.extend(effects.changes);
        }
        self.reply(move || _ = reply.send(result));
        Ok(())
    }

    fn drill(&mut self, drill: Drill, reply: oneshot::Sender<Result<AlertId, DrillError>>) -> Result<(), Halt> {
        let now = self.tick()?;
        let effects = self.pipeline.step(Event::Drill(&drill), now, &mut *self.serving.scorer);
        let result = match (effects.drill, effects.changes.last()) {
            (Some(error), _) => Err(error),
            (None, Some(change)) => Ok(change.alert.id.clone()),
            (None, None) => return Ok(()),
        };
        if result.is_ok() {
            self.decided(&Recorded::Drill(drill), effects.changes)?;
        }
        self.reply(move || _ = reply.send(result));
        Ok(())
    }

    fn turn_of(&mut self, turn: WalkTurn, reply: oneshot::Sender<Result<(), TurnError>>) -> Result<(), Halt> {
        let now = self.tick()?;
        let effects = self.pipeline.step(Event::Turn(&turn), now, &mut *self.serving.scorer);
        let result = effects.turn.map_or(Ok(()), Err);
        if result.is_ok() {
            self.decided(&Recorded::Turn(turn), effects.changes)?;
        }
        self.reply(move || _ = reply.send(result));
        Ok(())
    }

    fn configure(&mut self, given: Settings) -> Result<InForce, Halt> {
        let (settings, faults) = given.or_former(self.pipeline.settings());
        if settings != *self.pipeline.settings() {
            let now = self.tick()?;
            let effects = self.pipeline.step(Event::Configure(&settings), now, &mut *self.serving.scorer);
            let json = serde_json::to_string(&settings).map_err(|error| halt(&error))?;
            self.decided(&Recorded::Configure(Cow::Owned(json)), effects.changes)?;
            self.tells.life_safety.learn(&self.pipeline);
        }
        Ok(InForce { settings, faults })
    }

    fn complain(&mut self, complaints: Vec<Complaint>, reply: oneshot::Sender<()>) -> Result<(), Halt> {
        // They are told each second; what is known already has no effect and is not recorded.
        if self.pipeline.knows(&complaints) {
            let _ = reply.send(());
            return Ok(());
        }
        let now = self.tick()?;
        let effects = self.pipeline.step(Event::Complaints(&complaints), now, &mut *self.serving.scorer);
        self.decided(&Recorded::Complaints(complaints), effects.changes)?;
        self.reply(move || _ = reply.send(()));
        Ok(())
    }

    fn report(&mut self, matter: Matter, reply: oneshot::Sender<AlertId>) -> Result<(), Halt> {
        let now = self.tick()?;
        let effects = self.pipeline.step(Event::Report(&matter), now, &mut *self.serving.scorer);
        let Some(alert) = effects.reported else { return Ok(()) };
        if !effects.changes.is_empty() {
            self.decided(&Recorded::Report(matter), effects.changes)?;
        }
        self.reply(move || _ = reply.send(alert));
        Ok(())
    }

    fn regrade(&mut self, regrade: Regrade, reply: oneshot::Sender<Result<(), ActionError>>) -> Result<(), Halt> {
        let now = self.tick()?;
        let effects = self.pipeline.step(Event::Regrade(&regrade), now, &mut *self.serving.scorer);
        let Some(regraded) = effects.regraded else { return Ok(()) };
        if !effects.changes.is_empty() {
            self.decided(&Recorded::Regrade(regrade), effects.changes)?;
        }
        self.reply(move || _ = reply.send(regraded));
        Ok(())
    }

    /// Puts an event with what followed from it into the batch.
    fn decided(&mut self, recorded: &Recorded<'_>, changes: Vec<AlertChange>) -> Result<(), Halt> {
        self.record(recorded)?;
        self.batch.changes.extend(changes);
        Ok(())
    }

    fn record(&mut self, recorded: &Recorded<'_>) -> Result<(), Halt> {
        journal::encode(&mut self.batch.intake, self.pipeline.now_ms(), recorded).map_err(|error| halt(&error))
    }

    /// Hands over what there is and begins a segment with all state up to here.
    fn begin_segment(&mut self) -> Result<(), Halt> {
        if self.room.is_short() {
            // Where the next one begins there may be no room for it; this one holds some.
            return Ok(());
        }
        self.hand_over()?;
        self.batch.begins_segment = Some(self.pipeline.now_ms());
        let state = self.pipeline.checkpoint().map_err(|error| halt(&error))?;
        // With very many open alerts, segments would else be little but checkpoints.
        self.segment_full = self.sizes.segment_bytes.max(LEAST_EVENTS * state.len() as u64);
        self.record(&Recorded::Checkpoint(Cow::Owned(state)))?;
        self.hand_over()?;
        self.segment_used = 0;
        self.segment_begun_ms = self.pipeline.now_ms();
        Ok(())
    }

    fn hand_over(&mut self) -> Result<(), Halt> {
        let batch = std::mem::take(&mut self.batch);
        if batch.intake.is_empty() && batch.acks.is_empty() && batch.replies.is_empty() {
            return Ok(());
        }
        self.segment_used += batch.intake.len() as u64;
        self.batches.send(batch).map_err(|_| Halt)
    }
}

#[cfg(test)]
impl Decide {
    pub(super) fn now_ms(&self) -> TimeMs {
        self.pipeline.now_ms()
    }

    pub(super) fn checkpoint(&self) -> anyhow::Result<Vec<u8>> {
        Ok(self.pipeline.checkpoint()?)
    }
}

/// Notes where the devices that speak by name were heard, as far as they can be told anything.
fn note_doors(heard: &mut HashMap<String, LastHeard>, site: &Site, intake: &Intake, inbound: &Inbound) {
    for Heard { device, called, .. } in &intake.devices {
        let is_told_something = site.sensor_type_of(*device).is_some_and(|known| !known.commands.is_empty());
        if *called == Called::NotByName || !is_told_something {
            continue;
        }
        let Some(device) = site.registry.devices.get(*device) else { continue };
        let now = || LastHeard { door: inbound.door.clone(), topic: inbound.topic.clone(), called: *called };
        match heard.get_mut(&device.id) {
            Some(last) if last.door == inbound.door && last.topic == inbound.topic && last.called == *called => {}
            Some(last) => *last = now(),
            None => _ = heard.insert(device.id.clone(), now()),
        }
    }
}

fn as_message(inbound: &Inbound) -> Message<'_> {
    Message {
        device: inbound.device.as_deref(),
        topic: &inbound.topic,
        payload: &inbound.payload,
        redelivered: inbound.redelivered,
    }
}

/// Says why there is no going on.
fn halt(error: &dyn std::error::Error) -> Halt {
    tracing::error!(
        %error,
        "an event could not be written down; the gateway stops, nothing since then was acknowledged"
    );
    Halt
}
