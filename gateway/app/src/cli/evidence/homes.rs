//! What went on in homes, laid out as UCI's "ADLs Recognition Using Binary Sensors" is.

use std::collections::BTreeMap;
use std::io::Write;

use ninewatch_core::detect::routine::Role;
use ninewatch_core::time::{TimeMs, UtcOffset};

use super::folder::Folder;
use super::series::clock;
use super::windows::Sign;

/// A sensor that says again within this that somebody is there has not lost sight of them.
const STILL_ON_MS: i64 = 3_600_000;

/// The file of a place, by its pseudonym.
pub(super) fn path(place: &str) -> String {
    format!("uci-adl/{place}_Sensors.txt")
}

/// Writes the file of a home.
///
/// # Errors
/// Where it cannot be written.
pub(super) fn write(folder: &Folder, file: &str, signs: &[Sign], utc_offset: UtcOffset) -> anyhow::Result<()> {
    // The set knows whole seconds only.
    let clock = |at_ms: TimeMs| clock(utc_offset, at_ms.div_euclid(1000) * 1000);
    folder.write(file, |out| {
        writeln!(out, "Start time\tEnd time\tLocation\tType\tPlace")?;
        intervals(signs).into_iter().try_for_each(|(from_ms, to_ms, role)| {
            // Installers' own words for a room stay at home.
            Ok(writeln!(out, "{}\t{}\t{}", clock(from_ms), clock(to_ms), role.words().join("\t"))?)
        })
    })
}

/// From when to when each switch was on, by time.
fn intervals(signs: &[Sign]) -> Vec<(TimeMs, TimeMs, Role)> {
    let mut signs: Vec<&Sign> = signs.iter().collect();
    signs.sort_by_key(|sign| sign.at_ms);
    let mut found = Vec::new();
    let mut open: BTreeMap<&(String, String), (TimeMs, TimeMs, Role)> = BTreeMap::new();
    for Sign { at_ms, switch, role, on } in signs {
        match open.get_mut(switch) {
            Some((_, seen_ms, _)) if *on && at_ms - *seen_ms <= STILL_ON_MS => *seen_ms = *at_ms,
            Some((_, seen_ms, _)) if !on => {
                *seen_ms = *at_ms;
                found.extend(open.remove(switch));
            }
            None if !on => {}
            _ => found.extend(open.insert(switch, (*at_ms, *at_ms, *role))),
        }
    }
    found.extend(open.into_values());
    found.sort_by_key(|(from_ms, to_ms, _)| (*from_ms, *to_ms));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_on_from_its_first_yes_to_its_no() {
        const MINUTE: i64 = 60_000;
        let sign = |minute: i64, field: &str, on| {
            let switch = ("d".to_owned(), field.to_owned());
            Sign { at_ms: minute * MINUTE, switch, role: Role::Bathroom, on }
        };
        let signs = [
            sign(0, "a", false),
            sign(5, "a", true),
            sign(20, "a", true),
            sign(9, "b", true),
            sign(30, "a", false),
            sign(40, "a", true),
            sign(140, "a", true),
        ];
        let minutes: Vec<_> = intervals(&signs).iter().map(|(from, to, _)| (from / MINUTE, to / MINUTE)).collect();
        assert_eq!(minutes, [(5, 30), (9, 9), (40, 40), (140, 140)]);
    }
}
