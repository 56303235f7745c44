//! The node's firmware on an emulated board. `make firmware` builds it; these tests then run with
//! `cargo test -p ninewatch-tests --test emulated -- --ignored`.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use ninewatch_tests::emulated::{Emulated, Key, new_memory};
use ninewatch_wire::frame::{self, Deframer, MAX_ON_LINE, NodeId};
use ninewatch_wire::gateway::{GatewayEnd, Refused};
use ninewatch_wire::identity::Identity;
use ninewatch_wire::message::{Body, Down, Hello, Lane, Measure, Order, Outcome, Report, Reset, What};
use ninewatch_wire::table::{Channel, Fitted, MAX_TABLE, Table};

const BUTTON: u8 = 0;
const HEAT: u8 = 1;
const SIREN: u8 = 2;

fn identity() -> Identity {
    Identity { id: NodeId(0x0a0b_0c0d), key: frame::Key([5; 16]) }
}

fn table() -> Table {
    let channels = [
        (Fitted::Button { input: 4, active_low: true }, true),
        (Fitted::Thermometer { address: 0x48 }, false),
        (Fitted::Output { output: 1, active_low: false }, false),
    ];
    let channel = |(fitted, urgent)| Channel { fitted, urgent, every_s: 1 };
    Table { channels: channels.into_iter().map(channel).collect() }
}

/// The other end of the line.
struct Gateway {
    end: GatewayEnd,
    line: TcpStream,
    ears: Deframer,
    acked: [u32; 2],
    epoch_ms: Option<i64>,
    order: u16,
    hello: Option<Hello>,
    boot: u32,
    reports: Vec<(Lane, Report)>,
    outcome: Option<(u16, Outcome)>,
    log: String,
}

impl Gateway {
    fn new(node: &Emulated, session: u32) -> Self {
        let Identity { id, key } = identity();
        let line = TcpStream::connect(node.line).unwrap();
        line.set_nodelay(true).unwrap();
        line.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        Self {
            end: GatewayEnd::new(id, key, session),
            line,
            ears: Deframer::default(),
            acked: [0; 2],
            epoch_ms: None,
            order: 0,
            hello: None,
            boot: 0,
            reports: vec![],
            outcome: None,
            log: String::new(),
        }
    }

    /// Asks, and takes in the answer; none where the node does not answer in time.
    fn ask(&mut self, what: Option<What<'_>>) -> Option<()> {
        let number = self.order;
        let order = what.map(|what| Order { number, what });
        let down = Down { acked: self.acked, epoch_ms: self.epoch_ms, order, ..Down::default() };
        let mut out = [0; MAX_ON_LINE];
        let asked = self.end.ask(down, &mut out).unwrap();
        self.line.write_all(asked).unwrap();
        let mut bytes = [0; 512];
        loop {
            let count = match self.line.read(&mut bytes) {
                Ok(count) => count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return None,
                Err(error) => panic!("{error}"),
            };
            assert!(count > 0, "the line is closed");
            for byte in &bytes[..count] {
                let Some(Ok(frame)) = self.ears.push(*byte) else { continue };
                match self.end.hear(frame) {
                    Err(Refused::OtherSession | Refused::Replayed) => continue,
                    Err(refused) => panic!("{refused:?}"),
                    Ok(said) => {
                        if said.is_new_boot {
                            (self.boot, self.acked) = (said.boot, [0; 2]);
                            self.epoch_ms = Some(1_795_000_000_000);
                        }
                        self.outcome = said.up.done.map(|done| (done.number, done.outcome)).or(self.outcome);
                        match said.up.body {
                            Body::Hello(hello) => self.hello = Some(hello),
                            Body::Reports(lane, reports) => {
                                let new = reports.iter().filter(|report| report.number > self.acked[lane.index()]);
                                self.reports.extend(new.map(|report| (lane, *report)));
                                let last = reports.last().map_or(0, |report| report.number);
                                self.acked[lane.index()] = self.acked[lane.index()].max(last);
                            }
                            Body::Log(part) => self.log.push_str(part),
                            Body::Well(_) => {}
                        }
                        return Some(());
                    }
                }
            }
        }
    }

    fn ask_until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let until = Instant::now() + Duration::from_secs(20);
        while !is_so(self) {
            assert!(Instant::now() < until, "{what}: {:?}", self.reports);
            self.ask(None);
        }
    }

    fn order(&mut self, what: &What<'_>) -> Outcome {
        self.order += 1;
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            assert!(Instant::now() < until, "no answer to {what:?}");
            self.ask(Some(what.clone()));
            if let Some((_, outcome)) = self.outcome.filter(|(number, _)| *number == self.order) {
                return outcome;
            }
        }
    }

    fn fit(&mut self) {
        self.ask_until("a hello", |gateway| gateway.hello.is_some());
        let mut encoded = [0; MAX_TABLE];
        let encoded = table().encode(&mut encoded).unwrap().to_vec();
        assert_eq!(self.order(&What::Fit(&encoded)), Outcome::Done);
    }

    fn measures(&self, channel: u8) -> impl Iterator<Item = Measure> {
        self.reports.iter().filter(move |(_, report)| report.channel == channel).map(|(_, report)| report.measure)
    }
}

fn memory() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    new_memory(file.path(), &identity()).unwrap();
    file
}

#[test]
#[ignore = "wants `make firmware` and QEMU"]
fn heat_and_a_press_come_from_the_emulated_board() {
    let memory = memory();
    let mut node = Emulated::start(memory.path(), None).unwrap();
    let mut gateway = Gateway::new(&node, 1);
    node.warm(23.5).unwrap();
    gateway.fit();
    let is = |measure| move |gateway: &mut Gateway| gateway.measures(HEAT).any(|it| it == measure);
    gateway.ask_until("23.5 °C", is(Measure::Temperature(23.5)));
    node.warm(71.25).unwrap();
    gateway.ask_until("71.25 °C", is(Measure::Temperature(71.25)));
    node.press(Key::Ctrl, true).unwrap();
    gateway.ask_until("a press", |gateway| gateway.measures(BUTTON).any(|it| it == Measure::Pressed(true)));
    node.press(Key::Ctrl, false).unwrap();
    let urgent = |gateway: &Gateway| {
        let urgent = gateway.reports.iter().filter(|(lane, _)| *lane == Lane::Urgent);
        urgent.map(|(_, report)| report.measure).collect::<Vec<_>>()
    };
    gateway.ask_until("its end", |gateway| urgent(gateway).len() == 2);
    assert_eq!(urgent(&gateway), [Measure::Pressed(true), Measure::Pressed(false)], "once");
    assert_eq!(gateway.order(&What::Switch { channel: SIREN, on: true, for_s: 0 }), Outcome::Done);
    assert!(node.is_high(1).unwrap());
}

#[test]
#[ignore = "wants `make firmware` and QEMU"]
fn what_is_pressed_while_the_line_is_cut_comes_when_it_heals_once() {
    let memory = memory();
    let mut node = Emulated::start(memory.path(), None).unwrap();
    let mut gateway = Gateway::new(&node, 1);
    gateway.fit();
    gateway.ask_until("its state", |gateway| gateway.measures(BUTTON).next() == Some(Measure::Pressed(false)));
    drop(gateway);
    node.press(Key::Ctrl, true).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    node.press(Key::Ctrl, false).unwrap();
    // Another gateway, another connection.
    let mut gateway = Gateway::new(&node, 2);
    gateway.ask_until("the press", |gateway| gateway.measures(BUTTON).any(|it| it == Measure::Pressed(true)));
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        gateway.ask(None);
    }
    let presses = gateway.measures(BUTTON).filter(|it| *it == Measure::Pressed(true)).count();
    assert_eq!(presses, 1);
}

#[test]
#[ignore = "wants `make firmware` and QEMU"]
fn the_power_is_cut_and_the_node_comes_back_as_it_was() {
    let memory = memory();
    let mut boots = vec![];
    for session in 1..=3 {
        let node = Emulated::start(memory.path(), None).unwrap();
        let mut gateway = Gateway::new(&node, session);
        gateway.ask_until("a hello", |gateway| gateway.hello.is_some());
        let hello = gateway.hello.unwrap();
        assert_eq!(hello.reset, Reset::Power);
        boots.push(gateway.boot);
        if session == 1 {
            gateway.fit();
        } else {
            assert_eq!(hello.table_crc, table().crc(), "its table is in its memory");
        }
        node.kill().unwrap();
    }
    assert_eq!(boots, [1, 2, 3], "no start has the number of another");
}

#[test]
#[ignore = "wants `make firmware` and QEMU"]
fn a_restart_that_was_ordered_is_answered_and_told() {
    let memory = memory();
    let node = Emulated::start(memory.path(), None).unwrap();
    let mut gateway = Gateway::new(&node, 1);
    gateway.ask_until("a hello", |gateway| gateway.hello.is_some());
    assert_eq!(gateway.order(&What::Restart), Outcome::Done);
    gateway.ask_until("the second start", |gateway| gateway.boot == 2);
    assert_eq!(gateway.hello.unwrap().reset, Reset::Software);
    assert_eq!(gateway.order(&What::Log), Outcome::Done);
    gateway.ask_until("its log", |gateway| gateway.log.contains("start 2, Software"));
}

#[test]
#[ignore = "wants `make firmware` and QEMU"]
fn a_program_that_hangs_is_restarted_by_its_watchdog_and_says_so() {
    let memory = memory();
    let mut node = Emulated::start(memory.path(), None).unwrap();
    let mut gateway = Gateway::new(&node, 1);
    gateway.ask_until("a hello", |gateway| gateway.hello.is_some());
    node.hang().unwrap();
    assert_eq!(gateway.ask(None), None, "it is silent");
    gateway.ask_until("the second start", |gateway| gateway.boot == 2);
    assert_eq!(gateway.hello.unwrap().reset, Reset::Watchdog);
}

#[test]
#[ignore = "wants `make firmware` and QEMU"]
fn a_panic_is_a_restart_that_is_counted_for_good_and_has_its_place_in_the_log() {
    let memory = memory();
    let mut node = Emulated::start(memory.path(), None).unwrap();
    let mut gateway = Gateway::new(&node, 1);
    gateway.ask_until("a hello", |gateway| gateway.hello.is_some());
    assert_eq!(gateway.hello.unwrap().health.panics, 0);
    node.panic().unwrap();
    gateway.ask_until("the second start", |gateway| gateway.boot == 2);
    assert_eq!(gateway.hello.unwrap().health.panics, 1);
    assert_eq!(gateway.order(&What::Log), Outcome::Done);
    gateway.ask_until("its log", |gateway| gateway.log.contains("panicked before: "));
    node.kill().unwrap();
    let node = Emulated::start(memory.path(), None).unwrap();
    let mut gateway = Gateway::new(&node, 2);
    gateway.ask_until("a hello", |gateway| gateway.hello.is_some());
    assert_eq!(gateway.hello.unwrap().health.panics, 1);
}

#[test]
#[ignore = "wants `make firmware` and QEMU"]
fn a_node_that_was_never_given_an_identity_stays_silent() {
    let memory = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(memory.path(), vec![0xff; 16 * 1024]).unwrap();
    let node = Emulated::start(memory.path(), None).unwrap();
    let mut gateway = Gateway::new(&node, 1);
    for _ in 0..5 {
        assert_eq!(gateway.ask(None), None);
    }
}
