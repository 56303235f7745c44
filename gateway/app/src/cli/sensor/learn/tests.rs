//! What devices really send, and what becomes of it.

use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;
use toml::{Table, Value};

fn drafted(lines: &str, asker: &mut dyn Asker, lang: Lang) -> String {
    let captured = capture::read(lines.as_bytes(), Some("#").filter(|_| !lines.starts_with('$'))).unwrap();
    draft(&captured, None, None, asker, lang).unwrap().0
}

/// The value at a dotted path; in a list of tables, a number or a `name` picks one.
fn at<'t>(table: &'t Table, path: &str) -> Option<&'t Value> {
    let mut parts = path.split('.');
    let first = table.get(parts.next()?)?;
    parts.try_fold(first, |value, part| match value {
        Value::Array(list) => match part.parse::<usize>() {
            Ok(index) => list.get(index),
            Err(_) => list.iter().find(|one| one.get("name").and_then(Value::as_str) == Some(part)),
        },
        _ => value.get(part),
    })
}

/// What it shows, captured lines, and what has to stand in the draft: path and value; `-` for nothing.
type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const CASES: &[Case] = &[
    (
        "a Zigbee2MQTT smoke detector",
        r#"zigbee2mqtt/bridge/state {"state":"online"}
zigbee2mqtt/kitchen {"battery":100,"linkquality":120,"smoke":false,"temperature":23.5,"voltage":3000,"last_seen":"2026-11-24T05:35:00+08:00"}
zigbee2mqtt/kitchen {"battery":100,"linkquality":118,"smoke":true,"temperature":24,"voltage":2990,"last_seen":"2026-11-24T05:45:00+08:00"}
zigbee2mqtt/kitchen/availability {"state":"online"}"#,
        &[
            ("class", "'smoke'"),
            ("cadence", "'10m'"),
            ("silent_after", "'40m'"),
            ("message.0.topic", "'zigbee2mqtt/{device}'"),
            ("message.0.time.format", "'rfc3339'"),
            ("message.1.topic", "'zigbee2mqtt/{device}/availability'"),
            ("message.1.fields.online", "'/state'"),
            ("message.2", "-"),
            ("field.smoke_alarm.kind", "'state'"),
            ("field.battery_voltage_v.scale", "0.001"),
            ("field.linkquality", "-"),
            ("example.0.readings.0.at", "'2026-11-24T05:35:00+08:00'"),
            ("example.0.readings.0.battery_voltage_v", "3"),
            ("example.1.readings.0.online", "true"),
            ("example.2.readings.0.smoke_alarm", "true"),
        ],
    ),
    (
        "Zigbee2MQTT: a contact is closed when it is true",
        r#"zigbee2mqtt/front {"contact":true,"battery":97}"#,
        &[
            ("class", "'door'"),
            ("field.open.from", "'/contact'"),
            ("field.open.on", "[false]"),
            ("field.open.off", "[true]"),
            ("example.0.readings.0.open", "false"),
        ],
    ),
    (
        "a button that calls for help",
        r#"zigbee2mqtt/b {"action":"emergency","battery":90}
zigbee2mqtt/b {"action":"single","battery":90}"#,
        &[
            ("class", "'sos'"),
            ("field.press.kind", "'word'"),
            ("field.press.map.emergency", "'sos'"),
            ("field.press.map.single", "'single'"),
            ("field.press.words", "['sos', 'single']"),
            ("example.0.readings.0.press", "'sos'"),
        ],
    ),
    (
        "Tasmota",
        r#"tele/tas_A1/SENSOR {"Time":"2026-11-24T05:35:00","SI7021":{"Temperature":21.5,"Humidity":45.1},"TempUnit":"C"}
tele/tas_A1/SENSOR {"Time":"2026-11-24T05:40:00","SI7021":{"Temperature":21.6,"Humidity":45.2},"TempUnit":"C"}
tele/tas_A1/LWT Online"#,
        &[
            ("cadence", "'5m'"),
            ("message.0.topic", "'tele/{device}/SENSOR'"),
            ("message.0.each", "-"),
            ("message.0.fields.temperature_c", "'/SI7021/Temperature'"),
            ("message.1.payload", "'text'"),
            ("message.1.fields.online", "''"),
            ("field.online.on", "['Online']"),
            ("field.online.off", "['Offline']"),
            ("example.0.readings.0.at", "'2026-11-24T05:35:00+08:00'"),
        ],
    ),
    (
        "Shelly's second generation",
        r#"shellyplusht-a1/events/rpc {"src":"shellyplusht-a1","dst":"x","method":"NotifyFullStatus","params":{"ts":1795467300.25,"temperature:0":{"id":0,"tC":21.4,"tF":70.5},"humidity:0":{"id":0,"rh":51.2},"devicepower:0":{"battery":{"V":5.21,"percent":78}}}}"#,
        &[
            ("id", "'shelly-smoke'"),
            ("message.0.topic", "'{device}/events/rpc'"),
            ("message.0.time.from", "'/params/ts'"),
            ("message.0.time.format", "'s'"),
            ("field.temperature_c.from", "'/params/temperature:0/tC'"),
            ("field.humidity_percent.from", "'/params/humidity:0/rh'"),
            ("field.battery_percent.from", "'/params/devicepower:0/battery/percent'"),
            ("field.4", "-"),
            ("example.0.readings.0.at", "'2026-11-24T04:55:00.250+08:00'"),
        ],
    ),
    (
        "ESPHome: a text a topic",
        "esp-door/sensor/temperature/state 21.5\nesp-door/binary_sensor/front_door/state ON\nesp-door/status online",
        &[
            ("class", "'door'"),
            ("message.0.topic", "'{device}/sensor/temperature/state'"),
            ("message.0.payload", "'text'"),
            ("message.0.fields.temperature_c", "''"),
            ("message.1.fields.open", "''"),
            ("message.2.topic", "'{device}/status'"),
            ("field.open.on", "-"),
            ("example.1.readings.0.open", "true"),
        ],
    ),
    (
        "ChirpStack, with what its codec made of the bytes",
        r#"application/7/device/24e124136b502217/event/up {"deduplicationId":"x","time":"2026-11-24T05:35:00.123456789+00:00","deviceInfo":{"deviceName":"leak-1","devEui":"24e124136b502217"},"fPort":85,"fCnt":12,"data":"AXVkA2f4AAUA","object":{"battery":100,"temperature":24.8,"leakage_status":"normal"},"rxInfo":[{"gatewayId":"a84041ffff1e0b1c","rssi":-57,"snr":9.5}]}"#,
        &[
            ("class", "'water'"),
            ("message.0.topic", "'application/+/device/{device}/event/up'"),
            ("message.0.each", "-"),
            ("field.leak.from", "'/object/leakage_status'"),
            ("field.leak.off", "['normal']"),
            ("field.temperature_c.from", "'/object/temperature'"),
            ("field.signal_dbm.from", "'/rxInfo/0/rssi'"),
            ("example.0.readings.0.device", "'24e124136b502217'"),
            ("example.0.readings.0.at", "'2026-11-24T13:35:00.123+08:00'"),
        ],
    ),
    (
        "a batch of bracelets, and what leads to a person",
        r#"gw/BLE-01/up {"gw":"BLE-01","ts":1795467300123,"devices":[{"mac":"AA:BB:CC:00:00:01","name":"张三","hr":72,"spo2":98,"phone":"13812345678"},{"mac":"AA:BB:CC:00:00:02","name":"李四","hr":80,"spo2":97,"phone":"13912345678"}]}"#,
        &[
            ("class", "'bracelet'"),
            ("message.0.topic", "'gw/+/up'"),
            ("message.0.device", "'/mac'"),
            ("message.0.each", "'/devices'"),
            ("message.0.time.from", "'$/ts'"),
            ("message.0.time.format", "'ms'"),
            ("message.0.discard", "['/devices/*/name', '/devices/*/phone']"),
            ("field.heart_rate_bpm.from", "'/hr'"),
            ("field.2", "-"),
            ("example.0.readings.1.device", "'AA:BB:CC:00:00:02'"),
            ("example.0.readings.1.spo2_percent", "97"),
        ],
    ),
    (
        "Tasmota's Zigbee bridge: the key is the device",
        r#"tele/zb/SENSOR {"ZbReceived":{"0x5A1C":{"Device":"0x5A1C","Occupancy":1,"Illuminance":40}}}"#,
        &[
            ("class", "'presence'"),
            ("message.0.each", "'/ZbReceived'"),
            ("message.0.device", "'{key}'"),
            ("field.presence.from", "'/Occupancy'"),
            ("example.0.readings.0.presence", "true"),
        ],
    ),
    (
        "JSON in a text",
        r#"dev/up {"deviceId":"g7-0012","payload":"{\"co\":12,\"alarm\":\"NORMAL\",\"ts\":\"20261124053500\"}"}
dev/up {"deviceId":"g7-0013","payload":"{\"co\":13,\"alarm\":\"NORMAL\",\"ts\":\"20261124053600\"}"}"#,
        &[
            ("message.0.topic", "'dev/up'"),
            ("message.0.device", "'/deviceId'"),
            ("message.0.unpack.0.at", "'/payload'"),
            ("message.0.unpack.0.as", "'json'"),
            ("message.0.time.format", "'%Y%m%d%H%M%S'"),
            ("field.gas_alarm.off", "['NORMAL']"),
            ("field.gas_alarm.on", "['ALARM']"),
            ("example.0.readings.0.co_ppm", "12"),
        ],
    ),
    (
        "Chinese keys",
        r#"社区/上报 {"设备编号":"YG-01","温度":255,"烟雾":"正常","电量":"88%","时间":"2026-11-24 05:35:00"}
社区/上报 {"设备编号":"YG-02","温度":259,"烟雾":"报警","电量":"87%","时间":"2026-11-24 05:36:00"}"#,
        &[
            ("message.0.device", "'/设备编号'"),
            ("message.0.time.from", "'/时间'"),
            ("field.temperature_c.from", "'/温度'"),
            ("field.temperature_c.scale", "0.1"),
            ("field.smoke_alarm.on", "['报警']"),
            ("field.battery_percent.unit", "'%EL'"),
            ("example.0.readings.0.battery_percent", "88"),
            ("example.0.readings.0.temperature_c", "25.5"),
        ],
    ),
    (
        "values in a text, by place",
        "site/box-01/data 1795467300,21.5,40,OK\nsite/box-02/data 1795467360,21.7,41,OK",
        &[
            ("message.0.topic", "'site/{device}/data'"),
            ("message.0.payload", "'text'"),
            ("message.0.unpack.0.as", "'list'"),
            ("message.0.unpack.0.between", "','"),
            ("message.0.time.from", "'/0'"),
            ("field.value_1.from", "'/1'"),
            ("example.0.readings.0.value_2", "40"),
        ],
    ),
    (
        "values in a text, by name",
        "site/box-01/data T=21.5;H=40;SMOKE=0",
        &[
            ("message.0.unpack.0.as", "'pairs'"),
            ("message.0.unpack.0.sign", "'='"),
            ("field.smoke_alarm.on", "['1']"),
            ("field.temperature_c.from", "'/T'"),
            ("example.0.readings.0.humidity_percent", "40"),
        ],
    ),
    (
        "a list of names and values",
        r#"acme/g7-0012/state {"ts":1795467300,"values":[{"name":"co","value":12},{"name":"gas_alarm","value":false}]}"#,
        &[
            ("message.0.each", "-"),
            ("message.0.discard", "-"),
            ("field.co_ppm.from", "'/values/[name=co]/value'"),
            ("field.gas_alarm.kind", "'state'"),
            ("example.0.readings.0.gas_alarm", "false"),
        ],
    ),
    (
        "a native device",
        r#"ninewatch/gas-7/readings [{"bn":"gas-7/","bt":1795467300.25,"n":"co_ppm","u":"ppm","v":12},{"n":"gas_alarm","vb":false}]"#,
        &[
            ("message.0.payload", "'senml'"),
            ("field.co_ppm.from", "-"),
            ("field.gas_alarm.kind", "'state'"),
            ("example.0.readings.0.co_ppm", "12"),
        ],
    ),
    (
        "a face camera: no picture, no numbers of a face, no name",
        r#"cam/gate-01/event {"eventTime":1795467300000,"personId":"p-1","matchType":"stranger","age":33,"faceImage":"/9j/4AAQ","feature":[0.1,0.2],"name":"张三"}"#,
        &[
            ("class", "'face_camera'"),
            ("message.0.discard", "['/faceImage', '/feature', '/name']"),
            ("field.match.words", "['stranger']"),
            ("field.person.words", "-"),
            ("example.0.readings.0.person", "'p-1'"),
        ],
    ),
    (
        "bytes",
        "lora/node-17/up 0175640367f8000500",
        &[
            ("message.0.payload", "'text'"),
            ("message.0.unpack.0.as", "'hex'"),
            ("message.0.unpack.0.bytes.0.type", "'u8'"),
            ("example.0.readings.0.first_byte", "1"),
        ],
    ),
    (
        "numbers over and over are samples",
        r#"b/w-01/up {"mac":"aabbccddeeff","acc":[1,2,3,4,5,6,7,8,9]}"#,
        &[
            ("field.0.kind", "'burst'"),
            ("field.0.sent_as", "'list'"),
            ("field.0.name", "'motion'"),
            ("example.0.readings.0.motion.samples", "9"),
        ],
    ),
];

#[test]
fn what_devices_send_becomes_a_draft() {
    for (about, lines, facts) in CASES {
        for lang in [Lang::Zh, Lang::En] {
            let text = drafted(lines, &mut Nobody, lang);
            let table: Table = toml::from_str(&text).unwrap_or_else(|error| panic!("{about}: {error}\n{text}"));
            for (path, expected) in *facts {
                let expected = (*expected != "-")
                    .then(|| toml::from_str::<Table>(&format!("x = {expected}")).unwrap().remove("x").unwrap());
                assert_eq!(at(&table, path), expected.as_ref(), "{about}: {path}\n{text}");
            }
        }
    }
}

fn faults(text: &str) -> Vec<String> {
    let file = SourceFile { name: "draft.toml".to_owned(), text: text.to_owned() };
    SensorTypes::compile(&[file]).1.iter().map(ToString::to_string).collect()
}

#[test]
fn a_draft_passes_its_own_test() {
    for (about, lines, _) in CASES {
        let text = drafted(lines, &mut Nobody, Lang::Zh);
        assert_eq!(faults(&text), Vec::<String>::new(), "{about}\n{text}");
    }
}

/// Payloads out of the keys and values that makers use, put together by chance.
fn any_payload() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::{Value, json};
    let key = prop::sample::select(vec![
        "temp", "h", "温度", "smoke", "alarm", "contact", "battery", "voltage", "ts", "time", "id", "mac", "name",
        "value", "action", "state", "a/b", "~", "data", "image", "level", "hr", "co", "lat", "x y", "rssi", "[a=b]",
        "", "acc",
    ]);
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        (-5_i64..5000).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-100.0..1e6_f64).prop_map(Value::from),
        Just(Value::Null),
        prop::sample::select(vec![
            "ON",
            "off",
            "NORMAL",
            "ALARM",
            "报警",
            "",
            "21.5 °C",
            "88%",
            "2026-11-24 05:35:00",
            "1795467300",
            "single",
            "emergency",
            "aabbccddeeff",
            "AXVkA2f4AAUA",
            "{\"co\":1}",
            "[1]",
            "it's '''",
            "\u{7}\\\"",
            "1e999",
            "inf",
        ])
        .prop_map(Value::from),
        Just(json!(1_795_467_300_123_i64)),
        Just(json!([1, 2, 3, 4, 5, 6, 7, 8.5])),
    ];
    leaf.prop_recursive(3, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key.clone().prop_map(str::to_owned), inner.clone(), 1..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
            inner.prop_map(|value| json!({"payload": value.to_string(), "deviceId": "d-01"})),
        ]
    })
}

fn captured(payloads: &[String]) -> Vec<Captured> {
    let topic = |number: usize| format!("acme/d-0{number}/state");
    let of = |(number, payload): (usize, &String)| Captured {
        topic: topic(number),
        payload: payload.clone().into_bytes(),
        arrival_ms: None,
    };
    payloads.iter().enumerate().map(of).collect()
}

proptest! {
    #[test]
    fn whatever_a_device_sends_its_draft_passes_its_own_test(payload in any_payload()) {
        let captured = captured(&[payload.to_string(), payload.to_string()]);
        if let Ok((text, ..)) = draft(&captured, None, None, &mut Nobody, Lang::En) {
            prop_assert_eq!(faults(&text), Vec::<String>::new(), "{}", text);
        }
    }

    #[test]
    fn whatever_text_a_device_sends_its_draft_passes_its_own_test(payload in "[TH=:;,. 0-9a-zA-Z温-]{0,24}") {
        if let Ok((text, ..)) = draft(&captured(&[payload]), None, None, &mut Nobody, Lang::En) {
            prop_assert_eq!(faults(&text), Vec::<String>::new(), "{}", text);
        }
    }

    #[test]
    fn devices_that_send_all_sorts_of_things_get_a_file_that_can_be_mended(
        payloads in prop::collection::vec(any_payload(), 1..5),
    ) {
        let payloads: Vec<String> = payloads.iter().map(ToString::to_string).collect();
        if let Ok((text, ..)) = draft(&captured(&payloads), None, None, &mut Nobody, Lang::Zh) {
            prop_assert!(toml::from_str::<Table>(&text).is_ok(), "{}", text);
        }
    }
}

#[test]
fn nothing_that_leads_to_a_person_is_in_a_draft() {
    for (about, lines, _) in CASES {
        let text = drafted(lines, &mut Nobody, Lang::Zh);
        for private in ["张三", "李四", "13812345678", "/9j/4AAQ"] {
            assert!(!text.contains(private), "{about}: {private}");
        }
    }
}

#[test]
fn what_is_only_guessed_says_so() {
    let text = drafted(r#"acme/g7-0012/state {"frob":12,"co":3}"#, &mut Nobody, Lang::En);
    assert!(text.contains("# check: what it means is a guess; seen: 12\nname = \"frob\""), "{text}");
    assert!(!text.contains("# check: what it means is a guess; seen: 3\n"), "{text}");
    let two = "zigbee2mqtt/a {\"smoke\":false}\nzigbee2mqtt/b {\"contact\":false}";
    assert!(drafted(two, &mut Nobody, Lang::En).contains("# check: a and b have nothing in common"));
}

#[test]
fn bytes_in_a_text_come_with_how_to_read_them() {
    let text = drafted(r#"up/node-17 {"data":"AXVkA2f4AAUA","battery":90}"#, &mut Nobody, Lang::En);
    assert!(text.contains("# check: /data is bytes in base64: 01 75 64 03 67 f8 00 05 00;"), "{text}");
    assert!(text.contains("# at = \"/data\"\n# as = \"base64\"\n# bytes = ["), "{text}");
}

/// Answers by what a question contains; an answer that is asked for must be there.
struct Script(VecDeque<(&'static str, &'static str)>);

impl Asker for Script {
    fn ask(&mut self, question: &str, default: &str) -> anyhow::Result<Option<String>> {
        let (part, answer) = self.0.pop_front().unwrap_or_else(|| panic!("nobody expected: {question} [{default}]"));
        assert!(question.contains(part), "expected `{part}`, was asked: {question}");
        Ok(Some(if answer.is_empty() { default.to_owned() } else { answer.to_owned() }))
    }
}

#[test]
fn it_asks_only_where_it_is_not_sure() {
    let mut script = Script(VecDeque::from([
        ("what names the device?", "2"),
        ("Sensor class", "castle"),
        ("Sensor class", "water"),
        ("What people call it", "Cellar box"),
        ("How often it reports", "10m"),
        ("`/frob` (12): the field's name", "level_m"),
        ("level_m: unit", ""),
        ("level_m: label in Chinese", ""),
        ("level_m: label in English", "Cellar water"),
        ("`/junk` (7): the field's name", "-"),
    ]));
    let text = drafted(r#"acme/cellar/state {"id":"box-1","frob":12,"junk":7}"#, &mut script, Lang::En);
    assert!(script.0.is_empty(), "not asked: {:?}", script.0);
    let table: Table = toml::from_str(&text).unwrap();
    let text_at = |path: &str| at(&table, path).and_then(Value::as_str).map(str::to_owned);
    assert_eq!(text_at("class").as_deref(), Some("water"));
    assert_eq!(text_at("label.en").as_deref(), Some("Cellar box"));
    assert_eq!(text_at("cadence").as_deref(), Some("10m"));
    assert_eq!(text_at("field.level_m.unit").as_deref(), Some("m"));
    assert_eq!(text_at("field.level_m.label.zh").as_deref(), Some("水位"));
    assert_eq!(text_at("field.level_m.label.en").as_deref(), Some("Cellar water"));
    assert!(!text.contains(CHECK) && !text.contains("name = \"junk\""), "{text}");
    assert_eq!(at(&table, "message.0.topic").and_then(Value::as_str), Some("acme/{device}/state"));
}

#[test]
fn answers_about_switches_and_scales_are_taken_over() {
    let mut script = Script(VecDeque::from([
        ("设备名称", ""),
        ("多久上报一次", ""),
        ("哪些值表示“打开”", "true"),
        ("哪些值表示相反", "false"),
        ("1 相当于多少 °C", "0.01"),
    ]));
    let text = drafted(r#"zigbee2mqtt/d {"contact":true,"temperature":235}"#, &mut script, Lang::Zh);
    assert!(script.0.is_empty(), "not asked: {:?}", script.0);
    assert!(text.contains("scale = 0.01") && text.contains("open = true") && !text.contains("on = ["), "{text}");
    assert!(!text.contains(CHECK), "{text}");
}

#[test]
fn what_cannot_go_well_is_told_before_the_wait() {
    use clap::Parser as _;
    #[derive(clap::Parser)]
    struct Ninewatch {
        #[command(flatten)]
        args: LearnArgs,
    }
    let args = |words: &str| Ninewatch::try_parse_from(format!("learn {words}").split(' ')).map(|parsed| parsed.args);
    assert!(args("--topic a/#").is_err(), "it needs a source");
    assert!(args("--broker mqtt://b").is_err(), "a broker needs a topic");
    let told = |words: &str| asker(&args(words).unwrap()).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(told("--from -").contains("add --yes, or name a file"));
    assert_eq!(told("--from - --yes"), "");
    let server_of = |words: &str| server(&args(words).unwrap());
    let refused = server_of("--broker mqtt://u:p@b:1883 --topic a").unwrap_err().to_string();
    assert!(refused.contains("--password-file"), "{refused}");
    let with_user = server_of("--broker mqtt://u@b:1883 --topic a").unwrap();
    assert_eq!((with_user.url.as_str(), with_user.username.as_deref()), ("mqtt://b:1883", Some("u")));
}
