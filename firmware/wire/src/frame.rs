//! Bytes on the line: frames between zero bytes, checked, sealed.

use ascon_aead::AsconAead128;
use ascon_aead::aead::{AeadInOut, KeyInit};
use core::fmt;
use crc::{CRC_32_ISO_HDLC, Crc, Digest, NoTable};
use serde::{Deserialize, Serialize};

use crate::VERSION;

/// The longest frame before stuffing: COBS then costs one byte.
pub const MAX_FRAME: usize = 254;
/// The longest payload.
pub const MAX_PAYLOAD: usize = MAX_FRAME - HEADER - TAG - CRC;
/// The longest a frame is on the line: with its stuffing and a zero byte at each end.
pub const MAX_ON_LINE: usize = MAX_FRAME + 3;

const HEADER: usize = 18;
const TAG: usize = 16;
const CRC: usize = 4;
/// Ends a frame, and begins it: what a half-open line has put before it ends there.
const DELIMITER: u8 = 0;

/// As in Ethernet and zip. Without a table: four bits at a time is fast enough, and 1 KiB of flash saved.
static CHECKSUM: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// The CRC-32 of `bytes`.
pub fn crc32(bytes: &[u8]) -> u32 {
    CHECKSUM.checksum(bytes)
}

/// A CRC-32 whose bytes come in parts.
#[derive(Clone)]
pub struct Crc32(Digest<'static, u32, NoTable>);

impl Default for Crc32 {
    fn default() -> Self {
        Self(CHECKSUM.digest())
    }
}

impl Crc32 {
    /// Takes the next bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The CRC-32 of all of them.
    pub fn finish(self) -> u32 {
        self.0.finalize()
    }
}

/// Which node: drawn at random when it is made, printed on it, and its address on the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u32);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// What seals the frames of one node. It has no `Debug` that shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(pub [u8; 16]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The gateway, to a node.
    Down,
    /// A node, to the gateway.
    Up,
}

/// What stands in the clear before the sealed part; the tag covers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Of frames and messages, [`VERSION`] here.
    pub version: u8,
    /// Who speaks.
    pub direction: Direction,
    /// The node that is asked, or that answers.
    pub node: NodeId,
    /// Drawn by the gateway at each of its starts, for each node.
    pub session: u32,
    /// How often the node has started in its life, from 1; 0 where the gateway does not know.
    pub boot: u32,
    /// Counts the frames of one direction, within a session down and within a boot up.
    pub counter: u32,
}

impl Header {
    fn write(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let direction = match self.direction {
            Direction::Down => 0,
            Direction::Up => 1,
        };
        let parts = [self.node.0, self.session, self.boot, self.counter].map(u32::to_le_bytes);
        let all = [self.version, direction].into_iter().chain(parts.into_iter().flatten());
        bytes.iter_mut().zip(all).for_each(|(slot, byte)| *slot = byte);
        bytes
    }

    fn read(bytes: &[u8; HEADER]) -> Option<Self> {
        let [version, direction, parts @ ..] = bytes;
        let direction = match direction {
            0 => Direction::Down,
            1 => Direction::Up,
            _ => return None,
        };
        let mut numbers = parts.chunks_exact(4).map(|part| part.try_into().map_or(0, u32::from_le_bytes));
        let mut next = || numbers.next().unwrap_or(0);
        Some(Self {
            version: *version,
            direction,
            node: NodeId(next()),
            session: next(),
            boot: next(),
            counter: next(),
        })
    }

    /// Unique for a key: the node's own start and counter up, the gateway's session and counter down.
    fn nonce(&self) -> [u8; 16] {
        let mut nonce = [0; 16];
        let [version, direction, parts @ ..] = self.write();
        // Without the node: it has a key of its own.
        let all = [version, direction, 0, 0].into_iter().chain(parts.into_iter().skip(4));
        nonce.iter_mut().zip(all).for_each(|(slot, byte)| *slot = byte);
        nonce
    }
}

/// Why bytes between two delimiters are no frame: the line damaged them, or somebody else speaks on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damaged;

/// Why a frame is not opened: another key sealed it, or nobody who has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotOurs;

/// What was to be sent does not fit into a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// A frame that came undamaged. Who sent it is not known before it is opened.
#[derive(Debug)]
pub struct Frame<'a> {
    header: Header,
    /// The header as it came, then what is sealed, then the tag.
    bytes: &'a mut [u8],
}

impl<'a> Frame<'a> {
    /// What it says of itself.
    pub fn header(&self) -> Header {
        self.header
    }

    /// The payload, if `key` has sealed it.
    ///
    /// # Errors
    /// Where it has not.
    pub fn open(self, key: &Key) -> Result<&'a [u8], NotOurs> {
        let (header, rest) = self.bytes.split_at_mut_checked(HEADER).ok_or(NotOurs)?;
        let (sealed, tag) = rest.split_last_chunk_mut::<TAG>().ok_or(NotOurs)?;
        let cipher = AsconAead128::new(&key.0.into());
        let nonce = self.header.nonce().into();
        let tag = (*tag).into();
        cipher.decrypt_inout_detached(&nonce, header, (&mut *sealed).into(), &tag).map_err(|_| NotOurs)?;
        Ok(sealed)
    }
}

/// Seals `payload` and makes a frame of it, as it goes onto the line.
///
/// # Errors
/// Where the payload is longer than [`MAX_PAYLOAD`].
pub fn write<'a>(
    header: &Header,
    key: &Key,
    payload: &impl Serialize,
    out: &'a mut [u8; MAX_ON_LINE],
) -> Result<&'a [u8], TooLong> {
    let mut frame = [0; MAX_FRAME];
    let (start, rest) = frame.split_first_chunk_mut::<HEADER>().ok_or(TooLong)?;
    *start = header.write();
    let room = rest.get_mut(..MAX_PAYLOAD).ok_or(TooLong)?;
    let length = postcard::to_slice(payload, room).map_err(|_| TooLong)?.len();
    let (sealed, rest) = rest.split_at_mut_checked(length).ok_or(TooLong)?;
    let cipher = AsconAead128::new(&key.0.into());
    let tag = cipher.encrypt_inout_detached(&header.nonce().into(), start, sealed.into()).map_err(|_| TooLong)?;
    *rest.first_chunk_mut::<TAG>().ok_or(TooLong)? = tag.into();
    let checked = HEADER + length + TAG;
    let (before, rest) = frame.split_at_mut_checked(checked).ok_or(TooLong)?;
    *rest.first_chunk_mut::<CRC>().ok_or(TooLong)? = crc32(before).to_le_bytes();
    stuff(frame.get(..checked + CRC).ok_or(TooLong)?, out)
}

fn stuff<'a>(frame: &[u8], out: &'a mut [u8; MAX_ON_LINE]) -> Result<&'a [u8], TooLong> {
    let [first, rest @ ..] = &mut *out;
    *first = DELIMITER;
    let length = cobs::try_encode(frame, rest).map_err(|_| TooLong)?;
    *rest.get_mut(length).ok_or(TooLong)? = DELIMITER;
    out.get(..length + 2).ok_or(TooLong)
}

/// Finds frames in what comes in, byte by byte.
#[derive(Debug)]
pub struct Deframer {
    stuffed: [u8; MAX_FRAME + 1],
    length: usize,
    /// More came than a frame can have: all of it is thrown away, to the next delimiter.
    too_long: bool,
    frame: [u8; MAX_FRAME + 1],
}

impl Default for Deframer {
    fn default() -> Self {
        Self { stuffed: [0; MAX_FRAME + 1], length: 0, too_long: false, frame: [0; MAX_FRAME + 1] }
    }
}

impl Deframer {
    /// Takes a byte; gives the frame that it ends, or that what it ends is none.
    pub fn push(&mut self, byte: u8) -> Option<Result<Frame<'_>, Damaged>> {
        if byte != DELIMITER {
            match self.stuffed.get_mut(self.length) {
                Some(slot) => {
                    *slot = byte;
                    self.length += 1;
                }
                None => self.too_long = true,
            }
            return None;
        }
        let length = core::mem::take(&mut self.length);
        if core::mem::take(&mut self.too_long) {
            return Some(Err(Damaged));
        }
        // Between two frames there are two delimiters.
        (length > 0).then(|| self.unstuff(length).ok_or(Damaged))
    }

    /// Forgets the beginning of a frame that will not be ended.
    pub fn reset(&mut self) {
        self.length = 0;
        self.too_long = false;
    }

    fn unstuff(&mut self, length: usize) -> Option<Frame<'_>> {
        let length = cobs::decode(self.stuffed.get(..length)?, &mut self.frame).ok()?;
        let (checked, crc) = self.frame.get_mut(..length)?.split_last_chunk_mut::<CRC>()?;
        if crc32(checked) != u32::from_le_bytes(*crc) || checked.len() < HEADER + TAG {
            return None;
        }
        let header = Header::read(checked.first_chunk()?)?;
        Some(Frame { header, bytes: checked })
    }
}

/// The header of this version.
pub(crate) fn header(direction: Direction, node: NodeId, session: u32, boot: u32, counter: u32) -> Header {
    Header { version: VERSION, direction, node, session, boot, counter }
}
