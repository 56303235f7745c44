//! The shipped sensor types, all of them: what they are, and that no payload whatever harms the gateway.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it wants, and fails where it does not get it")]

mod mutation;

use ninewatch_core::alert::AlertSettings;
use ninewatch_core::decode::{Arrival, SensorType, SensorTypes, Speaker};
use ninewatch_core::detect::model::{ScoreError, Scorer};
use ninewatch_core::fault::SourceFile;
use ninewatch_core::pipeline::{Event, Message, Pipeline, Settings};
use ninewatch_core::reading::SensorClass;
use ninewatch_core::site::{Device, Place, PlaceKind, Registry};
use ninewatch_core::time::{TimeMs, UtcOffset};
use std::collections::{BTreeMap, BTreeSet};

const NOW: TimeMs = 1_795_467_300_000;
/// Mutated payloads of each type.
const MUTATIONS: usize = 10_000;

fn files(folder: &str) -> Vec<SourceFile> {
    let folder = format!("{}/../{folder}", env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    paths.sort();
    let read = |path: std::path::PathBuf| SourceFile {
        name: path.file_name().unwrap().to_string_lossy().into_owned(),
        text: std::fs::read_to_string(&path).unwrap(),
    };
    paths.into_iter().map(read).collect()
}

fn shipped() -> SensorTypes {
    let (types, faults) = SensorTypes::compile(&files("sensors"));
    assert_eq!(faults, [], "each file passes its own test");
    types
}

struct NoModel;

impl Scorer for NoModel {
    fn score(&mut self, model: &str, _features: &[f32]) -> Result<f32, ScoreError> {
        Err(ScoreError { model: model.into(), reason: "there is none here".into() })
    }
}

/// A site with a device for everybody who speaks in the type's examples.
fn site(sensor_type: &SensorType, file: &SourceFile) -> Pipeline {
    let arrival = Arrival { at_ms: NOW, utc_offset: UtcOffset::CHINA };
    let mut names = BTreeSet::new();
    for sample in &sensor_type.examples {
        for said in sensor_type.decode(&sample.topic, &sample.payload, arrival).unwrap_or_default().said {
            if let Speaker::Device(name) = said.speaker {
                names.insert(name.into_owned());
            }
        }
    }
    let device = |(index, name): (usize, String)| Device {
        id: format!("d-{index}"),
        sensor_type: sensor_type.id.clone(),
        place: "home".into(),
        spot: String::new(),
        known_as: name,
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
        registry: Registry { places: vec![place], devices: names.into_iter().enumerate().map(device).collect() },
        sensor_types: vec![file.clone()],
        rules: files("rules"),
        models: Vec::new(),
    };
    Pipeline::new(settings, NOW).0
}

#[test]
fn there_are_types_of_all_nine_classes_for_what_communities_have() {
    let types = shipped();
    for class in SensorClass::ALL {
        assert!(types.iter().any(|known| known.class == class && !known.id.starts_with("ninewatch-")), "{class}");
    }
    assert!(types.iter().count() >= 25);
}

#[test]
fn every_example_is_heard_by_the_whole_gateway() {
    for file in files("sensors") {
        let (types, _) = SensorTypes::compile(std::slice::from_ref(&file));
        let sensor_type = types.iter().next().unwrap();
        let mut pipeline = site(sensor_type, &file);
        let mut readings = 0;
        for (index, sample) in sensor_type.examples.iter().enumerate() {
            let message = Message { device: None, topic: &sample.topic, payload: &sample.payload, redelivered: false };
            let now = NOW + 1_000 * i64::try_from(index).unwrap();
            if let Some(Ok(intake)) = pipeline.step(Event::Message(message), now, &mut NoModel).intake {
                readings += intake.readings;
            }
        }
        assert!(readings > 0, "{}", file.name);
    }
}

#[test]
fn mutated_payloads_are_taken_or_refused_with_a_reason() {
    let documented = include_str!("../../../../docs/sensor-types.md");
    let mut counted: BTreeMap<&'static str, usize> = BTreeMap::new();
    for file in files("sensors") {
        let (types, _) = SensorTypes::compile(std::slice::from_ref(&file));
        let sensor_type = types.iter().next().unwrap();
        let mut pipeline = site(sensor_type, &file);
        let mut mutator = mutation::Mutator::new(&sensor_type.id, &sensor_type.examples);
        let (mut taken, mut rejected) = (0, 0);
        for index in 0..MUTATIONS {
            let sample = mutator.next();
            let message = Message { device: None, topic: &sample.topic, payload: &sample.payload, redelivered: false };
            let masked = pipeline.site().without_discarded(message);
            let message = Message { payload: masked.as_deref().unwrap_or(&sample.payload), ..message };
            let now = NOW + 1_000 * i64::try_from(index).unwrap();
            match pipeline.step(Event::Message(message), now, &mut NoModel).intake {
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
