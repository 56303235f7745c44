//! Who is connected: take-over, the limit per device, and the way down to a device.

use mqtt_protocol_core::mqtt::packet::Qos;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, oneshot};

use super::credentials::Proof;
use super::ending::End;

/// Messages that may wait for one connection.
const WAITING: usize = 16;

/// All connections that were let in, by device.
#[derive(Debug)]
pub(super) struct Roster {
    devices: Mutex<HashMap<Arc<str>, Record>>,
    last_serial: AtomicU64,
    per_device: usize,
}

#[derive(Debug, Default)]
struct Record {
    here: Vec<Entry>,
    /// What clients that went away left open, the latest last.
    left: Vec<(Arc<str>, PacketIds)>,
}

#[derive(Debug)]
struct Entry {
    serial: u64,
    client_id: Arc<str>,
    proof: Proof,
    cut: Option<oneshot::Sender<End>>,
    gone: oneshot::Receiver<()>,
    downlink: mpsc::Sender<Downward>,
    subscriptions: Subscriptions,
}

/// QoS 2 messages that were taken and wait for their PUBREL.
pub(super) type PacketIds = HashSet<u16>;

/// What a device subscribed to, at which QoS: all that it can be is its own downlink.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Subscriptions {
    /// `ninewatch/{device}/downlink`
    pub(super) exact: Option<Qos>,
    /// `ninewatch/{device}/downlink/#`
    pub(super) tree: Option<Qos>,
}

/// A message on its way to a device.
#[derive(Debug)]
pub(super) struct Downward {
    pub(super) topic: Arc<str>,
    pub(super) payload: Arc<[u8]>,
    pub(super) qos: Qos,
}

/// A connection's place in the roster, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    roster: Arc<Roster>,
    device: Arc<str>,
    client_id: Arc<str>,
    serial: u64,
    /// Told by being dropped, after the place is given up.
    _gone: oneshot::Sender<()>,
}

/// What a connection gets with its seat.
pub(super) struct Seated {
    pub(super) seat: Seat,
    /// Why it is cut off, when it is.
    pub(super) cut: oneshot::Receiver<End>,
    pub(super) downlink: mpsc::Receiver<Downward>,
    /// Where this takes over a connection: when that one is gone.
    pub(super) former: Option<oneshot::Receiver<()>>,
}

impl Roster {
    pub(super) fn new(per_device: usize) -> Self {
        Self { devices: Mutex::default(), last_serial: AtomicU64::new(0), per_device }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Record>> {
        // What is done under the lock cannot leave it half done.
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a seat to a connection of this device, and cuts off the one that has the same client
    /// id. `None` where the device has all the connections that it may have.
    pub(super) fn seat(self: &Arc<Self>, device: &Arc<str>, client_id: Arc<str>, proof: Proof) -> Option<Seated> {
        let (cut, on_cut) = oneshot::channel();
        let (gone, on_gone) = oneshot::channel();
        let (downlink, messages) = mpsc::channel(WAITING);
        let serial = self.last_serial.fetch_add(1, Relaxed);
        let entry = Entry {
            serial,
            client_id: client_id.clone(),
            proof,
            cut: Some(cut),
            gone: on_gone,
            downlink,
            subscriptions: Subscriptions::default(),
        };
        let mut devices = self.lock();
        let record = devices.entry(device.clone()).or_default();
        let full = record.here.len() >= self.per_device;
        let former = match record.here.iter_mut().find(|entry| entry.client_id == client_id) {
            Some(same) => {
                let mut former = std::mem::replace(same, entry);
                former.cut_off(End::TakenOver);
                Some(former.gone)
            }
            None if full => return None,
            None => {
                record.here.push(entry);
                None
            }
        };
        drop(devices);
        let seat = Seat { roster: self.clone(), device: device.clone(), client_id, serial, _gone: gone };
        Some(Seated { seat, cut: on_cut, downlink: messages, former })
    }

    /// Cuts off every connection that `stays` does not hold for.
    pub(super) fn cut_off(&self, end: End, stays: impl Fn(&str, &Proof) -> bool) {
        for (device, record) in self.lock().iter_mut() {
            for entry in record.here.iter_mut().filter(|entry| !stays(device, &entry.proof)) {
                entry.cut_off(end);
            }
        }
    }
}

impl Entry {
    fn cut_off(&mut self, end: End) {
        if let Some(cut) = self.cut.take() {
            // It may be about to end by itself.
            let _ = cut.send(end);
        }
    }
}

impl Seat {
    pub(super) fn device(&self) -> &Arc<str> {
        &self.device
    }

    /// What the client left open when it last went away.
    pub(super) fn resume(&self) -> PacketIds {
        let mut devices = self.roster.lock();
        let left = devices.get_mut(&self.device).map(|record| &mut record.left);
        let position =
            left.as_ref().and_then(|left| left.iter().position(|(client_id, _)| *client_id == self.client_id));
        left.zip(position).map(|(left, position)| left.remove(position).1).unwrap_or_default()
    }

    /// Puts these subscriptions in force.
    pub(super) fn subscribe(&self, subscriptions: Subscriptions) {
        let mut devices = self.roster.lock();
        let entries = devices.get_mut(&self.device).into_iter().flat_map(|record| &mut record.here);
        entries.filter(|entry| entry.serial == self.serial).for_each(|entry| entry.subscriptions = subscriptions);
    }

    /// Gives the seat up and leaves what is open to the client's next connection. As many clients
    /// of a device are remembered as may be connected.
    pub(super) fn leave(self, open: PacketIds) {
        if open.is_empty() {
            return;
        }
        let mut devices = self.roster.lock();
        let Some(record) = devices.get_mut(&self.device) else { return };
        if record.left.len() >= self.roster.per_device {
            record.left.remove(0);
        }
        record.left.push((self.client_id.clone(), open));
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut devices = self.roster.lock();
        if let Some(record) = devices.get_mut(&self.device) {
            record.here.retain(|entry| entry.serial != self.serial);
            if record.here.is_empty() && record.left.is_empty() {
                devices.remove(&self.device);
            }
        }
    }
}

/// Sends messages down to connected devices. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Downlink {
    pub(super) roster: Arc<Roster>,
}

impl Downlink {
    /// Sends `payload` to each connection of `device` that subscribed to it, on
    /// `ninewatch/{device}/downlink`, or below that where there is a `subtopic`. Says whether
    /// anybody was there to take it; it is not kept for later.
    pub(crate) fn send(&self, device: &str, subtopic: &str, payload: &[u8]) -> bool {
        let separator = if subtopic.is_empty() { "" } else { "/" };
        let topic: Arc<str> = format!("ninewatch/{device}/downlink{separator}{subtopic}").into();
        let payload: Arc<[u8]> = payload.into();
        let mut anybody = false;
        for entry in self.roster.lock().get(device).into_iter().flat_map(|record| &record.here) {
            let Subscriptions { exact, tree } = entry.subscriptions;
            let exact = exact.filter(|_| subtopic.is_empty());
            // Where two subscriptions match, the better QoS counts.
            let Some(qos) = exact.into_iter().chain(tree).max_by_key(|qos| *qos as u8) else { continue };
            let message = Downward { topic: topic.clone(), payload: payload.clone(), qos };
            anybody |= entry.downlink.try_send(message).is_ok();
        }
        anybody
    }
}
