//! A node in QEMU: the real firmware on an emulated board, with a thermometer and keys that tests can reach.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use ninewatch_wire::identity::Identity;
use serde_json::{Value, json};

use crate::{free_port, root};

/// Where `make firmware` lays the firmware.
pub fn firmware() -> PathBuf {
    root().join("target/firmware/qemu.elf")
}

/// As the board's memory has it: see `firmware/boards/qemu/src/eeprom.rs`.
const MEMORY: usize = 16 * 1024;

/// A key of the emulated board, which is an input of the node: it pulls to ground while it is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Input 0.
    Up,
    /// Input 1.
    Down,
    /// Input 2.
    Left,
    /// Input 3.
    Right,
    /// Input 4.
    Ctrl,
}

impl Key {
    fn code(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Left => "left",
            Self::Right => "right",
            Self::Ctrl => "ctrl",
        }
    }
}

/// A node that runs in QEMU. It is killed when this is dropped; its memory stays in its file.
pub struct Emulated {
    qemu: Child,
    commands: BufReader<TcpStream>,
    /// Where its serial line is: one client at a time, and it can come again.
    pub line: SocketAddr,
}

/// A memory as it is when a node is made: its identity, and nothing else.
///
/// # Errors
/// Where the file cannot be written.
pub fn new_memory(file: &Path, identity: &Identity) -> anyhow::Result<()> {
    let mut memory = vec![0xff; MEMORY];
    memory.iter_mut().zip(identity.encode()).for_each(|(slot, byte)| *slot = byte);
    Ok(std::fs::write(file, memory)?)
}

impl Emulated {
    /// Starts the node on its memory; its line is at `line`, or at a free port.
    ///
    /// # Errors
    /// Where the firmware was not built, or QEMU is not there or does not start.
    pub fn start(memory: &Path, line: Option<SocketAddr>) -> anyhow::Result<Self> {
        let firmware = firmware();
        ensure!(firmware.is_file(), "{} is not there: run `make firmware`", firmware.display());
        let here = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let line = line.map_or_else(|| free_port().map(here), Ok)?;
        let commands = here(free_port()?);
        let served = |address| format!("tcp:{address},server=on,wait=off");
        let mut qemu = Command::new("qemu-system-arm")
            .args(["-M", "lm3s6965evb", "-display", "none", "-monitor", "none", "-kernel"])
            .arg(&firmware)
            .args(["-serial", &served(line), "-qmp", &served(commands)])
            .arg("-drive")
            .arg(format!("if=none,id=memory,format=raw,file={}", memory.display()))
            .args(["-device", "at24c-eeprom,address=0x50,rom-size=16384,drive=memory"])
            .args(["-device", "tmp105,id=thermometer,address=0x48"])
            .stdin(Stdio::null())
            .spawn()
            .context("qemu-system-arm does not start: apt-get install qemu-system-arm")?;
        let until = Instant::now() + Duration::from_secs(10);
        let stream = loop {
            match TcpStream::connect(commands) {
                Ok(stream) => break stream,
                Err(_) if Instant::now() < until && qemu.try_wait()?.is_none() => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(error) => {
                    let _ = qemu.kill();
                    bail!("QEMU does not take commands: {error}");
                }
            }
        };
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut node = Self { qemu, commands: BufReader::new(stream), line };
        node.command("qmp_capabilities", &json!({}))?;
        node.move_keys()?;
        Ok(node)
    }

    /// Presses each key once. After a start, and after a restart of the board, a key has no level before it was
    /// moved, and the firmware takes it for up: it hears the second press.
    ///
    /// # Errors
    /// Where QEMU does not take it.
    pub fn move_keys(&mut self) -> anyhow::Result<()> {
        for key in [Key::Up, Key::Down, Key::Left, Key::Right, Key::Ctrl] {
            self.press(key, true)?;
            self.press(key, false)?;
        }
        Ok(())
    }

    /// Holds a key down, or lets it go.
    ///
    /// # Errors
    /// Where QEMU does not take it.
    pub fn press(&mut self, key: Key, down: bool) -> anyhow::Result<()> {
        let key = json!({"type": "qcode", "data": key.code()});
        let events = json!({"events": [{"type": "key", "data": {"down": down, "key": key}}]});
        self.command("input-send-event", &events).map(|_| ())
    }

    /// Sets the temperature of the thermometer at 0x48.
    ///
    /// # Errors
    /// Where QEMU does not take it.
    pub fn warm(&mut self, celsius: f32) -> anyhow::Result<()> {
        #[expect(clippy::cast_possible_truncation, reason = "in thousandths")]
        let value = (celsius * 1_000.0) as i64;
        let set = json!({"path": "/machine/peripheral/thermometer", "property": "temperature", "value": value});
        self.command("qom-set", &set).map(|_| ())
    }

    /// Whether an output, 0 to 2, is at the high level.
    ///
    /// # Errors
    /// Where QEMU does not tell.
    pub fn is_high(&mut self, output: u8) -> anyhow::Result<bool> {
        // Port D, read through the address that shows this pin only.
        let look = format!("xp /1xw {:#x}", 0x4000_7000_u32 + (4 << output));
        let said = self.command("human-monitor-command", &json!({"command-line": look}))?;
        let word = said.as_str().and_then(|said| said.trim().rsplit("0x").next()).context("no memory is shown")?;
        Ok(u32::from_str_radix(word, 16)? != 0)
    }

    /// The board stands still, its watchdog as well, or goes on: it is silent for a while.
    ///
    /// # Errors
    /// Where QEMU does not take it.
    pub fn stand_still(&mut self, still: bool) -> anyhow::Result<()> {
        self.command(if still { "stop" } else { "cont" }, &json!({})).map(|_| ())
    }

    /// The program hangs: it goes in a circle from now on.
    ///
    /// # Errors
    /// Where the debugger does not do it.
    pub fn hang(&mut self) -> anyhow::Result<()> {
        let program = std::fs::read(firmware().with_extension("bin"))?;
        // A jump to itself, as the last resort of every handler.
        let circle = program.chunks(2).position(|word| word == [0xfe, 0xe7]).context("no circle in the program")?;
        self.jump(u32::try_from(circle * 2)?)
    }

    /// The program panics.
    ///
    /// # Errors
    /// Where the debugger does not do it.
    pub fn panic(&mut self) -> anyhow::Result<()> {
        let program = std::fs::read(firmware())?;
        let panic = symbol(&program, "panic_const_async_fn_resumed").context("no panic in the program")?;
        // The lowest bit only says that it is Thumb code.
        self.jump(panic & !1)
    }

    /// Through QEMU's debugger, which halts the processor while it is connected.
    fn jump(&mut self, to: u32) -> anyhow::Result<()> {
        let debugger = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let command = format!("gdbserver tcp:{debugger}");
        self.command("human-monitor-command", &json!({"command-line": command}))?;
        let mut stream = TcpStream::connect(debugger)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        // R15 is the program counter; D lets it go on from there.
        for packet in [format!("Pf={:08x}", to.swap_bytes()), "D".to_owned()] {
            let sum = packet.bytes().fold(0_u8, u8::wrapping_add);
            write!(stream, "${packet}#{sum:02x}")?;
            let mut said = Vec::new();
            while !said.ends_with(b"$OK#9a") {
                let mut byte = [0];
                stream.read_exact(&mut byte).context("QEMU's debugger does not answer")?;
                said.push(byte[0]);
            }
            stream.write_all(b"+")?;
        }
        Ok(())
    }

    /// The power is cut.
    ///
    /// # Errors
    /// Where QEMU cannot be killed.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.qemu.kill()?;
        self.qemu.wait()?;
        Ok(())
    }

    fn command(&mut self, name: &str, arguments: &Value) -> anyhow::Result<Value> {
        let command = json!({"execute": name, "arguments": arguments});
        writeln!(self.commands.get_mut(), "{command}")?;
        loop {
            let mut line = String::new();
            ensure!(self.commands.read_line(&mut line)? > 0, "QEMU has ended");
            let said: Value = serde_json::from_str(&line)?;
            if let Some(error) = said.get("error") {
                bail!("QEMU does not take {name}: {error}");
            }
            if let Some(value) = said.get("return") {
                return Ok(value.clone());
            }
        }
    }
}

/// The address of the first symbol of a 32-bit ELF file in whose name `part` is.
fn symbol(elf: &[u8], part: &str) -> Option<u32> {
    let word = |at: usize| Some(u32::from_le_bytes(elf.get(at..at + 4)?.try_into().ok()?));
    let half = |at: usize| Some(u16::from_le_bytes(elf.get(at..at + 2)?.try_into().ok()?));
    let (table, count) = (word(32)? as usize, half(48)?);
    // Of a section: its kind, where it is, how long, and which one it belongs to.
    let section = |place: usize| {
        let at = table + place * 40;
        Some((word(at + 4)?, word(at + 16)? as usize, word(at + 20)? as usize, word(at + 24)? as usize))
    };
    let symbols = (0..usize::from(count)).filter_map(section).find(|(kind, ..)| *kind == 2)?;
    let (_, names, ..) = section(symbols.3)?;
    (symbols.1..symbols.1 + symbols.2).step_by(16).find_map(|at| {
        let name = elf.get(names + word(at)? as usize..)?.split(|byte| *byte == 0).next()?;
        std::str::from_utf8(name).ok()?.contains(part).then(|| word(at + 4))?
    })
}

impl Drop for Emulated {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}
