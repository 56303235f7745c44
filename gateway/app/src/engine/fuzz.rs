//! Whatever became of the journal on its disk, the gateway starts from what is left of it and goes on.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ninewatch_core::pipeline::{Event, Message, Settings};
use ninewatch_core::replay::Recorded;
use ninewatch_tests::fuzz::{Campaign, Dice};

use super::recover::recover;
use super::tests::{NoModel, settings};
use crate::journal::{self, Appending, Disk, Journal, Sizes};

/// Far above what starting from a small journal takes, far below what a made-up length could ask for.
const RESIDENT_LIMIT_KIB: u64 = 400 * 1024;

/// A journal's files as a gateway left them.
struct Recording(Vec<(PathBuf, Vec<u8>)>);

/// A frame in a file: magic, length, time, checksum, body.
const HEADER: usize = 20;

impl Recording {
    /// Of a gateway that was started three times and heard some presses each time. It is the same whenever it is made.
    fn make() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let journal_dir = dir.path().join("journal");
        let mut now = BEGINNING;
        for _ in 0..3 {
            let (mut journal, opened) = Journal::open_on(Arc::new(Hasty), &journal_dir, SIZES).unwrap();
            let mut pipeline =
                recover(&journal_dir, &mut journal, &opened, settings(), now, |_| Ok(())).unwrap().pipeline;
            for pressed in [true, false].repeat(10) {
                now += 10_000;
                let payload = format!("[{{\"bt\":{},\"n\":\"sos\",\"vb\":{pressed}}}]", now / 1_000);
                let (topic, payload, device) = ("ninewatch/sos/readings", payload.as_bytes(), Some("sos"));
                let message = Message { device, topic, payload, redelivered: false };
                let effects = pipeline.step(Event::Message(message), now, &mut NoModel);
                let (scores, rejected) = (Vec::new(), None);
                let recorded =
                    Recorded::Message { door: "test", device, topic, payload, redelivered: false, scores, rejected };
                let mut frame = Vec::new();
                journal::encode(&mut frame, now, &recorded).unwrap();
                journal.append_intake(&frame);
                effects.changes.iter().for_each(|change| journal.append_alert(change).unwrap());
            }
            journal.commit().unwrap();
        }
        let mut files = Vec::new();
        for log in ["intake", "alerts"] {
            for entry in std::fs::read_dir(journal_dir.join(log)).unwrap() {
                let path = entry.unwrap().path();
                files.push((Path::new(log).join(path.file_name().unwrap()), std::fs::read(&path).unwrap()));
            }
        }
        files.sort();
        Self(files)
    }

    /// The same, damaged.
    fn damaged(&self, dice: &mut Dice) -> Self {
        let mut files = self.0.clone();
        for _ in 0..=dice.below(4) {
            let other = dice.pick(&self.0).1.clone();
            let at = dice.below(files.len());
            let (_, bytes) = &mut files[at];
            match dice.below(8) {
                // The disk.
                0..=2 => dice.mutate(bytes),
                3 => {
                    let from = dice.below(bytes.len());
                    let to = (from + 512).min(bytes.len());
                    bytes[from..to].fill(0);
                }
                4 => bytes.extend(&other[dice.below(other.len())..]),
                // Another version, or a fault of our own: the frame is whole, and what it says is wrong.
                5 | 6 => rewrite(dice, bytes),
                _ => _ = files.remove(at),
            }
            if files.is_empty() {
                break;
            }
        }
        Self(files)
    }

    fn write(&self, journal_dir: &Path) {
        for log in ["intake", "alerts"] {
            let folder = journal_dir.join(log);
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir_all(&folder).unwrap();
        }
        for (name, bytes) in &self.0 {
            std::fs::write(journal_dir.join(name), bytes).unwrap();
        }
    }
}

/// Changes what stands in a frame, and makes its length and checksum fit.
fn rewrite(dice: &mut Dice, bytes: &mut Vec<u8>) {
    let frames = frames(bytes);
    if frames.is_empty() {
        return;
    }
    let frame = dice.pick(&frames).clone();
    let mut body = bytes[frame.start + HEADER..frame.end].to_vec();
    for _ in 0..=dice.below(3) {
        dice.mutate(&mut body);
    }
    let mut header = bytes[frame.start..frame.start + HEADER].to_vec();
    header[4..8].copy_from_slice(&u32::try_from(body.len()).unwrap().to_le_bytes());
    if dice.once_in(8) {
        header[8..16].copy_from_slice(&dice.any().to_le_bytes());
    }
    let mut crc = crc32fast::Hasher::new();
    crc.update(&header[4..16]);
    crc.update(&body);
    header[16..20].copy_from_slice(&crc.finalize().to_le_bytes());
    bytes.splice(frame, [header, body].concat());
}

fn frames(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut frames = Vec::new();
    let mut at = 0;
    while let Some(length) = bytes.get(at + 4..at + 8) {
        let end = at + HEADER + u32::from_le_bytes(length.try_into().unwrap()) as usize;
        if end > bytes.len() {
            break;
        }
        frames.push(at..end);
        at = end;
    }
    frames
}

/// A disk that is not waited for: nobody takes its power away here.
#[derive(Debug)]
struct Hasty;

#[derive(Debug)]
struct HastyFile(File);

impl Disk for Hasty {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Appending>> {
        Ok(Box::new(HastyFile(OpenOptions::new().create_new(true).append(true).open(path)?)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Appending>> {
        Ok(Box::new(HastyFile(OpenOptions::new().append(true).open(path)?)))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_names(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn free(&self, _: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

impl Appending for HastyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn hold(&mut self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn held_to(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

/// Small: it is written anew at every start.
const SIZES: Sizes = Sizes { ring_bytes: 1 << 20, segment_bytes: 1 << 20, oldest_ms: i64::MAX, reserve_bytes: 0 };

/// Starts from the journal as a gateway does, and reads it as everybody else does.
fn start(journal_dir: &Path, settings: Settings, now: i64) {
    let opened = Journal::open_on(Arc::new(Hasty), journal_dir, SIZES);
    let (mut journal, opened) = opened.expect("damage keeps no journal shut");
    let pipeline = recover(journal_dir, &mut journal, &opened, settings, now, |_| Ok(())).expect("it starts").pipeline;
    pipeline.checkpoint().expect("its state can be written");
    for segment in journal::intake_segments(journal_dir).unwrap() {
        let mut frames = journal::read_intake(&segment).unwrap();
        while let Some(frame) = frames.next() {
            if let Ok(Recorded::Configure(json)) = frame.recorded() {
                let _ = serde_json::from_str::<Settings>(&json);
            }
        }
    }
    journal::read_alerts(journal_dir, 0).unwrap().for_each(drop);
}

#[test]
fn a_gateway_starts_from_whatever_is_left_of_its_journal() {
    let recording = Recording::make();
    assert!(recording.0 == Recording::make().0, "or a seed would not be one case");
    assert!(frames(&recording.0[recording.0.len() - 1].1).len() > 20, "there is something to damage");
    let mut campaign = Campaign::begin("journal", 1_000, RESIDENT_LIMIT_KIB).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (mut unharmed, mut cases) = (0_u64, 0_u64);
    while let Some(seed) = campaign.next_seed() {
        let mut dice = Dice::new(seed);
        let damaged = recording.damaged(&mut dice);
        damaged.write(dir.path());
        unharmed += u64::from(damaged.0 == recording.0);
        start(dir.path(), settings(), NOW);
        // And again: what the first start made of it is a journal as any other.
        start(dir.path(), settings(), NOW + 1_000);
        cases += 1;
        campaign.watch_this_process().unwrap();
    }
    assert!(unharmed <= cases / 10, "the damage hits: {unharmed} of {cases} not");
    campaign.end("damaged journals, each started from twice").unwrap();
}

/// When the recording begins, and a moment after all of it.
const BEGINNING: i64 = 1_795_467_300_000;
const NOW: i64 = 1_900_000_000_000;
