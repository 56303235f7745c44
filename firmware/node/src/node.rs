//! The node: what it hears, does and answers.

use ninewatch_wire::frame::{Deframer, Frame, MAX_ON_LINE};
use ninewatch_wire::message::{Body, Done, Down, Health, Hello, Lane, Order, Outcome, Reset, Up, What};
use ninewatch_wire::node::{Asked, Ignored, NodeEnd};
use ninewatch_wire::table::Table;

use crate::board::Board;
use crate::lamp::{self, Shows};
use crate::log::Log;
use crate::memory::{Memory, Store, Unusable};
use crate::outbox::Outbox;
use crate::sensors::Sensors;
use crate::update::{Slots, Update};

/// This program's version: major, minor, patch.
pub const FIRMWARE: [u16; 3] = [
    number(env!("CARGO_PKG_VERSION_MAJOR")),
    number(env!("CARGO_PKG_VERSION_MINOR")),
    number(env!("CARGO_PKG_VERSION_PATCH")),
];

const fn number(text: &str) -> u16 {
    match u16::from_str_radix(text, 10) {
        Ok(number) => number,
        Err(_) => 0,
    }
}

/// Who has not the key is answered so seldom: anybody can ask.
const STRANGERS_MS: u64 = 1_000;
/// A gateway that has not asked for so long is told of by the lamp.
const NOT_ASKED_MS: u64 = 10_000;
/// A restart that was ordered waits so long at most for the gateway to have heard that it is done, and to have all
/// alarms on its disk: they would not outlive it.
const FAREWELL_MS: u64 = 30_000;
/// A program on trial that has not been heard by the gateway by then gives way to the former one.
const TRIAL_MS: u64 = 60_000;
/// Bytes of the log in one frame.
const LOG_PART: usize = 160;

/// How the node came to start.
#[derive(Debug, Clone, Copy)]
pub struct Start<'a> {
    /// The program's version, [`FIRMWARE`].
    pub firmware: [u16; 3],
    /// Why.
    pub reset: Reset,
    /// Where it panicked, if it did.
    pub panicked: Option<&'a str>,
}

/// A node that cannot speak: it would have to repeat what may never repeat. Its silence is what the gateway tells of.
#[derive(Debug)]
pub struct Mute<B> {
    /// Why.
    pub why: Unusable,
    /// Its board, whose lamp can still show it.
    pub board: B,
}

impl<B: Board> Mute<B> {
    /// Shows it: three short flashes each two seconds. Gives the uptime at which it wants to be called next.
    pub fn poll(&mut self, uptime_ms: u64) -> u64 {
        self.board.lamp(Shows::Mute.is_on(uptime_ms));
        lamp::next_ms(uptime_ms)
    }
}

/// A node that has a board.
pub struct Node<B: Board, M, S> {
    ears: Deframer,
    mind: Mind<B, M, S>,
}

impl<B: Board, M: Memory, S: Slots> Node<B, M, S> {
    /// Counts the start and fits what the table says. Outputs are off.
    ///
    /// # Errors
    /// Why the node cannot speak, and its board.
    pub fn start(board: B, memory: M, slots: S, start: &Start<'_>) -> Result<Self, Mute<B>> {
        let (identity, store) = match Store::start(memory, start.panicked.is_some()) {
            Ok(started) => started,
            Err(why) => return Err(Mute { why, board }),
        };
        let mut log = Log::default();
        let [major, minor, patch] = start.firmware;
        log.line(0, format_args!("start {}, {:?}, program {major}.{minor}.{patch}", store.kept().boot, start.reset));
        if let Some(place) = start.panicked {
            log.line(0, format_args!("panicked before: {place}"));
        }
        let mut mind = Mind {
            end: NodeEnd::new(identity.id, identity.key, store.kept().boot),
            board,
            sensors: Sensors::default(),
            store,
            slots,
            outbox: Outbox::default(),
            update: Update::default(),
            log,
            firmware: start.firmware,
            reset: start.reset,
            epoch_ms: None,
            told_last: 0,
            hello: None,
            done: None,
            log_left: None,
            leave: None,
            damaged: 0,
            asked_ms: None,
            stranger_ms: None,
            here_until_ms: 0,
        };
        let table = mind.store.kept().table.clone().unwrap_or_default();
        mind.sensors.fit(&table, &mut mind.board, 0);
        Ok(Self { ears: Deframer::default(), mind })
    }

    /// Takes a byte of the line; gives what is to be answered, at once.
    pub fn hear<'a>(&mut self, byte: u8, uptime_ms: u64, out: &'a mut [u8; MAX_ON_LINE]) -> Option<&'a [u8]> {
        match self.ears.push(byte)? {
            Ok(frame) => self.mind.answer(frame, uptime_ms, out),
            Err(_) => {
                self.mind.damaged = self.mind.damaged.saturating_add(1);
                None
            }
        }
    }

    /// Looks after sensors, outputs and the lamp; gives the uptime at which it wants to be called next.
    pub fn poll(&mut self, uptime_ms: u64) -> u64 {
        self.mind.poll(uptime_ms)
    }

    /// Whether it is to start anew: it was told to, or cannot go on.
    pub fn wants_restart(&self, uptime_ms: u64) -> bool {
        self.mind.leave.is_some_and(|leave| leave.by_ms <= uptime_ms)
    }

    /// The board.
    pub fn board(&mut self) -> &mut B {
        &mut self.mind.board
    }
}

struct Mind<B: Board, M, S> {
    end: NodeEnd,
    board: B,
    sensors: Sensors<B>,
    store: Store<M>,
    slots: S,
    outbox: Outbox,
    update: Update,
    log: Log,
    firmware: [u16; 3],
    reset: Reset,
    /// The Unix time at the uptime 0, once the gateway has told.
    epoch_ms: Option<i64>,
    /// The counter of the last frame within the session.
    told_last: u32,
    /// The counter of the last `Hello`: whoever echoes it first begins a session.
    hello: Option<u32>,
    /// The last order of this session.
    done: Option<Done>,
    log_left: Option<LogLeft>,
    leave: Option<Leave>,
    damaged: u32,
    asked_ms: Option<u64>,
    stranger_ms: Option<u64>,
    here_until_ms: u64,
}

/// What of the log is still to be told.
struct LogLeft {
    from: usize,
    to: usize,
    /// Where it goes on, once the frame that was sent last has arrived.
    then: Option<usize>,
}

/// A restart that is due, at the latest `by_ms`; `told_in` is the counter of the first frame that says so.
#[derive(Clone, Copy)]
struct Leave {
    told_in: Option<u32>,
    by_ms: u64,
}

impl<B: Board, M: Memory, S: Slots> Mind<B, M, S> {
    fn answer<'a>(&mut self, frame: Frame<'_>, now_ms: u64, out: &'a mut [u8; MAX_ON_LINE]) -> Option<&'a [u8]> {
        match self.end.hear(frame) {
            Ok(Asked::Call) => self.hello(now_ms, out),
            Ok(Asked::Down(down)) => self.answer_down(&down, now_ms, out),
            // The gateway learns of the other key, or the other version, from the answer.
            Err(Ignored::NotOurs | Ignored::OtherVersion(_)) => {
                if self.stranger_ms.is_some_and(|last| now_ms.saturating_sub(last) < STRANGERS_MS) {
                    return None;
                }
                self.stranger_ms = Some(now_ms);
                self.hello(now_ms, out)
            }
            Err(Ignored::NotForMe | Ignored::Replayed | Ignored::Malformed) => None,
        }
    }

    fn hello<'a>(&mut self, now_ms: u64, out: &'a mut [u8; MAX_ON_LINE]) -> Option<&'a [u8]> {
        let hello = Hello {
            firmware: self.firmware,
            board: B::KIND,
            reset: self.reset,
            table_crc: self.store.kept().table.as_ref().map_or(0, Table::crc),
            epoch_ms: self.epoch_ms,
            two_slots: self.slots.size() > 0,
            on_trial: self.slots.on_trial(),
            health: self.health(),
        };
        let (bytes, counter) = self.say(Body::Hello(hello), now_ms, out)?;
        self.hello = Some(counter);
        Some(bytes)
    }

    fn answer_down<'a>(&mut self, down: &Down<'_>, now_ms: u64, out: &'a mut [u8; MAX_ON_LINE]) -> Option<&'a [u8]> {
        self.asked_ms = Some(now_ms);
        if self.hello.take_if(|hello| *hello == down.echo).is_some() {
            self.begin_session(now_ms);
        }
        let has_arrived = down.echo == self.told_last;
        self.epoch_ms = down.epoch_ms.or(self.epoch_ms);
        self.outbox.told(has_arrived, down.acked, now_ms);
        if let Some(left) = &mut self.log_left
            && let Some(then) = left.then.take().filter(|_| has_arrived)
        {
            left.from = then;
        }
        if let Some(leave) = &mut self.leave
            && leave.told_in.is_some_and(|told_in| down.echo >= told_in)
            && self.outbox.has_no_alarms()
        {
            leave.by_ms = now_ms;
            return None;
        }
        if let Some(order) = down.order.as_ref().filter(|order| self.done.is_none_or(|it| it.number != order.number)) {
            let outcome = self.carry_out(order, now_ms);
            self.done = Some(Done { number: order.number, outcome });
        }
        let mut buffer = [0; LOG_PART];
        let body = self.body(now_ms, &mut buffer);
        let (bytes, counter) = self.say(body, now_ms, out)?;
        self.told_last = counter;
        if let Some(leave) = &mut self.leave {
            leave.told_in.get_or_insert(counter);
        }
        Some(bytes)
    }

    /// The gateway has heard this boot: what it was sent in another session may not have come to its disk.
    fn begin_session(&mut self, now_ms: u64) {
        self.done = None;
        self.log_left = None;
        self.outbox.rewind();
        self.log.line(now_ms, format_args!("the gateway is here"));
        if self.slots.on_trial() {
            let what = if self.slots.keep().is_ok() { "this program stays" } else { "this program cannot be kept" };
            self.log.line(now_ms, format_args!("{what}"));
        }
    }

    /// What there is to say, the gravest first. A log yields to alarms, and routine to a log that somebody waits for.
    fn body<'a>(&mut self, now_ms: u64, buffer: &'a mut [u8; LOG_PART]) -> Body<'a> {
        // Without the time there is none to tell of a report.
        if let Some(epoch_ms) = self.epoch_ms
            && let Some(reports) = self.outbox.batch(Lane::Urgent, epoch_ms, now_ms)
        {
            return Body::Reports(Lane::Urgent, reports);
        }
        if let Some(mut left) = self.log_left.take() {
            let (text, then) = self.log.read(left.from, left.to, buffer);
            // The empty part ends it; should it get lost, somebody asks again.
            if !text.is_empty() {
                left.then = Some(then);
                self.log_left = Some(left);
            }
            return Body::Log(text);
        }
        let reports = self.epoch_ms.and_then(|epoch_ms| self.outbox.batch(Lane::Routine, epoch_ms, now_ms));
        reports.map_or_else(|| Body::Well(self.health()), |reports| Body::Reports(Lane::Routine, reports))
    }

    fn say<'a>(&mut self, body: Body<'_>, now_ms: u64, out: &'a mut [u8; MAX_ON_LINE]) -> Option<(&'a [u8], u32)> {
        let said = self.end.answer(&Up { uptime_ms: now_ms, done: self.done, body }, out);
        if said.is_err() {
            // It has counted to the end: the next boot begins anew.
            self.leave = Some(Leave { told_in: None, by_ms: now_ms });
        }
        said.ok()
    }

    fn carry_out(&mut self, order: &Order<'_>, now_ms: u64) -> Outcome {
        match order.what {
            What::Fit(table) => self.fit(table, now_ms),
            What::Switch { channel, on, for_s } => {
                let is_there = self.sensors.switch(channel, on, for_s, now_ms);
                if is_there { Outcome::Done } else { Outcome::CannotDo }
            }
            What::Blink(seconds) => {
                self.here_until_ms = now_ms.saturating_add(u64::from(seconds) * 1_000);
                Outcome::Done
            }
            What::Restart => {
                self.leave = Some(Leave { told_in: None, by_ms: now_ms.saturating_add(FAREWELL_MS) });
                Outcome::Done
            }
            What::Log => {
                self.sensors.describe(&mut self.board, &mut self.log, now_ms);
                let (from, to) = self.log.range();
                self.log_left = Some(LogLeft { from, to, then: None });
                Outcome::Done
            }
            What::UpdateBegin { size, crc, board } => self.update.begin(&self.slots, B::KIND, size, crc, board),
            What::UpdatePart { offset, bytes } => self.update.part(&mut self.slots, offset, bytes),
            What::UpdateApply => {
                let outcome = self.update.apply(&mut self.slots);
                self.log.line(now_ms, format_args!("update: {outcome:?}"));
                if outcome == Outcome::Done {
                    self.leave = Some(Leave { told_in: None, by_ms: now_ms.saturating_add(FAREWELL_MS) });
                }
                outcome
            }
        }
    }

    fn fit(&mut self, table: &[u8], now_ms: u64) -> Outcome {
        let Some(table) = Table::decode(table) else { return Outcome::Malformed };
        let former = self.store.kept().table.clone().unwrap_or_default();
        if self.store.kept().table.as_ref() == Some(&table) {
            return Outcome::Done;
        }
        if self.store.set_table(table.clone()).is_err() {
            self.log.line(now_ms, format_args!("the table cannot be kept"));
            return Outcome::MemoryFailed;
        }
        // A report says its channel; what another sensor there has measured would be taken for this one's.
        self.outbox.forget(|channel| {
            let of = |table: &Table| table.channels.get(usize::from(channel)).map(|channel| channel.fitted);
            of(&former) != of(&table)
        });
        self.sensors.fit(&table, &mut self.board, now_ms);
        self.log.line(now_ms, format_args!("fitted with {} channels", table.channels.len()));
        Outcome::Done
    }

    fn health(&self) -> Health {
        Health {
            let_go: self.outbox.let_go(),
            damaged: self.damaged,
            failing: self.sensors.failing(),
            stuck: self.sensors.stuck(),
            panics: self.store.kept().panics,
        }
    }

    fn poll(&mut self, now_ms: u64) -> u64 {
        let Self { sensors, board, outbox, log, .. } = self;
        let next_ms = sensors.poll(board, log, now_ms, &mut |lane, channel, measure| {
            outbox.file(lane, channel, measure, now_ms);
        });
        let is_asked = self.asked_ms.is_some_and(|asked| now_ms.saturating_sub(asked) < NOT_ASKED_MS);
        let shows = if now_ms < self.here_until_ms {
            Shows::Here
        } else if !is_asked {
            Shows::NotAsked
        } else if self.sensors.failing() != 0 || self.sensors.stuck() != 0 {
            Shows::Failing
        } else {
            Shows::Well
        };
        self.board.lamp(shows.is_on(now_ms));
        if self.slots.on_trial() && now_ms >= TRIAL_MS && self.leave.is_none() {
            self.leave = Some(Leave { told_in: None, by_ms: now_ms });
        }
        next_ms.min(lamp::next_ms(now_ms))
    }
}
