//! `ninewatch node flash`: a new identity, and the files that give it to a board with its program.

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use qrcodegen::{QrCode, QrCodeEcc};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use ninewatch_wire::code::Code;
use ninewatch_wire::frame::{Key, NodeId};
use ninewatch_wire::identity::{IDENTITY, Identity};

use crate::console::qr_svg;
use crate::lang::Lang;
use crate::private::{random, write};

/// What is flashed, and where to.
#[derive(Debug, Args)]
pub(super) struct FlashArgs {
    /// The board
    #[arg(long, value_enum)]
    board: Model,
    /// Its program, as `make firmware` lays it down: BOARD.bin
    #[arg(long, value_name = "FILE")]
    firmware: PathBuf,
    /// The folder of the board's mass storage, or any folder; a UF2 file is written there, for a Nucleo two .bin files
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
    /// Also write the label to stick on the node, as SVG
    #[arg(long, value_name = "FILE")]
    label: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Model {
    /// Raspberry Pi Pico (RP2040)
    Pico,
    /// Raspberry Pi Pico 2 (RP2350)
    Pico2,
    /// ST Nucleo-64 with an STM32F411RE
    NucleoF411,
}

/// Where a board has what. The boards' own `memory.rs` say the same.
struct Layout {
    /// Where flash begins, and with it the program.
    program_at: u32,
    identity_at: u32,
    /// Bytes that the program may take.
    room: u32,
    /// Which chip a UF2 file is for; none where the board takes no UF2.
    family: Option<u32>,
}

impl Model {
    fn layout(self) -> Layout {
        match self {
            Self::Pico | Self::Pico2 => Layout {
                program_at: 0x1000_0000,
                identity_at: 0x101f_f000,
                room: 0x1f_d000,
                family: Some(if self == Self::Pico { 0xe48b_ff56 } else { 0xe48b_ff59 }),
            },
            Self::NucleoF411 => {
                Layout { program_at: 0x0800_0000, identity_at: 0x0802_0000, room: 0x2_0000, family: None }
            }
        }
    }
}

/// Makes an identity and writes it with the program; prints the code.
///
/// # Errors
/// Where the program does not fit or a file cannot be read or written.
pub(super) fn run(args: &FlashArgs, lang: Lang) -> anyhow::Result<()> {
    let program = std::fs::read(&args.firmware)
        .with_context(|| format!("{} cannot be read; `make firmware` builds it", args.firmware.display()))?;
    let layout = args.board.layout();
    if program.is_empty() || program.len() > layout.room as usize {
        bail!("{} has {} bytes, and the board has room for {}", args.firmware.display(), program.len(), layout.room);
    }
    if !args.to.is_dir() {
        bail!(
            "{} is no folder; hold BOOTSEL while you plug the board in, and name the drive that appears",
            args.to.display()
        );
    }
    let identity = Identity { id: NodeId(u32::from_le_bytes(random()?)), key: Key(random()?) };
    let block = identity.encode();
    let id = identity.id;
    // The label first: what is on the board and on no label cannot be paired.
    let code = Code(identity).to_string();
    let qr = QrCode::encode_text(&code, QrCodeEcc::Medium).context("the code does not fit into a QR code")?;
    if let Some(label) = &args.label {
        write(label, self::label(&code, &id.to_string(), &qr_svg(&qr)).as_bytes())?;
    }
    let files = match layout.family {
        Some(family) => {
            let parts = [(layout.program_at, &program[..]), (layout.identity_at, &block[..])];
            vec![(format!("ninewatch-{id}.uf2"), uf2(&parts, family))]
        }
        None => vec![
            (format!("ninewatch-{id}-program.bin"), program),
            (format!("ninewatch-{id}-identity.bin"), block.to_vec()),
        ],
    };
    for (name, bytes) in &files {
        write_to(&args.to.join(name), bytes)?;
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{code}")?;
    writeln!(out, "{}", blocks(&qr))?;
    let said = lang.pick(
        "把编码贴在节点上：它就是节点的密钥，配对时需要",
        "Stick the code on the node: it is its key, and pairing asks for it",
    );
    eprintln!("{said}");
    if layout.family.is_none() {
        let at = [layout.program_at, layout.identity_at];
        for ((name, _), at) in files.iter().zip(at) {
            eprintln!("  st-flash write {} {at:#010x}", args.to.join(name).display());
        }
    }
    Ok(())
}

/// A board's mass storage knows no owners and modes.
fn write_to(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let written = || {
        let mut file = std::fs::File::create(path)?;
        file.write_all(bytes)?;
        // A board starts anew as soon as it has the last block.
        match file.sync_all() {
            Err(error) if file.metadata().is_ok() => Err(error),
            _ => Ok(()),
        }
    };
    written().with_context(|| format!("{} cannot be written", path.display()))
}

const PAYLOAD: usize = 256;

/// Parts of flash as the boot loader takes them: blocks of 512 bytes with 256 of payload.
fn uf2(parts: &[(u32, &[u8])], family: u32) -> Vec<u8> {
    const FAMILY_IS_THERE: u32 = 0x2000;
    let blocks: Vec<(u32, &[u8])> =
        parts.iter().flat_map(|(start, bytes)| (*start..).step_by(PAYLOAD).zip(bytes.chunks(PAYLOAD))).collect();
    let count = u32::try_from(blocks.len()).unwrap_or(u32::MAX);
    let mut out = Vec::with_capacity(blocks.len() * 512);
    for ((address, payload), number) in blocks.into_iter().zip(0_u32..) {
        let header = [0x0a32_4655, 0x9e5d_5157, FAMILY_IS_THERE, address, 256, number, count, family];
        out.extend(header.into_iter().flat_map(u32::to_le_bytes));
        let end = out.len() + 476;
        out.extend_from_slice(payload);
        // Erased flash.
        out.resize(out.len() + PAYLOAD - payload.len(), 0xff);
        out.resize(end, 0);
        out.extend(0x0ab1_6f30_u32.to_le_bytes());
    }
    out
}

/// 62 × 29 mm, as label printers have it.
fn label(code: &str, id: &str, qr: &str) -> String {
    let groups: Vec<&str> = code.split('-').collect();
    let lines: String = groups
        .chunks(3)
        .zip([9, 15, 21])
        .map(|(line, y)| format!("<text x=\"29\" y=\"{y}\" font-size=\"4\">{}</text>", line.join("-")))
        .collect();
    let qr = qr.replacen("<svg ", "<svg x=\"1\" y=\"1\" width=\"27\" height=\"27\" ", 1);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"62mm\" height=\"29mm\" viewBox=\"0 0 62 29\" \
         font-family=\"monospace\"><path fill=\"#fff\" d=\"M0,0h62v29h-62z\"/>{qr}{lines}\
         <text x=\"29\" y=\"26\" font-size=\"2.6\">Ninewatch 九哨 {id}</text></svg>\n"
    )
}

/// The code for a terminal: two rows in a line, light on dark as terminals are.
fn blocks(qr: &QrCode) -> String {
    let is_light = |x: i32, y: i32| !qr.get_module(x, y);
    let range = -2..qr.size() + 2;
    let row = |y: i32| -> String {
        let cell = |x: i32| match (is_light(x, y), is_light(x, y + 1)) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        };
        range.clone().map(cell).chain(['\n']).collect()
    };
    range.clone().step_by(2).map(row).collect()
}

const _: () = assert!(IDENTITY <= PAYLOAD);

#[cfg(test)]
mod tests {
    use super::*;

    fn word(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
    }

    #[test]
    fn a_board_is_given_its_program_and_an_identity_that_its_code_says() {
        let folder = tempfile::tempdir().unwrap();
        let firmware = folder.path().join("pico.bin");
        let program: Vec<u8> = (0..600_u32).map(|byte| byte as u8).collect();
        std::fs::write(&firmware, &program).unwrap();
        let label = folder.path().join("label.svg");
        let to = folder.path().join("drive");
        std::fs::create_dir(&to).unwrap();
        let args = FlashArgs { board: Model::Pico, firmware, to: to.clone(), label: Some(label.clone()) };
        run(&args, Lang::En).unwrap();
        let file = std::fs::read_dir(&to).unwrap().next().unwrap().unwrap().path();
        let bytes = std::fs::read(file).unwrap();
        assert_eq!(bytes.len(), 4 * 512, "three blocks of program, one of identity");
        for (number, block) in bytes.chunks(512).enumerate() {
            assert_eq!((word(block, 0), word(block, 4), word(block, 508)), (0x0a32_4655, 0x9e5d_5157, 0x0ab1_6f30));
            assert_eq!((word(block, 20) as usize, word(block, 24), word(block, 28)), (number, 4, 0xe48b_ff56));
        }
        assert_eq!(
            [word(&bytes, 12), word(&bytes, 512 + 12), word(&bytes, 3 * 512 + 12)],
            [0x1000_0000, 0x1000_0100, 0x101f_f000]
        );
        assert_eq!(bytes[512 + 32..512 + 288], program[256..512]);
        let identity = Identity::decode(bytes[3 * 512 + 32..].first_chunk().unwrap()).unwrap();
        let picture = std::fs::read_to_string(label).unwrap();
        let code = Code(identity).to_string();
        assert!(picture.contains(&code[..14]) && picture.contains(&code[30..]), "{picture}");
    }

    #[test]
    fn a_program_that_does_not_fit_is_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let firmware = folder.path().join("nucleo.bin");
        std::fs::write(&firmware, vec![0; 0x2_0001]).unwrap();
        let to = folder.path().to_owned();
        let args = FlashArgs { board: Model::NucleoF411, firmware, to, label: None };
        let said = run(&args, Lang::En).unwrap_err().to_string();
        assert!(said.contains("131073 bytes, and the board has room for 131072"), "{said}");
    }
}
