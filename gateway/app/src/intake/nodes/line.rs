//! A line at work: one node after the other is asked, and what comes is handed to whom it is of.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use ninewatch_wire::frame::{Deframer, MAX_ON_LINE, NodeId};
use ninewatch_wire::gateway::Refused;

use super::config::LineConfig;
use super::orders::Order;
use super::peer::{Heard, Mark, Peer};
use super::port::{self, Port};
use super::status::LineStatus;
use super::{Listed, NodeOrder};
use crate::clock::Clock;
use crate::engine::{Ack, Acked, Engine, Inbound, Stopped};
use crate::private::random;

/// Who has more to say is asked again so soon; the others come first, if it is their turn.
const SOON: Duration = Duration::from_millis(10);
/// Who does not answer is asked so seldom at last.
const SELDOM: Duration = Duration::from_secs(2);
/// A node that misses so many questions in a row is asked less often: one that was damaged on the way is no sign of it.
const MISSES: u32 = 4;
/// Nobody at all has been heard for so long: the port may be dead without saying so.
const DEAF: Duration = Duration::from_secs(15);
/// From one attempt to open the line to the next.
const REOPEN: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(5)];

/// A line and its nodes.
pub(super) struct Line {
    config: LineConfig,
    door: Arc<str>,
    status: Arc<LineStatus>,
    engine: Engine,
    clock: Clock,
    turns: Vec<Turn>,
    next_slot: u32,
    asked: Option<Asked>,
    acks: (mpsc::UnboundedSender<Acked>, mpsc::UnboundedReceiver<Acked>),
    orders: mpsc::Receiver<NodeOrder>,
    listed: watch::Receiver<Arc<Listed>>,
}

/// A node and when it is asked.
struct Turn {
    peer: Peer,
    /// Of this peer alone, in its tokens.
    slot: u32,
    due: Instant,
    asked_at: Option<Instant>,
    missed: u32,
}

/// The question that is open.
struct Asked {
    node: NodeId,
    until: Instant,
}

/// Why a line ends or is opened anew.
enum End {
    Stopped,
    Cut(String),
}

impl From<Stopped> for End {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl Line {
    pub(super) fn new(
        config: LineConfig,
        status: Arc<LineStatus>,
        (engine, clock): (Engine, Clock),
        orders: mpsc::Receiver<NodeOrder>,
        listed: watch::Receiver<Arc<Listed>>,
    ) -> Self {
        let door = format!("line:{}", config.name).into();
        let acks = mpsc::unbounded_channel();
        let (turns, next_slot, asked) = (Vec::new(), 0, None);
        Self { config, door, status, engine, clock, turns, next_slot, asked, acks, orders, listed }
    }

    /// Asks the nodes until the engine stops.
    ///
    /// # Errors
    /// That it has.
    pub(super) async fn serve(mut self) -> anyhow::Result<()> {
        self.follow();
        let mut pause = REOPEN[0];
        loop {
            let end = match port::open(&self.config).await {
                Ok(mut port) => {
                    let opened = Instant::now();
                    self.status.opened();
                    tracing::info!(line = self.config.name, "a line is open");
                    let end = self.talk(&mut *port).await;
                    if opened.elapsed() > REOPEN[1] {
                        pause = REOPEN[0];
                    }
                    end
                }
                Err(error) => End::Cut(format!("{error:#}")),
            };
            match end {
                End::Stopped => return Err(Stopped.into()),
                End::Cut(why) => {
                    if self.status.look().1.as_ref() != Some(&why) {
                        tracing::warn!(line = self.config.name, why, "a line is down; it is opened again and again");
                    }
                    self.status.cut(why);
                }
            }
            self.asked = None;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(REOPEN[1]);
        }
    }

    async fn talk(&mut self, port: &mut dyn Port) -> End {
        let (mut ears, mut bytes) = (Deframer::default(), [0; 1024]);
        let mut heard_at = Instant::now();
        // What was due while the line was down is due now, and no question is open.
        let now = Instant::now();
        self.turns.iter_mut().for_each(|turn| turn.due = turn.due.min(now + self.config.poll_every()));
        loop {
            let next =
                self.asked.as_ref().map(|asked| asked.until).or_else(|| self.turns.iter().map(|it| it.due).min());
            let timer = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            let gone = tokio::select! {
                biased;
                Some(acked) = self.acks.1.recv() => {
                    self.acked(acked);
                    Ok(())
                }
                read = port.read(&mut bytes) => match read {
                    Ok(0) => Err(End::Cut("the other side has closed the line".into())),
                    Ok(count) => {
                        heard_at = Instant::now();
                        self.take(&mut ears, bytes.get(..count).unwrap_or_default()).await.map_err(End::from)
                    }
                    Err(error) => Err(End::Cut(format!("the line cannot be read: {error}"))),
                },
                Some(order) = self.orders.recv() => {
                    self.order(order);
                    Ok(())
                }
                changed = self.listed.changed() => changed.map(|()| self.follow()).map_err(|_| End::Stopped),
                () = timer => {
                    if self.asked.take().map(|asked| self.missed(asked.node)).is_some() {
                        // The beginning of an answer that was not ended.
                        ears.reset();
                        if heard_at.elapsed() > DEAF {
                            // Opened anew it costs nothing; where it was dead it is well again.
                            Err(End::Cut("nobody has answered for a while".into()))
                        } else {
                            Ok(())
                        }
                    } else {
                        self.ask(port).await
                    }
                }
            };
            if let Err(end) = gone {
                return end;
            }
        }
    }

    /// Asks whose turn it is.
    async fn ask(&mut self, port: &mut dyn Port) -> Result<(), End> {
        let now_ms = self.clock.now_ms();
        let Some(turn) = self.turns.iter_mut().min_by_key(|turn| turn.due) else { return Ok(()) };
        let now = Instant::now();
        if let Some(before) = turn.asked_at.replace(now) {
            let round = u64::try_from((now - before).as_micros()).unwrap_or(u64::MAX);
            self.status.round_us.store(round, Relaxed);
        }
        let mut out = [0; MAX_ON_LINE];
        let question = match turn.peer.ask(now_ms, &mut out) {
            Ok(question) => question,
            Err(_) => {
                tracing::error!(node = turn.peer.entry.name, "a question does not fit into a frame");
                turn.due = now + SELDOM;
                return Ok(());
            }
        };
        self.asked = Some(Asked { node: turn.peer.entry.id, until: now + self.config.patience() });
        self.status.asked.fetch_add(1, Relaxed);
        let sent = tokio::time::timeout(DEAF, port.write_all(question)).await;
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(End::Cut(format!("the line cannot be written: {error}"))),
            Err(_) => Err(End::Cut("the line takes nothing any more".into())),
        }
    }

    /// The node has not answered in time.
    fn missed(&mut self, node: NodeId) {
        let poll_every = self.config.poll_every();
        let Some(turn) = self.turns.iter_mut().find(|turn| turn.peer.entry.id == node) else { return };
        turn.missed = turn.missed.saturating_add(1);
        // Asked first, and the next time it costs its share of the round again.
        let doubled = turn.missed.saturating_sub(MISSES).min(8);
        let is_new = !turn.peer.is_known();
        let pause = if turn.missed <= MISSES && !is_new { SOON } else { poll_every * 2_u32.pow(doubled) };
        turn.due = Instant::now() + pause.min(SELDOM);
    }

    async fn take(&mut self, ears: &mut Deframer, bytes: &[u8]) -> Result<(), Stopped> {
        let now_ms = self.clock.now_ms();
        let mut inbound = Vec::new();
        for byte in bytes {
            let Some(came) = ears.push(*byte) else { continue };
            self.status.frame(came.is_err());
            let Ok(frame) = came else { continue };
            let of = frame.header().node;
            let Some(turn) = self.turns.iter_mut().find(|turn| turn.peer.entry.id == of) else { continue };
            let new_session = || random().ok().map(u32::from_le_bytes);
            let is_asked = self.asked.as_ref().is_some_and(|asked| asked.node == of);
            match turn.peer.hear(frame, now_ms, new_session) {
                Ok(Heard { packs, has_more }) => {
                    self.status.answered.fetch_add(1, Relaxed);
                    turn.missed = 0;
                    let pause = if has_more { SOON } else { self.config.poll_every() };
                    turn.due = Instant::now() + pause;
                    let slot = turn.slot;
                    let to = &self.acks.0;
                    inbound.extend(packs.into_iter().map(|(mark, pack)| Inbound {
                        door: self.door.clone(),
                        device: Some(pack.device.clone()),
                        topic: format!("ninewatch/{}/readings", pack.device),
                        payload: pack.payload(),
                        // By its time the engine knows what comes again.
                        redelivered: false,
                        ack: Some(Ack { to: to.clone(), token: mark.token(slot), can_refuse: false }),
                    }));
                    if is_asked {
                        self.asked = None;
                    }
                }
                // The line's own echo, or what was asked before: the answer is still to come.
                Err(Refused::NotForMe | Refused::OtherSession) => {}
                Err(_) if is_asked => {
                    self.asked = None;
                    let doubled = turn.missed.min(8);
                    turn.missed = turn.missed.saturating_add(1);
                    turn.due = Instant::now() + (self.config.poll_every() * 2_u32.pow(doubled)).min(SELDOM);
                }
                Err(_) => {}
            }
        }
        if inbound.is_empty() { Ok(()) } else { self.engine.submit(inbound).await }
    }

    fn acked(&mut self, acked: Acked) {
        let (slot, mark) = Mark::of(acked.token);
        if let Some(turn) = self.turns.iter_mut().find(|turn| turn.slot == slot) {
            turn.peer.acked(mark, acked.fate);
        }
    }

    fn order(&mut self, NodeOrder { node, task, reply }: NodeOrder) {
        if let Some(turn) = self.turns.iter_mut().find(|turn| turn.peer.entry.id == node) {
            turn.peer.order(Order { task, reply });
            if turn.missed == 0 {
                turn.due = Instant::now();
            }
        }
    }

    /// Takes the nodes of this line out of a list that was read anew; those that stay go on as they are.
    fn follow(&mut self) {
        let listed = self.listed.borrow_and_update().clone();
        let mut before: Vec<Turn> = std::mem::take(&mut self.turns);
        for (entry, status) in listed.on(&self.config.name) {
            let known = before.iter().position(|turn| turn.peer.entry.id == entry.id);
            let kept = known.map(|place| before.swap_remove(place)).and_then(|turn| {
                let peer = turn.peer.follow(entry, status.clone())?;
                Some(Turn { peer, ..turn })
            });
            let turn = kept.or_else(|| {
                let session = random().map(u32::from_le_bytes);
                let session =
                    session.inspect_err(|error| tracing::error!("no session can be drawn: {error:#}")).ok()?;
                // 24 bits of a token.
                self.next_slot = (self.next_slot + 1) & 0xff_ffff;
                let peer = Peer::new(entry.clone(), status.clone(), session);
                Some(Turn { peer, slot: self.next_slot, due: Instant::now(), asked_at: None, missed: 0 })
            });
            self.turns.extend(turn);
        }
    }
}
