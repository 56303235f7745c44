use super::*;

fn chips(labels: &[&str]) -> Vec<Chip> {
    let chip = |(number, label): (usize, &&str)| Chip {
        path: format!("/dev/gpiochip{number}").into(),
        label: (*label).to_owned(),
    };
    labels.iter().enumerate().map(chip).collect()
}

fn picked(labels: &[&str]) -> String {
    pick(&chips(labels)).map_or_else(|error| error.to_string(), |chip| chip.path.display().to_string())
}

#[test]
fn a_number_without_a_chip_means_the_header_or_the_only_chip_and_never_a_guess() {
    assert_eq!(picked(&["raspberrypi-exp-gpio", "pinctrl-bcm2711"]), "/dev/gpiochip1");
    assert_eq!(picked(&["gpio-brcmstb@107d508500", "pinctrl-rp1"]), "/dev/gpiochip1");
    assert_eq!(picked(&["pl061"]), "/dev/gpiochip0");
    let several = picked(&["gpio0", "gpio1"]);
    assert!(several.contains("/dev/gpiochip0 (gpio0), /dev/gpiochip1 (gpio1)"), "{several}");
    assert!(picked(&[]).contains("simulated = "), "{}", picked(&[]));
}

#[test]
fn a_simulated_pin_is_on_at_its_own_level() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pin");
    for (active, high_is_on) in [(Level::Low, false), (Level::High, true)] {
        let pin = Pin { pin: 4, chip: None, active: Some(active), simulated: Some(file.clone()) };
        let (mut out, by) = pin.output().unwrap();
        assert!(by.starts_with("simulated by "), "{by}");
        let (mut input, _) = pin.input().unwrap();
        out.set_high().unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap() == "on\n", high_is_on);
        assert!(input.is_high().unwrap() && !input.is_low().unwrap());
        out.set_low().unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap() == "on\n", !high_is_on);
        assert!(input.is_low().unwrap());
    }
}

#[test]
fn a_chip_that_is_not_there_is_named() {
    let pin = Pin { pin: 4, chip: Some("/nowhere/gpiochip7".into()), active: None, simulated: None };
    let error = format!("{:#}", pin.input().err().unwrap());
    assert!(error.starts_with("/nowhere/gpiochip7 is not to be had: name a /dev/gpiochip*"), "{error}");
}
