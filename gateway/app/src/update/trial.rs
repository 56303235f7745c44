//! Whether a new program delivers: what the former one did, it has to do again.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use ninewatch_core::alert::Text;
use ninewatch_core::time::TimeMs;

/// What a program did before it made room for a newer one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Baseline {
    /// Upstreams that were connected, and whether they have sent receipts.
    pub(super) upstreams: BTreeMap<String, bool>,
    /// Devices that were heard again and again.
    pub(super) devices: BTreeSet<String>,
    /// What ailed it (name and part), of what is major or critical.
    pub(super) ailments: BTreeSet<(String, String)>,
}

/// What the new program does, at a moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Shown {
    /// Upstreams that are connected, and whether a receipt has come since the start.
    pub(super) upstreams: BTreeMap<String, bool>,
    /// Devices that were heard since the start.
    pub(super) devices: BTreeSet<String>,
    /// What ails it, with words.
    pub(super) ailments: BTreeMap<(String, String), Text>,
}

impl Baseline {
    /// What is still not as it was before; nothing where it delivers.
    pub(super) fn lacks(&self, shown: &Shown) -> Vec<Text> {
        let mut lacks = Vec::new();
        for (name, receipts) in &self.upstreams {
            match shown.upstreams.get(name) {
                None => lacks.push(Text {
                    zh: format!("上级平台 {name} 未连接"),
                    en: format!("the upstream {name} is not connected"),
                }),
                Some(false) if *receipts => lacks.push(Text {
                    zh: format!("上级平台 {name} 未确认任何消息"),
                    en: format!("the upstream {name} has acknowledged nothing"),
                }),
                Some(_) => {}
            }
        }
        let back = self.devices.intersection(&shown.devices).count();
        // Some may have gone for reasons of their own.
        if back * 2 < self.devices.len() {
            let (of, example) = (self.devices.len(), self.devices.difference(&shown.devices).next());
            let example = example.map_or("", String::as_str);
            lacks.push(Text {
                zh: format!("原先定时上报的 {of} 台设备只恢复 {back} 台（例如 {example} 未上报）"),
                en: format!("of {of} devices that reported regularly {back} are back (not {example}, for one)"),
            });
        }
        for ((name, part), text) in &shown.ailments {
            if !self.ailments.contains(&(name.clone(), part.clone())) {
                lacks.push(Text {
                    zh: format!("新出现的故障 {part}：{}", text.zh),
                    en: format!("{part} ails newly: {}", text.en),
                });
            }
        }
        lacks
    }
}

/// Devices that are heard again and again, as looks some time apart show it.
#[derive(Debug, Default)]
pub(super) struct Regular {
    seen: BTreeMap<String, (TimeMs, u8)>,
}

/// So many looks in a row.
const LOOKS: u8 = 2;

impl Regular {
    /// Takes when each device was heard last.
    pub(super) fn look(&mut self, heard: impl IntoIterator<Item = (String, TimeMs)>) {
        let before = std::mem::take(&mut self.seen);
        for (device, at) in heard {
            let looks = match before.get(&device) {
                Some((last, looks)) if at > *last => looks.saturating_add(1),
                _ => 0,
            };
            self.seen.insert(device, (at, looks));
        }
    }

    /// Those that were heard anew at each of the last looks.
    pub(super) fn devices(&self) -> BTreeSet<String> {
        self.seen.iter().filter(|(_, (_, looks))| *looks >= LOOKS).map(|(device, _)| device.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(devices: &[&str]) -> BTreeSet<String> {
        devices.iter().map(|device| (*device).to_owned()).collect()
    }

    #[test]
    fn what_was_there_before_has_to_come_back_and_nothing_else() {
        let ailment = |part: &str| ("upstream_down".to_owned(), part.to_owned());
        let text = || Text { zh: "断".into(), en: "down".into() };
        let baseline = Baseline {
            upstreams: [("city".to_owned(), true), ("plain".to_owned(), false)].into(),
            devices: set(&["a", "b", "c"]),
            ailments: [ailment("upstream:old")].into(),
        };
        let mut shown = Shown::default();
        let said: Vec<String> = baseline.lacks(&shown).into_iter().map(|text| text.en).collect();
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[0].contains("city is not connected") && said[2].contains("of 3 devices"), "{said:?}");
        shown.upstreams = [("city".to_owned(), false), ("plain".to_owned(), false)].into();
        shown.devices = set(&["a", "b"]);
        shown.ailments = [(ailment("upstream:old"), text())].into();
        let said = baseline.lacks(&shown);
        assert!(said.len() == 1 && said[0].en.contains("city has acknowledged nothing"), "{said:?}");
        shown.upstreams.insert("city".into(), true);
        assert_eq!(baseline.lacks(&shown), []);
        shown.ailments.insert(ailment("upstream:new"), text());
        assert!(baseline.lacks(&shown)[0].en.contains("upstream:new"));
        assert_eq!(
            Baseline::default().lacks(&Shown::default()),
            [],
            "a gateway that did nothing yet has nothing to show"
        );
    }

    #[test]
    fn a_button_that_was_pressed_once_is_not_waited_for() {
        let mut regular = Regular::default();
        for look in 0..=i64::from(LOOKS) {
            regular.look([("smoke".to_owned(), 1000 * look), ("button".to_owned(), 5)]);
        }
        assert_eq!(regular.devices(), set(&["smoke"]));
        regular.look([("smoke".to_owned(), 2000)]);
        assert_eq!(regular.devices(), set(&[]), "it has not been heard since the last look");
    }
}
