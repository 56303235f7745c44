//! What goes out, in which order and in which words.

mod feed;
mod rungs;
mod tls;

use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

use ninewatch_core::alert::{
    Alert, AlertChange, AlertId, AlertSettings, ChangeKind, Scene, Severity, Status, Text, Verdict,
};
use ninewatch_core::duty::Ladders;
use ninewatch_core::pipeline::Settings;
use ninewatch_core::site::{Place as SitePlace, PlaceKind, Registry};
use ninewatch_core::time::UtcOffset;

use super::config::{Kind, NotifyConfig};
use super::ledger::Place;
use super::message::Digest;
use super::pace::Pace;
use super::rungs::Rungs;
use super::waiting::{Next, Waiting};
use super::wording::Wording;
use crate::index::Delivered;
use crate::lang::Lang;

/// 2026-11-28T14:05:00+08:00
const NOON: i64 = 1_795_845_900_000;

fn config(more: &str) -> NotifyConfig {
    toml::from_str(&format!("name = \"duty\"\nkind = \"wecom\"\nurl_file = \"x\"\n{more}")).unwrap()
}

fn registry() -> Registry {
    let place = SitePlace {
        id: "restaurant".into(),
        name: "酸汤鱼馆".into(),
        kind: PlaceKind::Restaurant,
        grid: "kaili-1".into(),
        address: "文化北路 10 号".into(),
    };
    Registry { places: vec![place], devices: Vec::new() }
}

pub(crate) fn change(seq: u64, alert: &str, severity: Severity, kind: ChangeKind) -> AlertChange {
    let text = |zh: &str, en: &str| Text { zh: zh.into(), en: en.into() };
    AlertChange {
        seq,
        at_ms: NOON + i64::try_from(seq).unwrap(),
        kind,
        by: Some("zhao".into()),
        note: Some("张奶奶的女儿".into()),
        alert: Alert {
            id: AlertId::from(alert),
            number: 12,
            gateway: "kaili-01".into(),
            place: "restaurant".into(),
            group: "fire".into(),
            scene: Scene::Fire,
            severity,
            status: if kind == ChangeKind::Closed { Status::Closed } else { Status::Raised },
            title: text("一氧化碳升高", "High CO"),
            reason: text("后厨一氧化碳 158 ppm", "CO at 158 ppm in the kitchen"),
            raised_at_ms: NOON,
            updated_at_ms: NOON,
            recovered_at_ms: (kind == ChangeKind::Recovered).then_some(NOON),
            devices: Vec::new(),
            rules: Vec::new(),
            occurrences: 1,
            escalation: 2,
            accepted_by: Some("zhao".into()),
            dispatched_to: Some("陈医生".into()),
            verdict: (kind == ChangeKind::Closed).then_some(Verdict::FalseAlarm),
            next_rung_at_ms: None,
            drill: false,
            walk_test: None,
        },
        evidence: None,
        action: None,
    }
}

fn settings() -> Settings {
    Settings {
        gateway: "kaili-01".into(),
        utc_offset: UtcOffset::CHINA,
        alerts: AlertSettings::default(),
        registry: registry(),
        sensor_types: Vec::new(),
        rules: Vec::new(),
        models: Vec::new(),
        ladders: Vec::new(),
    }
}

struct Desk {
    waiting: Waiting,
    pace: Pace,
    place: Place,
    config: NotifyConfig,
    now: Instant,
}

impl Desk {
    fn new(more: &str) -> Self {
        let now = Instant::now();
        let pace = Pace::new(Kind::Wecom.limits(), [], now);
        Self { waiting: Waiting::default(), pace, place: Place::default(), config: config(more), now }
    }

    fn take_in(&mut self, seq: u64, alert: &str, severity: Severity, kind: ChangeKind) -> bool {
        self.take_in_change(&change(seq, alert, severity, kind))
    }

    fn take_in_change(&mut self, change: &AlertChange) -> bool {
        let (settings, ladders) = (settings(), Ladders::default());
        let rungs = Rungs { settings: &settings, ladders: &ladders, channels: &[] };
        self.waiting.take_in(change, &self.config, rungs, &self.place)
    }

    fn next(&self) -> Next {
        self.waiting.next(Kind::Wecom, &self.pace, self.now)
    }

    /// Lets the service take what goes out next; gives the alerts in it.
    fn send(&mut self) -> Vec<String> {
        let told = match self.next() {
            Next::One(alert) => vec![self.waiting.get(&alert).unwrap().clone()],
            Next::Digest => self.waiting.digest(self.now),
            Next::AfterQuiet => self.waiting.after_quiet(),
            Next::Nothing(_) => return Vec::new(),
        };
        let is_digest = told.len() > 1;
        self.pace.sent(self.now);
        for telling in &told {
            if is_digest && telling.goes_first() {
                self.waiting.get_mut(&telling.alert.id).unwrap().announced = true;
            } else {
                self.waiting.settle(telling);
                self.place.told.insert(telling.alert.id.clone(), telling.alert.severity);
            }
        }
        told.iter().map(|telling| telling.alert.id.to_string()).collect()
    }
}

use ChangeKind::{Accepted, Annotated, Closed, Escalated, Joined, Raised, Recovered, Repeated, Undone};
use Severity::{Critical, Major, Minor};

#[test]
fn what_is_told_is_what_people_have_to_know() {
    let mut desk = Desk::new("");
    assert!(!desk.take_in(1, "minor", Minor, Raised));
    // Nobody was told that it began.
    assert!(!desk.take_in(2, "minor", Minor, Recovered));
    assert!(!desk.take_in(3, "minor", Minor, Repeated));
    // It has become graver.
    assert!(desk.take_in(4, "minor", Critical, Joined));
    assert_eq!(desk.send(), ["minor"]);
    assert!(!desk.take_in(5, "minor", Critical, Joined));
    assert!(!desk.take_in(6, "minor", Critical, Accepted));
    assert!(desk.take_in(7, "minor", Critical, Escalated));
    // What waits tells the newest state, in one message.
    assert!(desk.take_in(8, "minor", Critical, Closed));
    assert_eq!((desk.send(), desk.send()), (vec!["minor".into()], vec![]));
    // What came while it was said, and is no news by itself.
    desk.take_in(9, "other", Critical, Raised);
    let said = desk.waiting.get(&AlertId::from("other")).unwrap().clone();
    desk.take_in(10, "other", Critical, Accepted);
    desk.waiting.settle(&said);
    assert_eq!(desk.waiting.len(), 0);
    // Nobody has it any more: whoever was told that it began is told that.
    desk.take_in(11, "back", Critical, Raised);
    let said = desk.waiting.get(&AlertId::from("back")).unwrap().clone();
    desk.take_in(12, "back", Critical, Accepted);
    desk.waiting.settle(&said);
    assert!(!desk.take_in(13, "back", Critical, Annotated) && desk.take_in(14, "back", Critical, Undone));
    assert_eq!(desk.send(), ["back"]);
    // What the ledger knows is not told again.
    desk.place.delivered = Delivered { up_to: 20, also: BTreeSet::from([22]), receipted: false };
    assert!(!desk.take_in(20, "a", Critical, Raised) && !desk.take_in(22, "b", Critical, Raised));
    assert!(desk.take_in(21, "c", Critical, Raised));
}

#[test]
fn filters_are_by_severity_scene_grid_place_and_group() {
    let wants = |more: &str| config(more).wants(&change(1, "a", Major, Raised).alert, &registry());
    assert!(wants(""));
    assert!(!wants("severities = [\"critical\"]"));
    assert!(wants("scenes = [\"fire\"]") && !wants("scenes = [\"security\"]"));
    assert!(wants("grids = [\"kaili-1\"]") && !wants("grids = [\"kaili-2\"]"));
    assert!(wants("places = [\"restaurant\"]") && !wants("places = [\"hotel\"]"));
    assert!(wants("groups = [\"fire\"]") && !wants("groups = [\"device_health\"]"));
    assert!(config("grids = [\"kaili-1\"]\nplaces = [\"restaurant\"]").unknown(&registry()).is_empty());
    assert_eq!(config("grids = [\"kaili-2\"]\nplaces = [\"hotel\"]").unknown(&registry()).len(), 2);
    // Where nobody knows the grid, it is told.
    let gone = config("grids = [\"kaili-2\"]").wants(&change(1, "a", Major, Raised).alert, &Registry::default());
    assert!(gone);
}

#[test]
fn critical_alerts_overtake_and_have_a_message_each() {
    let mut desk = Desk::new("");
    for seq in 1..=30 {
        desk.take_in(seq, &format!("major-{seq}"), Major, Raised);
    }
    desk.take_in(31, "critical", Critical, Raised);
    assert_eq!(desk.send(), ["critical"]);
    // Others, until only the reserve is left; then one message for all the rest.
    let one_by_one: Vec<_> = (0..14).flat_map(|_| desk.send()).collect();
    assert_eq!(one_by_one.len(), 14);
    assert_eq!(desk.send().len(), 16);
    assert_eq!(desk.pace.free(desk.now), 4);
    // No second one so soon; a critical alert still goes out at once.
    desk.take_in(32, "late", Major, Raised);
    assert_eq!(desk.next(), Next::Nothing(Some(desk.now + Duration::from_secs(60))));
    desk.take_in(33, "grave", Critical, Raised);
    assert_eq!(desk.next(), Next::One(AlertId::from("grave")));
}

#[test]
fn more_critical_alerts_than_the_service_takes_are_all_named_at_once() {
    let mut desk = Desk::new("");
    for seq in 1..=40 {
        desk.take_in(seq, &format!("c{seq:02}"), Critical, Raised);
    }
    let own: Vec<_> = (0..19).flat_map(|_| desk.send()).collect();
    assert_eq!(own.len(), 19);
    // The twentieth message of the minute names the other twenty-one.
    assert_eq!(desk.send().len(), 21);
    assert_eq!(desk.send(), Vec::<String>::new());
    // And each has its own as the service takes them.
    let mut later = Vec::new();
    while let Next::Nothing(Some(at)) = desk.next() {
        desk.now = at;
        while let Next::One(_) = desk.next() {
            later.extend(desk.send());
        }
        if later.len() >= 21 {
            break;
        }
    }
    assert_eq!(own.into_iter().chain(later).collect::<BTreeSet<_>>().len(), 40);
    assert_eq!(desk.waiting.len(), 0);
}

#[test]
fn what_is_refused_lets_others_pass() {
    let mut desk = Desk::new("");
    desk.take_in(1, "poison", Critical, Raised);
    desk.take_in(2, "sound", Critical, Raised);
    let poison = desk.waiting.get_mut(&AlertId::from("poison")).unwrap();
    (poison.refusals, poison.not_before) = (1, Some(desk.now + Duration::from_secs(300)));
    assert_eq!(desk.send(), ["sound"]);
    assert_eq!(desk.next(), Next::Nothing(Some(desk.now + Duration::from_secs(300))));
    desk.waiting.hurry();
    assert_eq!(desk.send(), ["poison"]);
}

#[test]
fn only_what_is_not_critical_grows_stale() {
    let mut desk = Desk::new("");
    desk.take_in(1, "major", Major, Raised);
    desk.take_in(2, "critical", Critical, Raised);
    for alert in ["major", "critical"] {
        desk.waiting.get_mut(&AlertId::from(alert)).unwrap().attempts = 9;
    }
    assert!(desk.waiting.stale(NOON + 23 * 3_600_000).is_empty());
    let stale = desk.waiting.stale(NOON + 25 * 3_600_000);
    assert_eq!(stale.iter().map(|telling| telling.alert.id.as_str()).collect::<Vec<_>>(), ["major"]);
}

#[test]
fn the_first_line_says_it_all_in_both_languages() {
    let settings = settings();
    let said = |lang: Lang, changes: &[AlertChange], now_ms: i64, longest: usize| {
        let mut waiting = Waiting::default();
        let config = config("severities = [\"critical\", \"major\", \"minor\"]");
        for change in changes {
            let rungs = Rungs { settings: &settings, ladders: &Ladders::default(), channels: &[] };
            assert!(waiting.take_in(change, &config, rungs, &Place::default()));
        }
        let wording = Wording { lang, settings: &settings, now_ms, longest };
        match waiting.digest(Instant::now()).as_slice() {
            [one] => wording.one(one, &[]),
            many => wording.digest(many, Digest::Many),
        }
    };
    let raised = change(1, "a", Critical, Raised);
    let zh = said(Lang::Zh, std::slice::from_ref(&raised), NOON, 2048);
    assert_eq!(
        zh,
        "【紧急】酸汤鱼馆：一氧化碳升高（14:05）。请立即接警并派人到场！\n后厨一氧化碳 158 ppm\n\
         网格 kaili-1 · 第 12 号预警 · 九哨 kaili-01"
    );
    let en = said(Lang::En, std::slice::from_ref(&raised), NOON, 2048);
    assert!(en.starts_with("[CRITICAL] 酸汤鱼馆: High CO (14:05). Accept it NOW and send somebody!\n"), "{en}");
    let mut tested = raised.clone();
    tested.alert.walk_test = Some("w1".into());
    let tested = |lang| said(lang, std::slice::from_ref(&tested), NOON, 2048);
    assert_eq!(tested(Lang::Zh), zh.replacen("【紧急】", "【巡检测试·紧急】", 1), "the mark, and nothing else");
    assert_eq!(tested(Lang::En), en.replacen("[CRITICAL]", "[WALK-TEST · CRITICAL]", 1));
    let escalated = [raised.clone(), change(2, "a", Critical, Escalated)];
    let zh = said(Lang::Zh, &escalated, NOON + 86_400_000, 2048);
    assert!(zh.starts_with("【紧急】酸汤鱼馆：一氧化碳升高（11-28 14:05）无人接警，已第 2 次升级。"), "{zh}");
    let over = [raised.clone(), change(2, "a", Critical, Closed)];
    assert!(
        said(Lang::Zh, &over, NOON, 2048)
            .starts_with("【紧急】酸汤鱼馆：一氧化碳升高（14:05）已办结：误报。无须再处理。")
    );
    let recovered = [raised.clone(), change(2, "a", Critical, Recovered)];
    assert!(said(Lang::En, &recovered, NOON, 2048).contains("(14:05) recovered. Somebody still has to accept"));

    // Nothing of persons: what was measured of them, who they are, who of the staff has it.
    let mut fall = raised.clone();
    fall.alert.scene = Scene::ElderCare;
    fall.alert.reason = Text { zh: "心率 140".into(), en: "heart rate 140".into() };
    for lang in [Lang::Zh, Lang::En] {
        let text = said(lang, std::slice::from_ref(&fall), NOON, 2048);
        for secret in ["140", "zhao", "陈医生", "张奶奶", "文化北路"] {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    }

    // A message about many names as many as fit, and counts all.
    let many: Vec<_> =
        (1..=60).map(|seq| change(seq, &format!("{seq}"), if seq > 57 { Critical } else { Minor }, Raised)).collect();
    for lang in [Lang::Zh, Lang::En] {
        let text = said(lang, &many, NOON, 2048);
        assert!(text.len() <= 2048);
        let named = text.matches("14:05").count();
        assert!((15..60).contains(&named), "{text}");
        let rest = (60 - named).to_string();
        assert!(text.lines().rev().nth(1).unwrap().contains(&rest), "{text}");
        assert!(text.lines().nth(1).unwrap().contains(lang.pick("【紧急】", "[CRITICAL]")), "{text}");
    }
    assert!(said(Lang::Zh, &many, NOON, 2048).starts_with("另有 60 条预警（紧急 3，一般 57），"));
    let cut = said(Lang::Zh, std::slice::from_ref(&raised), NOON, 50);
    assert!(cut.len() <= 50 && cut.ends_with('…'), "{cut}");
}
