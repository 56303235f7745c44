//! What a program leaves in RAM for the next one: that it was told to restart, or where it panicked.
//!
//! RAM keeps what it holds over a restart of the chip, not over a power cut: what is read is believed only with
//! its checksum.

use core::cell::UnsafeCell;
use core::fmt::{self, Write};
use core::mem::MaybeUninit;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use ninewatch_wire::frame::Crc32;
use ninewatch_wire::message::Reset;

const TEXT: usize = 92;
const RAN: u8 = b'R';
const LEFT: u8 = b'L';
const PANICKED: u8 = b'P';

/// What is left.
#[derive(Clone, Copy)]
#[repr(C)]
struct Words {
    how: u8,
    length: u8,
    text: [u8; TEXT],
    crc: u32,
}

struct Kept(UnsafeCell<MaybeUninit<Words>>);

// SAFETY: there is one core and one thread; a panic, which may come in between, does not go back.
unsafe impl Sync for Kept {}

#[unsafe(link_section = ".uninit.last_words")]
static KEPT: Kept = Kept(UnsafeCell::new(MaybeUninit::uninit()));

impl Words {
    fn crc(&self) -> u32 {
        let mut crc = Crc32::default();
        crc.update(&[self.how, self.length]);
        crc.update(&self.text);
        crc.finish()
    }
}

fn leave(how: u8, text: &Text) {
    let mut words = Words { how, length: text.length, text: text.bytes, crc: 0 };
    words.crc = words.crc();
    // SAFETY: nobody else has a reference to it; volatile, since no one in this program reads it.
    unsafe { KEPT.0.get().write_volatile(MaybeUninit::new(words)) };
}

fn read() -> Option<Words> {
    // SAFETY: whatever RAM holds is a valid `Words`, which has numbers only; it is believed by its checksum.
    let words = unsafe { KEPT.0.get().read_volatile().assume_init() };
    (words.crc == words.crc()).then_some(words)
}

/// Why the program starts, where the chip itself says `chip`: a restart that was meant is known by what was left.
pub fn reset(chip: Reset) -> Reset {
    match read() {
        Some(Words { how: LEFT | PANICKED, .. }) => Reset::Software,
        _ => chip,
    }
}

/// Whether another program ran before, without a power cut since, and did not say that it would restart.
pub fn was_cut_short() -> bool {
    matches!(read(), Some(Words { how: RAN, .. }))
}

/// Where the last program panicked.
pub struct Panicked(Words);

impl Panicked {
    /// File and line.
    pub fn place(&self) -> &str {
        let text = self.0.text.get(..self.0.length.into());
        text.and_then(|text| core::str::from_utf8(text).ok()).unwrap_or("an unknown place")
    }
}

/// Takes what the last program left; from now on this one runs.
pub fn take() -> Option<Panicked> {
    let panicked = read().filter(|words| words.how == PANICKED).map(Panicked);
    leave(RAN, &Text::default());
    panicked
}

/// Starts anew.
pub fn restart() -> ! {
    leave(LEFT, &Text::default());
    cortex_m::peripheral::SCB::sys_reset()
}

struct Text {
    bytes: [u8; TEXT],
    length: u8,
}

impl Default for Text {
    fn default() -> Self {
        Self { bytes: [0; TEXT], length: 0 }
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.iter_mut().skip(self.length.into());
        for (slot, byte) in room.zip(text.bytes()) {
            *slot = if byte.is_ascii() { byte } else { b'?' };
            self.length += 1;
        }
        Ok(())
    }
}

/// Set while the panic is written down: a panic in it must not go round.
static PANICKING: AtomicBool = AtomicBool::new(false);

#[panic_handler]
fn panicked(info: &PanicInfo<'_>) -> ! {
    cortex_m::interrupt::disable();
    if !PANICKING.load(Ordering::Relaxed) {
        PANICKING.store(true, Ordering::Relaxed);
        let mut text = Text::default();
        if let Some(place) = info.location() {
            // What does not fit is left out.
            let _ = write!(text, "{}:{}", place.file(), place.line());
        }
        leave(PANICKED, &text);
    }
    cortex_m::peripheral::SCB::sys_reset()
}
