//! Those who have connected and are not let in yet: so many, and no more.
//!
//! Strangers cost nothing to send, so what they may hold is bounded apart from what devices hold. Where all places are
//! taken, the address that has most of them gives up its oldest: a device that comes to the point is done by then.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

use crate::network::network;

/// The places.
#[derive(Debug, Default)]
pub(super) struct Arrivals(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    last_serial: u64,
    /// The oldest first.
    places: BTreeMap<u64, (IpAddr, Arc<Notify>)>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    arrivals: Arc<Arrivals>,
    serial: u64,
    pushed_out: Arc<Notify>,
}

impl Arrivals {
    /// Gives a place to a connection from this address; where `most` are taken, somebody is pushed out.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr, most: usize) -> Place {
        let mut waiting = self.lock();
        if waiting.places.len() >= most {
            waiting.push_out();
        }
        waiting.last_serial += 1;
        let (serial, pushed_out) = (waiting.last_serial, Arc::new(Notify::new()));
        waiting.places.insert(serial, (network(address), pushed_out.clone()));
        Place { arrivals: self.clone(), serial, pushed_out }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn push_out(&mut self) {
        let mut of_address: HashMap<IpAddr, (usize, u64)> = HashMap::new();
        for (serial, (address, _)) in self.places.iter().rev() {
            let (count, oldest) = of_address.entry(*address).or_default();
            (*count, *oldest) = (*count + 1, *serial);
        }
        // Of two that have as many, the one that has waited longer.
        let most = of_address.into_values().max_by_key(|(count, oldest)| (*count, std::cmp::Reverse(*oldest)));
        if let Some((_, pushed_out)) = most.and_then(|(_, oldest)| self.places.remove(&oldest)) {
            pushed_out.notify_one();
        }
    }
}

impl Place {
    /// Waits until another gets the place.
    pub(super) async fn pushed_out(&self) {
        self.pushed_out.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.arrivals.lock().places.remove(&self.serial);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    async fn is_pushed_out(place: &Place) -> bool {
        tokio::time::timeout(Duration::ZERO, place.pushed_out()).await.is_ok()
    }

    #[tokio::test]
    async fn whoever_takes_most_places_gives_up_the_oldest() {
        let arrivals = Arc::new(Arrivals::default());
        let device = arrivals.take(address(1), 4);
        let crowd: Vec<_> = (0..3).map(|_| arrivals.take(address(2), 4)).collect();
        let _next = arrivals.take(address(3), 4);
        assert!(is_pushed_out(&crowd[0]).await);
        for place in [&device, &crowd[1], &crowd[2]] {
            assert!(!is_pushed_out(place).await);
        }
        let _next = arrivals.take(address(2), 4);
        assert!(is_pushed_out(&crowd[1]).await, "the oldest of those that are still there");
        assert!(!is_pushed_out(&device).await);
        assert_eq!(arrivals.lock().places.len(), 4);
    }

    #[tokio::test]
    async fn a_place_that_was_given_back_is_free() {
        let arrivals = Arc::new(Arrivals::default());
        let first = arrivals.take(address(1), 2);
        drop(arrivals.take(address(1), 2));
        let _second = arrivals.take(address(1), 2);
        assert!(!is_pushed_out(&first).await);
    }
}
