//! An LD2410 radar on a serial port: who is there, told when it changes and as a sign of life.

use anyhow::Context;
use rustix::termios::{ControlModes, OptionalActions, tcgetattr, tcsetattr};
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ninewatch_drivers::ld2410::{Parser, SILENT_AFTER_MS};

use super::line::{Line, TELL_EVERY_MS, state};

/// The rate that it leaves the works with.
const BAUD: u32 = 256_000;
/// How long a port that broke is left alone: an adapter that is pulled out comes back.
const OPEN_AGAIN_MS: u64 = 1_000;

/// The radar and its port.
pub(super) struct RadarLine {
    field: String,
    path: PathBuf,
    port: Option<File>,
    parser: Parser,
    /// What was told last; nothing where that holds no more.
    present: Option<bool>,
    heard_ms: u64,
    tell_ms: u64,
    open_ms: u64,
}

impl RadarLine {
    /// Opens the port.
    ///
    /// # Errors
    /// Where it is not to be had.
    pub(super) fn open(field: String, path: &Path) -> anyhow::Result<Self> {
        let port = Some(open_serial(path)?);
        let (parser, path) = (Parser::new(), path.to_owned());
        Ok(Self { field, path, port, parser, present: None, heard_ms: 0, tell_ms: 0, open_ms: 0 })
    }

    /// Whether anybody is there by the last report that came since the last look.
    fn hear(&mut self) -> anyhow::Result<Option<bool>> {
        let Some(port) = &mut self.port else { return Ok(None) };
        let mut bytes = [0; 256];
        let mut present = None;
        loop {
            let length = match port.read(&mut bytes) {
                Ok(0) => anyhow::bail!("{} has been hung up", self.path.display()),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(present),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).with_context(|| format!("{} cannot be read", self.path.display())),
            };
            for byte in bytes.iter().take(length) {
                present = self.parser.feed(*byte).map(|report| report.is_present()).or(present);
            }
        }
    }
}

impl Line for RadarLine {
    fn look(&mut self, now_ms: u64) -> anyhow::Result<Option<Vec<Value>>> {
        if self.port.is_none() {
            if now_ms < self.open_ms {
                return Ok(None);
            }
            self.open_ms = now_ms + OPEN_AGAIN_MS;
            self.port = Some(open_serial(&self.path)?);
            (self.parser, self.heard_ms) = (Parser::new(), now_ms);
        }
        let heard = self.hear().inspect_err(|_| {
            (self.port, self.present) = (None, None);
            self.open_ms = now_ms + OPEN_AGAIN_MS;
        })?;
        let Some(present) = heard else {
            if now_ms.saturating_sub(self.heard_ms) < SILENT_AFTER_MS {
                return Ok(None);
            }
            self.present = None;
            match self.parser.skipped_bytes() {
                0 => anyhow::bail!("the radar says nothing: check its supply, and that TX goes to RX"),
                _ => anyhow::bail!("what comes is no report of a radar: check its rate of {BAUD} baud, and the wires"),
            }
        };
        self.heard_ms = now_ms;
        if self.present == Some(present) && now_ms < self.tell_ms {
            return Ok(None);
        }
        self.present = Some(present);
        self.tell_ms = now_ms + TELL_EVERY_MS;
        Ok(Some(vec![state(&self.field, present)]))
    }
}

/// A serial port, 8N1 without handshake, that is read without waiting.
fn open_serial(path: &Path) -> anyhow::Result<File> {
    let mend = || {
        format!(
            "the serial port {} is not to be had: name the right one, switch the serial console off on it, and put the \
             gateway's user into the group `dialout`",
            path.display()
        )
    };
    let flags = (rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY).bits();
    let flags = i32::try_from(flags).unwrap_or_default();
    let port = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).with_context(mend)?;
    let mut modes = tcgetattr(&port).with_context(mend)?;
    modes.make_raw();
    modes.control_modes |= ControlModes::CREAD | ControlModes::CLOCAL;
    modes.control_modes -= ControlModes::CSTOPB | ControlModes::CRTSCTS;
    modes.set_speed(BAUD).with_context(mend)?;
    tcsetattr(&port, OptionalActions::Now, &modes).with_context(mend)?;
    Ok(port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::io::Write;

    /// The protocol's own report with this state.
    fn report(state: u8) -> [u8; 23] {
        let mut bytes = [0; 23];
        bytes[..4].copy_from_slice(&[0xf4, 0xf3, 0xf2, 0xf1]);
        bytes[4..9].copy_from_slice(&[0x0d, 0x00, 0x02, 0xaa, state]);
        bytes[9..].copy_from_slice(&[0x51, 0, 0, 0, 0, 0x3b, 0, 0, 0x55, 0, 0xf8, 0xf7, 0xf6, 0xf5]);
        bytes
    }

    fn radar() -> (File, RadarLine) {
        let radar = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&radar).unwrap();
        unlockpt(&radar).unwrap();
        let path = ptsname(&radar, Vec::new()).unwrap().into_string().unwrap();
        (File::from(radar), RadarLine::open("presence".into(), Path::new(&path)).unwrap())
    }

    /// Looks until there is something: a terminal's bytes pass through a queue of the kernel's.
    fn looked(line: &mut RadarLine, now_ms: u64) -> anyhow::Result<Vec<Value>> {
        loop {
            if let Some(told) = line.look(now_ms)? {
                return Ok(told);
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn who_is_there_is_told_when_it_changes_and_as_a_sign_of_life() {
        let (mut wire, mut line) = radar();
        wire.write_all(&report(2)).unwrap();
        assert_eq!(looked(&mut line, 100).unwrap(), [state("presence", true)]);
        // The same again says nothing; what follows it says that nobody is there.
        wire.write_all(&[report(1), report(0)].concat()).unwrap();
        assert_eq!(looked(&mut line, 200).unwrap(), [state("presence", false)]);
        wire.write_all(&report(0)).unwrap();
        assert_eq!(looked(&mut line, 200 + TELL_EVERY_MS).unwrap(), [state("presence", false)]);
    }

    #[test]
    fn a_radar_that_is_silent_or_speaks_otherwise_is_a_fault_and_not_an_empty_room() {
        let (mut wire, mut line) = radar();
        let error = line.look(SILENT_AFTER_MS).unwrap_err().to_string();
        assert!(error.contains("says nothing"), "{error}");
        wire.write_all(b"login: \n").unwrap();
        let error = loop {
            let error = line.look(2 * SILENT_AFTER_MS).unwrap_err().to_string();
            if !error.contains("says nothing") {
                break error;
            }
        };
        assert!(error.contains("256000 baud"), "{error}");
        wire.write_all(&report(0)).unwrap();
        assert_eq!(looked(&mut line, 3 * SILENT_AFTER_MS).unwrap(), [state("presence", false)]);
    }

    #[test]
    fn a_port_that_goes_away_is_opened_again() {
        let (wire, mut line) = radar();
        drop(wire);
        assert!(line.look(10).is_err());
        assert!(line.port.is_none());
        assert_eq!(line.look(20).unwrap(), None, "it is left alone for a while");
        let (mut wire, other) = radar();
        line.path = other.path.clone();
        wire.write_all(&report(3)).unwrap();
        assert_eq!(looked(&mut line, 10 + OPEN_AGAIN_MS).unwrap(), [state("presence", true)]);
    }
}
