//! Addresses that fail again and again are turned away early for a while: wrong credentials shall
//! cost little, a TLS handshake costs a millisecond.
//!
//! It goes by address, not by device: whoever knows a device's id could else keep that device out.
//! Any success clears the address, so that a gateway's worth of good devices behind one router is
//! not kept out long for a bad one among them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::network::network;

/// Failures without a success between them before an address is turned away.
const FAILURES: u32 = 20;
/// For how long; and how long a failure is remembered.
const TURNED_AWAY: Duration = Duration::from_secs(5);
const REMEMBERED: Duration = Duration::from_secs(60);
/// Addresses remembered at once; past it the one that is quiet for longest is forgotten.
const ADDRESSES: usize = 1024;

/// The addresses that failed lately.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<HashMap<IpAddr, Failures>>);

#[derive(Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Throttle {
    /// Whether a connection from this address is not even looked at.
    pub(super) fn turns_away(&self, address: IpAddr, now: Instant) -> bool {
        let mut addresses = self.lock();
        let Some(failures) = addresses.get(&network(address)) else { return false };
        if failures.count < FAILURES {
            return false;
        }
        let away = now.duration_since(failures.last) < TURNED_AWAY;
        if !away {
            addresses.remove(&network(address));
        }
        away
    }

    /// Notes that somebody there had no business here.
    pub(super) fn failed(&self, address: IpAddr, now: Instant) {
        let mut addresses = self.lock();
        let address = network(address);
        if addresses.len() >= ADDRESSES && !addresses.contains_key(&address) {
            let quietest = addresses.iter().min_by_key(|(_, failures)| failures.last).map(|(address, _)| *address);
            quietest.map(|address| addresses.remove(&address));
        }
        let failures = addresses.entry(address).or_insert(Failures { count: 0, last: now });
        if now.duration_since(failures.last) > REMEMBERED {
            failures.count = 0;
        }
        failures.count += 1;
        failures.last = now;
    }

    /// Notes that somebody there was let in.
    pub(super) fn succeeded(&self, address: IpAddr) {
        self.lock().remove(&network(address));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, Failures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn an_address_that_keeps_failing_is_turned_away_for_a_while() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        for _ in 1..FAILURES {
            throttle.failed(address(1), start);
        }
        assert!(!throttle.turns_away(address(1), start));
        throttle.failed(address(1), start);
        assert!(throttle.turns_away(address(1), start));
        assert!(!throttle.turns_away(address(2), start), "others are not meant");
        assert!(!throttle.turns_away(address(1), start + TURNED_AWAY));
        assert!(!throttle.turns_away(address(1), start), "it begins anew");
    }

    #[test]
    fn a_success_or_time_clears_an_address() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        for _ in 0..FAILURES {
            throttle.failed(address(1), start);
        }
        throttle.succeeded(address(1));
        assert!(!throttle.turns_away(address(1), start));
        for minutes in 0..2 * FAILURES {
            throttle.failed(address(2), start + Duration::from_secs(61) * minutes);
        }
        assert!(!throttle.turns_away(address(2), start + Duration::from_secs(61) * 2 * FAILURES));
    }

    #[test]
    fn it_remembers_no_more_than_so_many() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        for _ in 0..FAILURES {
            throttle.failed(address(1), start + Duration::from_secs(1));
        }
        for host in 0..2 * ADDRESSES {
            let bits = u32::try_from(host).unwrap() | 0x0a00_0000;
            throttle.failed(IpAddr::V4(bits.into()), start);
        }
        assert_eq!(throttle.lock().len(), ADDRESSES);
        assert!(throttle.turns_away(address(1), start + Duration::from_secs(2)), "the latest is kept");
    }

    #[test]
    fn an_ipv6_host_is_its_network() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for host in 0..FAILURES {
            throttle.failed(format!("2001:db8::{host}").parse().unwrap(), now);
        }
        assert!(throttle.turns_away("2001:db8::ffff".parse().unwrap(), now));
        assert!(!throttle.turns_away("2001:db8:0:1::1".parse().unwrap(), now));
    }
}
