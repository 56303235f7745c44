//! A roster over time: who is on when, where nobody is, where two shifts meet.

use serde::Serialize;
use std::collections::BTreeSet;

use super::{DAY_MS, Roster, Shift, Title, began_on};
use crate::time::{TimeMs, UtcOffset};

/// A time during which the same people are on duty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Slot {
    /// Included.
    pub from_ms: TimeMs,
    /// Excluded.
    pub to_ms: TimeMs,
    /// Ids. None: nobody is on duty, which nobody should find out by an alert.
    pub people: Vec<String>,
    /// Whether more than one shift is on: both are told.
    pub overlaps: bool,
}

/// Who is on duty as something for a grid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Watch {
    /// As what.
    pub title: Title,
    /// None: for all grids.
    pub grid: Option<String>,
    /// Without a hole, in order.
    pub slots: Vec<Slot>,
}

impl Roster {
    /// Who is on duty from the local midnight at or before `from` on, for so many days. Of each title that has a shift;
    /// grid by grid, of these and of those that shifts name, where any shift of the title is for some grids only.
    pub fn watches(&self, grids: &BTreeSet<String>, offset: UtcOffset, from: TimeMs, days: i64) -> Vec<Watch> {
        let from = offset.midnight_before(from);
        let titles: BTreeSet<Title> = self.shifts.iter().map(|shift| shift.title).collect();
        let mut watches = Vec::new();
        for title in titles {
            let shifts = || self.shifts.iter().filter(|shift| shift.title == title);
            let rows: Vec<Option<String>> = if shifts().all(|shift| shift.grids.is_empty()) {
                vec![None]
            } else {
                let named = shifts().flat_map(|shift| &shift.grids).chain(grids);
                named.collect::<BTreeSet<_>>().into_iter().map(|grid| Some(grid.clone())).collect()
            };
            for grid in rows {
                let slots = self.slots(title, grid.as_deref(), offset, (from, from + days * DAY_MS));
                watches.push(Watch { title, grid, slots });
            }
        }
        watches
    }

    fn slots(&self, title: Title, grid: Option<&str>, offset: UtcOffset, (from, to): (TimeMs, TimeMs)) -> Vec<Slot> {
        let shifts: Vec<&Shift> =
            self.shifts.iter().filter(|shift| shift.title == title && shift.is_for(grid)).collect();
        // Nothing changes but at midnight and where hours begin or end.
        let mut edges = BTreeSet::from([to]);
        for midnight in (from..to).step_by(usize::try_from(DAY_MS).unwrap_or(usize::MAX)) {
            edges.insert(midnight);
            let ends = shifts.iter().filter_map(|shift| shift.hours).map(|hours| hours.ends());
            for minute in ends.flat_map(|(begin, end)| [begin, end]) {
                edges.insert(midnight + i64::from(minute) * 60_000);
            }
        }
        let mut slots: Vec<Slot> = Vec::new();
        for (at, next) in edges.iter().zip(edges.iter().skip(1)) {
            let on = self.on_duty(title, grid, offset, *at);
            let people: Vec<String> = on.into_iter().map(|person| person.id.clone()).collect();
            let is_on = |shift: &&&Shift| began_on(&shift.days, shift.hours, offset, *at).is_some();
            let overlaps = shifts.iter().filter(is_on).count() > 1;
            match slots.last_mut() {
                Some(last) if last.people == people && last.overlaps == overlaps => last.to_ms = *next,
                _ => slots.push(Slot { from_ms: *at, to_ms: *next, people, overlaps }),
            }
        }
        slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFSET: UtcOffset = UtcOffset::CHINA;
    const HOUR: i64 = 3_600_000;
    /// 2026-11-23T00:00+08:00, a Monday.
    const MONDAY: TimeMs = 1_795_363_200_000;

    fn roster(more: &str) -> Roster {
        let people = ["zhao", "qian", "sun"].map(|id| format!("[[person]]\nid = \"{id}\"\nname = \"{id}\"\n")).concat();
        Roster::parse("roster.toml", &format!("{people}{more}")).unwrap()
    }

    fn on(roster: &Roster, title: Title, grid: Option<&str>, at: TimeMs) -> Vec<String> {
        roster.on_duty(title, grid, OFFSET, at).into_iter().map(|person| person.id.clone()).collect()
    }

    #[test]
    fn a_night_shift_belongs_to_the_evening_on_which_it_began() {
        assert_eq!(OFFSET.rfc3339(MONDAY), "2026-11-23T00:00:00.000+08:00");
        let roster = roster(
            "[[shift]]\ntitle = \"duty_officer\"\ndays = [\"mon\"]\nhours = \"20:00-08:00\"\npeople = [\"zhao\"]\n\
             [[shift]]\ntitle = \"duty_officer\"\nhours = \"08:00-20:00\"\npeople = [\"qian\"]\n\
             [[swap]]\nfrom = \"2026-11-23\"\nto = \"2026-11-23\"\noff = \"zhao\"\non = \"sun\"\n",
        );
        let at = |hour: i64| on(&roster, Title::DutyOfficer, None, MONDAY + hour * HOUR);
        assert_eq!(at(0), [""; 0], "nobody was on on Sunday night");
        assert_eq!(at(8), ["qian"]);
        assert_eq!(at(20), ["sun"], "who is on instead");
        assert_eq!(at(31), ["sun"], "also on Tuesday morning: the shift began on Monday");
        assert_eq!(at(32), ["qian"]);
        assert_eq!(at(44), [""; 0]);
        assert_eq!(at(7 * 24 + 20), ["zhao"], "the week after it is as ever");
    }

    #[test]
    fn a_week_shows_who_is_on_and_every_hole() {
        let roster = roster(
            "[[shift]]\ntitle = \"grid_member\"\ngrids = [\"g1\"]\nhours = \"06:00-02:00\"\npeople = [\"zhao\"]\n\
             [[shift]]\ntitle = \"grid_member\"\ngrids = [\"g2\"]\npeople = [\"qian\"]\n\
             [[shift]]\ntitle = \"grid_member\"\ngrids = [\"g2\"]\nhours = \"12:00-13:00\"\npeople = [\"sun\"]\n",
        );
        let grids = BTreeSet::from(["g3".to_owned()]);
        let watches = roster.watches(&grids, OFFSET, MONDAY + 5 * HOUR, 7);
        let names: Vec<_> = watches.iter().map(|watch| watch.grid.as_deref().unwrap()).collect();
        assert_eq!(names, ["g1", "g2", "g3"]);
        let holes = |watch: &Watch| {
            let holes = watch.slots.iter().filter(|slot| slot.people.is_empty());
            holes.map(|slot| ((slot.from_ms - MONDAY) / HOUR, (slot.to_ms - MONDAY) / HOUR)).collect::<Vec<_>>()
        };
        assert_eq!(holes(&watches[0])[..2], [(2, 6), (26, 30)]);
        assert_eq!(holes(&watches[0]).len(), 7);
        assert_eq!(holes(&watches[1]), []);
        assert_eq!(holes(&watches[2]), [(0, 7 * 24)], "a grid that nobody is for");
        let both: Vec<_> = watches[1].slots.iter().filter(|slot| slot.overlaps).collect();
        assert_eq!((both.len(), &both[0].people), (7, &vec!["qian".to_owned(), "sun".to_owned()]));
        for watch in &watches {
            assert_eq!((watch.slots[0].from_ms, watch.slots.last().unwrap().to_ms), (MONDAY, MONDAY + 7 * DAY_MS));
            assert!(watch.slots.windows(2).all(|two| two[0].to_ms == two[1].from_ms));
        }
    }

    #[test]
    fn what_is_wrong_in_a_roster_is_named_with_its_line() {
        let said = |text: &str| {
            let faults = Roster::parse("roster.toml", text).unwrap_err();
            faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        let unknown = said("[[shift]]\ntitle = \"leader\"\npeople = [\"nobody\"]\n");
        assert!(unknown.starts_with("roster.toml:3: ") && unknown.contains("no person `nobody`"), "{unknown}");
        let person = |more: &str| format!("[[person]]\nid = \"a\"\nname = \"A\"\n{more}");
        for (text, word) in [
            (person("phone = \"twelve\"\n"), "not a number"),
            (person("email = \"a@b\"\n"), "not an e-mail address"),
            (person("feishu = \"all\"\n"), "names nobody"),
            (person("feishu = \"\\\"><at\"\n"), "names nobody"),
            (person("[[swap]]\nfrom = \"2026-10-02\"\nto = \"2026-10-01\"\noff = \"a\"\n"), "ends before it begins"),
            (person("[[swap]]\nfrom = \"1.10.\"\nto = \"2026-10-01\"\noff = \"a\"\n"), "2026-10-01"),
            (person("[[shift]]\ntitle = \"guard\"\npeople = []\n"), "nobody is on"),
            (person("[[shift]]\ntitle = \"chief\"\npeople = []\n"), "unknown variant"),
            (person("[[shift]]\ntitle = \"guard\"\nhours = \"25:00-07:00\"\npeople = []\n"), "not hours of a day"),
        ] {
            let said = said(&text);
            assert!(said.contains(word), "{word} is not in: {said}");
        }
    }
}
