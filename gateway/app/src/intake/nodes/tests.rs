//! The gateway's end against the real program of a node, frame by frame.

use std::sync::Arc;
use tokio::sync::oneshot;

use ninewatch_core::ailment::Ailment;
use ninewatch_node::simulated::{Flash, SimulatedNode, Surroundings, start};
use ninewatch_wire::frame::{Deframer, Key, MAX_ON_LINE};
use ninewatch_wire::gateway::Refused;
use ninewatch_wire::identity::Identity;
use ninewatch_wire::message::{Board, Line, Outcome, Reset};

use super::list::NodeEntry;
use super::orders::{NotDone, Order, Task};
use super::part::ails;
use super::peer::{Heard, Mark, Peer};
use super::status::{NodeStatus, Stranger, UpdateStatus};
use crate::engine::Fate;

const START_MS: i64 = 1_795_467_300_000;

const KITCHEN: &str = r#"
id = "3f7a01bc"
key = "05050505050505050505050505050505"
name = "kitchen"
channel = [
  { device = "sos-1", field = "sos", every = "1h", fitted = { button = { input = 4, active_low = true } } },
  { device = "climate-1", field = "temperature_c", every = "1s", fitted = { thermometer = { address = 0x48 } } },
]"#;

/// A node, the gateway's end of its line, and their time.
struct Bench {
    peer: Peer,
    status: Arc<NodeStatus>,
    node: SimulatedNode,
    surroundings: Surroundings,
    flash: Flash,
    ears: Deframer,
    now_ms: i64,
    started_ms: i64,
    /// Acknowledged as soon as it is handed over.
    fate: Option<Fate>,
    sessions: u32,
    told: Vec<String>,
}

impl Bench {
    fn new() -> Self {
        let entry: Arc<NodeEntry> = Arc::new(toml::from_str(KITCHEN).unwrap());
        let flash = Flash::new(&Identity { id: entry.id, key: Key([5; 16]) });
        let surroundings = Surroundings::default();
        surroundings.warm(0x48, Some(21.5));
        let status = Arc::new(NodeStatus::new(entry.id, &entry.name, "east"));
        Self {
            peer: Peer::new(entry, status.clone(), 77),
            status,
            node: start(&surroundings, &flash, Reset::Power).unwrap(),
            surroundings,
            flash,
            ears: Deframer::default(),
            now_ms: START_MS,
            started_ms: START_MS,
            fate: Some(Fate::Taken),
            sessions: 0,
            told: Vec::new(),
        }
    }

    fn uptime(&self) -> u64 {
        (self.now_ms - self.started_ms).unsigned_abs()
    }

    /// The node's power is cut, and comes again.
    fn restart(&mut self, reset: Reset) {
        self.started_ms = self.now_ms;
        self.node = start(&self.surroundings, &self.flash, reset).unwrap();
    }

    /// 50 ms later, a question and what comes of its answer.
    fn step(&mut self) -> Option<Result<Vec<(Mark, String)>, Refused>> {
        for _ in 0..5 {
            self.now_ms += 10;
            let uptime = self.uptime();
            self.node.poll(uptime);
        }
        if self.node.wants_restart(self.uptime()) {
            self.restart(Reset::Software);
        }
        let mut out = [0; MAX_ON_LINE];
        let question = self.peer.ask(self.now_ms, &mut out).unwrap().to_vec();
        let (mut answer, uptime) = (Vec::new(), self.uptime());
        for byte in question {
            let mut said = [0; MAX_ON_LINE];
            answer.extend_from_slice(self.node.hear(byte, uptime, &mut said).unwrap_or_default());
        }
        let mut came = None;
        for byte in answer {
            let Some(Ok(frame)) = self.ears.push(byte) else { continue };
            self.sessions += 1;
            let session = self.sessions;
            came = Some(self.peer.hear(frame, self.now_ms, || Some(session)).map(|Heard { packs, .. }| {
                let text =
                    |(mark, pack): (Mark, super::reports::Pack)| (mark, String::from_utf8(pack.payload()).unwrap());
                packs.into_iter().map(text).collect::<Vec<_>>()
            }));
        }
        if let Some(Ok(packs)) = &came {
            for (mark, text) in packs {
                self.told.push(text.clone());
                if let Some(fate) = self.fate {
                    self.peer.acked(*mark, fate);
                }
            }
        }
        came
    }

    fn steps(&mut self, count: usize) {
        (0..count).for_each(|_| _ = self.step());
    }

    fn presses(&self) -> usize {
        self.told.iter().filter(|text| text.contains("\"sos\"") && text.contains("true")).count()
    }

    fn order(&mut self, task: Task) -> oneshot::Receiver<Result<String, NotDone>> {
        let (reply, answer) = oneshot::channel();
        self.peer.order(Order { task, reply });
        answer
    }

    fn ails(&self) -> Vec<Ailment> {
        ails(&self.peer.entry, &self.status.look(), true).into_iter().map(|(ailment, _)| ailment).collect()
    }

    fn update(&self) -> UpdateStatus {
        self.status.look().update.unwrap()
    }
}

#[test]
fn a_node_is_fitted_and_what_it_measures_comes_with_its_own_time() {
    let mut bench = Bench::new();
    bench.steps(100);
    assert!(bench.told.iter().any(|text| text.contains(r#""n":"temperature_c""#) && text.contains(r#""v":21.5"#)));
    let hello = bench.status.look().hello.unwrap();
    assert_eq!((hello.board, hello.reset), (Board::Simulated, Reset::Power));
    bench.surroundings.close(4, true);
    let pressed_ms = bench.now_ms;
    bench.steps(10);
    let press = bench.told.iter().find(|text| text.contains("true")).unwrap();
    let record: serde_json::Value = serde_json::from_str(press).unwrap();
    let off_ms = record[0]["t"].as_f64().unwrap() * 1000.0 - pressed_ms as f64;
    assert!((0.0..200.0).contains(&off_ms), "{press}, {off_ms} ms off");
    assert_eq!(bench.ails(), []);
}

#[test]
fn a_press_is_told_again_until_it_is_on_disk_and_handed_over_once() {
    let mut bench = Bench::new();
    bench.steps(20);
    bench.fate = None;
    bench.surroundings.close(4, true);
    bench.steps(200);
    assert_eq!(bench.presses(), 1, "sent again meanwhile, and known again");
    // The disk was full.
    bench.fate = Some(Fate::LetGo);
    let marks: Vec<Mark> = (0..500).flat_map(|frame| [Mark::of(frame).1, Mark::of(1 << 39 | frame).1]).collect();
    marks.into_iter().for_each(|mark| bench.peer.acked(mark, Fate::LetGo));
    bench.steps(60);
    let again = bench.presses();
    assert!(again >= 2, "it comes again: {:?}", bench.told);
    bench.fate = Some(Fate::Taken);
    bench.steps(200);
    let taken = bench.presses();
    bench.steps(200);
    assert_eq!(bench.presses(), taken, "and no more once it is taken");
}

#[test]
fn a_mark_is_found_again_in_its_token() {
    for token in [0, 1, 1 << 39, (1 << 39) - 1] {
        let (slot, mark) = Mark::of(token);
        assert_eq!((slot, mark.token(0)), (0, token));
        assert_eq!(Mark::of(mark.token(0xff_ffff)), (0xff_ffff, mark));
    }
}

#[test]
fn a_node_with_another_key_is_refused_and_said_to_be_so() {
    let mut bench = Bench::new();
    let mut entry = (*bench.peer.entry).clone();
    entry.key = Key([6; 16]);
    bench.peer = Peer::new(Arc::new(entry), bench.status.clone(), 78);
    let refused: Vec<_> = (0..40).filter_map(|_| bench.step()).collect();
    assert!(!refused.is_empty() && refused.iter().all(|it| matches!(it, Err(Refused::WrongKey))), "{refused:?}");
    assert_eq!(bench.status.look().refused, Some(Stranger::WrongKey));
    assert_eq!(bench.ails(), [Ailment::NodeRefused]);
    assert!(bench.told.is_empty());
}

#[test]
fn what_does_not_work_at_a_node_is_said() {
    let mut bench = Bench::new();
    bench.steps(40);
    bench.surroundings.warm(0x48, None);
    bench.steps(200);
    assert_eq!(bench.ails(), [Ailment::NodeFault], "{:?}", bench.status.look().health);
    bench.surroundings.warm(0x48, Some(20.0));
    bench.steps(200);
    assert_eq!(bench.ails(), []);
    bench.status.with(|state| _ = state.broken.insert(0, Line::Open));
    bench.status.with(|state| state.not_fitted = Some(Outcome::CannotDo));
    let said = ails(&bench.peer.entry, &bench.status.look(), true);
    assert_eq!(said.len(), 1);
    let text = &said[0].1;
    assert!(text.en.contains("channel 0 (sos-1) is cut; the node does not take its channels"), "{text:?}");
}

#[test]
fn a_log_is_read_whole_and_a_blink_and_a_restart_are_done_once() {
    let mut bench = Bench::new();
    bench.steps(20);
    let (mut log, mut blink) = (bench.order(Task::Log), bench.order(Task::Blink(3)));
    bench.steps(60);
    let said = log.try_recv().unwrap().unwrap();
    assert!(said.contains("start 1") && said.contains("fitted with 2 channels"), "{said}");
    assert_eq!(blink.try_recv().unwrap(), Ok(String::new()));
    let boot = bench.status.look().boot;
    let mut restart = bench.order(Task::Restart);
    bench.steps(1_000);
    assert_eq!(restart.try_recv().unwrap(), Ok(String::new()));
    assert_eq!(bench.status.look().boot, boot + 1);
}

#[test]
fn a_new_program_comes_over_whole_and_stays() {
    let mut bench = Bench::new();
    bench.steps(20);
    let program: Arc<[u8]> = (0..10_000_u32).map(|place| (place % 251) as u8).collect();
    let mut begun = bench.order(Task::Update { program: program.clone(), board: Board::Simulated });
    bench.steps(10);
    assert_eq!(begun.try_recv().unwrap(), Ok(String::new()));
    assert_eq!(bench.update().state, "sending");
    let mut second = bench.order(Task::Update { program: program.clone(), board: Board::Simulated });
    assert_eq!(second.try_recv().unwrap(), Err(NotDone::UnderWay));
    while bench.update().state == "sending" {
        assert!(bench.step().is_some(), "{:?}", bench.update());
    }
    // As the boot loader does it.
    while !bench.node.wants_restart(bench.uptime()) {
        bench.now_ms += 10;
        let mut out = [0; MAX_ON_LINE];
        let question = bench.peer.ask(bench.now_ms, &mut out).unwrap().to_vec();
        let uptime = bench.uptime();
        question.into_iter().for_each(|byte| _ = bench.node.hear(byte, uptime, &mut [0; MAX_ON_LINE]).map(<[u8]>::len));
    }
    assert_eq!(bench.flash.boot().as_deref(), Some(&*program));
    bench.restart(Reset::Software);
    bench.steps(20);
    assert_eq!(bench.update(), UpdateStatus { state: "done", bytes: 10_000, of: 10_000, why: None });
    assert_eq!(bench.flash.boot(), None, "it was kept");
}

#[test]
fn a_program_for_another_board_and_one_that_does_not_run_are_told_as_failed() {
    let mut bench = Bench::new();
    bench.steps(20);
    let program: Arc<[u8]> = vec![7; 300].into();
    let mut wrong = bench.order(Task::Update { program: program.clone(), board: Board::Pico });
    bench.steps(10);
    assert_eq!(wrong.try_recv().unwrap(), Err(NotDone::CannotDo));
    assert_eq!(bench.update().state, "failed");
    let _begun = bench.order(Task::Update { program, board: Board::Simulated });
    // The simulated boot loader is not asked: the former program comes back.
    bench.steps(1_000);
    let update = bench.update();
    assert_eq!(update.why.as_deref(), Some("it came back with its former program"), "{update:?}");
}

#[test]
fn a_node_that_counts_its_starts_wrong_is_heard_again_in_another_session() {
    let mut bench = Bench::new();
    bench.steps(20);
    bench.restart(Reset::Power);
    bench.steps(20);
    // Its memory has failed: it is as if it had never started.
    bench.flash = Flash::new(&Identity { id: bench.peer.entry.id, key: Key([5; 16]) });
    bench.restart(Reset::Power);
    bench.steps(200);
    bench.told.clear();
    bench.surroundings.close(4, true);
    bench.steps(40);
    assert_eq!(bench.presses(), 1);
}

#[tokio::test]
async fn a_list_with_a_fault_says_at_the_start_that_no_node_is_heard_and_later_that_the_former_one_goes_on() {
    use crate::health::Part as _;
    let dir = tempfile::tempdir().unwrap();
    let line = || toml::from_str::<super::LineConfig>("name = \"east\"\nserial = \"/dev/null\"\n").unwrap();
    let said = |nodes: &super::Nodes| nodes.ails().into_iter().map(|(_, text)| text.en).collect::<String>();
    let (engine, path) = (crate::engine::Engine::for_tests().0, super::list::path(dir.path()));
    std::fs::write(&path, "[[node]]\nid = 7\n").unwrap();
    let (nodes, _) = super::Nodes::start(&[line()], dir.path().to_owned(), &engine, crate::clock::Clock::System);
    assert!(said(&nodes).contains("no node is heard") && !said(&nodes).contains("former"), "{}", said(&nodes));

    std::fs::remove_file(&path).unwrap();
    let (nodes, _) = super::Nodes::start(&[line()], dir.path().to_owned(), &engine, crate::clock::Clock::System);
    assert_eq!(said(&nodes), "");
    std::fs::write(&path, "[[node]]\nid = 7\n").unwrap();
    // The file was not there when it was looked at: that is a change.
    let following = tokio::spawn(nodes.clone().follow(crate::site_files::fingerprint(Vec::new())));
    tokio::time::timeout(std::time::Duration::from_secs(20), async {
        while said(&nodes).is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    following.abort();
    assert!(said(&nodes).contains("the former one goes on"), "{}", said(&nodes));
}
