//! A node on a line, with a gateway at the other end of it.

mod orders;
mod sensors;

extern crate std;

use std::collections::BTreeMap;
use std::string::String;
use std::vec;
use std::vec::Vec;

use ninewatch_wire::frame::{Deframer, Key, MAX_ON_LINE, NodeId};
use ninewatch_wire::gateway::{GatewayEnd, Refused};
use ninewatch_wire::identity::Identity;
use ninewatch_wire::message::{Body, Done, Down, Hello, Lane, Line, Measure, Order, Outcome, Report, Reset, Up, What};
use ninewatch_wire::table::{Channel, Fitted, MAX_TABLE, Table};
use proptest::prelude::*;

use crate::memory::Unusable;
use crate::simulated::{self, Flash, SimulatedNode, Surroundings};

const EPOCH_MS: i64 = 1_795_000_000_000;
const BUTTON: u8 = 0;
const DOOR: u8 = 1;
const HEAT: u8 = 2;
const SIREN: u8 = 3;

fn identity() -> Identity {
    Identity { id: NodeId(0x1234_5678), key: Key([7; 16]) }
}

fn channel(fitted: Fitted, urgent: bool, every_s: u16) -> Channel {
    Channel { fitted, urgent, every_s }
}

fn table() -> Table {
    let channels = [
        channel(Fitted::Button { input: 0, active_low: true }, true, 600),
        channel(Fitted::Contact { input: 1, active_low: true, settle_ms: 20 }, false, 60),
        channel(Fitted::Thermometer { address: 0x48 }, false, 10),
        channel(Fitted::Output { output: 5, active_low: false }, false, 60),
    ];
    Table { channels: channels.into_iter().collect() }
}

fn encoded(table: &Table) -> Vec<u8> {
    table.encode(&mut [0; MAX_TABLE]).unwrap().to_vec()
}

/// What a gateway has on its disk; it outlives the gateway.
#[derive(Default)]
struct Disk(BTreeMap<(u32, usize, u32), Report>);

/// The other end of the line.
struct Gateway {
    end: GatewayEnd,
    boot: u32,
    /// Heard, not on disk yet.
    heard: Vec<(usize, Report)>,
    acked: [u32; 2],
    hello: Option<Hello>,
    epoch_ms: Option<i64>,
    done: Option<Done>,
    log: Option<String>,
}

impl Gateway {
    fn new(session: u32) -> Self {
        let Identity { id, key } = identity();
        let end = GatewayEnd::new(id, key, session);
        Self { end, boot: 0, heard: vec![], acked: [0; 2], hello: None, epoch_ms: None, done: None, log: None }
    }

    fn hear(&mut self, said: Result<(Up<'_>, u32, bool), Refused>) {
        let Ok((up, boot, is_new_boot)) = said else { return };
        if is_new_boot {
            (self.boot, self.acked, self.epoch_ms) = (boot, [0; 2], Some(EPOCH_MS));
            self.heard.clear();
        }
        self.done = up.done;
        match up.body {
            Body::Hello(hello) => self.hello = Some(hello),
            Body::Reports(lane, reports) => self.heard.extend(reports.iter().map(|report| (lane.index(), *report))),
            Body::Log(part) => self.log.get_or_insert_default().push_str(part),
            Body::Well(_) => {}
        }
    }

    /// All that was heard is on disk.
    fn sync(&mut self, disk: &mut Disk) {
        for (lane, report) in self.heard.drain(..) {
            let before = disk.0.insert((self.boot, lane, report.number), report);
            assert!(before.is_none_or(|before| before == report), "what is sent again is the same: {before:?}");
            self.acked[lane] = self.acked[lane].max(report.number);
        }
    }
}

/// A node and what is around it.
struct Bench {
    surroundings: Surroundings,
    flash: Flash,
    node: SimulatedNode,
    now_ms: u64,
}

impl Bench {
    fn new() -> Self {
        let (surroundings, flash) = (Surroundings::default(), Flash::new(&identity()));
        let node = simulated::start(&surroundings, &flash, Reset::Power).unwrap();
        Self { surroundings, flash, node, now_ms: 0 }
    }

    fn restart(&mut self) {
        self.node = simulated::start(&self.surroundings, &self.flash, Reset::Watchdog).unwrap();
        self.now_ms = 0;
    }

    fn live(&mut self, ms: u64) {
        let until_ms = self.now_ms + ms;
        loop {
            let next_ms = self.node.poll(self.now_ms);
            assert!(next_ms > self.now_ms, "time goes on");
            if next_ms > until_ms {
                break;
            }
            self.now_ms = next_ms;
        }
        self.now_ms = until_ms;
    }

    /// The node hears bytes, and answers.
    fn tell(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut answers = vec![];
        for byte in bytes {
            answers.extend(self.node.hear(*byte, self.now_ms, &mut [0; MAX_ON_LINE]).into_iter().flatten());
        }
        answers
    }

    /// A question and its answer; `line` may damage each.
    fn ask(&mut self, gateway: &mut Gateway, what: Option<Order<'_>>, line: &mut impl FnMut(&mut Vec<u8>)) {
        let down = Down { acked: gateway.acked, epoch_ms: gateway.epoch_ms, order: what, ..Down::default() };
        let mut asked = gateway.end.ask(down, &mut [0; MAX_ON_LINE]).unwrap().to_vec();
        line(&mut asked);
        let mut answered = self.tell(&asked);
        line(&mut answered);
        let mut ears = Deframer::default();
        for byte in answered {
            if let Some(Ok(frame)) = ears.push(byte) {
                let said = gateway.end.hear(frame).map(|said| (said.up, said.boot, said.is_new_boot));
                gateway.hear(said);
            }
        }
    }

    fn order(&mut self, gateway: &mut Gateway, number: u16, what: What<'_>) -> Outcome {
        self.ask(gateway, Some(Order { number, what }), &mut undamaged);
        let done = gateway.done.unwrap();
        assert_eq!(done.number, number);
        done.outcome
    }

    /// In a session, fitted.
    fn in_session() -> (Self, Gateway) {
        let (mut bench, mut gateway) = (Self::new(), Gateway::new(1));
        bench.ask(&mut gateway, None, &mut undamaged);
        assert_eq!(bench.order(&mut gateway, 1, What::Fit(&encoded(&table()))), Outcome::Done);
        (bench, gateway)
    }

    /// Asks each 100 ms.
    fn talk(&mut self, gateway: &mut Gateway, disk: &mut Disk, ms: u64) {
        for _ in 0..ms / 100 {
            self.live(100);
            self.ask(gateway, None, &mut undamaged);
            gateway.sync(disk);
        }
    }
}

fn undamaged(_: &mut Vec<u8>) {}

fn of(disk: &Disk, channel: u8) -> Vec<Measure> {
    disk.0.values().filter(|report| report.channel == channel).map(|report| report.measure).collect()
}

#[test]
fn a_press_is_told_at_once_and_with_its_time() {
    let (mut bench, mut gateway) = Bench::in_session();
    let mut disk = Disk::default();
    bench.live(1_000);
    bench.surroundings.close(0, true);
    bench.talk(&mut gateway, &mut disk, 200);
    let press = disk.0.values().find(|report| report.measure == Measure::Pressed(true)).unwrap();
    let late_ms = press.at_ms - (EPOCH_MS + 1_000);
    assert!((0..100).contains(&late_ms), "{late_ms} ms after it was pressed");
}

#[test]
fn a_press_stays_until_the_gateway_has_it_on_disk() {
    let (mut bench, mut gateway) = Bench::in_session();
    let mut disk = Disk::default();
    bench.live(1_000);
    bench.surroundings.close(0, true);
    bench.live(100);
    bench.surroundings.close(0, false);
    bench.live(100);
    bench.ask(&mut gateway, None, &mut undamaged);
    assert_eq!(gateway.heard.iter().filter(|(lane, _)| *lane == 0).count(), 2, "heard");
    // The gateway dies before it is on disk. The next one knows nothing.
    let mut gateway = Gateway::new(2);
    bench.talk(&mut gateway, &mut disk, 500);
    let told: Vec<_> = of(&disk, BUTTON).into_iter().filter(|_| true).collect();
    assert!(told.starts_with(&[Measure::Pressed(true), Measure::Pressed(false)]), "{told:?}");
}

#[test]
fn the_line_is_cut_for_an_hour_and_no_press_is_lost() {
    let (mut bench, mut gateway) = Bench::in_session();
    let mut disk = Disk::default();
    bench.talk(&mut gateway, &mut disk, 1_000);
    for press in 0..20 {
        bench.live(150_000 + press);
        bench.surroundings.close(0, true);
        bench.live(200);
        bench.surroundings.close(0, false);
        bench.live(30_000);
    }
    bench.talk(&mut gateway, &mut disk, 5_000);
    let urgent = disk.0.iter().filter(|((_, lane, _), _)| *lane == 0).map(|(_, report)| report.measure);
    let presses: Vec<_> = urgent.collect();
    assert_eq!(presses.len(), 40);
    assert!(presses.chunks(2).all(|pair| pair == [Measure::Pressed(true), Measure::Pressed(false)]));
    assert!(gateway.hello.unwrap().health.let_go == 0, "that was before");
    bench.ask(&mut gateway, None, &mut undamaged);
}

#[test]
fn who_has_another_key_is_answered_once_a_second_and_learns_nothing() {
    let (mut bench, mut gateway) = Bench::in_session();
    let mut stranger = Gateway::new(77);
    stranger.end = GatewayEnd::new(identity().id, Key([8; 16]), 77);
    let mut answers = 0;
    let mut refused = 0;
    for _ in 0..30 {
        bench.live(100);
        let asked = stranger.end.ask(Down::default(), &mut [0; MAX_ON_LINE]).unwrap().to_vec();
        let answered = bench.tell(&asked);
        answers += usize::from(!answered.is_empty());
        let mut ears = Deframer::default();
        for byte in answered {
            if let Some(Ok(frame)) = ears.push(byte) {
                refused += usize::from(stranger.end.hear(frame) == Err(Refused::WrongKey));
            }
        }
    }
    assert_eq!((answers, refused), (3, 3));
    // And the session goes on.
    gateway.done = None;
    assert_eq!(bench.order(&mut gateway, 2, What::Blink(1)), Outcome::Done);
}

#[test]
fn a_node_without_an_identity_stays_silent() {
    let flash = Flash::new(&identity());
    flash.forget_identity();
    let started = simulated::start(&Surroundings::default(), &flash, Reset::Power);
    assert_eq!(started.err(), Some(Unusable::NoIdentity));
}

#[derive(Debug, Clone)]
enum Step {
    Press(bool),
    Live(u64),
    /// Questions, each and its answer with its own fate.
    Ask(Vec<(Fate, Fate)>),
    Sync,
    GatewayDies,
}

#[derive(Debug, Clone)]
enum Fate {
    Arrives,
    Lost,
    Damaged(prop::sample::Index, u8),
    Twice,
}

fn fates() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Arrives),
        1 => Just(Fate::Lost),
        2 => (any::<prop::sample::Index>(), 1_u8..).prop_map(|(place, bits)| Fate::Damaged(place, bits)),
        1 => Just(Fate::Twice),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => any::<bool>().prop_map(Step::Press),
        2 => (30_u64..3_000).prop_map(Step::Live),
        6 => prop::collection::vec((fates(), fates()), 1..6).prop_map(Step::Ask),
        3 => Just(Step::Sync),
        1 => Just(Step::GatewayDies),
    ];
    // No more presses than the urgent lane takes without folding.
    prop::collection::vec(step, 1..100)
}

impl Fate {
    fn befall(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Arrives => {}
            Self::Lost => bytes.clear(),
            Self::Twice => bytes.extend_from_within(..),
            Self::Damaged(..) if bytes.is_empty() => {}
            Self::Damaged(place, bits) => {
                let place = place.index(bytes.len());
                bytes[place] ^= bits;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever the line does to frames, and whenever the gateway dies: each press and its end arrives, once, in
    /// order, with one time.
    #[test]
    fn every_urgent_report_arrives_once_and_in_order(steps in steps()) {
        let (mut bench, mut gateway) = Bench::in_session();
        let mut disk = Disk::default();
        let mut session = 1;
        let mut pressed = false;
        let mut presses = vec![];
        for step in steps {
            match step {
                Step::Press(down) => {
                    bench.surroundings.close(0, down);
                    bench.live(60);
                    if down != pressed {
                        presses.push(Measure::Pressed(down));
                        pressed = down;
                    }
                }
                Step::Live(ms) => bench.live(ms),
                Step::Ask(fates) => for (down, up) in fates {
                    bench.live(10);
                    let mut fates = [down, up].into_iter();
                    bench.ask(&mut gateway, None, &mut |bytes: &mut Vec<u8>| {
                        if let Some(fate) = fates.next() {
                            fate.befall(bytes);
                        }
                    });
                },
                Step::Sync => gateway.sync(&mut disk),
                Step::GatewayDies => {
                    session += 1;
                    gateway = Gateway::new(session);
                }
            }
        }
        bench.talk(&mut gateway, &mut disk, 10_000);
        let urgent = disk.0.iter().filter(|((_, lane, _), _)| *lane == Lane::Urgent.index());
        let told: Vec<_> = urgent.clone().map(|(_, report)| report.measure).collect();
        prop_assert_eq!(told, presses);
        let times: Vec<_> = urgent.map(|(_, report)| report.at_ms).collect();
        prop_assert!(times.is_sorted());
    }
}
