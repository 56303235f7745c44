//! What an address may cost that fails again and again: wrong credentials shall be cheap, and a TLS handshake is not.
//!
//! It goes by address, not by device: whoever knows a device's id could else keep that device out. And it bounds what
//! failing costs in a second, instead of shutting the address out: behind one router stand a bad device and a good one.
//! Secrets are random and long ([`crate::registry_file::Secret`]); nobody is kept from guessing here.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::network::network;

/// What looking at a connection costs: a CONNECT and a SHA-256 some 20 µs, a TLS handshake a millisecond, of a
/// processor from 2015 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Plain,
    Tls,
}

impl Look {
    fn cost(self) -> f64 {
        match self {
            Self::Plain => 1.0,
            Self::Tls => 25.0,
        }
    }
}

/// What an address may cost at once and per second before it is turned away unseen: 500 plain connections or 20
/// handshakes, 1 to 2 % of a core.
const LOOKS: f64 = 500.0;
/// Addresses remembered at once; past it the one that failed least is forgotten.
const ADDRESSES: usize = 1024;

/// The addresses that failed lately.
#[derive(Debug)]
pub(super) struct Throttle {
    at_once: f64,
    per_s: f64,
    addresses: Mutex<HashMap<IpAddr, Left>>,
}

/// What an address may still cost, as of a moment.
#[derive(Debug, Clone, Copy)]
struct Left {
    looks: f64,
    at: Instant,
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new(LOOKS, LOOKS)
    }
}

impl Throttle {
    pub(super) fn new(at_once: f64, per_s: f64) -> Self {
        Self { at_once, per_s, addresses: Mutex::default() }
    }

    /// Whether a connection from this address is not even looked at.
    pub(super) fn turns_away(&self, address: IpAddr, look: Look, now: Instant) -> bool {
        let addresses = self.lock();
        addresses.get(&network(address)).is_some_and(|left| self.left(left, now) < look.cost())
    }

    /// Notes that somebody there had no business here.
    pub(super) fn failed(&self, address: IpAddr, look: Look, now: Instant) {
        let mut addresses = self.lock();
        let address = network(address);
        if addresses.len() >= ADDRESSES && !addresses.contains_key(&address) {
            addresses.retain(|_, left| self.left(left, now) < self.at_once);
            if addresses.len() >= ADDRESSES {
                let fullest = addresses.iter().max_by(|(_, one), (_, other)| one.looks.total_cmp(&other.looks));
                fullest.map(|(address, _)| *address).map(|address| addresses.remove(&address));
            }
        }
        let left = addresses.entry(address).or_insert(Left { looks: self.at_once, at: now });
        *left = Left { looks: (self.left(left, now) - look.cost()).max(0.0), at: now };
    }

    fn left(&self, left: &Left, now: Instant) -> f64 {
        (left.looks + self.per_s * now.saturating_duration_since(left.at).as_secs_f64()).min(self.at_once)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, Left>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn fail(throttle: &Throttle, from: IpAddr, times: u32, look: Look, now: Instant) {
        (0..times).for_each(|_| throttle.failed(from, look, now));
    }

    #[test]
    fn what_an_address_may_cost_is_bounded_and_comes_back() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        fail(&throttle, address(1), 499, Look::Plain, start);
        assert!(!throttle.turns_away(address(1), Look::Plain, start));
        assert!(throttle.turns_away(address(1), Look::Tls, start), "a handshake costs more than is left");
        throttle.failed(address(1), Look::Plain, start);
        assert!(throttle.turns_away(address(1), Look::Plain, start));
        assert!(!throttle.turns_away(address(2), Look::Tls, start), "others are not meant");
        let soon = start + Duration::from_millis(4);
        assert!(!throttle.turns_away(address(1), Look::Plain, soon), "a good one among them is not shut out");
        assert!(!throttle.turns_away(address(1), Look::Tls, start + Duration::from_millis(60)));
    }

    #[test]
    fn handshakes_are_bounded_sooner() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        fail(&throttle, address(1), 20, Look::Tls, start);
        assert!(throttle.turns_away(address(1), Look::Tls, start));
        assert!(!throttle.turns_away(address(1), Look::Tls, start + Duration::from_millis(60)));
    }

    #[test]
    fn it_remembers_no_more_than_so_many() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        fail(&throttle, address(1), 500, Look::Plain, start);
        for host in 0..2 * ADDRESSES {
            let bits = u32::try_from(host).unwrap() | 0x0a00_0000;
            throttle.failed(IpAddr::V4(bits.into()), Look::Plain, start);
        }
        assert_eq!(throttle.lock().len(), ADDRESSES);
        assert!(throttle.turns_away(address(1), Look::Plain, start), "the worst is kept");
    }

    #[test]
    fn an_ipv6_host_is_its_network() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for host in 0..20 {
            throttle.failed(format!("2001:db8::{host}").parse().unwrap(), Look::Tls, now);
        }
        assert!(throttle.turns_away("2001:db8::ffff".parse().unwrap(), Look::Tls, now));
        assert!(!throttle.turns_away("2001:db8:0:1::1".parse().unwrap(), Look::Tls, now));
    }
}
