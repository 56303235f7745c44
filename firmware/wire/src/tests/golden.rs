//! What is on the line, byte by byte: whoever changes it has to give [`VERSION`](crate::VERSION) another number.

use serde::Serialize;

use crate::code::{Code, CodeError};
use crate::frame::{Deframer, Direction, Header, Key, MAX_ON_LINE, NodeId, header, write};
use crate::identity::Identity;
use crate::message::{Body, Done, Down, Health, Lane, Line, Measure, Order, Outcome, Report, Up, What};
use crate::table::{Channel, Fitted, GasElement, MAX_TABLE, Table};

const VECTORS: &str = include_str!("../../golden.txt");
const KEY: Key = Key(*b"0123456789abcdef");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn report(number: u32, channel: u8, measure: Measure) -> Report {
    Report { number, channel, at_ms: 1_795_467_300_123, measure }
}

fn down() -> Down<'static> {
    Down {
        echo: 300,
        acked: [3, 70_000],
        epoch_ms: Some(1_795_467_300_123),
        order: Some(Order { number: 2, what: What::Switch { channel: 4, on: true, for_s: 600 } }),
    }
}

fn ups() -> [(&'static str, Up<'static>); 3] {
    let reports = [
        report(1, 0, Measure::Made(true)),
        report(2, 1, Measure::Pressed(false)),
        report(3, 2, Measure::Temperature(61.5)),
        report(4, 3, Measure::Line(Line::Open)),
    ];
    let bodies = [
        ("well", Body::Well(Health { damaged: 5, failing: 0b10, ..Health::default() })),
        ("reports", Body::Reports(Lane::Urgent, reports.into_iter().collect())),
        ("log", Body::Log("started\n")),
    ];
    let done = Some(Done { number: 2, outcome: Outcome::Awaits(4096) });
    bodies.map(|(name, body)| (name, Up { uptime_ms: 123_456, done, body }))
}

fn at(direction: Direction, boot: u32) -> Header {
    header(direction, NodeId(0x4f2a_19c3), 0xdead_beef, boot, 7)
}

fn written(header: &Header, said: &impl Serialize) -> String {
    hex(write(header, &KEY, said, &mut [0; MAX_ON_LINE]).unwrap())
}

#[test]
fn what_is_written_is_as_it_was() {
    let frames = [
        ("call", written(&at(Direction::Down, 0), &Down::default())),
        ("down", written(&at(Direction::Down, 9), &down())),
    ];
    let answers = ups().map(|(name, up)| (name, written(&at(Direction::Up, 9), &up)));
    let table = Table {
        channels: [
            Fitted::Contact { input: 2, active_low: true, settle_ms: 50 },
            Fitted::Thermometer { address: 0x48 },
            Fitted::Gas { adc: 1, element: GasElement::Mq5, load_ohm: 20_000, r0_ohm: 9_800 },
        ]
        .into_iter()
        .map(|fitted| Channel { fitted, urgent: true, every_s: 60 })
        .collect(),
    };
    let identity = Identity { id: NodeId(0x4f2a_19c3), key: KEY };
    let blocks = [
        ("table", hex(table.encode(&mut [0; MAX_TABLE]).unwrap())),
        ("identity", hex(&identity.encode())),
        ("code", Code(identity).to_string()),
    ];
    let all = frames.into_iter().chain(answers).chain(blocks);
    let all: String = all.map(|(name, vector)| format!("{name} {vector}\n")).collect();
    assert_eq!(all, VECTORS, "what is on the line has changed");
}

/// Hands the frame of a vector to `hear`.
fn read(name: &str, hear: impl FnOnce(Header, &[u8])) {
    let vector = VECTORS.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap();
    let bytes = (0..vector.len()).step_by(2).map(|at| u8::from_str_radix(&vector[at..at + 2], 16).unwrap());
    let mut deframer = Deframer::default();
    for byte in bytes {
        if let Some(frame) = deframer.push(byte) {
            let frame = frame.unwrap();
            return hear(frame.header(), frame.open(&KEY).unwrap());
        }
    }
    panic!("there is no frame in `{name}`");
}

#[test]
fn what_was_written_is_read() {
    read("call", |header, payload| {
        assert_eq!(header, at(Direction::Down, 0));
        assert_eq!(postcard::from_bytes::<Down<'_>>(payload).unwrap(), Down::default());
    });
    read("down", |header, payload| {
        assert_eq!(header, at(Direction::Down, 9));
        assert_eq!(postcard::from_bytes::<Down<'_>>(payload).unwrap(), down());
    });
    for (name, up) in ups() {
        read(name, |header, payload| {
            assert_eq!(header, at(Direction::Up, 9));
            assert_eq!(postcard::from_bytes::<Up<'_>>(payload).unwrap(), up);
        });
    }
}

#[test]
fn a_code_is_read_as_people_type_it() {
    let code = Code(Identity { id: NodeId(0x4f2a_19c3), key: KEY });
    let text = format!("{code}");
    assert_eq!(Code::parse(&text), Ok(code.clone()));
    let typed = text.to_ascii_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
    assert_eq!(Code::parse(&typed), Ok(code));
    assert_eq!(Code::parse(&text[..35]), Err(CodeError::Length(28)));
    assert_eq!(Code::parse(&text.replace('-', "!")), Err(CodeError::Symbol('!')));
}

/// Each single wrong symbol and each change of places of two neighbours is found.
#[test]
fn a_mistyped_code_is_refused() {
    let symbols: Vec<char> =
        format!("{}", Code(Identity { id: NodeId(1), key: KEY })).replace('-', "").chars().collect();
    for place in 0..symbols.len() {
        for wrong in "0123456789ABCDEFGHJKMNPQRSTVWXYZ".chars().filter(|wrong| *wrong != symbols[place]) {
            let mut typed = symbols.clone();
            typed[place] = wrong;
            assert_eq!(Code::parse(&typed.iter().collect::<String>()), Err(CodeError::Checksum));
        }
        let mut typed = symbols.clone();
        if place > 0 && typed[place] != typed[place - 1] {
            typed.swap(place, place - 1);
            assert_eq!(Code::parse(&typed.iter().collect::<String>()), Err(CodeError::Checksum));
        }
    }
}

#[test]
fn a_damaged_identity_is_none() {
    let block = Identity { id: NodeId(7), key: KEY }.encode();
    assert!(Identity::decode(&block).is_some());
    for bit in 0..block.len() * 8 {
        let mut damaged = block;
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Identity::decode(&damaged), None);
    }
    assert_eq!(Identity::decode(&[0xff; 32]), None, "as erased flash reads");
}
