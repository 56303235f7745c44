//! Whom the two ends believe.
use proptest::prelude::*;

use crate::frame::{Deframer, Direction, Frame, Key, MAX_ON_LINE, NodeId, header, write};
use crate::gateway::{GatewayEnd, Refused};
use crate::message::{Board, Body, Down, Health, Hello, Reset, Up};
use crate::node::{Asked, Ignored, NodeEnd};

const NODE: NodeId = NodeId(0x4f2a_19c3);
const KEY: Key = Key([7; 16]);

fn hello() -> Body<'static> {
    Body::Hello(Hello {
        firmware: [0, 1, 0],
        board: Board::Simulated,
        reset: Reset::Power,
        table_crc: 0,
        epoch_ms: None,
        two_slots: false,
        on_trial: false,
        health: Health::default(),
    })
}

fn up(body: Body<'_>) -> Up<'_> {
    Up { uptime_ms: 1, done: None, body }
}

fn well() -> Body<'static> {
    Body::Well(Health::default())
}

/// Hands the one frame in `bytes` to `hear`.
fn with_frame<T>(bytes: &[u8], hear: impl FnOnce(Frame<'_>) -> T) -> T {
    let mut deframer = Deframer::default();
    let (last, rest) = bytes.split_last().unwrap();
    assert!(rest.iter().all(|byte| deframer.push(*byte).is_none()));
    hear(deframer.push(*last).unwrap().unwrap())
}

fn ask(gateway: &mut GatewayEnd) -> Vec<u8> {
    gateway.ask(Down::default(), &mut [0; MAX_ON_LINE]).unwrap().into()
}

fn answer(node: &mut NodeEnd, body: Body<'_>) -> Vec<u8> {
    node.answer(&up(body), &mut [0; MAX_ON_LINE]).unwrap().0.into()
}

/// What the node takes it for: whether it is a call, and the echo.
fn node_hears(node: &mut NodeEnd, bytes: &[u8]) -> Result<Option<u32>, Ignored> {
    with_frame(bytes, |frame| match node.hear(frame)? {
        Asked::Call => Ok(None),
        Asked::Down(down) => Ok(Some(down.echo)),
    })
}

/// Whether it is a new start of the node.
fn gateway_hears(gateway: &mut GatewayEnd, bytes: &[u8]) -> Result<bool, Refused> {
    with_frame(bytes, |frame| gateway.hear(frame).map(|said| said.is_new_boot))
}

/// A gateway and a node in session; what was said down and up.
fn met(session: u32, boot: u32) -> (GatewayEnd, NodeEnd, Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (mut gateway, mut node) = (GatewayEnd::new(NODE, KEY, session), NodeEnd::new(NODE, KEY, boot));
    let (mut down, mut said) = (Vec::new(), Vec::new());
    meet(&mut gateway, &mut node, &mut down, &mut said);
    (gateway, node, down, said)
}

fn meet(gateway: &mut GatewayEnd, node: &mut NodeEnd, down: &mut Vec<Vec<u8>>, said: &mut Vec<Vec<u8>>) {
    down.push(ask(gateway));
    assert_eq!(node_hears(node, down.last().unwrap()), Ok(None), "a call");
    said.push(answer(node, hello()));
    assert_eq!(gateway_hears(gateway, said.last().unwrap()), Ok(true));
    down.push(ask(gateway));
    assert!(matches!(node_hears(node, down.last().unwrap()), Ok(Some(_))), "in session");
    said.push(answer(node, well()));
    assert_eq!(gateway_hears(gateway, said.last().unwrap()), Ok(false));
}

#[test]
fn a_node_is_called_says_who_it_is_and_is_asked() {
    let (mut gateway, mut node, ..) = met(1, 1);
    assert!(node.is_in_session() && gateway.is_known());
    let asked = ask(&mut gateway);
    assert_eq!(node_hears(&mut node, &asked), Ok(Some(2)), "its second frame was heard");
}

#[test]
fn what_is_played_again_is_refused_on_both_sides() {
    let (mut gateway, mut node, down, said) = met(1, 1);
    for old in &said {
        assert_eq!(gateway_hears(&mut gateway, old), Err(Refused::Replayed));
    }
    assert_eq!(node_hears(&mut node, &down[1]), Err(Ignored::Replayed));
    // A call may come at any time; it changes nothing.
    assert_eq!(node_hears(&mut node, &down[0]), Ok(None));
    let asked = ask(&mut gateway);
    assert!(matches!(node_hears(&mut node, &asked), Ok(Some(_))));
}

#[test]
fn an_old_session_cannot_be_played_to_a_node() {
    let (mut gateway, mut node, mut recorded, mut said) = met(1, 1);
    let order = ask(&mut gateway);
    // The gateway starts anew; so is the node's session.
    let mut gateway = GatewayEnd::new(NODE, KEY, 2);
    meet(&mut gateway, &mut node, &mut recorded, &mut said);
    recorded.insert(2, order);
    for old in &recorded[..3] {
        assert_eq!(node_hears(&mut node, old), Ok(None), "no more than a call");
        let hello = answer(&mut node, hello());
        assert_eq!(gateway_hears(&mut gateway, &hello), Err(Refused::OtherSession));
    }
    assert!(said[..2].iter().all(|old| gateway_hears(&mut gateway, old) == Err(Refused::OtherSession)));
    let asked = ask(&mut gateway);
    assert!(matches!(node_hears(&mut node, &asked), Ok(Some(_))), "the real gateway is heard all the same");
}

#[test]
fn a_node_that_starts_anew_says_so_at_once() {
    let (mut gateway, _, _, said) = met(1, 1);
    let mut node = NodeEnd::new(NODE, KEY, 2);
    let asked = ask(&mut gateway);
    assert_eq!(node_hears(&mut node, &asked), Ok(None), "of its former life it knows nothing");
    let first = answer(&mut node, hello());
    assert_eq!(gateway_hears(&mut gateway, &first), Ok(true));
    assert!(said.iter().all(|old| gateway_hears(&mut gateway, old) == Err(Refused::Replayed)), "nor is it believed");
    let asked = ask(&mut gateway);
    assert!(matches!(node_hears(&mut node, &asked), Ok(Some(1))));
}

#[test]
fn a_start_is_believed_only_with_a_hello() {
    let (mut gateway, ..) = met(1, 1);
    let mut node = NodeEnd::new(NODE, KEY, 2);
    let asked = ask(&mut gateway);
    assert_eq!(node_hears(&mut node, &asked), Ok(None));
    let other = answer(&mut node, well());
    assert_eq!(gateway_hears(&mut gateway, &other), Err(Refused::Replayed));
}

#[test]
fn a_wrong_key_is_seen_on_both_sides() {
    let mut gateway = GatewayEnd::new(NODE, Key([8; 16]), 1);
    let mut node = NodeEnd::new(NODE, KEY, 1);
    let asked = ask(&mut gateway);
    assert_eq!(node_hears(&mut node, &asked), Err(Ignored::NotOurs));
    let hello = answer(&mut node, hello());
    assert_eq!(gateway_hears(&mut gateway, &hello), Err(Refused::WrongKey));
    assert!(!node.is_in_session() && !gateway.is_known());
}

#[test]
fn who_is_not_asked_does_not_answer() {
    let (mut gateway, mut node) = (GatewayEnd::new(NodeId(1), KEY, 1), NodeEnd::new(NODE, KEY, 1));
    let asked = ask(&mut gateway);
    assert_eq!(node_hears(&mut node, &asked), Err(Ignored::NotForMe));
    let (_, _, _, said) = met(1, 1);
    assert_eq!(node_hears(&mut node, &said[0]), Err(Ignored::NotForMe), "nor to another node's answer");
    assert_eq!(gateway_hears(&mut gateway, &said[0]), Err(Refused::NotForMe));
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Ask { lose_down: bool, lose_up: bool },
    RestartGateway,
    RestartNode,
    PlayDown(usize),
    PlayUp(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (proptest::bool::weighted(0.2), proptest::bool::weighted(0.2))
            .prop_map(|(lose_down, lose_up)| Step::Ask { lose_down, lose_up }),
        1 => Just(Step::RestartGateway),
        1 => Just(Step::RestartNode),
        2 => any::<usize>().prop_map(Step::PlayDown),
        2 => any::<usize>().prop_map(Step::PlayUp),
    ];
    proptest::collection::vec(step, 0..60)
}

proptest! {
    /// Whoever has the key can still say nonsense: it is refused, and nobody falls over it.
    #[test]
    fn sealed_nonsense_is_refused(nonsense in proptest::collection::vec(any::<u8>(), 0..100)) {
        let (mut gateway, mut node, ..) = met(1, 1);
        let sealed = |direction| {
            let header = header(direction, NODE, 1, 1, 99);
            write(&header, &KEY, &Raw(&nonsense), &mut [0; MAX_ON_LINE]).unwrap().to_vec()
        };
        let down = node_hears(&mut node, &sealed(Direction::Down));
        prop_assert_eq!(down.is_ok(), postcard::from_bytes::<Down<'_>>(&nonsense).is_ok());
        let up = gateway_hears(&mut gateway, &sealed(Direction::Up));
        prop_assert_eq!(up.is_ok(), postcard::from_bytes::<Up<'_>>(&nonsense).is_ok());
    }

    /// Whatever is lost, restarted and played again: no frame of the node is believed twice, none out of order, no
    /// nonce is used twice, and two rounds of quiet are enough for both to be in session again.
    #[test]
    fn they_find_each_other_again(steps in steps()) {
        let (mut gateway, mut node) = (GatewayEnd::new(NODE, KEY, 1), NodeEnd::new(NODE, KEY, 1));
        let (mut sessions, mut boots) = (1, 1);
        let (mut down, mut said): (Vec<Vec<u8>>, Vec<Vec<u8>>) = Default::default();
        let mut believed: Vec<(u32, Vec<u8>)> = Vec::new();
        let quiet = core::iter::repeat_n(Step::Ask { lose_down: false, lose_up: false }, 3);
        for step in steps.into_iter().chain(quiet) {
            match step {
                Step::Ask { lose_down, lose_up } => {
                    down.push(ask(&mut gateway));
                    if lose_down { continue; }
                    let heard = node_hears(&mut node, down.last().unwrap());
                    prop_assert!(heard.is_ok(), "what the gateway says now is always answered: {heard:?}");
                    let body = if heard == Ok(None) { hello() } else { well() };
                    said.push(answer(&mut node, body));
                    if lose_up { continue; }
                    prop_assert!(gateway_hears(&mut gateway, said.last().unwrap()).is_ok());
                    believed.push((sessions, said.last().unwrap().clone()));
                }
                Step::RestartGateway => {
                    sessions += 1;
                    gateway = GatewayEnd::new(NODE, KEY, sessions);
                }
                Step::RestartNode => {
                    boots += 1;
                    node = NodeEnd::new(NODE, KEY, boots);
                }
                Step::PlayDown(which) if !down.is_empty() => {
                    let which = which % down.len();
                    if node_hears(&mut node, &down[which]) == Ok(None) {
                        said.push(answer(&mut node, hello()));
                    }
                }
                Step::PlayUp(which) if !said.is_empty() => {
                    let which = which % said.len();
                    if gateway_hears(&mut gateway, &said[which]).is_ok() {
                        believed.push((sessions, said[which].clone()));
                    }
                }
                Step::PlayDown(_) | Step::PlayUp(_) => {}
            }
        }
        prop_assert!(node.is_in_session() && gateway.is_known());
        let mut once = believed.clone();
        once.sort();
        once.dedup();
        prop_assert_eq!(once.len(), believed.len(), "a frame was believed twice");
        let mut nonces: Vec<Vec<u8>> = down.iter().chain(&said).map(|bytes| nonce(bytes)).collect();
        let all = nonces.len();
        nonces.sort();
        nonces.dedup();
        prop_assert_eq!(nonces.len(), all, "a nonce was used twice");
    }
}

/// Bytes as they are, without their length before them.
struct Raw<'a>(&'a [u8]);

impl serde::Serialize for Raw<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeTuple;
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        self.0.iter().try_for_each(|byte| tuple.serialize_element(byte))?;
        tuple.end()
    }
}

fn nonce(bytes: &[u8]) -> Vec<u8> {
    with_frame(bytes, |frame| {
        let header = frame.header();
        let parts = [header.direction as u32, header.session, header.boot, header.counter];
        parts.into_iter().flat_map(u32::to_le_bytes).collect()
    })
}
