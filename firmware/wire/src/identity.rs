//! What a node is given before it is fitted: its id and key, in a block of its own in its flash.
//!
//! `ninewatch node flash` writes it beside the program; an update of the program leaves it alone.

use crate::frame::{Key, NodeId, crc32};

/// Bytes of the block.
pub const IDENTITY: usize = 32;
const MAGIC: [u8; 8] = *b"NWNODE\x01\0";

/// Who a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its id.
    pub id: NodeId,
    /// Its key.
    pub key: Key,
}

impl Identity {
    /// The block: magic, id, key, CRC-32, little-endian.
    pub fn encode(&self) -> [u8; IDENTITY] {
        let mut block = [0; IDENTITY];
        let body = MAGIC.into_iter().chain(self.id.0.to_le_bytes()).chain(self.key.0);
        block.iter_mut().zip(body).for_each(|(slot, byte)| *slot = byte);
        if let Some((body, crc)) = block.split_last_chunk_mut() {
            *crc = crc32(body).to_le_bytes();
        }
        block
    }

    /// What [`encode`](Self::encode) made; `None` where there is nothing of it, or it is damaged.
    pub fn decode(block: &[u8; IDENTITY]) -> Option<Self> {
        let (body, crc) = block.split_last_chunk()?;
        let rest = body.strip_prefix(&MAGIC)?;
        let (id, key) = rest.split_first_chunk()?;
        let told = u32::from_le_bytes(*crc);
        (told == crc32(body)).then_some(())?;
        Some(Self { id: NodeId(u32::from_le_bytes(*id)), key: Key(key.try_into().ok()?) })
    }
}
