//! Fuzzing: made-up cases, each from a seed, for a target that has to survive them all.
//!
//! In `make test` a target runs a fixed number of cases from fixed seeds. `make fuzz` runs it for minutes from
//! seeds never seen before: `FUZZ_MINUTES` says how long. `FUZZ_SEED` runs one case again. What a case does to the target
//! depends on its seed alone; what the target went through before does not come again with it.

pub mod http;
pub mod mqtt;

use anyhow::{Context, ensure};
use serde_json::json;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::root;

/// Chance, drawn from a seed.
pub struct Dice(u64);

impl Dice {
    /// The same dice for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number (SplitMix64: Steele, Lea and Flood, 2014).
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, or 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.any() % u64::try_from(end).unwrap_or(1).max(1)).unwrap_or(0)
    }

    /// Once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// Any byte.
    pub fn byte(&mut self) -> u8 {
        self.any().to_le_bytes()[7]
    }

    /// Any bytes, fewer than `end`.
    pub fn bytes(&mut self, end: usize) -> Vec<u8> {
        (0..self.below(end)).map(|_| self.byte()).collect()
    }

    /// One of these. There is at least one.
    pub fn pick<'a, T>(&mut self, these: &'a [T]) -> &'a T {
        &these[self.below(these.len())]
    }

    /// Changes bytes in one of the ways in which they go wrong: bits, bytes, lengths, pieces.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>) {
        let (one, other) = (self.below(bytes.len()), self.below(bytes.len()));
        let (from, to) = (one.min(other), one.max(other));
        match self.below(8) {
            0 if !bytes.is_empty() => bytes[one] ^= 1 << self.below(8),
            1 if !bytes.is_empty() => bytes[one] = self.byte(),
            2 if !bytes.is_empty() => bytes[one] = *self.pick(&[0, 1, 0x7f, 0x80, 0xff]),
            3 => bytes.truncate(one),
            4 => _ = bytes.drain(from..to),
            5 => {
                let piece = bytes[from..to].to_vec();
                bytes.splice(one..one, piece);
            }
            6 if to - from >= 8 => {
                let number = *self.pick(&[0, 1, u64::MAX, 1 << 31, 1 << 63, 0x7fff_ffff]);
                bytes[from..from + 8].copy_from_slice(&number.to_le_bytes());
            }
            _ => bytes.insert(one, self.byte()),
        }
        bytes.truncate(256 << 10);
    }
}

/// A run of cases against one target.
pub struct Campaign {
    target: &'static str,
    first_seed: u64,
    /// Handed out so far.
    cases: u64,
    last: Last,
    begun: Instant,
    /// What the target holds, in KiB, over time.
    resident_kib: Vec<u64>,
    resident_limit_kib: u64,
    watched: Instant,
}

/// When it is enough.
#[derive(Clone, Copy)]
enum Last {
    Cases(u64),
    Until(Duration),
}

/// How often memory is looked at.
const WATCH: Duration = Duration::from_millis(250);
/// What memory may grow by in the second half of a run, besides a tenth: caches fill, allocators keep.
const GROWTH_KIB: u64 = 8 * 1024;

impl Campaign {
    /// Begins: `cases` of them, unless the environment says how long. The target may hold `resident_limit_kib`.
    ///
    /// # Errors
    /// Where the environment says something else than numbers.
    pub fn begin(target: &'static str, cases: u64, resident_limit_kib: u64) -> anyhow::Result<Self> {
        let said = |name: &str| std::env::var(name).ok().filter(|said| !said.is_empty());
        let number = |name: &str, said: String| said.parse::<u64>().with_context(|| format!("{name}={said}"));
        let seed = said("FUZZ_SEED").map(|said| number("FUZZ_SEED", said)).transpose()?;
        let minutes = said("FUZZ_MINUTES").map(|said| number("FUZZ_MINUTES", said)).transpose()?;
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let (first_seed, last) = match (seed, minutes) {
            (Some(seed), _) => (seed, Last::Cases(1)),
            // Seeds of runs that begin at different times do not meet.
            (None, Some(minutes)) => (now() << 32, Last::Until(Duration::from_secs(60 * minutes))),
            (None, None) => (1, Last::Cases(cases)),
        };
        let begun = Instant::now();
        let resident_kib = Vec::new();
        Ok(Self { target, first_seed, cases: 0, last, begun, resident_kib, resident_limit_kib, watched: begun })
    }

    /// The next case's seed; `None` when it is enough.
    pub fn next_seed(&mut self) -> Option<u64> {
        let enough = match self.last {
            Last::Cases(cases) => self.cases >= cases,
            Last::Until(end) => self.begun.elapsed() >= end,
        };
        self.cases += 1;
        (!enough).then(|| self.first_seed.wrapping_add(self.cases - 1))
    }

    /// Notes what the target holds, now and then.
    ///
    /// # Errors
    /// Where that is more than it may, or cannot be told.
    pub fn watch(&mut self, resident_kib: impl FnOnce() -> anyhow::Result<u64>) -> anyhow::Result<()> {
        if !self.resident_kib.is_empty() && self.watched.elapsed() < WATCH {
            return Ok(());
        }
        self.watched = Instant::now();
        let kib = resident_kib()?;
        self.resident_kib.push(kib);
        let limit = self.resident_limit_kib;
        ensure!(kib <= limit, "{} holds {kib} KiB, more than {limit}: {}", self.target, self.at());
        Ok(())
    }

    /// The same for a target in this process: it is looked at only in a run by the clock, where the process has nothing
    /// else to do.
    ///
    /// # Errors
    /// As [`Self::watch`].
    pub fn watch_this_process(&mut self) -> anyhow::Result<()> {
        match self.last {
            Last::Until(_) => self.watch(|| resident_kib(None)),
            Last::Cases(_) => Ok(()),
        }
    }

    /// Where it is, and how to get there again.
    pub fn at(&self) -> String {
        let last = self.first_seed.wrapping_add(self.cases.saturating_sub(1));
        format!(
            "fuzzing {} at seed {last} (case {}); the case alone: make fuzz TARGET={} SEED={last}",
            self.target, self.cases, self.target
        )
    }

    /// Ends: tells what was done, and leaves it in `target/fuzz/` where it ran by the clock.
    ///
    /// # Errors
    /// Where memory kept growing, or the report cannot be written.
    pub fn end(mut self, what: &str) -> anyhow::Result<()> {
        self.cases -= 1;
        let seconds = self.begun.elapsed().as_secs_f64();
        let most = self.resident_kib.iter().max().copied().unwrap_or(0);
        let [first, half, last] = self.resident();
        let report = json!({
            "target": self.target, "cases": self.cases, "what": what, "seconds": seconds.round(), "first_seed": self.first_seed,
            "resident_kib": { "first": first, "half": half, "last": last, "most": most, "limit": self.resident_limit_kib },
        });
        eprintln!("{report}");
        if let Last::Until(_) = self.last {
            let folder = root().join("target/fuzz");
            std::fs::create_dir_all(&folder)?;
            std::fs::write(folder.join(format!("{}.json", self.target)), format!("{report}\n"))?;
            ensure!(!self.grew(), "{} keeps growing: {report}", self.target);
        }
        Ok(())
    }

    /// What the target held at first, in the middle and at the end.
    fn resident(&self) -> [u64; 3] {
        let at = |index: usize| self.resident_kib.get(index).copied().unwrap_or(0);
        [at(0), at(self.resident_kib.len() / 2), at(self.resident_kib.len().saturating_sub(1))]
    }

    fn grew(&self) -> bool {
        let [_, half, last] = self.resident();
        last > half + half / 10 + GROWTH_KIB
    }
}

impl Drop for Campaign {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.at());
        }
    }
}

/// Memory that a process holds, in KiB; `None` for this one.
///
/// # Errors
/// Where it is gone.
pub fn resident_kib(pid: Option<u32>) -> anyhow::Result<u64> {
    let whose = pid.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
    let status = std::fs::read_to_string(format!("/proc/{whose}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_one_case() {
        let draw = |seed| {
            let mut dice = Dice::new(seed);
            let mut bytes = dice.bytes(100);
            (0..50).for_each(|_| dice.mutate(&mut bytes));
            bytes
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn a_target_that_swells_is_found() {
        let mut campaign = Campaign::begin("nothing", 10, 1_000).unwrap();
        campaign.next_seed();
        campaign.watch(|| Ok(1_000)).unwrap();
        campaign.watched -= WATCH;
        let told = campaign.watch(|| Ok(1_001)).unwrap_err().to_string();
        assert!(told.contains("TARGET=nothing SEED=1"), "{told}");

        let swelling = |last| {
            let mut campaign = Campaign::begin("nothing", 10, u64::MAX).unwrap();
            campaign.next_seed();
            campaign.resident_kib = vec![0, 100_000, last];
            campaign.grew()
        };
        assert!(!swelling(118_000));
        assert!(swelling(119_000));
    }
}
