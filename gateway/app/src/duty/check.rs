//! What a roster and the ladders lack of each other and of the site, and when nobody is on duty.

use std::collections::BTreeSet;

use ninewatch_core::duty::{Ladders, Roster, Slot, Title, Watch};
use ninewatch_core::fault::Fault;
use ninewatch_core::pipeline::Settings;
use ninewatch_core::time::{TimeMs, UtcOffset};

use crate::lang::{self, Lang};

/// How many days ahead holes are looked for.
const DAYS: i64 = 7;

/// What ladders name and nobody knows: channels, people, titles that no shift has. Such a rung tells whole channels.
pub(crate) fn references(settings: &Settings, roster: &Roster, channels: &[String]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let (ladders, _) = Ladders::compile(&settings.ladders, &settings.registry);
    for source in &settings.ladders {
        let mut fault = |problem: String, mend: &str| faults.push(source.fault("ladder", problem, mend));
        for ladder in ladders.ladders() {
            for (number, rung) in ladder.rungs.iter().enumerate() {
                let of = |what: String| format!("rung {number} of `{}` names {what}", ladder.name);
                for name in rung.channels.iter().filter(|name| !channels.contains(name)) {
                    fault(
                        of(format!("the channel `{name}`, which there is not")),
                        "add [[notify]] of this name to site.toml",
                    );
                }
                for id in rung.people.iter().filter(|id| roster.person(id).is_none()) {
                    fault(
                        of(format!("the person `{id}`, whom nobody knows")),
                        "add them to roster.toml, or correct the id",
                    );
                }
                for title in &rung.titles {
                    if !roster.shifts.iter().any(|shift| shift.title == *title) {
                        let mend = "add a shift of this title to roster.toml; until then whole channels are told";
                        fault(of(format!("`{}`, who are never on duty", title.name())), mend);
                    }
                }
            }
        }
    }
    faults
}

/// The times of the coming week at which nobody is on duty, or two shifts meet, a sentence each.
pub(crate) fn holes(settings: &Settings, roster: &Roster, now: TimeMs, lang: Lang) -> Vec<String> {
    let grids: BTreeSet<String> = settings.registry.places.iter().map(|place| place.grid.clone()).collect();
    let offset = settings.utc_offset;
    let mut said = Vec::new();
    for watch in roster.watches(&grids, offset, now, DAYS) {
        let slots = || watch.slots.iter().filter(|slot| slot.to_ms > now);
        let name = |id: &String| roster.person(id).map_or(id.clone(), |person| person.name.clone());
        for slot in slots().filter(|slot| slot.people.is_empty()) {
            let (who, when) = (who(&watch, lang), span(slot, offset, lang));
            said.push(match lang {
                Lang::Zh => format!("{who}：{when} 无人值班"),
                Lang::En => format!("{who}: nobody is on duty {when}"),
            });
        }
        for slot in slots().filter(|slot| slot.overlaps) {
            let names: Vec<String> = slot.people.iter().map(name).collect();
            let (who, when) = (who(&watch, lang), span(slot, offset, lang));
            said.push(match lang {
                Lang::Zh => format!("{who}：{when} 班次重叠（{}）", names.join("、")),
                Lang::En => format!("{who}: two shifts meet {when} ({})", names.join(", ")),
            });
        }
    }
    said
}

fn who(watch: &Watch, lang: Lang) -> String {
    let title = title(watch.title, lang);
    match (&watch.grid, lang) {
        (None, _) => title.to_owned(),
        (Some(grid), Lang::Zh) => format!("{title}（网格 {grid}）"),
        (Some(grid), Lang::En) => format!("{title} of grid {grid}"),
    }
}

/// The title as people say it.
pub(crate) fn title(title: Title, lang: Lang) -> &'static str {
    match title {
        Title::GridMember => lang.pick("网格员", "Grid member"),
        Title::DutyOfficer => lang.pick("值班员", "Duty officer"),
        Title::Guard => lang.pick("保安", "Guard"),
        Title::FireTeam => lang.pick("微型消防站", "Fire team"),
        Title::Medic => lang.pick("医护", "Medic"),
        Title::Leader => lang.pick("带班领导", "Leader on duty"),
    }
}

/// `星期三 02:00–06:00`, with the day at the end too where it is another.
fn span(slot: &Slot, offset: UtcOffset, lang: Lang) -> String {
    let day = |at: TimeMs| lang::weekday(offset, at, lang);
    let time = |at: TimeMs| offset.rfc3339(at).get(11..16).unwrap_or_default().to_owned();
    let is_midnight = offset.midnight_before(slot.to_ms) == slot.to_ms;
    // Midnight is the end of the day before it.
    let (last, end) = if is_midnight { (slot.to_ms - 1, "24:00".to_owned()) } else { (slot.to_ms, time(slot.to_ms)) };
    let is_one_day = offset.midnight_before(last) == offset.midnight_before(slot.from_ms);
    let (from, begin) = (day(slot.from_ms), time(slot.from_ms));
    if is_one_day { format!("{from} {begin}–{end}") } else { format!("{from} {begin} – {} {end}", day(last)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ninewatch_core::fault::SourceFile;
    use ninewatch_core::site::Registry;

    /// 2026-11-23T00:00+08:00, a Monday.
    const MONDAY: TimeMs = 1_795_363_200_000;

    fn settings(ladders: &str) -> Settings {
        let registry = "[[place]]\nid = \"p\"\nname = \"p\"\nkind = \"home\"\ngrid = \"g1\"\n";
        Settings {
            gateway: "g".into(),
            utc_offset: UtcOffset::CHINA,
            alerts: ninewatch_core::alert::AlertSettings::default(),
            registry: Registry::parse("registry.toml", registry).unwrap(),
            sensor_types: Vec::new(),
            rules: Vec::new(),
            models: Vec::new(),
            ladders: vec![SourceFile { name: "ladders.toml".into(), text: ladders.into() }],
        }
    }

    fn roster(more: &str) -> Roster {
        let people = "[[person]]\nid = \"zhao\"\nname = \"赵敏\"\n[[person]]\nid = \"qian\"\nname = \"钱进\"\n";
        Roster::parse("roster.toml", &format!("{people}{more}")).unwrap()
    }

    #[test]
    fn a_hole_in_the_roster_is_said_as_people_say_it() {
        let shift = |days: &str, hours: &str, who: &str| {
            format!("[[shift]]\ntitle = \"duty_officer\"\ndays = [{days}]\nhours = \"{hours}\"\npeople = [\"{who}\"]\n")
        };
        let days = "\"mon\", \"tue\", \"thu\", \"fri\", \"sat\", \"sun\"";
        let roster = roster(
            &[
                shift(days, "06:00-02:00", "zhao"),
                shift("", "02:00-06:00", "qian"),
                shift("\"wed\"", "05:00-12:00", "qian"),
            ]
            .concat(),
        );
        let said = holes(&settings(""), &roster, MONDAY, Lang::Zh);
        assert_eq!(
            said,
            ["值班员：星期三 12:00 – 星期四 02:00 无人值班", "值班员：星期三 05:00–06:00 班次重叠（钱进）"]
        );
        let said = holes(&settings(""), &roster, MONDAY, Lang::En);
        assert_eq!(said[0], "Duty officer: nobody is on duty Wednesday 12:00 – Thursday 02:00");
        let said = holes(&settings(""), &roster, MONDAY + 5 * 86_400_000, Lang::Zh);
        assert_eq!(said.len(), 2, "of a whole week ahead: {said:?}");
    }

    #[test]
    fn what_a_ladder_names_and_nobody_knows_is_told() {
        let ladder = "[[ladder]]\nname = \"夜间\"\nrung = [{ titles = [\"guard\"], channels = [\"desk\"] },\n\
                      { after = \"2m\", people = [\"sun\", \"zhao\"], channels = [\"desk\", \"head\"] }]\n";
        let said = |roster: &Roster| {
            let faults = references(&settings(ladder), roster, &["desk".into()]);
            faults.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let found = said(&roster(""));
        assert_eq!(found.len(), 3, "{found:?}");
        for (fault, word) in found.iter().zip(["`guard`", "`head`", "`sun`"]) {
            assert!(fault.starts_with("ladders.toml:1: ") && fault.contains(word), "{fault}");
        }
        let guard = roster("[[shift]]\ntitle = \"guard\"\npeople = [\"zhao\"]\n");
        assert_eq!(said(&guard).len(), 2);
    }
}
