//! Ladders, rosters and quiet hours as a channel sees them.

use ninewatch_core::duty::{Ladders, Person, Roster, Title};
use ninewatch_core::fault::SourceFile;

use super::*;
use crate::notify::rungs::Called;

const LADDERS: &str = r#"
[[ladder]]
name = "a"
scenes = ["fire"]
[[ladder.rung]]
titles = ["grid_member"]
channels = ["grid"]
[[ladder.rung]]
after = "2m"
titles = ["duty_officer"]
people = ["zhang"]
channels = ["desk", "hall"]
[[ladder.rung]]
after = "5m"
people = ["zhang"]
channels = ["gone"]

[[quiet]]
hours = "14:00-15:00"
"#;

const ROSTER: &str = r#"
[[person]]
id = "zhao"
name = "赵敏"
phone = "13800138000"
[[person]]
id = "zhang"
name = "张主任"
wecom = "ZhangWei"
feishu = "ou_1"
[[shift]]
title = "grid_member"
grids = ["kaili-1"]
hours = "08:00-14:30"
people = ["zhao"]
"#;

fn named(name: &str) -> NotifyConfig {
    let mut config = config("");
    config.name = name.into();
    config
}

fn with_rungs<T>(look: impl FnOnce(Rungs<'_>) -> T) -> T {
    let mut settings = settings();
    settings.ladders = vec![SourceFile { name: "ladders.toml".into(), text: LADDERS.into() }];
    let (ladders, faults) = Ladders::compile(&settings.ladders, &settings.registry);
    assert!(faults.is_empty(), "{faults:?}");
    let channels = ["grid", "desk", "hall", "other"].map(named);
    look(Rungs { settings: &settings, ladders: &ladders, channels: &channels })
}

fn on_rung(rung: u8, severity: Severity) -> Alert {
    Alert { escalation: rung, ..change(1, "a", severity, if rung == 0 { Raised } else { Escalated }).alert }
}

#[test]
fn a_rung_tells_on_the_channels_that_it_names_and_silences_no_other() {
    let tells = |name: &str, rung: u8| with_rungs(|rungs| rungs.tells(&named(name), &on_rung(rung, Major)));
    assert_eq!(["grid", "desk", "other"].map(|name| tells(name, 0)), [true, false, true]);
    assert_eq!(["grid", "desk", "other"].map(|name| tells(name, 1)), [false, true, true]);
    // Of the channels that it names there is none: all that the ladder names tell.
    assert_eq!(["grid", "desk", "other"].map(|name| tells(name, 2)), [true, true, true]);
    // The ladder was made shorter meanwhile: by its own keys.
    assert!(tells("grid", 7));
    // It names no channel, and none is left besides those that the ladder names.
    let open = LADDERS.replace("channels = [\"grid\"]", "");
    let only = |channels: &[NotifyConfig], name: &str| {
        let mut settings = settings();
        settings.ladders = vec![SourceFile { name: "ladders.toml".into(), text: open.clone() }];
        let (ladders, _) = Ladders::compile(&settings.ladders, &settings.registry);
        Rungs { settings: &settings, ladders: &ladders, channels }.tells(&named(name), &on_rung(0, Major))
    };
    assert!(only(&[named("desk")], "desk") && !only(&[named("desk"), named("other")], "desk"));
    let other_scene = Alert { scene: Scene::Security, ..on_rung(0, Major) };
    assert!(with_rungs(|rungs| rungs.tells(&named("desk"), &other_scene)), "it fits no ladder");
}

#[test]
fn a_siren_sounds_from_its_rung_on_and_in_a_drill_only_if_asked() {
    let sounds = |alert: &Alert, now: i64| with_rungs(|rungs| rungs.sounds(&named("hall"), alert, now));
    assert!(!sounds(&on_rung(0, Critical), NOON));
    assert!(sounds(&on_rung(1, Critical), NOON) && sounds(&on_rung(2, Critical), NOON));
    assert!(!sounds(&on_rung(1, Major), NOON), "14:05 is quiet");
    assert!(sounds(&on_rung(1, Major), NOON + 3_600_000));
    let drill = |group: &str| Alert { group: group.into(), drill: true, ..on_rung(1, Critical) };
    assert!(!sounds(&drill("drill"), NOON) && sounds(&drill("drill_with_siren"), NOON));
}

fn called(kind: Kind, rung: u8, now: i64) -> (Vec<String>, Vec<Title>, bool) {
    let roster = Roster::parse("roster.toml", ROSTER).unwrap();
    let Called { people, unmanned, everybody } =
        with_rungs(|rungs| rungs.called(&roster, kind, &on_rung(rung, Major), &[rung], now));
    (people.into_iter().map(|person| person.id).collect(), unmanned, everybody)
}

#[test]
fn whoever_is_on_duty_is_called_and_where_nobody_is_the_whole_channel() {
    assert_eq!(called(Kind::Wecom, 0, NOON), (vec!["zhao".into()], vec![], false));
    assert_eq!(called(Kind::Wecom, 0, NOON + 1_800_000), (vec![], vec![Title::GridMember], true), "after the shift");
    assert_eq!(called(Kind::Feishu, 0, NOON), (vec![], vec![], true), "on duty, and Feishu does not know them");
    assert_eq!(called(Kind::Feishu, 2, NOON), (vec!["zhang".into()], vec![], false));
    assert_eq!(called(Kind::Wecom, 1, NOON), (vec!["zhang".into()], vec![Title::DutyOfficer], true));
}

fn message(people: &[(&str, &str, &str, &str)]) -> crate::notify::service::Message {
    let person = |(name, phone, id, feishu): &(&str, &str, &str, &str)| Person {
        id: (*name).into(),
        name: (*name).into(),
        phone: (*phone).into(),
        wecom: (*id).into(),
        dingtalk: (*id).into(),
        feishu: (*feishu).into(),
        email: String::new(),
    };
    let people = people.iter().map(person).collect();
    crate::notify::service::Message { id: "1".into(), text: "警<1>".into(), urgent: true, people, event: Vec::new() }
}

#[test]
fn each_service_is_asked_to_call_people_in_its_own_way() {
    let people = message(&[("赵", "13800138000", "", "ou_1"), ("钱", "", "qian", "ou_2")]);
    assert_eq!(
        crate::notify::service::body(Kind::Wecom, &people),
        serde_json::json!({"msgtype": "text", "text": {
            "content": "警<1>", "mentioned_list": ["qian", "@all"], "mentioned_mobile_list": ["13800138000"],
        }})
    );
    assert_eq!(
        crate::notify::service::body(Kind::Dingtalk, &people),
        serde_json::json!({"msgtype": "text", "text": {"content": "警<1>\n@qian @13800138000"},
            "at": {"isAtAll": true, "atUserIds": ["qian"], "atMobiles": ["13800138000"]}})
    );
    let text = "警＜1＞\n<at user_id=\"ou_1\">值班人员</at> <at user_id=\"ou_2\">值班人员</at> <at user_id=\"all\">所有人</at>";
    assert_eq!(
        crate::notify::service::body(Kind::Feishu, &people),
        serde_json::json!({"msg_type": "text", "content": {"text": text}})
    );
}

impl Desk {
    /// Lets it be quiet for what is not critical until an hour from now, of all that happens before `ends_ms`.
    fn quiet_until(&mut self, ends_ms: i64, now_ms: i64) {
        let until = self.now + Duration::from_secs(3600);
        let is_quiet = |alert: &Alert, at: i64| (alert.severity != Critical && at < ends_ms).then_some(until);
        self.waiting.be_quiet(is_quiet, now_ms);
    }
}

#[test]
fn what_waits_for_the_morning_is_told_in_one_message_and_a_critical_alert_does_not_wait() {
    let mut desk = Desk::new("severities = [\"critical\", \"major\", \"minor\"]");
    desk.take_in(1, "a", Minor, Raised);
    desk.take_in(2, "b", Major, Raised);
    desk.take_in(3, "fire", Critical, Raised);
    desk.quiet_until(NOON + 100, NOON + 3);
    assert_eq!(desk.send(), ["fire"]);
    assert!(matches!(desk.next(), Next::Nothing(Some(_))), "it wakes when the quiet ends");
    assert_eq!(desk.waiting.first_seq(), Some(1), "after a stop it is read again");
    // One of them becomes graver than quiet.
    desk.take_in(4, "b", Critical, Joined);
    desk.quiet_until(NOON + 100, NOON + 4);
    assert_eq!(desk.send(), ["b"]);
    desk.take_in(5, "c", Minor, Raised);
    desk.quiet_until(NOON + 100, NOON + 5);
    assert!(desk.send().is_empty());
    desk.take_in(200, "d", Major, Raised);
    desk.quiet_until(NOON + 100, NOON + 200);
    assert_eq!(desk.next(), Next::AfterQuiet);
    assert_eq!(desk.send(), ["a", "c"], "what came after the quiet has a message of its own");
    assert_eq!(desk.send(), ["d"]);
}

#[test]
fn what_is_raised_in_a_walk_test_goes_first_and_sounds_as_what_is_not() {
    let mut desk = Desk::new("");
    desk.take_in(1, "major", Major, Raised);
    let mut tested = change(2, "tested", Critical, Raised);
    tested.alert.walk_test = Some("w1".into());
    desk.take_in_change(&tested);
    desk.take_in(3, "critical", Critical, Raised);
    assert_eq!([desk.send(), desk.send(), desk.send()].concat(), ["tested", "critical", "major"]);
    let sounds = |alert: &Alert| with_rungs(|rungs| rungs.sounds(&named("hall"), alert, NOON));
    assert!(sounds(&Alert { walk_test: Some("w1".into()), ..on_rung(1, Critical) }));
}

#[test]
fn a_drill_keeps_nothing_real_waiting() {
    let mut desk = Desk::new("");
    let mut drill = change(1, "drill", Critical, Raised);
    (drill.alert.drill, drill.alert.group) = (true, "drill".into());
    desk.take_in_change(&drill);
    desk.take_in(2, "major", Major, Raised);
    desk.take_in(3, "critical", Critical, Raised);
    assert_eq!([desk.send(), desk.send(), desk.send()].concat(), ["critical", "major", "drill"]);
    // Nor where the minute is nearly full.
    for _ in 0..12 {
        desk.pace.sent(desk.now);
    }
    desk.take_in_change(&drill);
    desk.take_in(4, "more", Critical, Raised);
    assert_eq!(desk.next(), Next::One(AlertId::from("more")));
}
