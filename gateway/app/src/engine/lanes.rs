//! Two lanes into the engine, so that nothing that may be an alarm waits behind a flood of readings.
//!
//! *Preferred*: devices of the life-safety classes, people, brokers and the gateway's own pins. *Routine*: all other
//! devices of the sensor port. A device's lane is known before its message is read, and stays for the length of a
//! connection: the order of what a device sends is never turned round. A broker's stream is not split for the same
//! reason; it needs no more, for no more than a window of it is under way.
//!
//! Both lanes are bounded: who finds no room waits, and is not read meanwhile (deferred). Where the routine lane is
//! full, a connection gets a place each time its turn comes, and in it no more than [`SHARE`] messages; of what is
//! beyond that, some is shed. The order of that is in `docs/decisions/0010-two-lanes.md`.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use ninewatch_core::pipeline::Pipeline;

use super::load::{Load, Shed};
use super::{Acked, Command, Engine, Fate, Inbound, Stopped};

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Preferred,
    Routine,
}

/// How many commands may wait in the preferred lane before those who ask must wait too.
pub(super) const PREFERRED: usize = 256;
/// The same for the routine lane. A command holds up to 16 KiB of messages, some 80 readings, or one longer message.
pub(super) const ROUTINE: usize = 64;
/// Commands out of the preferred lane before one of the routine lane has its turn, whatever waits.
const IN_A_ROW: usize = 8;
/// Commands of the routine lane that are decided before the preferred one is looked at again.
const ROUTINE_TAKE: usize = 16;
/// Messages that a connection may bring in at a turn while the routine lane is full.
pub(super) const SHARE: usize = 16;
/// Turns in a row with more than [`SHARE`] after which a device is told no: a catch-up of a thousand readings comes
/// through, a device that goes on for ever does not.
pub(super) const TURNS: u32 = 64;

/// The sending ends.
#[derive(Clone)]
pub(super) struct Lanes {
    pub(super) preferred: mpsc::Sender<Command>,
    pub(super) routine: mpsc::Sender<Command>,
    pub(super) load: Arc<Load>,
    pub(super) life_safety: Arc<LifeSafety>,
}

impl Lanes {
    pub(super) fn new(load: Arc<Load>) -> (Self, Inbox) {
        let (preferred, from_preferred) = mpsc::channel(PREFERRED);
        let (routine, from_routine) = mpsc::channel(ROUTINE);
        let lanes = Self { preferred, routine, load, life_safety: Arc::default() };
        (lanes, Inbox { preferred: from_preferred, routine: from_routine, in_a_row: 0 })
    }

    /// A place in a lane, when there is one; whether it had to be waited for.
    async fn place(&self, lane: Lane, messages: usize) -> Result<(mpsc::Permit<'_, Command>, bool), Stopped> {
        let sender = match lane {
            Lane::Preferred => &self.preferred,
            Lane::Routine => &self.routine,
        };
        match sender.try_reserve() {
            Ok(place) => Ok((place, false)),
            Err(TrySendError::Closed(())) => Err(Stopped),
            Err(TrySendError::Full(())) => {
                self.load.defer(lane, messages);
                Ok((sender.reserve().await.map_err(|_| Stopped)?, true))
            }
        }
    }

    /// Hands in messages by the preferred lane.
    pub(super) async fn prefer(&self, messages: Vec<Inbound>) -> Result<(), Stopped> {
        self.load.come_in(Lane::Preferred, messages.len());
        let (place, _) = self.place(Lane::Preferred, messages.len()).await?;
        place.send(Command::Messages(messages));
        Ok(())
    }
}

/// The devices of the life-safety classes, and those at which a critical rule looks.
#[derive(Debug, Default)]
pub(super) struct LifeSafety(RwLock<Arc<HashSet<String>>>);

impl LifeSafety {
    /// Learns them from the site that is in force.
    pub(super) fn learn(&self, pipeline: &Pipeline) {
        let site = pipeline.site();
        let devices = site.registry.devices.iter().enumerate();
        let watches_over_life = |index: usize| {
            pipeline.can_be_critical(index)
                || site.sensor_type_of(index).is_some_and(|known| known.class.is_life_safety())
        };
        let ids = devices.filter(|(index, _)| watches_over_life(*index)).map(|(_, device)| device.id.clone()).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ids);
    }

    fn holds(&self, device: &str) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(device)
    }
}

/// A connection's way in.
pub(crate) struct Entrance {
    lanes: Lanes,
    lane: Lane,
    /// Turns in a row in which it brought more than its share and the lane was full.
    over_share: u32,
}

impl Engine {
    /// The way in for a connection of this device.
    pub(crate) fn entrance(&self, device: &str) -> Entrance {
        let lane = if self.lanes.life_safety.holds(device) { Lane::Preferred } else { Lane::Routine };
        Entrance { lanes: self.lanes.clone(), lane, over_share: 0 }
    }
}

impl Entrance {
    #[cfg(test)]
    pub(super) fn lane(&self) -> Lane {
        self.lane
    }

    /// Hands in messages, in order; waits while the engine is behind. Acks come when durable, or at once for what is
    /// refused.
    ///
    /// # Errors
    /// That the engine has stopped.
    pub(crate) async fn submit(&mut self, mut messages: Vec<Inbound>) -> Result<(), Stopped> {
        if self.lane == Lane::Preferred {
            return self.lanes.prefer(messages).await;
        }
        self.lanes.load.come_in(Lane::Routine, messages.len());
        let (place, waited) = self.lanes.place(Lane::Routine, messages.len()).await?;
        if waited && messages.len() > SHARE {
            self.over_share = self.over_share.saturating_add(1);
            shed(&mut messages, self.over_share > TURNS, &self.lanes.load);
        } else {
            self.over_share = 0;
        }
        // The first ones are always taken.
        place.send(Command::Messages(messages));
        Ok(())
    }
}

/// Sheds what may be shed of the messages beyond the share: what has no acknowledgement to wait for, and, where
/// `refusing`, what can be told no.
fn shed(messages: &mut Vec<Inbound>, refusing: bool, load: &Load) {
    let mut index = 0;
    messages.retain(|message| {
        index += 1;
        if index <= SHARE {
            return true;
        }
        match &message.ack {
            None => load.shed(Shed::Dropped, message),
            Some(ack) if refusing && ack.can_refuse => {
                load.shed(Shed::Refused, message);
                // A connection that is gone does not ask any more.
                let _ = ack.to.send(Acked { token: ack.token, fate: Fate::Refused });
            }
            Some(_) => return true,
        }
        false
    });
}

/// The receiving ends.
pub(super) struct Inbox {
    preferred: mpsc::Receiver<Command>,
    routine: mpsc::Receiver<Command>,
    in_a_row: usize,
}

impl Inbox {
    /// Waits for commands and takes as many as are decided together; none when everybody who could ask is gone.
    pub(super) async fn take(&mut self, commands: &mut Vec<Command>, most: usize) {
        if self.try_take(commands, most) {
            return;
        }
        let first = tokio::select! {
            biased;
            Some(command) = self.preferred.recv() => command,
            Some(command) = self.routine.recv() => command,
            else => return,
        };
        commands.push(first);
        self.try_take(commands, most - 1);
    }

    /// Takes what waits, the preferred first; whether there was anything.
    pub(super) fn try_take(&mut self, commands: &mut Vec<Command>, most: usize) -> bool {
        let (before, mut routine, mut preferred) = (commands.len(), 0, false);
        while commands.len() < before + most {
            if self.in_a_row < IN_A_ROW
                && let Ok(command) = self.preferred.try_recv()
            {
                self.in_a_row += 1;
                preferred = true;
                commands.push(command);
                continue;
            }
            let was_due = std::mem::take(&mut self.in_a_row) >= IN_A_ROW;
            match self.routine.try_recv() {
                Ok(command) => {
                    commands.push(command);
                    routine += 1;
                }
                Err(_) if was_due => continue,
                Err(_) => break,
            }
            // What is preferred shall not wait for a long batch to be decided, nor for one to be written.
            if routine == ROUTINE_TAKE || preferred {
                break;
            }
        }
        commands.len() > before
    }
}

#[cfg(test)]
mod tests;
