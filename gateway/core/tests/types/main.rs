//! The shipped sensor types, all of them: what they are, and that no payload whatever harms the gateway.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it wants, and fails where it does not get it")]

mod mutation;
#[path = "../shipped/mod.rs"]
mod shipped;

use ninewatch_core::alert::AlertSettings;
use ninewatch_core::decode::{Arrival, SensorType, SensorTypes, Speaker};
use ninewatch_core::detect::model::{Asked, ScoreError, Scorer};
use ninewatch_core::fault::SourceFile;
use ninewatch_core::pipeline::{Called, Effects, Event, Message, Pipeline, Settings};
use ninewatch_core::reading::SensorClass;
use ninewatch_core::site::{Device, Place, PlaceKind, Registry};
use ninewatch_core::time::{TimeMs, UtcOffset};
use ninewatch_tests::fuzz::Campaign;
use shipped::files;
use std::collections::{BTreeMap, BTreeSet};

const NOW: TimeMs = 1_795_467_300_000;
const ARRIVAL: Arrival = Arrival { at_ms: NOW, utc_offset: UtcOffset::CHINA };
/// Mutated payloads of each type in a round, and rounds: each begins with devices that said nothing yet.
const MUTATIONS: usize = 2_500;
const ROUNDS: u64 = 4;
/// Far above what a round takes.
const RESIDENT_LIMIT_KIB: u64 = 400 * 1024;

/// The shipped rules, as the program has them.
fn rules() -> Vec<SourceFile> {
    let built_in = |file: SourceFile| SourceFile { name: format!("{}{}", SourceFile::BUILT_IN, file.name), ..file };
    files("rules").into_iter().map(built_in).collect()
}

fn shipped_types() -> SensorTypes {
    let (types, faults) = SensorTypes::compile(&files("sensors"));
    assert_eq!(faults, [], "each file passes its own test");
    types
}

struct NoModel;

impl Scorer for NoModel {
    fn score(&mut self, asked: &Asked<'_>) -> Result<f32, ScoreError> {
        Err(ScoreError { model: asked.model.into(), reason: "there is none here".into() })
    }
}

/// Everybody who speaks in the type's examples.
fn speakers(sensor_type: &SensorType) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for sample in &sensor_type.examples {
        for said in sensor_type.decode(&sample.topic, &sample.payload, ARRIVAL).unwrap_or_default().said {
            if let Speaker::Device(name) = said.speaker {
                names.insert(name.into_owned());
            }
        }
    }
    names
}

/// A site with these types and rules, and a device for each (type, name).
fn site(sensor_types: Vec<SourceFile>, devices: &[(String, String)], rules: Vec<SourceFile>) -> Pipeline {
    let device = |(index, (sensor_type, name)): (usize, &(String, String))| Device {
        id: format!("d-{index}"),
        sensor_type: sensor_type.clone(),
        place: "home".into(),
        spot: String::new(),
        known_as: name.clone(),
        person: None,
        secret: String::new(),
    };
    let place = Place {
        id: "home".into(),
        name: "home".into(),
        kind: PlaceKind::Home,
        grid: "g".into(),
        address: String::new(),
    };
    let settings = Settings {
        gateway: "test".into(),
        utc_offset: UtcOffset::CHINA,
        alerts: AlertSettings::default(),
        registry: Registry { places: vec![place], devices: devices.iter().enumerate().map(device).collect() },
        sensor_types,
        rules,
        models: Vec::new(),
        ladders: Vec::new(),
    };
    Pipeline::new(settings, NOW).0
}

/// Takes a message that came to a broker, masked as the gateway masks it.
fn take(pipeline: &mut Pipeline, topic: &str, payload: &[u8], now: TimeMs) -> Effects {
    let message = Message { device: None, topic, payload, redelivered: false };
    let masked = pipeline.site().without_discarded(message);
    let message = Message { payload: masked.as_deref().unwrap_or(payload), ..message };
    pipeline.step(Event::Message(message), now, &mut NoModel)
}

#[test]
fn there_are_types_of_all_nine_classes_for_what_communities_have() {
    let types = shipped_types();
    for class in SensorClass::ALL {
        assert!(types.iter().any(|known| known.class == class && !known.id.starts_with("ninewatch-")), "{class}");
    }
    assert!(types.iter().count() >= 25);
}

#[test]
fn every_example_brings_in_the_whole_gateway_what_it_says_by_itself() {
    let types = shipped_types();
    let of = |sensor_type: &SensorType| {
        speakers(sensor_type).into_iter().map(|name| (sensor_type.id.clone(), name)).collect::<Vec<_>>()
    };
    let devices: Vec<(String, String)> = types.iter().flat_map(of).collect();
    let mut pipeline = site(files("sensors"), &devices, Vec::new());
    let mut now = NOW;
    for sensor_type in types.iter() {
        for sample in &sensor_type.examples {
            now += 60_000;
            let masked = sensor_type.without_discarded(&sample.topic, &sample.payload);
            let payload = masked.as_deref().unwrap_or(&sample.payload);
            let said = sensor_type.decode(&sample.topic, payload, ARRIVAL).unwrap_or_default().said;
            let by_name = said.iter().filter(|said| said.reading.is_some() && said.speaker != Speaker::All);
            let intake = take(&mut pipeline, &sample.topic, &sample.payload, now).intake.unwrap().unwrap_or_default();
            let own = intake
                .devices
                .iter()
                .filter(|heard| heard.called == Called::KnownAs && devices[heard.device].0 == sensor_type.id);
            // Each is there, or was there already: examples repeat the same moment.
            let readings = own.filter(|heard| heard.new_reading).count() + usize::try_from(intake.duplicates).unwrap();
            assert!(readings >= by_name.count(), "{}: {}", sensor_type.id, String::from_utf8_lossy(&sample.payload));
        }
    }
}

const BATCH: &str = r#"
cadence = "1m"
silent_after = "5m"
label = { zh = "网关", en = "Hub" }
[[message]]
topic = "hub/{hub}/status"
device = "/mac"
each = ""
ignore = [{ at = "/dead", is = true }]
[[message]]
topic = "hub/{hub}/gone"
payload = "text"
device = "*"
ignore = [{ at = "", is = "who knows" }]
fields = {}
set = { online = false }
[[field]]
name = "online"
label = { zh = "在线", en = "Online" }
kind = "state"
"#;

fn batch_type(id: &str, class: &str, field: &str) -> SourceFile {
    let own = format!(
        "id = \"{id}\"\nclass = \"{class}\"\n{BATCH}[[field]]\nname = \"{field}\"\nlabel = {{ zh = \"值\", en = \"Value\" }}\n\
         kind = \"state\"\nfrom = \"/{field}\"\n[[example]]\ntopic = \"hub/1/status\"\n\
         payload = '[{{\"mac\":\"m\",\"{field}\":true}}]'\nreadings = [{{ device = \"m\", {field} = true }}]\n"
    );
    SourceFile { name: format!("{id}.toml"), text: own }
}

#[test]
fn a_batch_holds_devices_of_several_types_and_none_is_lost() {
    let types = vec![batch_type("hub-door", "door", "open"), batch_type("hub-sos", "sos", "sos")];
    assert_eq!(SensorTypes::compile(&types).1, []);
    let devices = [("hub-door".to_owned(), "d1".to_owned()), ("hub-sos".to_owned(), "s1".to_owned())];
    let mut pipeline = site(types, &devices, rules());
    let batch = br#"[{"mac":"d1","open":true},{"mac":"s1","sos":true},{"mac":"x9","open":true}]"#;
    let effects = take(&mut pipeline, "hub/7/status", batch, NOW + 1_000);
    let intake = effects.intake.unwrap().unwrap();
    assert_eq!(intake.devices.iter().map(|heard| heard.device).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(intake.refused.iter().map(|error| error.code).collect::<Vec<_>>(), ["unknown_device"], "x9, once");
    assert!(effects.changes.iter().any(|change| change.alert.rules.iter().any(|rule| &**rule == "sos")));

    let gone = take(&mut pipeline, "hub/7/gone", b"offline", NOW + 2_000).intake.unwrap().unwrap();
    assert_eq!(gone.readings, 2, "all devices of both types");
    let ignored = take(&mut pipeline, "hub/7/gone", b"who knows", NOW + 3_000).intake.unwrap();
    assert!(ignored.is_err(), "what is passed over is nobody's sign of life");
    let nobody = take(&mut pipeline, "hub/7/status", b"[]", NOW + 4_000).intake.unwrap().unwrap();
    assert_eq!(nobody.devices, [], "and an empty batch is no fault");
    assert!(
        take(&mut pipeline, "hub/7/status", br#"[{"mac":"x9","open":true}]"#, NOW + 5_000).intake.unwrap().is_err()
    );
}

#[test]
fn a_copy_of_a_type_under_another_name_takes_nothing_from_it() {
    let mut all = files("sensors");
    let co = all.iter().find(|file| file.name == "zigbee2mqtt-co.toml").unwrap().clone();
    all.insert(0, SourceFile { name: "acme-co.toml".into(), ..co });
    let (types, faults) = SensorTypes::compile(&all);
    assert_eq!(types.iter().count(), all.len() - 1);
    assert_eq!(faults.iter().map(|fault| fault.file.as_str()).collect::<Vec<_>>(), ["acme-co.toml"]);
}

#[test]
fn what_is_discarded_is_gone_however_it_is_written() {
    let text = r#"
id = "packed"
class = "face_camera"
label = { zh = "相机", en = "Camera" }
cadence = "1m"
silent_after = "5m"
[[message]]
topic = "cam/{device}"
discard = ["/face", "/packed/phone"]
unpack = [{ at = "/packed", as = "json" }]
[[field]]
name = "match"
label = { zh = "比对", en = "Match" }
kind = "word"
from = "/packed/match"
[[example]]
topic = "cam/1"
payload = '{"face":"AAAA","packed":"{\"match\":\"known\",\"phone\":\"139\"}"}'
readings = [{ device = "1", match = "known" }]
"#;
    let (types, faults) = SensorTypes::compile(&[SourceFile { name: "packed.toml".into(), text: text.into() }]);
    assert_eq!(faults, []);
    let sensor_type = types.get("packed").unwrap();
    let masked =
        |payload: &str| String::from_utf8(sensor_type.without_discarded("cam/1", payload.as_bytes()).unwrap()).unwrap();
    assert_eq!(
        masked(r#"{"face":"AAAA","face":"","packed":"{\"match\":\"known\",\"phone\":\"139\"}"}"#),
        r#"{"face":"*","face":"","packed":"{\"match\":\"known\",\"phone\":\"*\"}"}"#
    );
    assert_eq!(masked(r#"{"face":"AA"#), "", "what cannot be looked into may hold it");
    let hex = text.replace("as = \"json\"", "as = \"hex\"");
    let (_, faults) = SensorTypes::compile(&[SourceFile { name: "packed.toml".into(), text: hex }]);
    assert!(faults.iter().any(|fault| fault.key == "message.0.discard"), "{faults:?}");
}

/// Takes mutated payloads of one type, and counts why they are refused.
fn mutate_a_type(file: &SourceFile, seed: u64, counted: &mut BTreeMap<&'static str, usize>) {
    let (types, _) = SensorTypes::compile(std::slice::from_ref(file));
    let sensor_type = types.iter().next().unwrap();
    let devices: Vec<_> = speakers(sensor_type).into_iter().map(|name| (sensor_type.id.clone(), name)).collect();
    let mut pipeline = site(vec![file.clone()], &devices, rules());
    let mut mutator = mutation::Mutator::new(&sensor_type.id, seed, &sensor_type.examples);
    let (mut taken, mut rejected) = (0, 0);
    for index in 0..MUTATIONS {
        let sample = mutator.next();
        let now = NOW + 1_000 * i64::try_from(index).unwrap();
        match take(&mut pipeline, &sample.topic, &sample.payload, now).intake {
            Some(Ok(intake)) => {
                taken += 1;
                intake.refused.iter().for_each(|error| *counted.entry(error.code).or_default() += 1);
            }
            Some(Err(reject)) => {
                rejected += 1;
                assert!(!reject.to_string().is_empty());
                *counted.entry(reject.code()).or_default() += 1;
            }
            None => panic!("{}: a message came to nothing", sensor_type.id),
        }
    }
    assert_eq!(taken + rejected, MUTATIONS, "{}", sensor_type.id);
    assert!(taken > 0 && rejected > 0, "{}: {taken} taken, {rejected} rejected", sensor_type.id);
}

#[test]
fn mutated_payloads_are_taken_or_refused_with_a_reason() {
    let documented = include_str!("../../../../docs/sensor-types.md");
    let files = files("sensors");
    let mut counted: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut campaign = Campaign::begin("decode", ROUNDS, RESIDENT_LIMIT_KIB).unwrap();
    let mut payloads = 0;
    while let Some(seed) = campaign.next_seed() {
        for file in &files {
            mutate_a_type(file, seed, &mut counted);
            payloads += MUTATIONS;
            campaign.watch_this_process().unwrap();
        }
    }
    campaign.end(&format!("rounds over all sensor types, {payloads} payloads")).unwrap();
    for code in counted.keys() {
        assert!(documented.contains(&format!("`{code}`")), "{code} is not in docs/sensor-types.md");
    }
    assert!(counted.len() >= 15, "the mutations reach most reasons: {counted:?}");
}

/// The whole sensor type files in a page: TOML that begins with an id.
fn files_in(page: &str) -> Vec<SourceFile> {
    let blocks = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let whole = blocks.filter(|block| block.contains("\nid = ") || block.starts_with("id = "));
    whole.map(|text| SourceFile { name: "in the page".into(), text: text.into() }).collect()
}

#[test]
fn the_files_in_the_pages_for_integrators_pass_their_own_tests() {
    for page in ["sensor-types.md", "add-a-sensor.md"] {
        let text = std::fs::read_to_string(format!("{}/../../docs/{page}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let files = files_in(&text);
        assert!(!files.is_empty(), "{page}");
        for file in files {
            let (types, faults) = SensorTypes::compile(&[file]);
            assert_eq!(faults, [], "{page}");
            assert_eq!(types.iter().count(), 1);
        }
    }
}

#[test]
fn devices_that_nobody_ships_a_type_for_are_described_all_the_same() {
    for file in files("core/tests/types/devices") {
        let (types, faults) = SensorTypes::compile(std::slice::from_ref(&file));
        assert_eq!(faults, [], "{}", file.name);
        assert_eq!(types.iter().next().unwrap().untested(), (vec![], vec![]), "{}", file.name);
    }
}
