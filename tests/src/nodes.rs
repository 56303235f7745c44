//! Nodes that run on this computer, on lines of TCP: the real program of a node, with levels that tests set.

use anyhow::Context;
use ninewatch_node::simulated::{Flash, SimulatedNode, Surroundings, start};
use ninewatch_wire::frame::{Key, MAX_ON_LINE, NodeId};
use ninewatch_wire::identity::Identity;
use ninewatch_wire::message::Reset;
use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often a node looks at its contacts.
const LOOK: Duration = Duration::from_millis(10);

/// What a test does to a node, between two looks.
type Deed = Box<dyn FnOnce(&mut Vec<Option<Fitted>>) + Send>;

struct Fitted {
    node: SimulatedNode,
    flash: Flash,
    started: Instant,
}

/// What disturbs the line.
#[derive(Default)]
struct Line {
    /// Nothing passes: the connection is cut, and none is taken.
    cut: AtomicBool,
    /// Of a thousand frames, how many have a byte that is damaged.
    damage_permille: AtomicU32,
    damaged: AtomicU64,
    stop: AtomicBool,
}

/// Nodes on one line, at a TCP port as a serial device server has it. Each has a button at input 4 and a thermometer.
pub struct NodeLine {
    /// Where the gateway connects to.
    pub address: SocketAddr,
    surroundings: Vec<Surroundings>,
    line: Arc<Line>,
    deeds: Mutex<Sender<Deed>>,
    running: Option<JoinHandle<()>>,
}

/// The identity of the `number`th node of all.
pub fn identity(number: u32) -> Identity {
    let [a, b, c, d] = number.to_le_bytes();
    Identity { id: NodeId(0x1000_0000 + number), key: Key([a, b, c, d, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5]) }
}

/// A `[[node]]` of `nodes.toml` for that node: its button is `sos-NUMBER`, its thermometer `climate-NUMBER`.
pub fn entry(number: u32, line: &str, every: &str) -> String {
    let Identity { id, key } = identity(number);
    let mut hex = String::new();
    key.0.iter().for_each(|byte| _ = write!(hex, "{byte:02x}"));
    format!(
        "[[node]]\nid = \"{id}\"\nkey = \"{hex}\"\nname = \"node-{number}\"\nline = \"{line}\"\n\
         [[node.channel]]\ndevice = \"sos-{number}\"\nfield = \"sos\"\nevery = \"{every}\"\n\
         fitted = {{ button = {{ input = 4, active_low = true }} }}\n\
         [[node.channel]]\ndevice = \"climate-{number}\"\nfield = \"temperature_c\"\nevery = \"{every}\"\n\
         fitted = {{ thermometer = {{ address = 0x48 }} }}\n\n"
    )
}

impl NodeLine {
    /// Starts nodes with these numbers.
    ///
    /// # Errors
    /// Where no port is to be had.
    pub fn start(numbers: impl IntoIterator<Item = u32>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let mut surroundings = Vec::new();
        let mut nodes = Vec::new();
        for number in numbers {
            let around = Surroundings::default();
            around.warm(0x48, Some(20.0));
            let flash = Flash::new(&identity(number));
            let node = start(&around, &flash, Reset::Power).map_err(|why| anyhow::anyhow!("{why:?}"))?;
            nodes.push(Some(Fitted { node, flash, started: Instant::now() }));
            surroundings.push(around);
        }
        let line = Arc::new(Line::default());
        let (deeds, to_do) = channel();
        let running = std::thread::Builder::new().name("nodes".into()).spawn({
            let (line, surroundings) = (line.clone(), surroundings.clone());
            move || run(&listener, nodes, &surroundings, &line, &to_do)
        })?;
        Ok(Self { address, surroundings, line, deeds: Mutex::new(deeds), running: Some(running) })
    }

    /// Holds the button of the `place`th node, or lets it go.
    ///
    /// # Errors
    /// Where there is no such node.
    pub fn press(&self, place: usize, down: bool) -> anyhow::Result<()> {
        self.surroundings.get(place).context("no such node")?.close(4, down);
        Ok(())
    }

    /// Cuts the line, or mends it.
    pub fn cut(&self, cut: bool) {
        self.line.cut.store(cut, Relaxed);
    }

    /// Of a thousand frames, so many are damaged from now on.
    pub fn damage(&self, permille: u32) {
        self.line.damage_permille.store(permille, Relaxed);
    }

    /// How many were.
    pub fn damaged(&self) -> u64 {
        self.line.damaged.load(Relaxed)
    }

    /// Takes the power from the `place`th node.
    ///
    /// # Errors
    /// Where the nodes have ended.
    pub fn kill(&self, place: usize) -> anyhow::Result<()> {
        let deed: Deed = Box::new(move |nodes| {
            if let Some(slot) = nodes.get_mut(place) {
                *slot = None;
            }
        });
        let deeds = self.deeds.lock().unwrap_or_else(PoisonError::into_inner);
        deeds.send(deed).map_err(|_| anyhow::anyhow!("the nodes have ended"))
    }
}

impl Drop for NodeLine {
    fn drop(&mut self) {
        self.line.stop.store(true, Relaxed);
        if let Some(running) = self.running.take() {
            let _ = running.join();
        }
    }
}

fn run(
    listener: &TcpListener,
    mut nodes: Vec<Option<Fitted>>,
    around: &[Surroundings],
    line: &Line,
    deeds: &Receiver<Deed>,
) {
    let mut stream: Option<TcpStream> = None;
    let mut bytes = [0; 1024];
    let (mut chance, mut looked) = (0x2545_f491_4f6c_dd1d_u64, Instant::now());
    while !line.stop.load(Relaxed) {
        deeds.try_iter().for_each(|deed| deed(&mut nodes));
        if line.cut.load(Relaxed) {
            stream = None;
        } else if let Ok((taken, _)) = listener.accept() {
            let ready = taken.set_nodelay(true).and_then(|()| taken.set_nonblocking(false));
            stream = ready.and_then(|()| taken.set_read_timeout(Some(LOOK))).is_ok().then_some(taken);
        }
        match stream.as_mut().map(|stream| stream.read(&mut bytes)) {
            None => std::thread::sleep(LOOK),
            Some(Ok(0)) => stream = None,
            Some(Ok(count)) => {
                let mut heard = bytes.get(..count).unwrap_or_default().to_vec();
                disturb(&mut heard, line, &mut chance);
                let mut answer = answer(&mut nodes, &heard);
                disturb(&mut answer, line, &mut chance);
                if let Some(open) = &mut stream
                    && !answer.is_empty()
                    && open.write_all(&answer).is_err()
                {
                    stream = None;
                }
            }
            Some(Err(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Some(Err(_)) => stream = None,
        }
        if looked.elapsed() >= LOOK {
            looked = Instant::now();
            look(&mut nodes, around);
        }
    }
}

fn answer(nodes: &mut [Option<Fitted>], heard: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    let mut out = [0; MAX_ON_LINE];
    for Fitted { node, started, .. } in nodes.iter_mut().flatten() {
        for byte in heard {
            answer.extend_from_slice(node.hear(*byte, uptime(*started), &mut out).unwrap_or_default());
        }
    }
    answer
}

fn look(nodes: &mut [Option<Fitted>], around: &[Surroundings]) {
    for (fitted, around) in nodes.iter_mut().zip(around) {
        let Some(Fitted { node, flash, started }) = fitted else { continue };
        node.poll(uptime(*started));
        if node.wants_restart(uptime(*started)) {
            // As the boot loader does it: a new program is tried, and runs as this one does.
            let _ = flash.boot();
            if let Ok(again) = start(around, flash, Reset::Software) {
                (*node, *started) = (again, Instant::now());
            }
        }
    }
}

fn uptime(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Damages a byte of some frames.
fn disturb(bytes: &mut [u8], line: &Line, chance: &mut u64) {
    // Xorshift: the same disturbances in each run.
    *chance ^= *chance << 13;
    *chance ^= *chance >> 7;
    *chance ^= *chance << 17;
    if bytes.is_empty() || *chance % 1_000 >= u64::from(line.damage_permille.load(Relaxed)) {
        return;
    }
    line.damaged.fetch_add(1, Relaxed);
    let place = usize::try_from(*chance >> 20).unwrap_or(0) % bytes.len();
    if let Some(byte) = bytes.get_mut(place) {
        *byte ^= 0x41;
    }
}
