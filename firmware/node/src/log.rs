//! What happened to the node, in the last lines: told when somebody asks for it.

use core::fmt;

/// Bytes that are kept.
const KEPT: usize = 2_048;

/// A ring of text in RAM: the oldest yields. ASCII; anything else becomes a question mark.
#[derive(Debug)]
pub struct Log {
    text: [u8; KEPT],
    /// Bytes written since the start.
    written: usize,
}

impl Default for Log {
    fn default() -> Self {
        Self { text: [0; KEPT], written: 0 }
    }
}

impl Log {
    /// A line of what happened at `uptime_ms`.
    pub fn line(&mut self, uptime_ms: u64, what: fmt::Arguments<'_>) {
        // Writing into the ring cannot fail.
        let _ = fmt::write(self, format_args!("{}.{:03} {what}\n", uptime_ms / 1_000, uptime_ms % 1_000));
    }

    /// Where reading begins, and where it ends for now.
    pub(crate) fn range(&self) -> (usize, usize) {
        (self.written.saturating_sub(KEPT), self.written)
    }

    /// What stands from `from` to `to`, as much as `out` takes, and where to go on. What was overwritten meanwhile is
    /// left out.
    pub(crate) fn read<'a>(&self, from: usize, to: usize, out: &'a mut [u8]) -> (&'a str, usize) {
        let (oldest, newest) = self.range();
        let from = from.max(oldest);
        let to = to.min(newest).min(from.saturating_add(out.len())).max(from);
        let bytes = self.text.iter().cycle().skip(from % KEPT);
        out.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = *byte);
        let read = out.get(..to - from).and_then(|read| core::str::from_utf8(read).ok());
        (read.unwrap_or_default(), to)
    }
}

impl fmt::Write for Log {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for symbol in text.chars() {
            let byte = u8::try_from(symbol).ok().filter(u8::is_ascii).unwrap_or(b'?');
            if let Some(slot) = self.text.get_mut(self.written % KEPT) {
                *slot = byte;
            }
            self.written += 1;
        }
        Ok(())
    }
}
