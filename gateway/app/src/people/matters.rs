//! What residents wrote, and how to reach them: a file a matter. The journal knows a matter by its id alone.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ninewatch_core::alert::{AlertId, Matter, Scene};
use ninewatch_core::time::TimeMs;

use super::{Refusal, erase, files, has_room, sha256, written_ms};
use crate::journal::DiskRoom;
use crate::private::{self, typable};

/// What a resident sent, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// What their page chose, so that the same sent again is one matter. It is not kept: who sees the matter's id must not
    /// be able to ask for its ticket.
    pub(crate) key: String,
    pub(crate) grid: String,
    pub(crate) scene: Scene,
    pub(crate) text: String,
    pub(crate) place: String,
    pub(crate) phone: String,
}

/// A matter as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reported {
    pub(crate) id: String,
    pub(crate) ticket: String,
    pub(crate) grid: String,
    pub(crate) scene: Scene,
    pub(crate) at_ms: TimeMs,
    /// `None` until the journal has it.
    pub(crate) alert: Option<AlertId>,
    pub(crate) text: String,
    /// Where, in the resident's words; may be empty.
    pub(crate) place: String,
    /// May be empty.
    pub(crate) phone: String,
    pub(crate) answers: Vec<Answer>,
}

/// What staff let the resident read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) at_ms: TimeMs,
    /// The account; the resident does not see it.
    pub(crate) by: String,
    pub(crate) text: String,
}

impl Reported {
    /// What the journal gets of it.
    pub(crate) fn matter(&self) -> Matter {
        Matter { id: self.id.clone(), grid: self.grid.clone(), scene: self.scene }
    }
}

type Tickets = BTreeMap<String, Noted>;

/// What is known of a matter without reading it.
struct Noted {
    id: String,
    grid: String,
}

/// All matters.
pub(crate) struct Matters {
    dir: PathBuf,
    room: Arc<DiskRoom>,
    /// By ticket; `None` where they have not been read yet.
    tickets: Mutex<Option<Tickets>>,
}

/// Some 4 KB each at the most.
const MOST: usize = 5000;
/// A grid's part of them is no less, however many grids there are.
const LEAST_SHARE: usize = 500;
/// What staff answer on one matter.
const MOST_ANSWERS: usize = 20;
/// Three groups of four symbols, 60 bits: guessing is slowed down besides, and it opens one word on how things stand.
const TICKET_GROUPS: usize = 3;

impl Matters {
    pub(super) fn open(dir: &Path, room: Arc<DiskRoom>) -> Self {
        Self { dir: dir.to_owned(), room, tickets: Mutex::default() }
    }

    /// Does something with the tickets, one at a time. They are read when they are wanted first, off the threads that
    /// serve: no door waits for thousands of files at the start.
    fn tickets<T>(&self, with: impl FnOnce(&mut Tickets) -> T) -> anyhow::Result<T> {
        let mut tickets = self.turn();
        if tickets.is_none() {
            let there = kept(&self.dir)?.into_iter().filter_map(|kept| kept.reported);
            *tickets = Some(there.map(|Reported { ticket, id, grid, .. }| (ticket, Noted { id, grid })).collect());
        }
        Ok(with(tickets.get_or_insert_default()))
    }

    /// Keeps what a resident wrote; it is on the disk when this returns. The same again is the one that is there. One of
    /// so many `grids` takes no more than its share, so that a code that leaked fills no other grid's.
    ///
    /// # Errors
    /// Where it is not taken.
    pub(crate) fn keep(&self, written: Written, at_ms: TimeMs, grids: usize) -> Result<Reported, Refusal> {
        self.tickets(|tickets| self.keep_in(tickets, written, at_ms, MOST / grids.max(1)))?
    }

    fn keep_in(
        &self,
        tickets: &mut Tickets,
        written: Written,
        at_ms: TimeMs,
        share: usize,
    ) -> Result<Reported, Refusal> {
        let id = id_of(&written.key);
        if let Some(known) = self.of(&id) {
            return Ok(known);
        }
        let of_the_grid = tickets.values().filter(|noted| noted.grid == written.grid).count();
        if tickets.len() >= MOST || of_the_grid >= share.max(LEAST_SHARE) {
            return Err(Refusal::Full);
        }
        let Written { key: _, grid, scene, text, place, phone } = written;
        let ticket = typable(TICKET_GROUPS)?;
        let reported =
            Reported { id, ticket, grid, scene, at_ms, alert: None, text, place, phone, answers: Vec::new() };
        if !has_room(&self.room, 8192) {
            return Err(Refusal::DiskShort);
        }
        private::make_data_dir(&self.dir)?;
        self.write(&reported)?;
        let noted = Noted { id: reported.id.clone(), grid: reported.grid.clone() };
        tickets.insert(reported.ticket.clone(), noted);
        Ok(reported)
    }

    /// Whether this has been sent before.
    pub(crate) fn knows(&self, key: &str) -> bool {
        self.of(&id_of(key)).is_some()
    }

    /// Notes which alert a matter has become.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn became(&self, id: &str, alert: &AlertId) -> anyhow::Result<()> {
        let _turn = self.turn();
        match self.of(id) {
            Some(reported) if reported.alert.is_none() => {
                self.write(&Reported { alert: Some(alert.clone()), ..reported })
            }
            // It is noted, or its time was over meanwhile.
            _ => Ok(()),
        }
    }

    /// Adds what the resident may read; gives the matter, `None` where there is none.
    ///
    /// # Errors
    /// Where it is not taken.
    pub(crate) fn answer(&self, id: &str, answer: Answer) -> Result<Option<Reported>, Refusal> {
        let _turn = self.turn();
        let Some(mut reported) = self.of(id) else { return Ok(None) };
        if reported.answers.len() >= MOST_ANSWERS {
            return Err(Refusal::TooMany(reported.answers.len()));
        }
        reported.answers.push(answer);
        self.write(&reported)?;
        Ok(Some(reported))
    }

    /// The matter of a ticket, as a person types it.
    ///
    /// # Errors
    /// Where it cannot be read what there is.
    pub(crate) fn of_ticket(&self, ticket: &str) -> anyhow::Result<Option<Reported>> {
        let id = self.tickets(|tickets| tickets.get(&plain(ticket)).map(|noted| noted.id.clone()))?;
        Ok(id.and_then(|id| self.of(&id)))
    }

    /// The matter with this id, as long as it is kept.
    pub(crate) fn of(&self, id: &str) -> Option<Reported> {
        let is_hex = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex.then(|| read(&self.path(id)).ok().flatten())?
    }

    /// Those that the journal may not have: a crash came between.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub(crate) fn left_over(&self) -> anyhow::Result<Vec<Reported>> {
        let all = kept(&self.dir)?.into_iter().filter_map(|kept| kept.reported);
        Ok(all.filter(|reported| reported.alert.is_none()).collect())
    }

    /// Takes away what a power cut left half written.
    pub(super) fn clear_up(&self) -> anyhow::Result<()> {
        let _turn = self.turn();
        files(&self.dir, "new")?.iter().try_for_each(|path| erase(path))
    }

    /// Forgets the tickets of what is no longer kept.
    pub(crate) fn forget(&self) {
        if let Err(error) = self.tickets(|tickets| tickets.retain(|_, noted| self.path(&noted.id).exists())) {
            tracing::error!("what residents reported cannot be read: {error:#}");
        }
    }

    fn turn(&self) -> MutexGuard<'_, Option<Tickets>> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, id: &str) -> PathBuf {
        self.dir.join(format!("{id}.json"))
    }

    fn write(&self, reported: &Reported) -> anyhow::Result<()> {
        private::replace(&self.dir, &format!("{}.json", reported.id), &serde_json::to_vec(reported)?)
    }
}

fn id_of(key: &str) -> String {
    sha256(key.as_bytes()).chars().take(32).collect()
}

/// A ticket as it was given, out of what a person typed: groups, and letters that look like digits.
fn plain(ticket: &str) -> String {
    let symbols = ticket.chars().filter(char::is_ascii_alphanumeric).take(64).map(|symbol| match symbol {
        'o' | 'O' => '0',
        'i' | 'I' | 'l' | 'L' => '1',
        other => other.to_ascii_lowercase(),
    });
    let symbols: Vec<char> = symbols.collect();
    symbols.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

fn read(path: &Path) -> anyhow::Result<Option<Reported>> {
    match fs::read(path) {
        Ok(bytes) => {
            Ok(Some(serde_json::from_slice(&bytes).with_context(|| format!("{} is not readable", path.display()))?))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

/// A matter as a file, for those who delete it.
pub(super) struct Kept {
    pub(super) sha256: String,
    pub(super) at_ms: TimeMs,
    /// `None` where it cannot be understood; it counts as old as its file.
    reported: Option<Reported>,
    path: PathBuf,
}

impl Kept {
    pub(super) fn erase(&self) -> anyhow::Result<()> {
        erase(&self.path)
    }
}

/// All matters of a data folder. One that cannot be read is told and passed over.
pub(super) fn kept(dir: &Path) -> anyhow::Result<Vec<Kept>> {
    let mut kept = Vec::new();
    for path in files(dir, "json")? {
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::error!(file = %path.display(), %error, "what a resident wrote cannot be read");
                continue;
            }
        };
        let reported: Option<Reported> = serde_json::from_slice(&bytes).ok();
        if reported.is_none() {
            tracing::error!(file = %path.display(), "what a resident wrote is damaged; it is deleted with its time");
        }
        let at_ms = reported.as_ref().map_or_else(|| written_ms(&path), |reported| reported.at_ms);
        kept.push(Kept { sha256: sha256(&bytes), at_ms, reported, path });
    }
    Ok(kept)
}
