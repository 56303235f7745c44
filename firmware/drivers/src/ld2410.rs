//! Hi-Link LD2410, LD2410B and LD2410C: 24 GHz radars that notice people, also when they sit or sleep.
//!
//! Serial communication protocol V1.02 of 1 July 2022: UART at 256,000 baud, 8N1, a report each 100 ms.
//! Section 2.3; numbers little-endian:
//!
//! ```text
//! F4 F3 F2 F1  length  02 AA  state  moving cm, energy  still cm, energy  detection cm  55 00  F8 F7 F6 F5
//!              2       1  1   1      2          1       2         1       2             1  1
//! ```
//! In engineering mode the type is 01 and more follows before 55 00, which is left out here. A report has
//! no checksum, only its frame: what is not framed to the byte is thrown away, and the search for the next
//! begins right behind its first byte, so that damage costs no report but the damaged one.
//!
//! A radar reports all the time: one that is silent for [`SILENT_AFTER_MS`] is unwell, and its last report
//! says nothing any more.

/// A radar without a report for so long, ten of them, is unwell.
pub const SILENT_AFTER_MS: u64 = 1_000;

/// What begins and ends a report.
const HEADER: [u8; 4] = [0xf4, 0xf3, 0xf2, 0xf1];
const FOOTER: [u8; 4] = [0xf8, 0xf7, 0xf6, 0xf5];
const BEFORE_DATA: usize = 6;
/// The data of a basic report.
const LEAST_DATA: usize = 13;
/// The data of an engineering report is 35 bytes for nine gates; some firmware adds a few.
const MOST_DATA: usize = 48;
const LONGEST: usize = BEFORE_DATA + MOST_DATA + FOOTER.len();

/// Who is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Nobody.
    Nobody,
    /// Somebody moves.
    Moving,
    /// Somebody is still.
    Still,
    /// Both.
    MovingAndStill,
}

/// Something that sends back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// How far it is.
    pub distance_cm: u16,
    /// How strongly it sends back, 0 to 100.
    pub energy: u8,
}

/// What the radar sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Who is there.
    pub presence: Presence,
    /// What moves; where nothing does, without meaning.
    pub moving: Target,
    /// What is still; where nothing is, without meaning.
    pub still: Target,
    /// How far off presence is detected.
    pub detection_distance_cm: u16,
}

impl Report {
    /// Whether anybody is there.
    pub fn is_present(&self) -> bool {
        self.presence != Presence::Nobody
    }
}

/// Finds reports in the bytes of the UART.
#[derive(Debug, Clone)]
pub struct Parser {
    bytes: [u8; LONGEST],
    held: usize,
    skipped: u32,
}

impl Default for Parser {
    fn default() -> Self {
        Self::new()
    }
}

/// What the bytes that are held are so far.
enum Found {
    More,
    Damaged,
    Report(Report, usize),
}

impl Parser {
    /// One that has heard nothing.
    pub const fn new() -> Self {
        Self { bytes: [0; LONGEST], held: 0, skipped: 0 }
    }

    /// Takes the next byte; gives the report that it completes.
    pub fn feed(&mut self, byte: u8) -> Option<Report> {
        if let Some(free) = self.bytes.get_mut(self.held) {
            *free = byte;
            self.held += 1;
        }
        loop {
            match found(self.bytes.get(..self.held)?) {
                Found::More => return None,
                Found::Damaged => {
                    self.skipped = self.skipped.saturating_add(1);
                    self.drop_first(1);
                }
                Found::Report(report, length) => {
                    self.drop_first(length);
                    return Some(report);
                }
            }
        }
    }

    /// How many bytes belonged to no report. It grows where the line is disturbed or the rate is wrong.
    pub fn skipped_bytes(&self) -> u32 {
        self.skipped
    }

    fn drop_first(&mut self, number: usize) {
        let held = self.held.min(LONGEST);
        let number = number.min(held);
        self.bytes.copy_within(number..held, 0);
        self.held = held - number;
    }
}

fn found(bytes: &[u8]) -> Found {
    if bytes.iter().zip(HEADER).any(|(byte, expected)| *byte != expected) {
        return Found::Damaged;
    }
    let [_, _, _, _, low, high, data @ ..] = bytes else { return Found::More };
    let length = usize::from(u16::from_le_bytes([*low, *high]));
    if !(LEAST_DATA..=MOST_DATA).contains(&length) {
        return Found::Damaged;
    }
    let Some((data, behind)) = data.split_at_checked(length) else { return Found::More };
    if behind.iter().zip(FOOTER).any(|(byte, expected)| *byte != expected) {
        return Found::Damaged;
    }
    if behind.len() < FOOTER.len() {
        return Found::More;
    }
    match report(data) {
        Some(report) => Found::Report(report, BEFORE_DATA + length + FOOTER.len()),
        None => Found::Damaged,
    }
}

fn report(data: &[u8]) -> Option<Report> {
    let [kind, 0xaa, state, m0, m1, moving_energy, s0, s1, still_energy, d0, d1, more @ .., 0x55, 0x00] = data else {
        return None;
    };
    // A basic report has nothing more, an engineering report has.
    if *kind != if more.is_empty() { 0x02 } else { 0x01 } || *moving_energy > 100 || *still_energy > 100 {
        return None;
    }
    let presence = match state {
        0 => Presence::Nobody,
        1 => Presence::Moving,
        2 => Presence::Still,
        3 => Presence::MovingAndStill,
        _ => return None,
    };
    Some(Report {
        presence,
        moving: Target { distance_cm: u16::from_le_bytes([*m0, *m1]), energy: *moving_energy },
        still: Target { distance_cm: u16::from_le_bytes([*s0, *s1]), energy: *still_energy },
        detection_distance_cm: u16::from_le_bytes([*d0, *d1]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    extern crate std;
    use std::vec::Vec;

    /// The protocol's example of a basic report.
    const BASIC: [u8; 23] = [
        0xf4, 0xf3, 0xf2, 0xf1, 0x0d, 0x00, 0x02, 0xaa, 0x02, 0x51, 0x00, 0x00, 0x00, 0x00, 0x3b, 0x00, 0x00, 0x55,
        0x00, 0xf8, 0xf7, 0xf6, 0xf5,
    ];
    const BASIC_REPORT: Report = Report {
        presence: Presence::Still,
        moving: Target { distance_cm: 81, energy: 0 },
        still: Target { distance_cm: 0, energy: 59 },
        detection_distance_cm: 0,
    };
    /// The protocol's example of an engineering report.
    const ENGINEERING: [u8; 45] = [
        0xf4, 0xf3, 0xf2, 0xf1, 0x23, 0x00, 0x01, 0xaa, 0x03, 0x1e, 0x00, 0x3c, 0x00, 0x00, 0x39, 0x00, 0x00, 0x08,
        0x08, 0x3c, 0x22, 0x05, 0x03, 0x03, 0x04, 0x03, 0x06, 0x05, 0x00, 0x00, 0x39, 0x10, 0x13, 0x06, 0x06, 0x08,
        0x04, 0x03, 0x05, 0x55, 0x00, 0xf8, 0xf7, 0xf6, 0xf5,
    ];

    fn reports(parser: &mut Parser, bytes: &[u8]) -> Vec<Report> {
        bytes.iter().filter_map(|byte| parser.feed(*byte)).collect()
    }

    #[test]
    fn the_protocols_examples_are_read() {
        let mut parser = Parser::new();
        assert_eq!(reports(&mut parser, &BASIC), [BASIC_REPORT]);
        let said = reports(&mut parser, &ENGINEERING);
        assert_eq!(said[0].presence, Presence::MovingAndStill);
        assert_eq!(said[0].moving, Target { distance_cm: 30, energy: 60 });
        assert_eq!(said[0].still, Target { distance_cm: 0, energy: 57 });
        assert_eq!((said.len(), parser.skipped_bytes()), (1, 0));
    }

    #[test]
    fn distances_have_two_bytes() {
        let mut far = BASIC;
        far[8..17].copy_from_slice(&[0x01, 0x2c, 0x01, 0x64, 0x58, 0x02, 0x05, 0xf4, 0x01]);
        let said = reports(&mut Parser::new(), &far)[0];
        assert_eq!(said.moving, Target { distance_cm: 300, energy: 100 });
        assert_eq!(said.still, Target { distance_cm: 600, energy: 5 });
        assert_eq!((said.detection_distance_cm, said.is_present()), (500, true));
        far[8] = 0;
        assert!(!reports(&mut Parser::new(), &far)[0].is_present());
    }

    #[test]
    fn what_is_not_framed_to_the_byte_is_no_report() {
        // Header, length, kind, marks, state beyond 3, energies beyond 100, footer.
        for (at, wrong) in [(0, 0), (3, 0), (4, 0x0e), (4, 0x0c), (5, 1), (6, 1), (6, 3), (7, 0xab), (8, 4)]
            .into_iter()
            .chain([(11, 101), (14, 101), (17, 0x54), (18, 1), (19, 0), (22, 0)])
        {
            let mut damaged = BASIC;
            damaged[at] = wrong;
            let mut parser = Parser::new();
            assert_eq!(reports(&mut parser, &damaged), [], "byte {at} is {wrong:#04x}");
            // What was mistaken for the head of a longer one is held until that is seen.
            let said = reports(&mut parser, &[BASIC; 3].concat());
            assert!(!said.is_empty() && said.iter().all(|report| *report == BASIC_REPORT), "byte {at}: {said:?}");
        }
    }

    #[test]
    fn what_a_false_head_held_back_comes_all_the_same() {
        let mut parser = Parser::new();
        let bytes = [&HEADER[..], &[MOST_DATA as u8, 0], &[BASIC; 4].concat()].concat();
        assert_eq!(reports(&mut parser, &bytes), [BASIC_REPORT; 4]);
        assert_eq!(parser.skipped_bytes(), 6);
    }

    proptest! {
        /// Whatever comes, nothing panics, and the radar is heard again behind it.
        #[test]
        fn any_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let mut parser = Parser::new();
            reports(&mut parser, &bytes);
            prop_assert!(!reports(&mut parser, &[BASIC; 4].concat()).is_empty());
        }

        /// The same of bytes that look like reports.
        #[test]
        fn any_pieces_of_reports_do_no_harm(
            pieces in prop::collection::vec((0..45_usize, 0..45_usize, any::<bool>()), 0..60),
        ) {
            let mut parser = Parser::new();
            for (from, to, basic) in pieces {
                let whole: &[u8] = if basic { &BASIC } else { &ENGINEERING };
                reports(&mut parser, whole.get(from..to).unwrap_or_default());
            }
            prop_assert!(!reports(&mut parser, &[BASIC; 4].concat()).is_empty());
        }

        /// Each whole report is found, in its order, whatever damage lies between: none is swallowed.
        #[test]
        fn damage_costs_no_report_but_the_damaged(
            cuts in prop::collection::vec((0..23_usize, prop::bool::ANY), 1..40),
        ) {
            let mut bytes = Vec::new();
            let mut whole = 0;
            for (number, (cut, damaged)) in (0_u8..).zip(cuts) {
                let mut frame = BASIC;
                frame[9] = number;
                if damaged {
                    bytes.extend_from_slice(&frame[..cut]);
                } else {
                    bytes.extend_from_slice(&frame);
                    whole += 1;
                }
            }
            // What a cut report waits for.
            bytes.extend_from_slice(&[0; LONGEST]);
            prop_assert_eq!(reports(&mut Parser::new(), &bytes).len(), whole);
        }
    }
}
