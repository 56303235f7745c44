//! A day of a community as duty staff would see it, for looking at the pages with one's own eyes:
//!
//! `cargo test -p ninewatch serve_sample -- --ignored --nocapture` serves it until Ctrl-C;
//! `NINEWATCH_SAMPLE=127.0.0.1:8090` says where. A line on standard input raises one more alert.

use std::io::BufRead;
use std::sync::{Arc, Mutex};

use ninewatch_core::ailment::Ailment;
use ninewatch_core::alert::{
    Evidence, Finding, MovedBy, Scene, Score, Series, Severity, Signal, StaffAction, Text, Verb, Verdict,
};
use ninewatch_core::detect::{DeviceStatus, FieldValue, Latest};
use ninewatch_core::site::{Device, PersonCategory, Place, PlaceKind, Registry};
use ninewatch_core::time::TimeMs;

use super::desk::{Broker, Desk, Played, text};
use crate::clock::Clock;

const MINUTE: TimeMs = 60_000;

/// (id, name, kind, person, devices as (name, class, spot))
type Row = (
    &'static str,
    &'static str,
    PlaceKind,
    Option<PersonCategory>,
    &'static [(&'static str, &'static str, &'static str)],
);

#[rustfmt::skip]
const PLACES: [Row; 13] = [
    ("school", "希望小学", PlaceKind::School, None,
        &[("camera", "face-camera", "校门"), ("door", "door", "校门"), ("smoke", "smoke", "食堂"), ("power", "electrical", "配电箱")]),
    ("clinic", "康宁诊所", PlaceKind::Clinic, None,
        &[("door", "door", "前门"), ("smoke", "smoke", "候诊室"), ("sos", "sos", "诊室"), ("water", "water", "水泵间")]),
    ("shop", "苗岭便利店", PlaceKind::Shop, None,
        &[("door", "door", "卷帘门"), ("presence", "presence", "店堂"), ("camera", "face-camera", "收银台")]),
    ("restaurant", "酸汤鱼馆", PlaceKind::Restaurant, None,
        &[("gas", "gas", "后厨"), ("smoke", "smoke", "大堂"), ("power", "electrical", "配电箱")]),
    ("hotel", "清水江旅馆", PlaceKind::Hotel, None,
        &[("smoke", "smoke", "三楼走廊"), ("camera", "face-camera", "前台"), ("door", "door", "后门")]),
    ("ktv", "芦笙歌城", PlaceKind::Entertainment, None,
        &[("camera", "face-camera", "入口"), ("smoke", "smoke", "包间"), ("power", "electrical", "配电箱")]),
    ("netbar", "星空网吧", PlaceKind::InternetCafe, None,
        &[("camera", "face-camera", "入口"), ("smoke", "smoke", "大厅"), ("power", "electrical", "机房")]),
    ("bath", "温泉浴室", PlaceKind::BeautyBath, None,
        &[("water", "water", "锅炉房"), ("gas", "gas", "锅炉房"), ("smoke", "smoke", "走廊")]),
    ("workshop", "银饰作坊", PlaceKind::Workshop, None,
        &[("smoke", "smoke", "车间"), ("smoke-2", "smoke", "库房"), ("power", "electrical", "车间"), ("gas", "gas", "熔炼间")]),
    ("home-yang", "杨奶奶家", PlaceKind::Home, Some(PersonCategory::ElderAlone),
        &[("bracelet", "bracelet", "随身"), ("presence", "presence", "卧室"), ("sos", "sos", "床头"), ("gas", "gas", "厨房")]),
    ("home-wu", "吴爷爷家", PlaceKind::Home, Some(PersonCategory::ElderAlone),
        &[("bracelet", "bracelet", "随身"), ("presence", "presence", "卧室"), ("sos", "sos", "床头")]),
    ("home-long", "龙家", PlaceKind::Home, Some(PersonCategory::Disabled),
        &[("sos", "sos", "轮椅"), ("gas", "gas", "厨房"), ("presence", "presence", "卧室")]),
    ("waterworks", "城北水厂", PlaceKind::KeySite, None,
        &[("camera", "face-camera", "大门"), ("door", "door", "泵房"), ("hydrant", "water", "市政消火栓")]),
];

/// The places and devices of the sample.
pub(super) fn registry() -> Registry {
    let mut registry = Registry::default();
    for (index, (id, name, kind, person, devices)) in PLACES.iter().enumerate() {
        registry.places.push(Place {
            id: (*id).into(),
            name: (*name).into(),
            kind: *kind,
            grid: format!("kaili-{}", 1 + index / 7),
            address: format!("凯里市文化北路 {} 号", 10 + 2 * index),
        });
        registry.devices.extend(devices.iter().map(|(device, class, spot)| Device {
            id: format!("{id}-{device}"),
            sensor_type: format!("ninewatch-{class}"),
            place: (*id).into(),
            spot: (*spot).into(),
            known_as: String::new(),
            person: *person,
            secret: String::new(),
        }));
    }
    registry
}

/// How the devices are at `now`: most well, one silent, one with an old battery, one with a wrong clock.
pub(super) fn statuses(registry: &Registry, now: TimeMs) -> Vec<DeviceStatus> {
    let values = |sensor_type: &str| -> &[(&str, &str, f64)] {
        match sensor_type {
            "ninewatch-smoke" => {
                &[("smoke_alarm", "", 0.0), ("obscuration_percent_m", "%/m", 0.3), ("temperature_c", "°C", 21.4)]
            }
            "ninewatch-gas" => &[("co_ppm", "ppm", 2.1), ("lel_percent", "%LEL", 0.6)],
            "ninewatch-electrical" => &[
                ("residual_current_ma", "mA", 18.2),
                ("cable_temperature_c", "°C", 36.7),
                ("current_a", "A", 11.4),
                ("voltage_v", "V", 228.3),
            ],
            "ninewatch-bracelet" => &[
                ("heart_rate_bpm", "bpm", 74.0),
                ("spo2_percent", "%", 97.2),
                ("body_temperature_c", "°C", 36.5),
                ("worn", "", 1.0),
            ],
            "ninewatch-door" => &[("open", "", 0.0)],
            "ninewatch-presence" => &[("presence", "", 1.0), ("light_lux", "lx", 12.4)],
            "ninewatch-sos" => &[("sos", "", 0.0)],
            "ninewatch-water" => &[("pressure_mpa", "MPa", 0.312), ("leak", "", 0.0)],
            _ => &[("online", "", 1.0)],
        }
    };
    let status = |(index, device): (usize, &Device)| {
        let silent = device.id == "bath-gas";
        let battery_powered = matches!(
            &*device.sensor_type,
            "ninewatch-smoke" | "ninewatch-door" | "ninewatch-sos" | "ninewatch-bracelet"
        );
        #[allow(clippy::cast_possible_wrap, clippy::cast_precision_loss)]
        DeviceStatus {
            device: device.id.clone(),
            seen_ms: (device.id != "clinic-water")
                .then(|| now - if silent { 95 * MINUTE } else { index as i64 * 1700 }),
            silent,
            battery_percent: battery_powered
                .then(|| if device.id == "hotel-smoke" { 8.0 } else { (97 - index) as f64 }),
            skew_ms: if device.id == "ktv-power" { Some(-94_000) } else { Some(index as i64 % 5 * 12 - 20) },
            values: values(&device.sensor_type)
                .iter()
                .filter(|_| device.id != "clinic-water")
                .map(|(field, unit, value)| FieldValue {
                    field: (*field).into(),
                    unit: (*unit).to_owned(),
                    at_ms: now,
                    value: Latest::Number(*value),
                })
                .collect(),
        }
    };
    registry.devices.iter().enumerate().map(status).collect()
}

/// What happens in the sample, so many minutes before now.
enum Act {
    Raise(Box<Finding>),
    Clear(&'static str, &'static str),
    /// On the alert that holds this device and rule.
    Staff(&'static str, &'static str, &'static str, Verb, Option<&'static str>),
}

/// A finding without evidence but its reason.
pub(super) fn finding(
    device: &str,
    rule: &str,
    scene: Scene,
    severity: Severity,
    title: Text,
    reason: Text,
) -> Finding {
    let place = registry().device(device).unwrap().place.clone();
    let group = match rule {
        "fire-heat" => "fire",
        rule if rule.starts_with("device-") => "device_health",
        rule => rule,
    };
    let evidence =
        Evidence { at_ms: 0, device: device.into(), rule: rule.into(), reason, series: Vec::new(), score: None };
    Finding { place, group: group.into(), scene, severity, lasting: rule != "fall", title, evidence }
}

/// A curve that ends at the moment: `at` gives its value for 0 to 1.
fn curve(field: &str, unit: &str, minutes: f64, count: u32, threshold: Option<f64>, at: impl Fn(f64) -> f64) -> Series {
    #[allow(clippy::cast_possible_truncation)]
    let point = |index: u32| {
        let part = f64::from(index) / f64::from(count - 1);
        let wobble = (f64::from(index) * 2.4).sin() * 0.012 * at(1.0).abs();
        (((part - 1.0) * minutes * 60_000.0) as TimeMs, ((at(part) + wobble) * 100.0).round() / 100.0)
    };
    Series { field: field.into(), unit: unit.into(), points: (0..count).map(point).collect(), threshold }
}

/// A switch that goes on and off at these minutes before the moment.
fn switch(field: &str, turns: &[(f64, f64)]) -> Series {
    #[allow(clippy::cast_possible_truncation)]
    let points = turns.iter().map(|(minutes, value)| ((-minutes * 60_000.0) as TimeMs, *value)).collect();
    Series { field: field.into(), unit: String::new(), points, threshold: None }
}

/// How hard the wrist moved around a fall, 50 samples a second.
fn fall() -> (Vec<Series>, Score) {
    let channel = |field: &str, unit: &str, rest: f64, hit: f64| {
        let value = |index: i32| {
            let t = f64::from(index) / 50.0;
            let blow = hit * (-((t - 2.1) / 0.09).powi(2)).exp() - rest * 0.7 * (-((t - 1.75) / 0.16).powi(2)).exp();
            let walk = if t < 1.6 { (t * 11.0).sin() * 0.06 * hit } else { 0.0 };
            ((rest + blow + walk).abs() * 1000.0).round() / 1000.0
        };
        let points = (0..200).map(|index| (TimeMs::from(index) * 20 - 4000, value(index))).collect();
        Series { field: field.into(), unit: unit.into(), points, threshold: None }
    };
    let series = vec![channel("|ax ay az|", "m/s²", 9.81, 28.4), channel("|gx gy gz|", "rad/s", 0.2, 7.9)];
    let features =
        [("acceleration_peak", 38.21), ("acceleration_low", 2.93), ("tilt_change_deg", 71.4), ("still_after_s", 1.62)];
    let score = Score {
        model: "fall".into(),
        version: "1.0.0".into(),
        value: 0.94,
        threshold: 0.8,
        features: features.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
        moved_by: vec![MovedBy {
            input: "peak_mps2".into(),
            label: text("撞击峰值", "peak of the impact"),
            unit: "m/s²".into(),
            value: 38.21,
            usual: 14.2,
            score_without: 0.31,
        }],
    };
    (series, score)
}

/// The day: (minutes before now, what).
#[rustfmt::skip]
fn day() -> Vec<(f64, Act)> {
    use Scene::{ChildProtection, ElderCare, Fire, Security};
    use Severity::{Critical, Major, Minor, Notice};
    let raise = |device: &str, rule: &str, scene, severity, title: (&str, &str), reason: (&str, &str), series: Vec<Series>| {
        let mut finding = finding(device, rule, scene, severity, text(title.0, title.1), text(reason.0, reason.1));
        finding.evidence.series = series;
        finding
    };
    let accept = |device, rule, by| Act::Staff(device, rule, by, Verb::Accept, None);
    let send = |device, rule, by, to: &str, note| Act::Staff(device, rule, by, Verb::Dispatch { to: to.into() }, note);
    let handle = |device, rule, by, note| Act::Staff(device, rule, by, Verb::Handle, Some(note));
    let close = |device, rule, by, verdict, note| Act::Staff(device, rule, by, Verb::Close { verdict }, note);
    let (fall_series, fall_score) = fall();
    let mut fall = raise("home-yang-bracelet", "fall", ElderCare, Critical, ("疑似跌倒", "Possible fall"),
        ("手环测到冲击 38.2 m/s² 后静止 1.6 秒，跌倒模型得分 0.94（阈值 0.80）", "The bracelet felt an impact of 38.2 m/s² and 1.6 s of stillness; the fall model scored 0.94 (threshold 0.80)"), fall_series);
    fall.evidence.score = Some(fall_score);
    let plain = |device, rule, scene, severity, title, reason, series| Act::Raise(Box::new(raise(device, rule, scene, severity, title, reason, series)));
    vec![
        (460.0, plain("home-long-gas", "lel", Fire, Critical, ("可燃气体泄漏", "Combustible gas"), ("燃气浓度 12.4 %LEL，超过 10 %LEL", "Gas at 12.4 %LEL, above 10 %LEL"), vec![curve("lel_percent", "%LEL", 12.0, 72, Some(10.0), |x| 0.6 + 11.8 * x.powi(4))])),
        (459.2, accept("home-long-gas", "lel", "zhao")), (458.0, send("home-long-gas", "lel", "zhao", "第 2 网格 · 王敏", Some("已电话通知住户关阀开窗"))),
        (441.0, Act::Clear("home-long-gas", "lel")), (437.0, handle("home-long-gas", "lel", "zhao", "软管老化漏气，已关阀并更换软管，复测 0.4 %LEL")), (430.0, close("home-long-gas", "lel", "zhao", Verdict::TrueAlarm, None)),
        (402.0, plain("clinic-door", "door-at-night", Security, Minor, ("夜间开门", "Door open at night"), ("前门在 01:18 打开，超出 06:30–22:00", "The front door opened at 01:18, outside 06:30–22:00"), vec![switch("open", &[(30.0, 0.0), (0.0, 1.0)])])),
        (401.0, accept("clinic-door", "door-at-night", "zhao")), (396.0, close("clinic-door", "door-at-night", "zhao", Verdict::FalseAlarm, Some("值班医生取药，已核实身份"))),
        (350.0, plain("home-wu-bracelet", "spo2", ElderCare, Major, ("血氧偏低", "Low oxygen saturation"), ("血氧 90 %，低于 92 % 已 5 分钟（NEWS2 3 分）", "SpO2 90 %, below 92 % for 5 minutes (NEWS2 scores 3)"), vec![curve("spo2_percent", "%", 40.0, 80, Some(92.0), |x| 97.0 - 7.0 * x.powi(3)), curve("heart_rate_bpm", "bpm", 40.0, 80, None, |x| 71.0 + 22.0 * x)])),
        (347.0, accept("home-wu-bracelet", "spo2", "zhao")), (346.0, send("home-wu-bracelet", "spo2", "zhao", "康宁诊所 · 陈医生", None)), (320.0, Act::Clear("home-wu-bracelet", "spo2")),
        (318.0, handle("home-wu-bracelet", "spo2", "zhao", "陈医生上门吸氧，血氧回到 96 %")), (310.0, close("home-wu-bracelet", "spo2", "zhao", Verdict::TrueAlarm, Some("已通知子女"))),
        (266.0, plain("bath-water", "leak", Fire, Minor, ("漏水", "Water leak"), ("锅炉房漏水绳反复触发 41 次", "The leak rope in the boiler room triggered 41 times"), vec![switch("leak", &[(9.0, 0.0), (8.0, 1.0), (7.5, 0.0), (5.0, 1.0), (4.8, 0.0), (2.0, 1.0), (1.0, 0.0), (0.0, 1.0)])])),
        (260.0, accept("bath-water", "leak", "zhao")), (241.0, Act::Clear("bath-water", "leak")), (240.0, close("bath-water", "leak", "zhao", Verdict::Nuisance, Some("拖地溅水，漏水绳已移位"))),
        (205.0, plain("hotel-smoke", "device-battery", Fire, Notice, ("电池将尽", "Battery low"), ("烟感电池 8 %，请在 7 天内更换", "The smoke detector's battery is at 8 %, replace it within 7 days"), vec![curve("battery_percent", "%", 10_000.0, 60, Some(10.0), |x| 19.0 - 11.0 * x)])),
        (180.0, plain("ktv-power", "device-clock", Fire, Notice, ("设备时钟不准", "Device clock is wrong"), ("设备时钟慢 94 秒，读数已按网关时间校正", "The device's clock is 94 s behind; readings are corrected"), vec![])),
        (152.0, plain("home-yang-bracelet", "bracelet-off", ElderCare, Minor, ("手环未佩戴", "Bracelet not worn"), ("手环已摘下 20 分钟", "The bracelet has been off for 20 minutes"), vec![switch("worn", &[(60.0, 1.0), (20.0, 0.0), (0.0, 0.0)])])),
        (139.0, Act::Clear("home-yang-bracelet", "bracelet-off")),
        (95.0, plain("bath-gas", "device-silent", Fire, Minor, ("设备失联", "Device silent"), ("燃气探测器 10 分钟未上报（应每 60 秒一次），该处燃气情况未知", "The gas detector has not been heard for 10 minutes (it should be every 60 s); gas there is unknown"), vec![])),
        (88.0, plain("shop-door", "intrusion", Security, Major, ("夜间闯入", "Night entry"), ("卷帘门在 05:05 打开，营业时间 07:00–23:00", "The shutter opened at 05:05, outside 07:00–23:00"), vec![switch("open", &[(40.0, 0.0), (0.0, 1.0)])])),
        (86.0, plain("shop-presence", "intrusion", Security, Major, ("夜间闯入", "Night entry"), ("店内在关门时段测到有人", "Somebody is inside after hours"), vec![switch("presence", &[(40.0, 0.0), (0.0, 1.0)]), curve("light_lux", "lx", 40.0, 60, None, |x| if x > 0.93 { 60.0 } else { 1.0 })])),
        (85.0, accept("shop-door", "intrusion", "duty")), (84.0, send("shop-door", "intrusion", "duty", "文化北路派出所 · 刘警官", Some("店主电话未接"))), (70.0, Act::Clear("shop-door", "intrusion")), (70.0, Act::Clear("shop-presence", "intrusion")), (66.0, handle("shop-door", "intrusion", "duty", "店主儿子提前进货，已现场核实")),
        (71.0, plain("netbar-camera", "minors", ChildProtection, Major, ("未成年人进入网吧", "Minors in an internet cafe"), ("入口摄像机 07:17 估计年龄 14 岁（置信 0.91）", "The entrance camera estimated an age of 14 at 07:17 (confidence 0.91)"), vec![])),
        (69.0, plain("netbar-camera", "minors", ChildProtection, Major, ("未成年人进入网吧", "Minors in an internet cafe"), ("入口摄像机 07:19 估计年龄 15 岁（置信 0.88）", "The entrance camera estimated an age of 15 at 07:19 (confidence 0.88)"), vec![])),
        (68.0, accept("netbar-camera", "minors", "duty")), (67.0, send("netbar-camera", "minors", "duty", "第 1 网格 · 李强", None)),
        (52.0, plain("school-power", "residual-current", Fire, Minor, ("剩余电流偏高", "Residual current high"), ("剩余电流 214 mA，连续 10 分钟高于 200 mA", "Residual current 214 mA, above 200 mA for 10 minutes"), vec![curve("residual_current_ma", "mA", 60.0, 120, Some(200.0), |x| 20.0 + 195.0 * (x * 1.4).min(1.0).powi(2))])),
        (47.0, plain("waterworks-hydrant", "hydrant-pressure", Fire, Major, ("消火栓水压低", "Hydrant pressure low"), ("市政消火栓水压 0.05 MPa，低于 0.14 MPa", "Hydrant pressure 0.05 MPa, below 0.14 MPa"), vec![curve("pressure_mpa", "MPa", 30.0, 90, Some(0.14), |x| if x < 0.6 { 0.31 } else { 0.31 - 0.26 * ((x - 0.6) / 0.4) })])),
        (44.0, accept("waterworks-hydrant", "hydrant-pressure", "duty")),
        (41.0, plain("hotel-door", "door-left-open", Security, Minor, ("后门久开", "Door left open"), ("后门已打开 30 分钟", "The back door has been open for 30 minutes"), vec![switch("open", &[(45.0, 0.0), (30.0, 1.0), (0.0, 1.0)])])),
        (38.0, accept("hotel-door", "door-left-open", "zhao")),
        (33.0, plain("home-wu-presence", "not-up", ElderCare, Major, ("未按时起床", "Not up in the morning"), ("08:30 仍未测到活动，通常 07:00 前起床", "No movement by 08:30, usually up before 07:00"), vec![switch("presence", &[(600.0, 1.0), (540.0, 0.0), (0.0, 0.0)])])),
        (27.0, plain("workshop-smoke", "fire", Fire, Major, ("烟雾浓度升高", "Smoke rising"), ("减光率 9.1 %/m，高于 5 %/m", "Obscuration 9.1 %/m, above 5 %/m"), vec![curve("obscuration_percent_m", "%/m", 12.0, 72, Some(5.0), |x| 0.3 + 8.8 * x.powi(3))])),
        (26.0, plain("workshop-smoke", "fire-heat", Fire, Critical, ("火灾：烟与热同时出现", "Fire: smoke and heat together"), ("车间烟感报警，温度 5 分钟内从 21 °C 升到 74 °C（限值 57 °C）", "The smoke alarm sounds, and the temperature rose from 21 to 74 °C in 5 minutes (limit 57 °C)"), vec![curve("temperature_c", "°C", 12.0, 72, Some(57.0), |x| 21.0 + 53.0 * x.powi(3)), switch("smoke_alarm", &[(12.0, 0.0), (2.0, 1.0), (0.0, 1.0)])])),
        (25.5, plain("workshop-smoke-2", "fire", Fire, Critical, ("火灾：两只烟感报警", "Fire: two smoke detectors"), ("库房烟感也已报警", "The storeroom's detector alarms too"), vec![switch("smoke_alarm", &[(12.0, 0.0), (0.0, 1.0)])])),
        (25.2, accept("workshop-smoke", "fire", "duty")), (24.8, send("workshop-smoke", "fire", "duty", "凯里消防站 119", Some("已电话确认有明火，疏散中"))),
        (21.0, plain("school-camera", "stranger", ChildProtection, Minor, ("校门陌生人徘徊", "Stranger at the school gate"), ("同一陌生人 15 分钟内出现 4 次", "The same unknown person came 4 times in 15 minutes"), vec![])),
        (16.0, plain("waterworks-camera", "listed-person", Security, Major, ("布控人员出现", "Listed person seen"), ("大门摄像机比中布控名单（相似度 0.96）", "The gate camera matched the watch list (similarity 0.96)"), vec![])),
        (12.0, plain("restaurant-gas", "co", Fire, Critical, ("一氧化碳升高", "Carbon monoxide rising"), ("一氧化碳 158 ppm，高于 100 ppm 已 10 分钟（EN 50291）", "CO 158 ppm, above 100 ppm for 10 minutes (EN 50291)"), vec![curve("co_ppm", "ppm", 24.0, 144, Some(100.0), |x| 3.0 + 155.0 * x.powi(2)), curve("lel_percent", "%LEL", 24.0, 144, Some(10.0), |_| 0.7)])),
        (11.5, accept("restaurant-gas", "co", "zhao")),
        (7.0, plain("ktv-power", "cable-temperature", Fire, Major, ("电缆过热", "Cable overheating"), ("电缆 96 °C，高于 70 °C，15 分钟内上升 59 °C", "Cable at 96 °C, above 70 °C; it rose 59 °C in 15 minutes"), vec![curve("cable_temperature_c", "°C", 20.0, 120, Some(70.0), |x| 37.0 + 59.0 * x.powi(2)), curve("current_a", "A", 20.0, 120, None, |x| 11.0 + 32.0 * x)])),
        (2.4, Act::Raise(Box::new(fall))),
        (0.3, plain("home-long-sos", "sos", ElderCare, Critical, ("一键求助", "SOS pressed"), ("轮椅上的求助按钮被按下", "The button on the wheelchair was pressed"), vec![switch("sos", &[(10.0, 0.0), (0.0, 1.0)])])),
    ]
}

/// Lets the day happen, so that it ends at `now`.
pub(super) fn fill(played: &mut Played, now: TimeMs) {
    for (step, (minutes, act)) in day().into_iter().enumerate() {
        #[allow(clippy::cast_possible_truncation)]
        let at = now - (minutes * 60_000.0) as TimeMs;
        played.escalate_until(at);
        match act {
            Act::Raise(mut finding) => {
                finding.evidence.at_ms = at;
                for series in &mut finding.evidence.series {
                    series.points.iter_mut().for_each(|(time, _)| *time += at);
                }
                played.raise(*finding, at);
            }
            Act::Clear(device, rule) => {
                _ = played.signal(Signal::Clear { device: device.into(), rule: rule.into() }, at)
            }
            Act::Staff(device, rule, by, verb, note) => {
                let alert = played.alert_of(device, rule);
                let action =
                    StaffAction { note: note.map(Into::into), ..StaffAction::new(step.to_string(), alert, by, verb) };
                assert!(!played.act(&action, at).unwrap().again);
            }
        }
    }
    played.escalate_until(now);
}

#[tokio::test]
#[ignore = "serves until it is stopped: for looking at the pages"]
async fn serve_sample() {
    let listen = std::env::var("NINEWATCH_SAMPLE").unwrap_or_else(|_| "127.0.0.1:0".into());
    let health = vec![(
        Ailment::ModelDegraded,
        text("模型 fall 未加载：缺少 ONNX Runtime", "the model fall is not loaded: there is no ONNX Runtime"),
    )];
    let desk = Desk::open_at(&listen, registry(), vec![Arc::new(Broker(Mutex::new(health)))]);
    let now = Clock::System.now_ms();
    {
        let mut played = desk.played.lock().unwrap();
        played.devices = statuses(&registry(), now);
        fill(&mut played, now);
    }
    println!("http://{}/  duty  {}", desk.client.address, desk.password);
    let played = desk.played.clone();
    tokio::task::spawn_blocking(move || {
        for (count, _) in std::io::stdin().lock().lines().enumerate() {
            let reason = text("床头求助按钮被按下", "The button at the bed was pressed");
            let title = text("一键求助", "SOS pressed");
            let rule = format!("sos-{count}");
            let now = Clock::System.now_ms();
            let mut finding = finding("home-wu-sos", &rule, Scene::ElderCare, Severity::Critical, title, reason);
            finding.evidence.at_ms = now;
            played.lock().unwrap().raise(finding, now);
        }
    });
    tokio::signal::ctrl_c().await.unwrap();
}
