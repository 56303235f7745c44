use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::config::JournalConfig;
use crate::journal::{self, Journal};
use ninewatch_core::pipeline::{Pipeline, Settings};
use ninewatch_core::replay::Recorded;
use ninewatch_core::site::Registry;

fn about() -> About {
    About {
        gateway: "g".to_owned(),
        program: "1".to_owned(),
        made_at_ms: 1,
        places: 2,
        devices: 3,
        open_alerts: 4,
        last_seq: 5,
    }
}

/// A small backup, as bytes.
fn sample() -> Vec<u8> {
    let mut archive = archive::Writer::new(Vec::new(), &about()).unwrap();
    archive.entry("registry.toml", 3, &b"abc"[..]).unwrap();
    archive.entry("site/site.toml", 0, &b""[..]).unwrap();
    archive.finish().unwrap().0
}

fn read(bytes: &[u8]) -> anyhow::Result<About> {
    archive::read(bytes, |_, _| Ok(()))
}

/// A backup whose one entry has this name; its checksum is right.
fn named(name: &str) -> Vec<u8> {
    let mut bytes = format!("ninewatch backup 1\n{}\n", serde_json::to_string(&about()).unwrap()).into_bytes();
    let name = serde_json::to_string(name).unwrap();
    bytes.extend(format!("{{\"entry\":{{\"name\":{name},\"bytes\":3}}}}\nabc").bytes());
    let digest = crate::private::hex(&<sha2::Sha256 as sha2::Digest>::digest(&bytes));
    bytes.extend(format!("{{\"end\":{{\"sha256\":\"{digest}\"}}}}\n").bytes());
    bytes
}

#[test]
fn what_is_written_is_read_again() {
    let mut entries = Vec::new();
    let told = archive::read(sample().as_slice(), |name, body| {
        let mut text = String::new();
        body.read_to_string(&mut text)?;
        entries.push((name.to_owned(), text));
        Ok(())
    });
    assert_eq!(told.unwrap(), about());
    assert_eq!(entries, [("registry.toml".to_owned(), "abc".to_owned()), ("site/site.toml".to_owned(), String::new())]);
}

#[test]
fn a_backup_that_is_torn_anywhere_is_refused() {
    let whole = sample();
    for length in 0..whole.len() {
        assert!(read(&whole[..length]).is_err(), "torn after {length} bytes");
    }
    let longer = [whole.as_slice(), b"\n"].concat();
    assert!(read(&longer).unwrap_err().to_string().contains("follows its end"));
}

#[test]
fn a_backup_with_any_other_bit_is_refused() {
    let whole = sample();
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut other = whole.clone();
            other[at] ^= 1 << bit;
            assert!(read(&other).is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn another_version_is_named() {
    let text = String::from_utf8(sample()).unwrap().replacen("backup 1", "backup 2", 1);
    assert!(read(text.as_bytes()).unwrap_err().to_string().contains("a backup of version 2"));
    assert!(read(b"PK\x03\x04").unwrap_err().to_string().contains("does not begin as a backup"));
}

#[test]
fn a_name_that_leads_out_of_the_folder_is_refused() {
    assert!(read(&named("a/b.toml")).is_ok());
    for name in ["../a", "/etc/passwd", "a/../../b", "a/..", "./a", "a//b", "a/", "", ".", "a\0b"] {
        let refused = read(&named(name)).unwrap_err().to_string();
        assert!(refused.contains("outside of the data folder"), "{name}: {refused}");
        assert!(archive::Writer::new(Vec::new(), &about()).unwrap().entry(name, 0, &b""[..]).is_err(), "{name}");
    }
}

/// A site with a gateway that has been at work.
struct Site {
    dir: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let site = Self { dir: tempfile::tempdir().unwrap() };
        let text = "[gateway]\nid = \"g\"\ndata_dir = \"data\"\n\n[files]\nrules = \"own rules\"\n";
        fs::write(site.file(), text).unwrap();
        fs::create_dir_all(site.at("data/models/in_use/fall")).unwrap();
        fs::create_dir(site.at("own rules")).unwrap();
        fs::write(site.at("own rules/mine.toml"), "mine").unwrap();
        fs::write(site.at("data/accounts.toml"), "").unwrap();
        fs::write(site.at("data").join(HANDOVERS), "[]").unwrap();
        fs::write(site.at("data").join(PLANS), "{}").unwrap();
        fs::create_dir(site.at("data").join(PICTURES)).unwrap();
        fs::write(site.at("data").join(PICTURES).join("8f0d"), "picture").unwrap();
        fs::write(site.at("data/models/in_use/fall/model.toml"), "card").unwrap();
        let (mut journal, _) = Journal::open(&site.at("data/journal"), &JournalConfig::default()).unwrap();
        let config = Config::load(&site.file()).unwrap();
        let settings = Settings {
            gateway: config.gateway.id,
            utc_offset: config.gateway.utc_offset,
            alerts: config.alerts,
            registry: Registry::default(),
            sensor_types: Vec::new(),
            rules: Vec::new(),
            models: Vec::new(),
            ladders: Vec::new(),
        };
        for at_ms in [1, 2] {
            let state = Pipeline::new(settings.clone(), at_ms).0.checkpoint().unwrap();
            let mut frame = Vec::new();
            journal::encode(&mut frame, at_ms, &Recorded::Checkpoint(state.into())).unwrap();
            journal.begin_segment(0).unwrap();
            journal.append_intake(&frame);
            journal.commit().unwrap();
        }
        site
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn file(&self) -> PathBuf {
        self.at("site.toml")
    }

    fn back_up(&self, force: bool) -> anyhow::Result<(About, u64)> {
        make(&self.file(), &self.at("backup"), force, &ProgressBar::hidden())
    }
}

fn lay_down(file: &Path, data_dir: &Path, force: bool) -> anyhow::Result<Restored> {
    restore(file, None, data_dir, force, &ProgressBar::hidden())
}

#[test]
fn a_gateway_is_laid_down_as_it_was_and_private() {
    let site = Site::new();
    let (told, bytes) = site.back_up(false).unwrap();
    assert_eq!((told.gateway.as_str(), told.last_seq), ("g", 0));
    assert_eq!(check(&site.at("backup"), None, &ProgressBar::hidden()).unwrap(), (told.clone(), bytes));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&site.at("backup")), 0o600);
    assert!(site.back_up(false).unwrap_err().to_string().contains("--force"), "it is not written over");
    site.back_up(true).unwrap();

    let restored = lay_down(&site.at("backup"), &site.at("deep/new"), false).map(drop).unwrap_err();
    assert!(format!("{restored:#}").contains("cannot be written"), "its parent has to be there: {restored:#}");
    let data = site.at("new");
    let restored = lay_down(&site.at("backup"), &data, false).unwrap();
    assert_eq!(restored.former, None);
    assert_eq!(fs::read(data.join("models/in_use/fall/model.toml")).unwrap(), b"card");
    assert_eq!(fs::read(data.join("site/own rules/mine.toml")).unwrap(), b"mine");
    assert_eq!(fs::read(data.join(PICTURES).join("8f0d")).unwrap(), b"picture");
    assert!(data.join(HANDOVERS).is_file() && data.join(PLANS).is_file(), "what the desk keeps");
    let config = Config::load(&restored.site_file).unwrap();
    assert_eq!(config.gateway.data_dir, restored.data_dir);
    assert_eq!(config.files.rules, Some(restored.data_dir.join("site/own rules")));
    let segments = journal::intake_segments(&data.join(JOURNAL)).unwrap();
    assert_eq!(
        segments.iter().map(|segment| segment.number).collect::<Vec<_>>(),
        [2],
        "the newest checkpoint suffices"
    );
    for private in ["", "models", "models/in_use/fall", "site"] {
        assert_eq!(mode(&data.join(private)), 0o700, "{private}");
    }
    for private in ["accounts.toml", "site/site.toml", "restored.json", "models/in_use/fall/model.toml"] {
        assert_eq!(mode(&data.join(private)), 0o600, "{private}");
    }
}

#[test]
fn a_gateway_that_is_there_is_moved_aside_and_never_one_at_work() {
    let site = Site::new();
    site.back_up(false).unwrap();
    let (backup, data) = (site.at("backup"), site.at("data"));
    let refused = lay_down(&backup, &data, false).map(drop).unwrap_err().to_string();
    assert!(refused.contains("--force"), "{refused}");
    let (journal, _) = Journal::open(&data.join(JOURNAL), &JournalConfig::default()).unwrap();
    let refused = lay_down(&backup, &data, true).map(drop).unwrap_err().to_string();
    assert!(refused.contains("at work"), "{refused}");
    drop(journal);
    fs::write(data.join("mine.txt"), "mine").unwrap();
    let former = lay_down(&backup, &data, true).unwrap().former.unwrap();
    assert!(former.join("mine.txt").exists() && !data.join("mine.txt").exists());
    assert!(data.join("restored.json").exists());
}

#[test]
fn a_damaged_backup_touches_nothing() {
    let site = Site::new();
    site.back_up(false).unwrap();
    let mut bytes = fs::read(site.at("backup")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(site.at("backup"), bytes).unwrap();
    let before = fs::read_dir(site.dir.path()).unwrap().count();
    for data in ["data", "new"] {
        let refused = lay_down(&site.at("backup"), &site.at(data), true).map(drop).unwrap_err();
        assert!(refused.to_string().contains("nothing was touched"), "{refused:#}");
    }
    assert_eq!(fs::read_dir(site.dir.path()).unwrap().count(), before);
    assert!(site.at("data/models/in_use/fall/model.toml").exists());
}

#[test]
fn links_are_not_followed() {
    let site = Site::new();
    fs::write(site.at("outside"), "not ours").unwrap();
    symlink(site.at("outside"), site.at("data/models/in_use/fall/fall.onnx")).unwrap();
    let refused = site.back_up(false).unwrap_err().to_string();
    assert!(refused.contains("is a link"), "{refused}");
    fs::remove_file(site.at("data/models/in_use/fall/fall.onnx")).unwrap();
    // A link in the place of the unfinished file does not lead the writing elsewhere.
    symlink(site.at("outside"), site.at("backup.part")).unwrap();
    site.back_up(false).unwrap();
    assert_eq!(fs::read(site.at("outside")).unwrap(), b"not ours");
    assert!(!site.at("backup.part").exists());
}

impl Site {
    /// With backups to a stick, of which so many days are kept.
    fn with_stick(keep: usize) -> Self {
        let site = Self::new();
        fs::create_dir(site.at("stick")).unwrap();
        fs::write(site.at("words"), "one two three four\n").unwrap();
        let text = fs::read_to_string(site.file()).unwrap();
        let backup = format!("{text}\n[backup]\nusb = true\npassphrase_file = \"words\"\nkeep = {keep}\n");
        fs::write(site.file(), backup).unwrap();
        site
    }

    fn to_stick(&self) -> anyhow::Result<Written> {
        Ok(to_stick(&self.file(), &self.at("stick"), &ProgressBar::hidden())?.unwrap())
    }

    /// What is on the stick; the newest is last.
    fn on_stick(&self) -> Vec<String> {
        let entries = fs::read_dir(self.at("stick/ninewatch-g")).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn put_on_stick(&self, name: &str, bytes: &[u8]) {
        fs::write(self.at("stick/ninewatch-g").join(name), bytes).unwrap();
    }

    fn state(&self) -> stick::State {
        state(&self.at("data")).unwrap().unwrap()
    }
}

fn words() -> Passphrase {
    Passphrase::new("one two three four").unwrap()
}

#[test]
fn a_backup_on_a_stick_is_sealed_read_back_and_makes_a_gateway() {
    let site = Site::with_stick(7);
    fs::write(site.at("data/nodes.toml"), "# a secret of the nodes").unwrap();
    let written = site.to_stick().unwrap();
    assert_eq!((written.generations, written.let_go), (1, 0));
    let bytes = fs::read(&written.file).unwrap();
    assert!(!bytes.windows(6).any(|part| part == b"secret"), "nobody reads it who finds the stick");
    assert_eq!(check(&written.file, Some(&words()), &ProgressBar::hidden()).unwrap(), (written.about, written.bytes));
    let refused = check(&written.file, None, &ProgressBar::hidden()).unwrap_err();
    assert!(format!("{refused:#}").contains("--passphrase-file"), "{refused:#}");
    let state = site.state();
    assert!(state.done_at_ms.is_some() && state.failed.is_none() && state.generations == 1);

    let (new, hidden) = (site.at("new"), ProgressBar::hidden());
    let other = Passphrase::new("five six seven eight").unwrap();
    let refused = restore(&written.file, Some(&other), &new, false, &hidden).map(drop).unwrap_err();
    assert!(format!("{refused:#}").contains("passphrase is another one") && !new.exists(), "{refused:#}");
    let restored = restore(&written.file, Some(&words()), &new, false, &hidden).unwrap();
    assert_eq!(fs::read(new.join("nodes.toml")).unwrap(), b"# a secret of the nodes");
    assert_eq!(fs::read_to_string(new.join("site/words")).unwrap(), "one two three four\n");
    let config = Config::load(&restored.site_file).unwrap();
    assert!(config.backup.usb && Passphrase::read(config.backup.passphrase_file.as_deref().unwrap()).is_ok());
    assert!(!new.join("backup.json").exists(), "the new box has made none yet");
}

#[test]
fn nothing_is_written_to_a_stick_that_nobody_asked_for() {
    let site = Site::new();
    fs::create_dir(site.at("stick")).unwrap();
    let done = to_stick(&site.file(), &site.at("stick"), &ProgressBar::hidden()).unwrap();
    assert!(done.is_none() && fs::read_dir(site.at("stick")).unwrap().next().is_none());
    let text = fs::read_to_string(site.file()).unwrap();
    fs::write(site.file(), format!("{text}\n[backup]\nusb = true\n")).unwrap();
    let refused = Config::load(&site.file()).err().unwrap().to_string();
    assert!(refused.contains("backup.usb") && refused.contains("passphrase"), "{refused}");
    let site = Site::with_stick(7);
    fs::write(site.at("words"), "short").unwrap();
    assert!(format!("{:#}", site.to_stick().unwrap_err()).contains("four words"));
    assert!(site.state().failed.unwrap().contains("four words"), "and the gateway knows");
}

#[test]
fn old_generations_go_and_only_for_whole_ones() {
    let site = Site::with_stick(3);
    let whole = fs::read(site.to_stick().unwrap().file).unwrap();
    let first = site.on_stick().remove(0);
    fs::remove_file(site.at("stick/ninewatch-g").join(&first)).unwrap();
    for day in ["20260101", "20260102", "20260104"] {
        site.put_on_stick(&format!("{day}-030000.nwb"), &whole);
    }
    site.put_on_stick("20260104-010000.nwb", &whole);
    // A stick that was pulled out, and one that rots.
    site.put_on_stick("20260105-030000.nwb.new.part", &whole[..whole.len() / 2]);
    site.put_on_stick("20260105-030000.nwb", &whole[..whole.len() / 2]);
    site.put_on_stick("holiday.jpg", b"not ours");
    let written = site.to_stick().unwrap();
    let newest = written.file.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!((written.generations, written.let_go), (3, 3));
    assert_eq!(site.on_stick(), ["20260102-030000.nwb", "20260104-030000.nwb", &newest, "holiday.jpg"]);

    // Where too few are whole, those that cannot be read stay.
    for name in ["20260102-030000.nwb", "20260104-030000.nwb"] {
        site.put_on_stick(name, b"damaged");
    }
    let kept = site.to_stick().unwrap();
    assert_eq!(kept.generations, 1);
    assert!(site.on_stick().contains(&"20260102-030000.nwb".to_owned()), "{:?}", site.on_stick());
    // A clock that is behind does not have the newest one let go.
    for day in ["20990101", "20990102", "20990103"] {
        site.put_on_stick(&format!("{day}-030000.nwb"), &whole);
    }
    let written = site.to_stick().unwrap();
    assert!(written.file.exists() && written.generations == 3);
}

#[test]
fn a_stick_that_is_full_keeps_what_it_has_and_says_so() {
    let site = Site::with_stick(2);
    let before = site.to_stick().unwrap();
    // Where the stick is full, the kernel gives this for any write; root cannot be kept from one by less.
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").and_then(|mut full| full.write_all(b"x"));
    let error = anyhow::Error::from(full.unwrap_err()).context("20260101-030000.nwb.new cannot be written");
    assert!(stick::is_full(&error) && !stick::is_full(&anyhow::anyhow!("no")));
    // What cannot be made leaves nothing, and takes nothing away.
    fs::remove_dir_all(site.at("data/journal")).unwrap();
    assert!(site.to_stick().is_err());
    assert_eq!(site.on_stick(), [before.file.file_name().unwrap().to_str().unwrap()]);
    let state = site.state();
    assert!(state.failed.is_some() && state.done_at_ms.is_some(), "the last good one is still known");
}

#[test]
fn backups_that_fail_or_are_forgotten_are_told_after_three_days() {
    const DAY_MS: i64 = 86_400_000;
    let site = Site::with_stick(2);
    let now = Clock::System.now_ms();
    let of = |now| overdue(&site.at("data"), ninewatch_core::time::UtcOffset::CHINA, now);
    assert_eq!(of(now + 9 * DAY_MS), None, "the gateway has not begun");
    let config = Config::load(&site.file()).unwrap();
    let health = BackupHealth::new(&config, Clock::System).unwrap();
    assert_eq!(of(now + 2 * DAY_MS), None);
    assert!(of(now + 4 * DAY_MS).unwrap().en.contains("no good backup since"));
    // Another start does not begin to count anew.
    BackupHealth::new(&config, Clock::System).unwrap();
    assert!(of(now + 3 * DAY_MS + 60_000).is_some());
    site.to_stick().unwrap();
    fs::write(site.at("words"), "short").unwrap();
    site.to_stick().unwrap_err();
    assert_eq!(of(now + 2 * DAY_MS), None, "one that failed can be made up for");
    let said = of(now + 4 * DAY_MS).unwrap().en;
    assert!(said.contains("last good backup") && said.contains("four words"), "{said}");
    let told = crate::health::Part::says(&health).unwrap().en;
    assert!(told.starts_with("last backup 20") && told.contains("1 days on the stick; one since failed"), "{told}");
    let mut metrics = String::new();
    crate::health::Part::metrics(&health, &mut metrics);
    assert!(metrics.contains("ninewatch_backup_failed 1\n"), "{metrics}");
}
