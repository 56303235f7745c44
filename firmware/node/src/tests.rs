//! A node on a line, with a gateway at the other end of it.

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
fn states_are_told_again_and_temperatures_each_time() {
    let (mut bench, mut gateway) = Bench::in_session();
    let mut disk = Disk::default();
    bench.surroundings.warm(0x48, Some(21.5));
    bench.talk(&mut gateway, &mut disk, 125_000);
    assert_eq!(of(&disk, DOOR), [Measure::Made(false); 3], "at the start and each minute");
    let temperatures = of(&disk, HEAT);
    assert!(temperatures.iter().all(|measure| *measure == Measure::Temperature(21.5)));
    assert!((12..=13).contains(&temperatures.len()), "each ten seconds: {}", temperatures.len());
}

#[test]
fn a_thermometer_that_does_not_answer_says_nothing_and_is_told_of() {
    let (mut bench, mut gateway) = Bench::in_session();
    let mut disk = Disk::default();
    bench.talk(&mut gateway, &mut disk, 20_000);
    assert!(of(&disk, HEAT).is_empty());
    bench.restart();
    bench.talk(&mut gateway, &mut disk, 1_000);
    // As a new gateway hears it.
    let mut gateway = Gateway::new(3);
    bench.ask(&mut gateway, None, &mut undamaged);
    assert_eq!(gateway.hello.unwrap().health.failing, 1 << HEAT);
    bench.surroundings.warm(0x48, Some(-3.25));
    bench.talk(&mut gateway, &mut disk, 20_000);
    assert_eq!(of(&disk, HEAT).first(), Some(&Measure::Temperature(-3.25)));
}

#[test]
fn a_button_that_is_stuck_is_told_of() {
    let (mut bench, mut gateway) = Bench::in_session();
    bench.surroundings.close(0, true);
    bench.live(61_000);
    let mut next = Gateway::new(3);
    bench.ask(&mut next, None, &mut undamaged);
    assert_eq!(next.hello.unwrap().health.stuck, 1 << BUTTON);
    bench.surroundings.close(0, false);
    bench.talk(&mut gateway, &mut Disk::default(), 1_000);
    let mut next = Gateway::new(4);
    bench.ask(&mut next, None, &mut undamaged);
    assert_eq!(next.hello.unwrap().health.stuck, 0);
}

#[test]
fn a_button_whose_contact_never_settles_is_failing() {
    let (mut bench, mut gateway) = Bench::in_session();
    for look in 0..1_200 {
        bench.surroundings.close(0, look % 2 == 0);
        bench.live(10);
    }
    let mut next = Gateway::new(3);
    bench.ask(&mut next, None, &mut undamaged);
    assert_eq!(next.hello.unwrap().health.failing & 1 << BUTTON, 1 << BUTTON);
    bench.talk(&mut gateway, &mut Disk::default(), 100);
}

#[test]
fn a_radar_tells_who_is_there_and_is_failing_when_it_is_silent() {
    let (mut bench, mut gateway) = (Bench::new(), Gateway::new(1));
    bench.ask(&mut gateway, None, &mut undamaged);
    let radar = Table { channels: [channel(Fitted::Ld2410, true, 60)].into_iter().collect() };
    assert_eq!(bench.order(&mut gateway, 1, What::Fit(&encoded(&radar))), Outcome::Done);
    let mut disk = Disk::default();
    for seen in 0..60_u8 {
        // The protocol's basic report: nobody, then somebody who is still at 50 cm.
        let state = if seen < 20 { 0 } else { 2 };
        let data = [0x02, 0xaa, state, 0x51, 0, 0, 0, 0, 0x3b, 0, 0, 0x55, 0];
        bench.surroundings.radar(&[&[0xf4, 0xf3, 0xf2, 0xf1, 13, 0], &data[..], &[0xf8, 0xf7, 0xf6, 0xf5]].concat());
        bench.talk(&mut gateway, &mut disk, 100);
    }
    assert_eq!(of(&disk, 0), [Measure::Present(false), Measure::Present(true)]);
    bench.talk(&mut gateway, &mut disk, 2_000);
    let mut next = Gateway::new(3);
    bench.ask(&mut next, None, &mut undamaged);
    assert_eq!(next.hello.unwrap().health.failing, 1);
}

#[test]
fn a_siren_goes_off_by_itself() {
    let (mut bench, mut gateway) = Bench::in_session();
    let on = What::Switch { channel: SIREN, on: true, for_s: 3 };
    assert_eq!(bench.order(&mut gateway, 2, on), Outcome::Done);
    assert!(bench.surroundings.is_high(5));
    bench.live(2_900);
    assert!(bench.surroundings.is_high(5));
    bench.live(200);
    assert!(!bench.surroundings.is_high(5));
    let no_output = What::Switch { channel: BUTTON, on: true, for_s: 3 };
    assert_eq!(bench.order(&mut gateway, 3, no_output), Outcome::CannotDo);
}

#[test]
fn an_order_is_carried_out_once_however_often_it_is_sent() {
    let (mut bench, mut gateway) = Bench::in_session();
    let on = || Some(Order { number: 2, what: What::Switch { channel: SIREN, on: true, for_s: 1 } });
    // Its answer is lost.
    bench.ask(&mut gateway, on(), &mut undamaged);
    bench.live(1_100);
    assert!(!bench.surroundings.is_high(5), "its time is over");
    bench.ask(&mut gateway, on(), &mut undamaged);
    assert!(!bench.surroundings.is_high(5));
    assert_eq!(gateway.done, Some(Done { number: 2, outcome: Outcome::Done }));
}

#[test]
fn the_table_outlives_a_restart_and_an_unknown_terminal_is_failing() {
    let (mut bench, mut gateway) = Bench::in_session();
    bench.restart();
    bench.ask(&mut gateway, None, &mut undamaged);
    assert_eq!(gateway.hello.unwrap().table_crc, table().crc());
    bench.ask(&mut gateway, None, &mut undamaged);
    let contact = Fitted::Contact { input: 99, active_low: true, settle_ms: 20 };
    let other = Table { channels: [channel(contact, true, 60)].into_iter().collect() };
    assert_eq!(bench.order(&mut gateway, 1, What::Fit(&encoded(&other))), Outcome::Done);
    assert_eq!(bench.order(&mut gateway, 2, What::Fit(&[9, 9, 9])), Outcome::Malformed);
    bench.live(100);
    let mut next = Gateway::new(9);
    bench.ask(&mut next, None, &mut undamaged);
    assert_eq!(next.hello.unwrap().health.failing, 1);
}

#[test]
fn what_another_sensor_measured_is_not_taken_for_the_new_ones() {
    let (mut bench, mut gateway) = Bench::in_session();
    bench.surroundings.close(0, true);
    bench.surroundings.close(1, true);
    bench.live(1_000);
    let mut other = table();
    other.channels[usize::from(BUTTON)].fitted = Fitted::Ld2410;
    assert_eq!(bench.order(&mut gateway, 2, What::Fit(&encoded(&other))), Outcome::Done);
    gateway.heard.clear();
    let mut disk = Disk::default();
    bench.talk(&mut gateway, &mut disk, 5_000);
    assert_eq!(of(&disk, BUTTON), []);
    assert!(of(&disk, DOOR).contains(&Measure::Made(true)));
}

#[test]
fn the_log_is_told_whole_over_a_bad_line() {
    let (mut bench, mut gateway) = Bench::in_session();
    bench.surroundings.warm(0x48, Some(20.0));
    let mut others = Disk::default();
    for _ in 0..12 {
        bench.surroundings.warm(0x48, None);
        bench.talk(&mut gateway, &mut others, 11_000);
        bench.surroundings.warm(0x48, Some(20.0));
        bench.talk(&mut gateway, &mut others, 11_000);
    }
    assert_eq!(bench.order(&mut gateway, 2, What::Log), Outcome::Done);
    let mut turn = 0;
    for _ in 0..200 {
        bench.ask(&mut gateway, None, &mut |bytes: &mut Vec<u8>| {
            turn += 1;
            if turn % 5 == 0 {
                bytes.clear();
            }
        });
    }
    let log = gateway.log.unwrap();
    assert!(log.starts_with("0.000 start 1, Power"), "{log}");
    assert_eq!(log.matches("channel 2 does not answer").count(), 12, "{log}");
    assert_eq!(log.matches("channel 2 answers again").count(), 12, "{log}");
}

#[test]
fn a_restart_waits_until_alarms_are_on_disk_and_its_answer_has_arrived() {
    let (mut bench, mut gateway) = Bench::in_session();
    let mut disk = Disk::default();
    bench.surroundings.close(0, true);
    bench.live(100);
    assert_eq!(bench.order(&mut gateway, 2, What::Restart), Outcome::Done);
    bench.ask(&mut gateway, None, &mut undamaged);
    assert!(!bench.node.wants_restart(bench.now_ms), "the press is not on disk yet");
    gateway.sync(&mut disk);
    bench.ask(&mut gateway, None, &mut undamaged);
    assert!(bench.node.wants_restart(bench.now_ms));
    assert_eq!(of(&disk, BUTTON)[0], Measure::Pressed(true));
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
fn a_supervised_line_that_is_cut_is_told() {
    let (mut bench, mut gateway) = (Bench::new(), Gateway::new(1));
    bench.ask(&mut gateway, None, &mut undamaged);
    let line = Table { channels: [channel(Fitted::Line { adc: 2 }, true, 60)].into_iter().collect() };
    assert_eq!(bench.order(&mut gateway, 1, What::Fit(&encoded(&line))), Outcome::Done);
    let mut disk = Disk::default();
    // Of 3.3 V: half at rest, 380 mV with 680 Ω beside 4.7 kΩ.
    for mv in [1_650, 370, 1_650, 3_300, 0] {
        bench.surroundings.apply(2, Some(mv));
        bench.talk(&mut gateway, &mut disk, 1_000);
    }
    let changes = [Line::Normal, Line::Alarm, Line::Normal, Line::Open, Line::Short].map(Measure::Line);
    assert_eq!(of(&disk, 0), changes);
}

#[test]
fn a_current_is_measured_over_whole_cycles() {
    let (mut bench, mut gateway) = (Bench::new(), Gateway::new(1));
    bench.ask(&mut gateway, None, &mut undamaged);
    let clamp = Fitted::Current { adc: 1, turns: 2_000, burden_decohm: 220 };
    let table = Table { channels: [channel(clamp, false, 1)].into_iter().collect() };
    assert_eq!(bench.order(&mut gateway, 1, What::Fit(&encoded(&table))), Outcome::Done);
    // 0.11 V RMS at 22 Ω are 5 mA, of 2,000 turns: 10 A.
    for ms in 0..200_u64 {
        let phase = core::f64::consts::TAU * (bench.now_ms % 20) as f64 / 20.0;
        let mv = 1_650.0 + 110.0 * core::f64::consts::SQRT_2 * phase.sin();
        bench.surroundings.apply(1, Some(mv.round() as u16));
        assert!(ms < 200);
        bench.node.poll(bench.now_ms);
        bench.now_ms += 1;
    }
    let mut disk = Disk::default();
    bench.ask(&mut gateway, None, &mut undamaged);
    gateway.sync(&mut disk);
    let currents = of(&disk, 0);
    assert!(matches!(currents[..], [Measure::Current(a)] if (9.9..10.1).contains(&a)), "{currents:?}");
}

#[test]
fn a_new_program_is_kept_only_where_it_hears_the_gateway() {
    let (mut bench, mut gateway) = Bench::in_session();
    let program: Vec<u8> = (0..1_000_u32).map(|byte| (byte * 7) as u8).collect();
    let (size, crc) = (1_000, ninewatch_wire::frame::crc32(&program));
    let board = ninewatch_wire::message::Board::Simulated;
    let wrong = ninewatch_wire::message::Board::Pico;
    assert_eq!(bench.order(&mut gateway, 2, What::UpdateBegin { size, crc, board: wrong }), Outcome::CannotDo);
    let mut number = 3;
    let mut offset = match bench.order(&mut gateway, number, What::UpdateBegin { size, crc, board }) {
        Outcome::Awaits(offset) => offset as usize,
        other => panic!("{other:?}"),
    };
    while offset < program.len() {
        number += 1;
        let bytes = &program[offset..program.len().min(offset + 100)];
        match bench.order(&mut gateway, number, What::UpdatePart { offset: offset as u32, bytes }) {
            Outcome::Awaits(next) => offset = next as usize,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(bench.order(&mut gateway, number + 1, What::UpdateApply), Outcome::Done);
    gateway.sync(&mut Disk::default());
    bench.ask(&mut gateway, None, &mut undamaged);
    gateway.sync(&mut Disk::default());
    bench.ask(&mut gateway, None, &mut undamaged);
    assert!(bench.node.wants_restart(bench.now_ms));
    assert_eq!(bench.flash.boot().as_deref(), Some(&program[..]), "the boot loader starts it");
    bench.restart();
    bench.live(59_000);
    assert!(!bench.node.wants_restart(bench.now_ms));
    bench.live(2_000);
    assert!(bench.node.wants_restart(bench.now_ms), "nobody has asked it");
    assert_eq!(bench.flash.boot(), None, "the former one comes back");
    // Once more, and this time the gateway asks.
    let flash = bench.flash.clone();
    crate::update::Slots::try_next(&mut flash.clone()).unwrap();
    assert!(flash.boot().is_some());
    bench.restart();
    let mut gateway = Gateway::new(5);
    bench.ask(&mut gateway, None, &mut undamaged);
    assert!(gateway.hello.unwrap().on_trial);
    bench.ask(&mut gateway, None, &mut undamaged);
    bench.live(120_000);
    assert!(!bench.node.wants_restart(bench.now_ms));
    let mut next = Gateway::new(6);
    bench.ask(&mut next, None, &mut undamaged);
    assert!(!next.hello.unwrap().on_trial);
}

#[test]
fn a_damaged_program_is_not_started() {
    let (mut bench, mut gateway) = Bench::in_session();
    let board = ninewatch_wire::message::Board::Simulated;
    assert_eq!(bench.order(&mut gateway, 2, What::UpdateBegin { size: 4, crc: 1, board }), Outcome::Awaits(0));
    let ahead = What::UpdatePart { offset: 2, bytes: &[3, 4] };
    assert_eq!(bench.order(&mut gateway, 3, ahead), Outcome::Awaits(0), "in order");
    let too_much = What::UpdatePart { offset: 0, bytes: &[0; 5] };
    assert_eq!(bench.order(&mut gateway, 4, too_much), Outcome::Malformed);
    let all = What::UpdatePart { offset: 0, bytes: &[1, 2, 3, 4] };
    assert_eq!(bench.order(&mut gateway, 5, all), Outcome::Awaits(4));
    assert_eq!(bench.order(&mut gateway, 6, What::UpdateApply), Outcome::Malformed);
    assert_eq!(bench.flash.boot(), None);
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
