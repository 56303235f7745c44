//! Log-in attempts, bounded per account and per address, and what those send who are not logged in: a token bucket each.
//!
//! Nobody is locked out for good: who guesses at an account slows its new log-ins down, but neither
//! ends its sessions nor the programs that use it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::network::network;

/// The buckets. Full ones are not kept.
#[derive(Default)]
pub(super) struct Throttle {
    buckets: Mutex<HashMap<Source, Bucket>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Source {
    Account(String),
    Address(IpAddr),
    /// Reports of residents: from an address, of a grid, and all of them.
    Reporter(IpAddr),
    Grid(String),
    Reports,
    /// Asking for a code or a ticket, from an address.
    Asker(IpAddr),
}

impl Source {
    /// As many at once, then one in this time.
    fn pace(&self) -> (f64, Duration) {
        match self {
            Self::Account(_) | Self::Address(_) => (BURST, REFILL),
            // A household has a few matters; a stairwell that burns has many households.
            Self::Reporter(_) => (5.0, Duration::from_secs(120)),
            Self::Grid(_) => (20.0, Duration::from_secs(60)),
            // Two a minute for good: alerts of devices come by the thousand without harm.
            Self::Reports => (40.0, Duration::from_secs(30)),
            // A page that is open asks each 15 s.
            Self::Asker(_) => (60.0, Duration::from_secs(2)),
        }
    }
}

/// How many attempts are left, as of a moment.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

/// As many wrong passwords at once, from one address or for one account, as a person may mistype.
const BURST: f64 = 8.0;
/// Then one in this time: a password of 80 random bits is out of reach.
const REFILL: Duration = Duration::from_secs(10);
/// Each takes some 100 bytes.
const BUCKETS: usize = 4096;

impl Throttle {
    /// Takes an attempt of both.
    ///
    /// # Errors
    /// How long to wait, where one has none left; nothing is taken then.
    pub(super) fn attempt(&self, account: &str, address: IpAddr, now: Instant) -> Result<(), Duration> {
        self.take(sources(account, address).to_vec(), now)
    }

    /// Takes a resident's report.
    ///
    /// # Errors
    /// How long to wait, where there are too many from the address, of the grid, or in all.
    pub(super) fn report(&self, grid: &str, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let grid = Source::Grid(grid.chars().take(64).collect());
        self.take(vec![Source::Reporter(network(address)), grid, Source::Reports], now)
    }

    /// Takes a question for a code or a ticket.
    ///
    /// # Errors
    /// How long to wait, where the address asks too often.
    pub(super) fn ask(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        self.take(vec![Source::Asker(network(address))], now)
    }

    fn take(&self, sources: Vec<Source>, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wait = Duration::ZERO;
        for source in &sources {
            let (burst, refill) = source.pace();
            let left = buckets.get(source).map_or(burst, |bucket| bucket.left_at(source, now));
            if left < 1.0 {
                wait = wait.max(refill.mul_f64(1.0 - left));
            }
        }
        if wait > Duration::ZERO {
            return Err(wait);
        }
        for source in sources {
            make_room(&mut buckets, &source, now);
            let left = buckets.get(&source).map_or(source.pace().0, |bucket| bucket.left_at(&source, now));
            buckets.insert(source, Bucket { left: left - 1.0, at: now });
        }
        Ok(())
    }

    /// Gives the attempt back: the password was right.
    pub(super) fn right(&self, account: &str, address: IpAddr, now: Instant) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        for source in sources(account, address) {
            if let Some(bucket) = buckets.get_mut(&source) {
                *bucket = Bucket { left: bucket.left_at(&source, now) + 1.0, at: now };
            }
        }
    }
}

impl Bucket {
    fn left_at(&self, source: &Source, now: Instant) -> f64 {
        let (burst, refill) = source.pace();
        let refilled = now.saturating_duration_since(self.at).as_secs_f64() / refill.as_secs_f64();
        (self.left + refilled).min(burst)
    }
}

/// What is sent as a name can be long; what is one is not.
fn sources(account: &str, address: IpAddr) -> [Source; 2] {
    [Source::Account(account.chars().take(64).collect()), Source::Address(network(address))]
}

/// Forgets what has refilled; where all are in use, the one that has most left.
fn make_room(buckets: &mut HashMap<Source, Bucket>, wanted: &Source, now: Instant) {
    if buckets.len() < BUCKETS || buckets.contains_key(wanted) {
        return;
    }
    buckets.retain(|source, bucket| bucket.left_at(source, now) < source.pace().0);
    if buckets.len() >= BUCKETS {
        let left = |(source, bucket): &(&Source, &Bucket)| bucket.left_at(source, now) / source.pace().0;
        // What bounds all of them is never forgotten.
        let few = buckets.iter().filter(|(source, _)| !matches!(source, Source::Reports | Source::Grid(_)));
        let fullest = few.max_by(|one, other| left(one).total_cmp(&left(other)));
        if let Some(fullest) = fullest.map(|(source, _)| source.clone()) {
            buckets.remove(&fullest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn wrong_passwords_are_bounded_per_address_and_per_account() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for guess in 0..8 {
            throttle.attempt(&format!("account-{guess}"), address(1), now).unwrap();
        }
        assert_eq!(throttle.attempt("another", address(1), now), Err(REFILL));
        throttle.attempt("another", address(2), now).unwrap();

        for guess in 10..18 {
            throttle.attempt("duty", address(guess), now).unwrap();
        }
        assert!(throttle.attempt("duty", address(99), now).is_err());
        throttle.attempt("duty", address(99), now + REFILL).unwrap();
        assert!(throttle.attempt("duty", address(99), now + REFILL).is_err());
    }

    #[test]
    fn a_right_password_costs_no_attempt() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for _ in 0..100 {
            throttle.attempt("duty", address(1), now).unwrap();
            throttle.right("duty", address(1), now);
        }
    }

    #[test]
    fn a_flood_of_names_neither_fills_memory_nor_frees_the_flooder() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for _ in 0..8 {
            throttle.attempt("duty", address(1), now).unwrap();
        }
        for flood in 0..2 * BUCKETS as u128 {
            let address = IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8 << 96) + (flood << 64)));
            let _ = throttle.attempt(&flood.to_string(), address, now);
        }
        assert!(throttle.buckets.lock().unwrap().len() <= BUCKETS);
        assert!(throttle.attempt("duty", address(1), now).is_err());
    }
}
