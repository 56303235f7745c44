//! The node's end of the line: whom it believes, and what its answers carry.
//!
//! Whatever the gateway has sealed but what is not of the session that the node is in counts as a call, and is
//! answered with a `Hello`; nothing else follows from it. A session becomes the node's only by a frame that echoes
//! the counter of that `Hello`, which was never used before: nobody can make it go into an old one.

use serde::Serialize;

use crate::VERSION;
use crate::frame::{Direction, Frame, Key, MAX_ON_LINE, NodeId, TooLong, header, write};
use crate::message::{Down, Up};

/// The node's end.
#[derive(Debug)]
pub struct NodeEnd {
    id: NodeId,
    key: Key,
    boot: u32,
    /// Of the frame that was sent last.
    counter: u32,
    /// Where it is heard, and in which the next answer goes.
    session: Option<Session>,
    calling: Option<Calling>,
    /// In which session the frame was that is to be answered.
    answer_in: u32,
}

#[derive(Debug, Clone, Copy)]
struct Session {
    id: u32,
    /// The counter of the gateway's frame that was heard last.
    heard: u32,
}

/// A session that calls.
#[derive(Debug, Clone, Copy)]
struct Calling {
    id: u32,
    /// The counter of the `Hello` that it was given, once it was.
    hello: Option<u32>,
}

/// What the gateway said.
#[derive(Debug, PartialEq)]
pub enum Asked<'a> {
    /// Who are you? To be answered with a `Hello`.
    Call,
    /// A question within the session.
    Down(Down<'a>),
}

/// Why nothing follows from a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// Another node is asked.
    NotForMe,
    /// It is of another version of the wire.
    OtherVersion(u8),
    /// It was heard before, or is older than what was.
    Replayed,
    /// It is for this node, but another key has sealed it. A `Hello` is answered all the same, so that the gateway
    /// can say so; at most one a second, since anybody can ask for it.
    NotOurs,
    /// It is sealed, but cannot be read.
    Malformed,
}

impl NodeEnd {
    /// The end of node `id`, in its `boot`th start: a number that never comes again.
    pub fn new(id: NodeId, key: Key, boot: u32) -> Self {
        Self { id, key, boot, counter: 0, session: None, calling: None, answer_in: 0 }
    }

    /// Takes in what came. Whatever is `Ok` is to be answered, within a few ms.
    ///
    /// # Errors
    /// Why nothing follows from it.
    pub fn hear<'a>(&mut self, frame: Frame<'a>) -> Result<Asked<'a>, Ignored> {
        let asked = frame.header();
        if asked.direction != Direction::Down || asked.node != self.id {
            return Err(Ignored::NotForMe);
        }
        if asked.version != VERSION {
            return Err(Ignored::OtherVersion(asked.version));
        }
        let Ok(payload) = frame.open(&self.key) else {
            self.call(asked.session);
            return Err(Ignored::NotOurs);
        };
        let own = (asked.boot == self.boot).then_some(asked.session);
        if let Some(session) = self.session.as_mut().filter(|session| Some(session.id) == own) {
            if asked.counter <= session.heard {
                return Err(Ignored::Replayed);
            }
            let down = postcard::from_bytes(payload).map_err(|_| Ignored::Malformed)?;
            session.heard = asked.counter;
            self.answer_in = asked.session;
            return Ok(Asked::Down(down));
        }
        let calling = self.calling.filter(|calling| Some(calling.id) == own);
        if let Some(hello) = calling.and_then(|calling| calling.hello) {
            let down: Down<'_> = postcard::from_bytes(payload).map_err(|_| Ignored::Malformed)?;
            if down.echo == hello {
                self.session = Some(Session { id: asked.session, heard: asked.counter });
                self.calling = None;
                self.answer_in = asked.session;
                return Ok(Asked::Down(down));
            }
        }
        self.call(asked.session);
        Ok(Asked::Call)
    }

    fn call(&mut self, session: u32) {
        self.answer_in = session;
        if self.calling.is_none_or(|calling| calling.id != session) {
            self.calling = Some(Calling { id: session, hello: None });
        }
    }

    /// Whether the gateway has been heard in a session of this boot.
    pub fn is_in_session(&self) -> bool {
        self.session.is_some()
    }

    /// The answer to what was heard last, as it goes onto the line, and its counter.
    ///
    /// # Errors
    /// Where it does not fit into a frame, or the node has sent 2³² frames in this boot and has to start anew.
    pub fn answer<'a>(&mut self, up: &Up<'_>, out: &'a mut [u8; MAX_ON_LINE]) -> Result<(&'a [u8], u32), TooLong> {
        self.send(up, out)
    }

    fn send<'a>(&mut self, up: &impl Serialize, out: &'a mut [u8; MAX_ON_LINE]) -> Result<(&'a [u8], u32), TooLong> {
        self.counter = self.counter.checked_add(1).ok_or(TooLong)?;
        if let Some(calling) = self.calling.as_mut().filter(|calling| calling.id == self.answer_in) {
            calling.hello = Some(self.counter);
        }
        let header = header(Direction::Up, self.id, self.answer_in, self.boot, self.counter);
        Ok((write(&header, &self.key, up, out)?, self.counter))
    }
}
