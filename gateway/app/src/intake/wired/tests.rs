use embedded_hal::i2c::{ErrorKind, NoAcknowledgeSource};
use embedded_hal_mock::eh1::digital::{Mock as MockPin, State, Transaction as Get};
use embedded_hal_mock::eh1::i2c::{Mock as Bus, Transaction};
use ninewatch_drivers::contact::Active;
use std::path::Path;

use super::line::{READ_EVERY_MS, TELL_EVERY_MS};
use super::*;

fn wired(line: impl Line + 'static) -> Vec<Input> {
    let status = Status {
        device: "pump".into(),
        field: "leak".into(),
        by: "a mock".into(),
        is_simulated: false,
        failing: Mutex::default(),
    };
    vec![Input { device: "pump".into(), line: Box::new(line), status: Arc::new(status) }]
}

fn said(inputs: &mut [Input], now_ms: u64) -> Vec<String> {
    let messages = looked(inputs, Duration::from_millis(now_ms));
    messages.into_iter().map(|message| String::from_utf8(message.payload.to_vec()).unwrap()).collect()
}

fn complaint(inputs: &[Input]) -> Option<String> {
    let ails = inputs[0].status.ails();
    ails.into_iter().find(|(ailment, _)| *ailment == Ailment::PinFailed).map(|(_, text)| text.en)
}

#[test]
fn a_contact_is_told_when_it_changes_and_as_a_sign_of_life() {
    let levels = [State::High, State::High, State::Low, State::Low, State::Low].map(Get::get);
    let mut pin = MockPin::new(&levels);
    let contact = Contact::new(pin.clone(), Active::Low, 20);
    let mut wired = wired(ContactLine::new("leak".into(), contact));
    let said = [0, 30, 40, 70, 60_100].map(|ms| said(&mut wired, ms));
    let leak = |on: bool| vec![format!("[{{\"n\":\"leak\",\"vb\":{on}}}]")];
    assert_eq!(said, [vec![], leak(false), vec![], leak(true), leak(true)]);
    pin.done();
}

#[test]
fn a_press_is_told_at_once_and_a_button_that_stays_pressed_is_a_fault_besides() {
    let pressed = |ms: u64| (1_000..70_000).contains(&ms);
    let looks: Vec<u64> = (0..71_000).step_by(10).collect();
    let level = |ms: &u64| Get::get(if pressed(*ms) { State::Low } else { State::High });
    let mut pin = MockPin::new(&looks.iter().map(level).collect::<Vec<_>>());
    let mut wired = wired(ButtonLine::new("sos".into(), SosButton::new(pin.clone(), Active::Low)));
    let mut told = Vec::new();
    for ms in looks {
        told.extend(said(&mut wired, ms).into_iter().map(|payload| (ms, payload)));
        let stuck = complaint(&wired).is_some_and(|why| why.contains("stuck"));
        assert_eq!(stuck, (61_030..70_030).contains(&ms), "at {ms} ms");
    }
    let sos = |on: bool| format!("[{{\"n\":\"sos\",\"vb\":{on}}}]");
    assert_eq!(told, [(1_030, sos(true)), (70_030, sos(false))]);
    pin.done();
}

#[test]
fn a_button_that_nobody_presses_gives_a_sign_of_life() {
    let mut pin = MockPin::new(&vec![Get::get(State::High); 3]);
    let mut wired = wired(ButtonLine::new("sos".into(), SosButton::new(pin.clone(), Active::Low)));
    let told = [0, 100, TELL_EVERY_MS].map(|ms| said(&mut wired, ms));
    assert_eq!(told, [vec![], vec![], vec!["[{\"n\":\"sos\",\"vb\":false}]".to_owned()]]);
    pin.done();
}

#[test]
fn a_thermometer_that_does_not_answer_says_nothing_and_is_set_up_anew_when_it_does() {
    let missing = ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address);
    let asked =
        |pointer: u8, says: &[u8]| [Transaction::write(0x48, vec![pointer]), Transaction::read(0x48, says.to_vec())];
    let mut expected = vec![Transaction::write(0x48, vec![1]).with_error(missing)];
    // A TMP105 that had lost its power: 9 bits until it is told otherwise.
    expected.extend(asked(1, &[0]));
    expected.extend(asked(1, &[0]));
    expected.push(Transaction::write(0x48, vec![1, 0x60]));
    expected.extend(asked(1, &[0x60]));
    expected.extend(asked(1, &[0x60]));
    expected.extend(asked(0, &[0x19, 0x10]));
    let mut bus = Bus::new(&expected);
    let mut wired = wired(ThermometerLine::new("temperature_c".into(), Tmp102::new(bus.clone(), 0x48)));
    assert_eq!(said(&mut wired, 0), Vec::<String>::new());
    assert!(complaint(&wired).is_some_and(|why| why.contains("no thermometer answers")), "{:?}", complaint(&wired));
    assert_eq!(said(&mut wired, 5_000), Vec::<String>::new(), "it is left alone until its time");
    assert!(complaint(&wired).is_some(), "that it was not asked does not make it well");
    assert_eq!(said(&mut wired, READ_EVERY_MS), Vec::<String>::new(), "it measures anew");
    assert_eq!(said(&mut wired, READ_EVERY_MS + 300), ["[{\"n\":\"temperature_c\",\"v\":25.06}]"]);
    assert_eq!(complaint(&wired), None);
    bus.done();
}

#[test]
fn an_sht3x_gives_two_fields_and_is_not_waited_for() {
    let mut bus = Bus::new(&[
        Transaction::write(0x44, vec![0x24, 0x00]),
        Transaction::read(0x44, vec![0x66, 0x66, 0x93, 0xbe, 0xef, 0x92]),
        Transaction::write(0x44, vec![0x24, 0x00]),
        Transaction::read(0x44, vec![0x66, 0x66, 0x93, 0xbe, 0xef, 0x00]),
    ]);
    let humidity = Some("humidity_percent".to_owned());
    let mut wired = wired(ClimateLine::new("temperature_c".into(), humidity, Sht3x::new(bus.clone(), 0x44)));
    assert_eq!(said(&mut wired, 0), Vec::<String>::new());
    assert_eq!(said(&mut wired, 10), Vec::<String>::new());
    let told = said(&mut wired, 20);
    assert_eq!(told, ["[{\"n\":\"temperature_c\",\"v\":25.0},{\"n\":\"humidity_percent\",\"v\":74.58}]"]);
    said(&mut wired, 20 + READ_EVERY_MS);
    assert_eq!(said(&mut wired, 40 + READ_EVERY_MS), Vec::<String>::new());
    assert!(complaint(&wired).is_some_and(|why| why.contains("checksum")), "{:?}", complaint(&wired));
    bus.done();
}

fn input(table: &str) -> WiredInput {
    toml::from_str(&format!("device = \"pump\"\nfield = \"leak\"\n{table}")).unwrap()
}

#[test]
fn a_file_stands_for_hardware_and_is_told_as_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("said");
    let simulated = |table: &str| {
        let mut of = input(table);
        of.paths().for_each(|path| *path = dir.path().join(&*path));
        Wired::open(&[of]).unwrap().groups.into_values().next().unwrap()
    };
    for (table, says, told, wrong) in [
        ("contact = { pin = 4, settle = \"0s\", simulated = \"said\" }", "on", "\"vb\":true", "yes"),
        ("ld2410 = { port = \"/dev/serial0\", simulated = \"said\" }", "off", "\"vb\":false", ""),
        ("thermometer = { i2c_bus = 1, simulated = \"said\" }", "61.5\n", "\"v\":61.5", "hot"),
        (
            "sht3x = { i2c_bus = 1, humidity = \"rh\", simulated = \"said\" }",
            "21 40",
            "{\"n\":\"rh\",\"v\":40.0}",
            "21",
        ),
    ] {
        std::fs::write(&file, says).unwrap();
        let mut inputs = simulated(table);
        let heard = said(&mut inputs, 100);
        assert!(heard.len() == 1 && heard[0].contains(told), "{table}: {heard:?}");
        assert_eq!(inputs[0].status.ails()[0].0, Ailment::PinSimulated);
        std::fs::write(&file, wrong).unwrap();
        assert_eq!(said(&mut inputs, 200), Vec::<String>::new());
        assert!(complaint(&inputs).is_some(), "{table}");
    }
}

#[test]
fn without_the_hardware_it_is_refused_in_words() {
    for (table, mend) in [
        ("contact = { pin = 4, chip = \"/nowhere/gpiochip0\" }", "/nowhere/gpiochip0 is not to be had"),
        ("thermometer = { i2c_bus = 99 }", "switch I²C on"),
        ("sht3x = { i2c_bus = 99 }", "/dev/i2c-99"),
        ("ld2410 = { port = \"/nowhere/ttyAMA0\" }", "into the group `dialout`"),
    ] {
        let error = format!("{:#}", Wired::open(&[input(table)]).err().unwrap());
        assert!(error.starts_with("the wired input of device `pump` cannot be opened; mend [[wired]]"), "{error}");
        assert!(error.contains(mend), "{error}");
    }
    assert!(Wired::open(&[]).is_ok(), "without inputs no hardware is needed");
}

#[test]
fn what_is_wired_to_nothing_or_at_an_address_that_cannot_be_is_refused() {
    for (table, key) in [
        ("", "device"),
        ("button = { pin = 4 }\nthermometer = { i2c_bus = 1 }", "device"),
        ("thermometer = { i2c_bus = 1, address = 0x50 }", "thermometer"),
        ("sht3x = { i2c_bus = 1, address = 0x48 }", "sht3x"),
    ] {
        let problems = input(table).problems();
        assert!(problems.len() == 1 && problems[0].0 == key, "{table}: {problems:?}");
    }
    assert!(input("sht3x = { i2c_bus = 1, address = 0x45 }").problems().is_empty());
    assert_eq!(input("button = { pin = 4, simulated = \"x\" }").simulated(), Some(Path::new("x")));
}
