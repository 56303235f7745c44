//! What a person types, and what becomes of it.

use super::*;
use clap::Parser;
use ninewatch_core::site::Registry;
use std::os::unix::fs::PermissionsExt;

#[derive(Parser)]
enum Ninewatch {
    Place(PlaceArgs),
    Device(DeviceArgs),
}

/// A data folder and what a person types.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A desk with the place `shop`.
    fn with_shop() -> Self {
        let desk = Self::new();
        desk.say("place add shop --name 苗岭便利店 --kind shop --grid g1").unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs `ninewatch` with these words; `@name` is a file on the desk. Gives standard output.
    fn say(&self, words: &str) -> anyhow::Result<String> {
        let words = words.split(' ').map(|word| match word.strip_prefix('@') {
            Some(name) => self.path(name).display().to_string(),
            None => word.to_owned(),
        });
        let (mut command, data) = (vec!["ninewatch".to_owned()], self.path("data").display().to_string());
        command.extend(words);
        command.extend(["--data-dir".to_owned(), data]);
        let mut out = Vec::new();
        match Ninewatch::try_parse_from(command)? {
            Ninewatch::Place(args) => place_to(args, Lang::En, &mut out)?,
            Ninewatch::Device(args) => device_to(args, Lang::En, &mut out)?,
        }
        Ok(String::from_utf8(out)?)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn registry(&self) -> Registry {
        registry_file::load(&self.path("data")).unwrap()
    }

    fn opens(&self, id: &str, secret: &str) -> bool {
        registry_file::verify(&self.registry().device(id).unwrap().secret, secret.as_bytes())
    }
}

#[test]
fn a_device_gets_a_secret_that_is_told_once_and_can_be_renewed() {
    let desk = Desk::with_shop();
    let secret = desk.say("device add gas-1 --type gas --place shop --spot 后厨 --person elder_alone").unwrap();
    let secret = secret.trim_end();
    assert!(desk.opens("gas-1", secret));
    assert!(!desk.read("data/registry.toml").contains(secret));
    let renewed = desk.say("device renew gas-1").unwrap();
    assert!(desk.opens("gas-1", renewed.trim_end()));
    assert!(!desk.opens("gas-1", secret));
    assert_eq!(desk.registry().device("gas-1").unwrap().person, Some(PersonCategory::ElderAlone));
}

#[test]
fn lists_are_aligned_and_exports_hold_no_secret() {
    let desk = Desk::with_shop();
    desk.say("place add y --name y --kind home --grid g2").unwrap();
    assert_eq!(
        desk.say("place list").unwrap(),
        "ID    NAME        KIND  GRID  ADDRESS\nshop  苗岭便利店  shop  g1\ny     y           home  g2\n"
    );
    desk.say("device add gas-1 --type gas --place shop").unwrap();
    assert_eq!(desk.say("device export").unwrap(), "id,type,place,spot,person,known_as\ngas-1,gas,shop,,,\n");
    assert_eq!(desk.say("device list").unwrap(), "ID     TYPE  PLACE  SPOT  PERSON  KNOWN AS\ngas-1  gas   shop\n");
}

#[test]
fn an_export_can_be_imported_again() {
    let desk = Desk::with_shop();
    desk.say("device add gas-1 --type gas --place shop --spot 后厨,左 --person elder").unwrap();
    let (places, devices) = (desk.say("place export").unwrap(), desk.say("device export").unwrap());
    let other = Desk::new();
    other.write("places.csv", &places);
    other.write("devices.csv", &devices);
    other.say("place import @places.csv").unwrap();
    other.say("device import @devices.csv --secrets @secrets.csv").unwrap();
    assert_eq!(other.say("place export").unwrap(), places);
    assert_eq!(other.say("device export").unwrap(), devices);
}

#[test]
fn an_import_tells_the_secrets_of_new_devices_only() {
    let desk = Desk::with_shop();
    let former = desk.say("device add gas-1 --type gas --place shop").unwrap();
    desk.write("devices.csv", "\u{feff}place,id,type\nshop,gas-1,gas-v2\nshop,gas-2,gas\n,,\n");
    desk.say("device import @devices.csv --secrets @secrets.csv").unwrap();
    let secrets = desk.read("secrets.csv");
    let rows: Vec<(&str, &str)> = secrets.lines().filter_map(|row| row.split_once(',')).collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0], ("id", "secret"));
    assert_eq!(rows[1].0, "gas-2");
    assert!(desk.opens("gas-2", rows[1].1));
    assert!(desk.opens("gas-1", former.trim_end()), "it keeps its secret");
    assert_eq!(desk.registry().device("gas-1").unwrap().sensor_type, "gas-v2");
    let mode = std::fs::metadata(desk.path("secrets.csv")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    desk.say("device import @devices.csv").expect("without new devices no file is needed");
    desk.write("devices.csv", "id,type,place\ngas-3,gas,shop\n");
    let refused = desk.say("device import @devices.csv --secrets @secrets.csv").unwrap_err().to_string();
    assert!(refused.contains("may hold other secrets"), "{refused}");
    let refused = desk.say("device import @devices.csv").unwrap_err().to_string();
    assert!(refused.contains("--secrets FILE"), "{refused}");
    assert!(desk.registry().device("gas-3").is_none());
}

#[test]
fn a_bad_row_is_named_and_nothing_is_changed() {
    let desk = Desk::with_shop();
    let before = desk.read("data/registry.toml");
    desk.write(
        "bad.csv",
        "id,type,place,spot,person\n\
         ok,gas,shop,,\n\
         b d,gas,shop,,\n\
         c,,shop,,\n\
         d,gas,nowhere,,\n\
         e,gas,shop,,granny\n\
         ok,gas,shop,,\n\
         f,gas,shop,one, elder,x\n",
    );
    let faults = desk.say("device import @bad.csv --secrets @secrets.csv").unwrap_err().to_string();
    let expected = [
        "bad.csv:3: `id`: `b d` is not an id; use 1 to 64 of A-Z a-z 0-9 . _ -",
        "bad.csv:4: `type`: is empty; fill it in",
        "bad.csv:5: `place`: there is no place `nowhere`; add it with `ninewatch place add`",
        "bad.csv:6: `person`: unknown variant `granny`, expected one of `elder`, ",
        "bad.csv:7: `id`: `ok` is also in line 2; remove one",
        "bad.csv:8: there are 6 cells for 5 columns; put a text with a comma in \"quotes\"",
    ];
    let lines: Vec<&str> = faults.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{faults}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.contains(expected), "{line}\nshould say\n{expected}");
    }
    assert_eq!(desk.read("data/registry.toml"), before);
    assert!(!desk.path("secrets.csv").exists());
}

#[test]
fn a_bad_header_or_encoding_is_named() {
    let desk = Desk::with_shop();
    desk.write("header.csv", "id,typ,place\n");
    let faults = desk.say("device import @header.csv").unwrap_err().to_string();
    assert!(faults.contains("header.csv:1: `typ`: there is no such column; the columns are id,type,place"), "{faults}");
    assert!(faults.contains("header.csv:1: `type`: the column is missing"), "{faults}");
    // 店 as GBK, which is what spreadsheets here save by default.
    desk.write("gbk.csv", b"id,name,kind,grid\np1,\xb5\xea,shop,g1\n");
    let fault = desk.say("place import @gbk.csv").unwrap_err().to_string();
    assert!(fault.ends_with("gbk.csv:2: this is not UTF-8; save the sheet as \"CSV UTF-8\""), "{fault}");
    desk.write("kind.csv", "id,name,kind,grid\np1,x,castle,g1\n");
    let fault = desk.say("place import @kind.csv").unwrap_err().to_string();
    assert!(fault.contains("kind.csv:2: `kind`: unknown variant `castle`, expected one of `school`"), "{fault}");
}

#[test]
fn mistakes_in_commands_are_explained_and_change_nothing() {
    let desk = Desk::with_shop();
    desk.say("device add gas-1 --type gas --place shop").unwrap();
    let before = desk.read("data/registry.toml");
    for (words, explained) in [
        ("place add shop --name x --kind shop --grid g", "there is a place `shop` already"),
        ("place add x/y --name x --kind shop --grid g", "`x/y` is not an id"),
        ("place add x --name x --kind castle --grid g", "expected one of `school`"),
        ("place remove shop", "has devices: gas-1"),
        ("place remove gone", "there is no place `gone`"),
        ("device add gas-1 --type gas --place shop", "there is a device `gas-1` already"),
        ("device add gas-2 --type gas --place gone", "there is no place `gone`"),
        ("device remove gas-2", "there is no device `gas-2`"),
        ("device renew gas-2", "there is no device `gas-2`"),
    ] {
        let told = desk.say(words).unwrap_err().to_string();
        assert!(told.contains(explained), "{words}: {told}");
    }
    assert_eq!(desk.read("data/registry.toml"), before);
    desk.say("device remove gas-1").unwrap();
    desk.say("place remove shop").unwrap();
    assert_eq!(desk.registry(), Registry::default());
}
