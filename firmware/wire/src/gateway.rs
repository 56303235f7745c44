//! The gateway's end of the line to one node.
//!
//! Its session is drawn at random at each start. A node proves that it is there now by sealing that number; what was
//! recorded in another session is refused, and within one each frame is newer than the one before.

use crate::VERSION;
use crate::frame::{Direction, Frame, Key, MAX_ON_LINE, NodeId, TooLong, header, write};
use crate::message::{Body, Down, Up};

/// The gateway's end of the line to one node.
#[derive(Debug)]
pub struct GatewayEnd {
    node: NodeId,
    key: Key,
    session: u32,
    /// Of the frame that was sent last.
    counter: u32,
    /// The node's start, and the counter of its frame that was heard last.
    heard: Option<(u32, u32)>,
}

/// Why what a node said is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Another node speaks, or another gateway.
    NotForMe,
    /// It speaks another version of the wire.
    OtherVersion(u8),
    /// It is not of this session: too late, or played from a recording.
    OtherSession,
    /// It was heard before, or is older than what was.
    Replayed,
    /// It is sealed with another key than this node was paired with.
    WrongKey,
    /// It is sealed, but cannot be read.
    Malformed,
}

/// What a node said, and whether it has started since it was heard last: its numbers then begin anew.
#[derive(Debug, PartialEq)]
pub struct Said<'a> {
    /// What.
    pub up: Up<'a>,
    /// The start of the node.
    pub boot: u32,
    /// Whether it is another than before.
    pub is_new_boot: bool,
}

impl GatewayEnd {
    /// The end of the line to `node`. `session` is drawn at random, at each start anew.
    pub fn new(node: NodeId, key: Key, session: u32) -> Self {
        Self { node, key, session, counter: 0, heard: None }
    }

    /// The node.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Whether the node has been heard in this session.
    pub fn is_known(&self) -> bool {
        self.heard.is_some()
    }

    /// Asks the node, as it goes onto the line. `down` is sent only to a node that is known, with the echo set here;
    /// else it is called.
    ///
    /// # Errors
    /// Where it does not fit into a frame.
    pub fn ask<'a>(&mut self, down: Down<'_>, out: &'a mut [u8; MAX_ON_LINE]) -> Result<&'a [u8], TooLong> {
        self.counter = self.counter.checked_add(1).ok_or(TooLong)?;
        let (boot, down) = match self.heard {
            Some((boot, counter)) => (boot, Down { echo: counter, ..down }),
            None => (0, Down::default()),
        };
        write(&header(Direction::Down, self.node, self.session, boot, self.counter), &self.key, &down, out)
    }

    /// Takes in what came.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn hear<'a>(&mut self, frame: Frame<'a>) -> Result<Said<'a>, Refused> {
        let said = frame.header();
        if said.direction != Direction::Up || said.node != self.node {
            return Err(Refused::NotForMe);
        }
        if said.version != VERSION {
            return Err(Refused::OtherVersion(said.version));
        }
        if said.session != self.session {
            return Err(Refused::OtherSession);
        }
        let payload = frame.open(&self.key).map_err(|_| Refused::WrongKey)?;
        let is_new_boot = match self.heard {
            Some((boot, counter)) if (said.boot, said.counter) <= (boot, counter) => return Err(Refused::Replayed),
            Some((boot, _)) => said.boot != boot,
            None => true,
        };
        let up: Up<'_> = postcard::from_bytes(payload).map_err(|_| Refused::Malformed)?;
        // A node that has started says so first; nothing else can come of it that the session did not ask for.
        if is_new_boot && !matches!(up.body, Body::Hello(_)) {
            return Err(Refused::Replayed);
        }
        self.heard = Some((said.boot, said.counter));
        Ok(Said { up, boot: said.boot, is_new_boot })
    }
}
