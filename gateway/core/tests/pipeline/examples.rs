//! Examples in rule files are played, and a rule that they do not bear out is not in force.

use crate::town::{cards, settings};
use ninewatch_core::decode::SensorTypes;
use ninewatch_core::detect::{CheckedRule, ExampleCount, Rules};
use ninewatch_core::fault::SourceFile;

/// One type of each class: what an example comes to must not be by which types are shipped besides.
fn native_types() -> Vec<SourceFile> {
    let mut types = settings().sensor_types;
    types.retain(|file| file.name.starts_with("ninewatch-"));
    types
}

fn check_with(types: &[SourceFile], text: &str) -> CheckedRule {
    let (types, faults) = SensorTypes::compile(types);
    assert_eq!(faults, []);
    let file = SourceFile { name: "r.toml".into(), text: text.into() };
    let mut checked = Rules::check(&[file], &types, &cards());
    assert_eq!(checked.len(), 1);
    checked.remove(0)
}

/// A rule with this condition and these examples, checked with the native sensor types.
fn check(condition: &str, examples: &[&str]) -> CheckedRule {
    check_with(&native_types(), &rule(condition, examples))
}

fn rule(condition: &str, examples: &[&str]) -> String {
    let head = r#"[[rule]]
id = "r"
title = { zh = "试", en = "Trial" }
severity = "major"
source = "a test"
reason = { zh = "{spot}", en = "{spot}" }
"#;
    let examples: String = examples.iter().map(|example| format!("[[rule.example]]\n{example}\n")).collect();
    format!("{head}{condition}\n{examples}")
}

/// What is told of the one example of a rule.
fn told(condition: &str, example: &str) -> String {
    let checked = check(condition, &[example]);
    assert_eq!(checked.examples.failed, 1, "{example}");
    assert_eq!(checked.faults.len(), 1);
    checked.faults[0].to_string()
}

const CO: &str = "level = [{ field = \"co_ppm\", above = 50, clear = 45, for = \"60m\" }]";

#[test]
fn an_example_says_what_is_raised_and_when() {
    let examples = [
        "readings = [{ co_ppm = 55, for = \"60m\" }]\nraises = \"major\"\nafter = \"60m\"",
        "readings = [{ co_ppm = 55, for = \"59m\" }]\nraises = false",
        "readings = [{ co_ppm = 55, for = \"59m\" }, { co_ppm = 20, for = \"1h\" }]\nraises = false",
        "readings = [{ co_ppm = 2, for = \"5m\" }, { co_ppm = 55, for = \"2h\" }]\nraises = \"major\"\nafter = \"1h5m\"",
        "readings = [{ co_ppm = 55, for = \"30m\" }, { silence = \"10m\" }, { co_ppm = 55, for = \"30m\" }]\nraises = false",
    ];
    let checked = check(CO, &examples);
    assert_eq!(checked.faults, []);
    assert_eq!(checked.examples, ExampleCount { raising: 2, quiet: 3, failed: 0 });
}

#[test]
fn what_comes_out_otherwise_is_told_with_its_line_and_the_rule_is_set_aside() {
    let cases = [
        (
            "readings = [{ co_ppm = 55, for = \"59m\" }]\nraises = \"major\"",
            "r.toml:10: `rule.0.example.0.raises`: it raises nothing, and should raise `major`; correct the rule, or the example",
        ),
        (
            "readings = [{ co_ppm = 55, for = \"61m\" }]\nraises = \"critical\"",
            "r.toml:10: `rule.0.example.0.raises`: it raises `major` after 1h, and should raise `critical`; correct the rule, or the example",
        ),
        (
            "readings = [{ co_ppm = 55, for = \"61m\" }]\nraises = \"major\"\nafter = \"10m\"",
            "r.toml:11: `rule.0.example.0.after`: it raises `major` after 1h, and should after 10m; correct the rule, or the example",
        ),
        (
            "readings = [{ co_ppm = 55, for = \"61m\" }]\nraises = false",
            "r.toml:10: `rule.0.example.0.raises`: it raises `major` after 1h, and should raise nothing; correct the rule, or the example",
        ),
    ];
    for (example, wanted) in cases {
        assert_eq!(told(CO, example), wanted);
    }
    let (types, _) = SensorTypes::compile(&native_types());
    let text = format!("{}{}", rule(CO, &[cases[0].0]), rule(CO, &[]).replace("\"r\"", "\"sound\""));
    let (rules, faults) = Rules::compile(&[SourceFile { name: "r.toml".into(), text }], &types, &[]);
    assert_eq!(faults.len(), 1);
    assert_eq!(rules.iter().map(|rule| &*rule.id).collect::<Vec<_>>(), ["sound"], "the others stay");
}

#[test]
fn what_no_device_can_report_is_no_example() {
    let raises_nothing = |readings: &str| told(CO, &format!("readings = [{readings}]\nraises = false"));
    let misspelt = raises_nothing("{ co_ppm = 55, evry = \"10s\" }");
    assert!(misspelt.contains("r.toml:9: `rule.0.example.0.readings`: no sensor type"), "{misspelt}");
    assert!(misspelt.contains("reports `evry = \"10s\"`; use"), "{misspelt}");
    for (wrong, named) in [
        ("{ co_ppm = 5000 }", "`co_ppm = 5000`"),
        ("{ co_ppm = true }", "`co_ppm = true`"),
        ("{ match = \"friend\" }", "`match = \"friend\"`"),
        ("{ co_ppm = 50, open = true }", "all of this"),
        ("{ co_ppm = 50, for = \"744h\", every = \"1s\" }", "more than 10000 readings or a month"),
        ("{ silence = \"2562047788015h\" }", "more than 10000 readings or a month"),
    ] {
        let told = raises_nothing(wrong);
        assert!(told.contains(named), "{told}");
    }
    let wild = told(
        "level = [{ field = \"temperature_c\", above = 54 }]",
        "readings = [{ temperature_c = 20, for = \"2s\" }, { temperature_c = 60 }]\nraises = \"major\"",
    );
    assert!(wild.contains("it raises nothing (not believed: implausible_change: `temperature_c` jumped"), "{wild}");
    let about = told(CO, "about = \"a test\"\nreadings = [{ co_ppm = 5, every = \"1ms\" }]\nraises = \"major\"");
    assert!(about.contains("it raises nothing, and should raise `major` (a test); correct"), "{about}");
    let never = told(CO, "readings = [{ co_ppm = 5 }]\nraises = false\nafter = \"5m\"");
    assert!(never.contains("`rule.0.example.0.after`: nothing is to be raised"), "{never}");
}

#[test]
fn words_that_an_example_does_not_have_are_refused_where_they_stand() {
    let told = |example: &str| check_told(&rule(CO, &[example]));
    let raises = told("readings = []\nraises = true");
    assert!(raises.contains("r.toml:10") && raises.contains("or false for nothing"), "{raises}");
    let start = told("start = \"noon\"\nreadings = []\nraises = false");
    assert!(start.contains("r.toml:9") && start.contains("`noon` is not a time of day"), "{start}");
    let key = told("reading = []\nraises = false");
    assert!(key.contains("unknown field `reading`"), "{key}");
}

fn check_told(text: &str) -> String {
    let checked = check_with(&native_types(), text);
    assert!(checked.id.is_empty() && checked.rule.is_none());
    checked.faults[0].to_string()
}

#[test]
fn where_and_for_whom_an_example_plays_is_by_the_rule_unless_it_says_otherwise() {
    let at_night =
        "places = [\"shop\"]\npersons = [\"elder\"]\nhours = \"23:00-05:00\"\nstate = { field = \"open\", is = true }";
    let readings = "readings = [{ open = true, for = \"30m\" }]";
    let examples = [
        format!("start = \"23:30\"\n{readings}\nraises = \"major\"\nafter = \"0s\""),
        format!("start = \"22:50\"\n{readings}\nraises = \"major\"\nafter = \"10m\""),
        format!("{readings}\nraises = false"),
        format!("start = \"23:30\"\nplace = \"home\"\n{readings}\nraises = false"),
        format!("start = \"23:30\"\nperson = \"child\"\n{readings}\nraises = false"),
    ];
    let checked = check(at_night, &examples.each_ref().map(String::as_str));
    assert_eq!(checked.faults, []);
    assert_eq!(checked.examples.passed(), 5);
}

#[test]
fn a_type_that_reports_at_another_pace_does_not_take_a_rule_away() {
    let mut types = native_types();
    let gas = types.iter().find(|file| file.name == "ninewatch-gas.toml").unwrap();
    let slow = gas.text.replace("\"ninewatch-gas\"", "\"acme-gas\"").replace("\"5m\"", "\"300m\"");
    types.push(SourceFile { name: "acme-gas.toml".into(), text: slow });
    // On the slow one, a gap of ten minutes is none.
    let example = "readings = [{ co_ppm = 55, for = \"30m\" }, { silence = \"10m\" }, { co_ppm = 55, for = \"30m\" }]\nraises = false";
    let checked = check_with(&types, &rule(CO, &[example]));
    assert_eq!(checked.faults, []);
}

#[test]
fn every_shipped_rule_has_an_example_that_raises_it_and_one_that_does_not() {
    let settings = settings();
    let (types, _) = SensorTypes::compile(&settings.sensor_types);
    for checked in Rules::check(&settings.rules, &types, &settings.models) {
        assert_eq!(checked.faults, [], "{}", checked.id);
        if checked.id.starts_with("routine-") || checked.id == "night-entry" {
            // It takes a place and a week of it: see `models.rs`.
            continue;
        }
        assert!(checked.examples.raising > 0 && checked.examples.quiet > 0, "{}: {:?}", checked.id, checked.examples);
    }
}

#[test]
fn every_shipped_rule_says_what_to_do() {
    let settings = settings();
    let (types, _) = SensorTypes::compile(&settings.sensor_types);
    for checked in Rules::check(&settings.rules, &types, &settings.models) {
        let rule = checked.rule.unwrap();
        assert!((2..=4).contains(&rule.response.len()), "{}: {:?}", checked.id, rule.response);
    }
    let without_words = settings.rules.iter().find(|file| file.text.contains("拨打 119")).unwrap();
    let mut file = without_words.clone();
    file.text = file.text.replacen("response = [\n", "response = [\n  { zh = \"\", en = \"Look\" },\n", 1);
    let checked = Rules::check(&[file], &types, &settings.models);
    let told: Vec<_> = checked[0].faults.iter().map(|fault| (fault.key.as_str(), fault.line.is_some())).collect();
    assert_eq!(told, [("rule.0.response.0", true)]);
}

#[test]
fn a_shipped_limit_that_moves_is_noticed() {
    let settings = settings();
    let (types, _) = SensorTypes::compile(&settings.sensor_types);
    for (limit, moved) in [
        ("above = 300, clear = 270, for = \"3m\"", "above = 300, clear = 270, for = \"4m\""),
        ("at_least = 5", "at_least = 6"),
        ("below = 0.14", "below = 0.05"),
        ("between = \"05:00-08:30\"", "between = \"05:00-09:30\""),
        ("times = 3, within = \"30m\"", "times = 4, within = \"30m\""),
        ("silent = {}", "state = { field = \"sos\", is = true }"),
        ("model = { name = \"fall\", field = \"motion\" }", "state = { field = \"worn\", is = false }"),
    ] {
        let mut files = settings.rules.clone();
        files.iter_mut().for_each(|file| file.text = file.text.replacen(limit, moved, 1));
        assert_ne!(files, settings.rules, "`{limit}` stands in a shipped rule");
        let (_, faults) = Rules::compile(&files, &types, &settings.models);
        assert!(!faults.is_empty(), "{moved}");
    }
}
