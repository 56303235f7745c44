use base64::Engine as _;
use proptest::prelude::*;

use super::*;
use crate::reading::{Reading, Value};
use crate::time::UtcOffset;

const GAS: &str = include_str!("../../../../sensors/ninewatch-gas.toml");
const BRACELET: &str = include_str!("../../../../sensors/ninewatch-bracelet.toml");
const CAMERA: &str = include_str!("../../../../sensors/ninewatch-face-camera.toml");
const ARRIVAL: Arrival = Arrival { at_ms: 1_795_467_300_000, utc_offset: UtcOffset::CHINA };

fn source(text: &str) -> SourceFile {
    SourceFile { name: "type.toml".into(), text: text.into() }
}

fn native(text: &str) -> SensorType {
    let (types, faults) = SensorTypes::compile(&[source(text)]);
    assert_eq!(faults, []);
    types.iter().next().unwrap().clone()
}

/// What a native device d-1 said.
fn decode(text: &str, payload: &str) -> Result<(Vec<Reading>, Vec<DecodeError>), DecodeError> {
    let decoded = native(text).decode("ninewatch/d-1/readings", payload.as_bytes(), ARRIVAL)?;
    let reading = |said: &Said<'_>| said.reading.clone();
    Ok((decoded.said.iter().filter_map(reading).collect(), decoded.refused.clone()))
}

#[test]
fn a_reading_has_a_slot_for_each_field_in_the_types_unit() {
    let (readings, refused) = decode(
        GAS,
        r#"[{"bn":"d-1/","bt":1795467299.5,"n":"co_ppm","u":"ppm","v":62},{"n":"gas_alarm","vb":true},
            {"n":"temperature_c","u":"K","v":300.15},{"n":"firmware","vs":"1.2"}]"#,
    )
    .unwrap();
    assert_eq!(refused, []);
    let [reading] = readings.as_slice() else { panic!("{readings:?}") };
    assert_eq!(reading.event_ms, Some(1_795_467_299_500));
    assert_eq!(reading.number(0), Some(62.0));
    assert_eq!(reading.number(1), None);
    assert_eq!(reading.number(2), Some(1.0));
    assert!((reading.number(3).unwrap() - 27.0).abs() < 1e-9);
}

#[test]
fn a_pack_with_several_times_is_several_readings() {
    let (readings, _) =
        decode(GAS, r#"[{"bt":1795467200,"n":"co_ppm","v":1},{"n":"co_ppm","t":60,"v":2},{"n":"lel_percent","v":3}]"#)
            .unwrap();
    let times: Vec<_> = readings.iter().map(|reading| reading.event_ms.unwrap()).collect();
    assert_eq!(times, [1_795_467_200_000, 1_795_467_260_000]);
    assert_eq!(readings[0].number(1), Some(3.0));
}

#[test]
fn a_wild_value_does_not_take_the_alarm_beside_it_away() {
    let (readings, refused) = decode(GAS, r#"[{"n":"gas_alarm","vb":true},{"n":"co_ppm","u":"ppm","v":-40}]"#).unwrap();
    assert_eq!(readings[0].number(2), Some(1.0));
    assert_eq!(readings[0].number(0), None);
    assert_eq!(refused[0].to_string(), "out_of_range: `co_ppm` -40 ppm is not from 0 to 2000");
}

#[test]
fn what_counts_for_nothing_says_why() {
    for (payload, code) in [
        (r#"[{"n":"co_ppm","u":"Cel","v":20}]"#, "wrong_unit"),
        (r#"[{"n":"co_ppm","u":"furlong","v":20}]"#, "unknown_unit"),
        (r#"[{"n":"co_ppm","vb":true}]"#, "wrong_type"),
        (r#"[{"n":"gas_alarm","v":2}]"#, "wrong_type"),
        (r#"[{"n":"humidity","v":20}]"#, "no_known_field"),
        (r#"[{"bn":"d-2/","n":"co_ppm","v":20}]"#, "wrong_device"),
        ("[]", "no_known_field"),
        ("", "not_json"),
    ] {
        assert_eq!(decode(GAS, payload).unwrap_err().code, code, "{payload}");
    }
    let unknown = decode(CAMERA, r#"[{"n":"match","vs":"friend"}]"#).unwrap_err();
    assert_eq!(unknown.to_string(), "unknown_word: `match` `friend` is none of known, stranger, listed");
}

#[test]
fn a_burst_is_int16_samples_in_the_channels_units() {
    // Two samples of six channels: 981, 0, -1, 500, 0, 0 and again.
    let counts = [981_i16, 0, -1, 500, 0, 0, 981, 0, -1, 500, 0, 0];
    let bytes: Vec<u8> = counts.iter().flat_map(|count| count.to_le_bytes()).collect();
    let data = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&bytes);
    let (readings, _) = decode(BRACELET, &format!(r#"[{{"n":"motion","vd":"{data}"}}]"#)).unwrap();
    let Some(Value::Burst(burst)) = &readings[0].values[6] else { panic!("{readings:?}") };
    assert_eq!((burst.channels, burst.samples.len()), (6, 12));
    assert!((burst.samples[0] - 9.81).abs() < 1e-4 && (burst.samples[3] - 1.0).abs() < 1e-4);

    let cut = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&bytes[..11]);
    assert_eq!(decode(BRACELET, &format!(r#"[{{"n":"motion","vd":"{cut}"}}]"#)).unwrap_err().code, "wrong_type");
    let long = "A".repeat(100_000);
    assert_eq!(decode(BRACELET, &format!(r#"[{{"n":"motion","vd":"{long}"}}]"#)).unwrap_err().code, "out_of_range");
}

#[test]
fn a_broken_file_names_line_key_and_mend_and_the_others_stand() {
    let broken = GAS.replace("unit = \"%LEL\"", "unit = \"LEL\"").replace("max = 2000", "max = -1");
    let files = [source(&broken), source(CAMERA)];
    let (types, faults) = SensorTypes::compile(&files);
    assert_eq!(types.iter().count(), 1);
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let line = |text: &str| 1 + broken.lines().position(|line| line == text).unwrap();
    assert_eq!(
        told,
        [
            format!("type.toml:{}: `field.0.min`: is not below max; swap them", line("min = 0")),
            format!(
                "type.toml:{}: `field.1.unit`: the unit `LEL` is not known; see docs/sensor-types.md",
                line("unit = \"LEL\"")
            ),
        ]
    );
    let (_, faults) = SensorTypes::compile(&[source(&GAS.replace("cadence", "cadense"))]);
    assert!(faults[0].to_string().starts_with("type.toml:5: `cadense`: unknown field"), "{}", faults[0]);
}

#[test]
fn what_masks_a_message_is_what_reads_it() {
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../sensors")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "toml") {
            continue;
        }
        let sensor_type = native(&std::fs::read_to_string(&path).unwrap());
        // SenML has nothing to discard.
        if sensor_type.kinds.iter().any(|kind| kind.payload == PayloadForm::Senml) {
            continue;
        }
        for sample in &sensor_type.examples {
            let mut took = Vec::new();
            let _ = sensor_type.read(&sample.topic, &sample.payload, ARRIVAL, &mut |index| took.push(index));
            let json = Node::from_json(&sample.payload).ok();
            let takers = sensor_type.takers(&sample.topic, &sample.payload, json.as_ref());
            let read: Vec<&MessageKind> = took.iter().map(|index| &sensor_type.kinds[*index]).collect();
            assert_eq!(takers, read, "{}: {}", sensor_type.id, String::from_utf8_lossy(&sample.payload));
        }
    }
}

proptest! {
    /// Whatever bytes come, decoding says yes or no and never falls over.
    #[test]
    fn any_bytes_are_taken_or_refused(payload in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = native(BRACELET).decode("ninewatch/d-1/readings", &payload, ARRIVAL);
    }

    /// The same for what is nearly right.
    #[test]
    fn a_mutated_payload_is_taken_or_refused(at in 0_usize..200, byte in any::<u8>(), cut in 0_usize..240) {
        let mut payload = br#"[{"bn":"d-1/","bt":1795467299.5,"n":"heart_rate_bpm","u":"beat/min","v":72},
            {"n":"worn","vb":true},{"n":"motion","vd":"1QMAAP__9AEAAAAA1QMAAP__9AEAAAAA"},{"n":"spo2_percent","u":"%","v":97.5}]"#.to_vec();
        if let Some(slot) = payload.get_mut(at) {
            *slot = byte;
        }
        payload.truncate(payload.len() - cut.min(payload.len()));
        if let Ok(decoded) = native(BRACELET).decode("ninewatch/d-1/readings", &payload, ARRIVAL) {
            for reading in decoded.said.into_iter().filter_map(|said| said.reading) {
                prop_assert_eq!(reading.values.len(), 7);
                prop_assert!(reading.number(0).is_none_or(|bpm| (20.0..=260.0).contains(&bpm)));
            }
        }
    }
}
