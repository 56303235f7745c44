//! Putting a password to the proof, in memory that is kept.
//!
//! Argon2 takes 19 MiB each time. Given back to the allocator, they stay with the arena of the thread that had them, and
//! the threads that wait for proofs are many: a minute and a half of wrong passwords left 260 MB in use. So as much is
//! kept as there are proofs at the same time, and no more.

use argon2::{Algorithm, Argon2, Block, Params, PasswordHash, Version};
use std::sync::{Mutex, PoisonError};
use subtle::ConstantTimeEq;

/// What former proofs worked in.
static SPACES: Mutex<Vec<Vec<Block>>> = Mutex::new(Vec::new());

/// Whether `password` is the one that the PHC string `kept` was made of. Takes tens of milliseconds on purpose.
pub(super) fn is_right(password: &str, kept: &str) -> bool {
    prove(password, kept).unwrap_or_default()
}

/// Nothing where the string is none of ours.
fn prove(password: &str, kept: &str) -> Option<bool> {
    let kept = PasswordHash::new(kept).ok()?;
    let version = kept.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
    let params = Params::try_from(&kept).ok()?;
    let blocks = params.block_count();
    let argon2 = Argon2::new(Algorithm::try_from(kept.algorithm).ok()?, version, params);
    let mut salt = [0; 64];
    let salt = kept.salt?.decode_b64(&mut salt).ok()?;
    let expected = kept.hash?;
    let mut made = vec![0; expected.len()];
    let mut space = SPACES.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
    space.resize(blocks, Block::new());
    let done = argon2.hash_password_into_with_memory(password.as_bytes(), salt, &mut made, &mut space);
    SPACES.lock().unwrap_or_else(PoisonError::into_inner).push(space);
    Some(done.is_ok() && made.ct_eq(expected.as_bytes()).into())
}
