//! With the real ONNX Runtime: `make` puts it into target/onnxruntime.

use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;

use ninewatch_core::detect::features::{self, Source, series::Series};
use ninewatch_core::detect::model::{Asked, ScoreError};
use ninewatch_core::reading::Burst;

use super::*;

/// What the other tests start as their child process.
#[test]
#[ignore = "a child process of the other tests"]
fn the_child() {
    be_checked();
}

/// The runtime, or `None` where the machine has none; in CI it has to have one.
fn runtime() -> Option<PathBuf> {
    let path = library::find(None).unwrap();
    if path.is_file() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "ONNX Runtime is not on this machine: run models/fetch_runtime.sh");
    eprintln!("SKIPPED: ONNX Runtime is not on this machine: run models/fetch_runtime.sh");
    None
}

/// The shipped models, ready; `None` where the machine has no runtime.
pub(crate) fn shipped() -> Option<Loaded> {
    runtime().map(|library| load_from(None, &library))
}

fn load_from(models_dir: Option<&Path>, library: &Path) -> Loaded {
    load(&Sources::to_check(models_dir, Some(library)), None)
}

/// What a model says.
pub(crate) fn score(loaded: &mut Loaded, model: &str, features: &[f32]) -> Result<f32, ScoreError> {
    loaded.serving.scorer.score(&Asked { model, about: "test", features, what_if: false })
}

/// A folder of models that holds one: its card, with the file's own digest, and its file.
fn folder_with(name: &str, onnx: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    add(&folder, name, onnx, &sha256(onnx));
    folder
}

fn add(folder: &tempfile::TempDir, name: &str, onnx: &[u8], sha256: &str) {
    let model = folder.path().join(name);
    fs::create_dir(&model).unwrap();
    let card = card(name, "0.1.0", sha256);
    fs::write(model.join("model.toml"), card).unwrap();
    fs::write(model.join("x.onnx"), onnx).unwrap();
}

/// The shipped card for a file of bursts, with the given file's digest.
fn card(name: &str, version: &str, sha256: &str) -> String {
    let shipped = include_str!("../../../../models/fall/model.toml");
    let own = [("name", name), ("version", version), ("file", "x.onnx"), ("sha256", sha256)];
    let line = |line: &str| {
        let own = own.iter().find(|(key, _)| line.starts_with(&format!("{key} = ")));
        own.map_or_else(|| line.to_owned(), |(key, value)| format!("{key} = \"{value}\""))
    };
    shipped.lines().map(|text| line(text) + "\n").collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn shipped_onnx() -> Vec<u8> {
    include_bytes!("../../../../models/fall/fall.onnx").to_vec()
}

#[derive(Deserialize)]
struct Golden {
    name: String,
    features: Vec<f32>,
    score: f32,
}

fn golden() -> Vec<Golden> {
    serde_json::from_str(include_str!("../../../../models/fall/golden.json")).unwrap()
}

/// The shipped model still scores as it should.
fn scores_as_trained(loaded: &mut Loaded) {
    for golden in golden() {
        let score = score(loaded, "fall", &golden.features).unwrap();
        assert!((score - golden.score).abs() < 1e-4, "{}: {score}, in training {}", golden.name, golden.score);
    }
}

#[test]
fn every_shipped_model_scores_its_golden_windows_as_in_training() {
    let Some(mut loaded) = shipped() else { return };
    assert_eq!(loaded.faults, []);
    assert_eq!(loaded.status.degraded(), None);
    for card in loaded.cards.clone() {
        for (window, features, wanted) in golden_windows(&card) {
            let found = score(&mut loaded, &card.name, &features).unwrap();
            assert!((found - wanted).abs() < 1e-4, "{}, {window}: {found}, in training {wanted}", card.name);
        }
    }
}

/// The golden windows of a model: name, features by the gateway's own extraction, the score in training.
fn golden_windows(card: &ModelCard) -> Vec<(String, Vec<f32>, f32)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models").join(&card.name).join("golden.json");
    let golden: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let numbers = |value: &serde_json::Value| serde_json::from_value::<Vec<f32>>(value.clone()).unwrap();
    let single = |value: &serde_json::Value| serde_json::from_value::<f32>(value.clone()).unwrap();
    let window = |row: &serde_json::Value| {
        let features = match features::source(&card.features).unwrap() {
            Source::Burst => {
                let input = card.input.as_ref().unwrap();
                let burst = Burst { rate_hz: 50.0, channels: input.channels.len(), samples: numbers(&row["samples"]) };
                features::extract(&card.features, &burst).unwrap()
            }
            Source::Series => {
                let mut series = Series::new(&card.features).unwrap();
                let values: Vec<Vec<Option<f64>>> = serde_json::from_value(row["values"].clone()).unwrap();
                let every_ms = row["every_ms"].as_i64().unwrap();
                let rows = values.iter().zip(0..).map(|(values, step)| series.push(step * every_ms, values));
                rows.last().unwrap().unwrap()
            }
            Source::Home | Source::Place => unreachable!("what is learnt of a place has a file of its own form"),
        };
        (row["name"].as_str().unwrap().to_owned(), features, single(&row["score"]))
    };
    if features::source(&card.features) == Some(Source::Home) {
        // That what is watched is what was judged is tested where it is watched.
        let watched = golden["watched"].as_array().unwrap().iter();
        let scores = golden["scores"].as_array().unwrap();
        return watched.zip(scores).map(|(row, score)| (row[1].to_string(), numbers(&row[3]), single(score))).collect();
    }
    let rows = golden.as_array().unwrap();
    if features::source(&card.features) == Some(Source::Place) {
        let scored = rows.iter().filter(|row| !row[3].is_null());
        return scored.map(|row| (row[0].to_string(), numbers(&row[2]), single(&row[3]))).collect();
    }
    rows.iter().map(window).collect()
}

#[test]
fn features_that_are_no_numbers_or_too_few_are_an_error() {
    let Some(mut loaded) = shipped() else { return };
    let mut features = golden().remove(0).features;
    features[3] = f32::NAN;
    let error = score(&mut loaded, "fall", &features).unwrap_err();
    assert_eq!(error.to_string(), "model `fall` gave no score: feature 3 is not a finite number");
    assert!(score(&mut loaded, "fall", &[0.0]).unwrap_err().reason.contains("was given 1"));
    assert!(score(&mut loaded, "flood", &features).unwrap_err().reason.contains("no such model"));
    scores_as_trained(&mut loaded);
}

#[test]
fn a_broken_model_is_set_aside_and_the_shipped_one_still_scores() {
    let Some(library) = runtime() else { return };
    let whole = shipped_onnx();
    let broken: [(&str, &[u8], &str); 6] = [
        ("empty", b"", "cannot be used"),
        ("text", b"This is no model.\n", "cannot be used"),
        ("truncated", &whole[..whole.len() / 2], "cannot be used"),
        ("hungry", include_bytes!("broken/hungry.onnx"), "cannot be used"),
        ("endless", include_bytes!("broken/endless.onnx"), "it was not done within 1000 ms and was stopped"),
        ("not_a_score", include_bytes!("broken/not_a_score.onnx"), "; a score is from 0 to 1"),
    ];
    for (name, onnx, why) in broken {
        let folder = folder_with(name, onnx);
        let mut loaded = load_from(Some(folder.path()), &library);

        let [fault] = &loaded.faults[..] else { panic!("{name}: {:?}", loaded.faults) };
        assert_eq!(fault.file, folder.path().join(name).join("model.toml").display().to_string());
        assert_eq!((fault.key.as_str(), fault.line, fault.mend.is_empty()), ("file", Some(5), false));
        assert!(fault.problem.contains(why), "{name}: {fault}");

        assert!(loaded.status.degraded().is_some_and(|text| text.en.contains("faults: 1")));
        assert!(score(&mut loaded, name, &[0.0; 40]).is_err());
        scores_as_trained(&mut loaded);
    }
}

#[test]
fn a_broken_model_in_the_place_of_a_built_in_one_leaves_that_in_use() {
    let Some(library) = runtime() else { return };
    let folder = folder_with("fall", b"no model");
    let mut loaded = load_from(Some(folder.path()), &library);
    assert_eq!(loaded.faults.len(), 1);
    assert_eq!(loaded.cards.iter().filter(|card| card.name == "fall").count(), 1);
    scores_as_trained(&mut loaded);
}

#[test]
fn a_sound_model_in_a_folder_is_used_besides_the_built_in_ones_or_in_their_place() {
    let Some(library) = runtime() else { return };
    let folder = folder_with("fall", &shipped_onnx());
    add(&folder, "fall2", &shipped_onnx(), &sha256(&shipped_onnx()).to_uppercase());
    let mut loaded = load_from(Some(folder.path()), &library);
    assert_eq!(loaded.faults, []);
    let versions: Vec<_> = loaded.cards.iter().map(|card| (card.name.as_str(), card.version.as_str())).collect();
    assert_eq!(versions[..2], [("fall", "0.1.0"), ("fall2", "0.1.0")]);
    assert!(score(&mut loaded, "fall2", &golden()[0].features).is_ok());
}

#[test]
fn a_card_and_a_file_that_do_not_belong_together_are_a_fault_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    add(&folder, "other", b"another file", &sha256(b"the file"));
    add(&folder, "missing", b"", "");
    fs::remove_file(folder.path().join("missing/x.onnx")).unwrap();
    add(&folder, "typo", b"", "");
    fs::write(folder.path().join("typo/model.toml"), "nmae = \"typo\"\n").unwrap();
    add(&folder, "outside", b"", "");
    let card = fs::read_to_string(folder.path().join("outside/model.toml")).unwrap();
    fs::write(folder.path().join("outside/model.toml"), card.replace("x.onnx", "../../secret")).unwrap();

    let files = model_files::read(Some(folder.path()), None);
    let faults = files.faults.clone();
    let told: Vec<_> = faults.iter().map(|fault| (fault.key.as_str(), fault.line)).collect();
    assert_eq!(told, [("file", Some(5)), ("sha256", Some(6)), ("file", Some(5)), ("nmae", Some(1))]);
}

#[test]
fn a_models_folder_that_is_not_there_is_a_fault() {
    let faults = model_files::read(Some(Path::new("/nowhere")), None).faults;
    assert_eq!(faults.len(), 1);
    assert!(faults[0].to_string().starts_with("/nowhere: the folder cannot be listed"), "{}", faults[0]);
}

#[test]
fn without_a_runtime_the_cards_stay_and_every_score_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("libonnxruntime.so");
    fs::write(&text, "This is no library. ".repeat(100)).unwrap();
    for (library, why) in
        [(Path::new("/nowhere.so"), "there is no ONNX Runtime at /nowhere.so"), (&text, "invalid ELF")]
    {
        let mut loaded = load_from(None, library);
        let degraded = loaded.status.degraded().unwrap();
        assert!(degraded.en.contains(why), "{}", degraded.en);
        assert!(degraded.zh.contains("只按规则"));
        assert_eq!((loaded.cards.is_empty(), loaded.faults.len(), loaded.status.library.as_ref()), (false, 0, None));
        assert!(score(&mut loaded, "fall", &[0.0; 40]).is_err());
    }
}

/// A gateway's models: those of a folder, kept in another.
struct Site {
    given: tempfile::TempDir,
    _data: tempfile::TempDir,
    shelf: Shelf,
    models: Models,
}

impl Site {
    fn new(library: &Path) -> Self {
        let (given, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let shelf = Shelf::new(data.path());
        let models = Models::new(Sources {
            models_dir: Some(given.path().to_owned()),
            updates: None,
            library: Some(library.to_owned()),
            shelf: Some(shelf.clone()),
            clock: Clock::System,
        });
        Self { given, _data: data, shelf, models }
    }

    /// Puts a model there as an operator does.
    fn give(&self, name: &str, version: &str, onnx: &[u8], more: &str) {
        let folder = self.given.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("model.toml"), more.to_owned() + &card(name, version, &sha256(onnx))).unwrap();
        fs::write(folder.join("x.onnx"), onnx).unwrap();
    }

    /// Loads what there is, and says which version of `fall` is in use.
    fn load(&self) -> (Loaded, String) {
        let loaded = self.models.load();
        let version = loaded.cards.iter().find(|card| card.name == "fall").unwrap().version.clone();
        (loaded, version)
    }
}

/// The shipped model with other bytes: ONNX says nothing of what comes after in a field that it does not know.
fn another_onnx(number: u8) -> Vec<u8> {
    let mut onnx = shipped_onnx();
    // Field 15 000 of the model, of one byte.
    onnx.extend_from_slice(&[0xc2, 0xa9, 0x07, 0x01, number]);
    onnx
}

#[test]
fn a_new_version_comes_into_use_and_a_broken_one_after_it_does_not() {
    let Some(library) = runtime() else { return };
    let site = Site::new(&library);
    assert_eq!(site.load().1, "1.0.0", "the built-in one");
    site.give("fall", "2.0.0", &another_onnx(2), "");
    let seen = site.models.fingerprint();
    assert_eq!(site.load().1, "2.0.0");
    for (broken, what) in [(&b"no model"[..], "text"), (&shipped_onnx()[..99], "truncated"), (&[], "empty")] {
        site.give("fall", "3.0.0", broken, "");
        assert_ne!(site.models.fingerprint(), seen, "a change is seen");
        let (mut loaded, version) = site.load();
        assert_eq!((version.as_str(), loaded.faults.len()), ("2.0.0", 1), "{what}: the former version goes on");
        scores_as_trained(&mut loaded);
    }
    // So does a card that says nothing at all.
    fs::write(site.given.path().join("fall/model.toml"), "name = ").unwrap();
    assert_eq!(site.load().1, "2.0.0");
    // Where the operator takes it away, the built-in one is back.
    fs::remove_dir_all(site.given.path().join("fall")).unwrap();
    assert_eq!(site.load().1, "1.0.0");
}

/// Asks about the usual, so many times.
fn ask(loaded: &mut Loaded, times: usize) -> Vec<Result<f32, ScoreError>> {
    let usual = loaded.cards.iter().find(|card| card.name == "fall").unwrap().usual_features();
    (0..times).map(|_| score(loaded, "fall", &usual)).collect()
}

#[test]
fn a_model_that_hangs_at_work_is_stopped_and_gone_back_from() {
    let Some(library) = runtime() else { return };
    let site = Site::new(&library);
    site.load();
    site.give("fall", "2.0.0", include_bytes!("broken/dozing.onnx"), "");
    let (mut loaded, version) = site.load();
    assert_eq!((version.as_str(), loaded.faults.len()), ("2.0.0", 0), "its check cannot know");
    let mut trap = golden().remove(0).features;
    trap[0] = 777.0;
    let error = score(&mut loaded, "fall", &trap).unwrap_err().to_string();
    assert_eq!(error, "model `fall` gave no score: it was not done within 1000 ms and was stopped");
    assert!(ask(&mut loaded, 1)[0].is_ok(), "the next score is a new run");
    assert_eq!(site.models.astray(), [], "one alone may be the machine's");
    score(&mut loaded, "fall", &trap).unwrap_err();
    score(&mut loaded, "fall", &trap).unwrap_err();
    site.models.refuse_astray();
    let (mut loaded, version) = site.load();
    assert_eq!(version, "1.0.0");
    scores_as_trained(&mut loaded);
    assert!(site.models.status().degraded().unwrap().en.contains("fall 2.0.0 went astray"));
}

#[test]
fn a_shadow_that_hangs_again_and_again_rests() {
    let Some(library) = runtime() else { return };
    let site = Site::new(&library);
    site.give("dull", "0.1.0", include_bytes!("broken/dozing.onnx"), "shadow_of = \"fall\"\n");
    let (mut loaded, _) = site.load();
    let mut trap = golden().remove(0).features;
    trap[0] = 777.0;
    // Of this thread, whatever else the machine does: each run that is stopped takes a second of it.
    let cpu_s = || rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime).tv_sec;
    let before = cpu_s();
    for _ in 0..30 {
        score(&mut loaded, "fall", &trap).unwrap();
    }
    assert!(cpu_s() - before < 10, "nobody waits for it at every reading");
    let report = site.models.watch().report().into_iter().find(|report| report.name == "fall").unwrap();
    assert_eq!(report.shadows["dull"].errors, 30);
}

#[test]
fn a_model_of_which_no_version_is_sound_leaves_its_rules_in_force() {
    let Some(library) = runtime() else { return };
    let folder = folder_with("own", b"no model");
    let mut loaded = load_from(Some(folder.path()), &library);
    assert!(loaded.cards.iter().any(|card| card.name == "own") && loaded.faults.len() == 1);
    assert!(score(&mut loaded, "own", &golden()[0].features).is_err());
    assert!(loaded.serving.watch.report().iter().all(|report| report.name != "own"), "it is not in use");
}

#[test]
fn a_model_that_fails_again_and_again_or_alarms_too_often_is_gone_back_from_until_it_is_forgiven() {
    let Some(library) = runtime() else { return };
    let site = Site::new(&library);
    site.give("fall", "2.0.0", &another_onnx(2), "");
    site.load();
    site.give("fall", "3.0.0", &another_onnx(3), "");
    let (mut loaded, version) = site.load();
    assert_eq!(version, "3.0.0");
    let mut senseless = golden().remove(0).features;
    senseless[0] = f32::NAN;
    for _ in 0..2 {
        score(&mut loaded, "fall", &senseless).unwrap_err();
    }
    ask(&mut loaded, 1);
    for _ in 0..3 {
        assert_eq!(site.models.astray(), [], "an accident is none");
        score(&mut loaded, "fall", &senseless).unwrap_err();
    }
    let seen = site.models.fingerprint();
    site.models.refuse_astray();
    assert_ne!(site.models.fingerprint(), seen, "the gateway loads them anew");
    let (loaded, version) = site.load();
    assert_eq!((version.as_str(), loaded.faults.len()), ("2.0.0", 0), "the one before");
    let [refused] = &site.models.refused()[..] else { panic!() };
    assert_eq!((refused.version.as_str(), refused.at_ms > 0), ("3.0.0", true));
    assert_eq!(refused.why, "it gave no score 3 times in a row");

    // The one before alarms more often than its card allows: four a device and day. What was true does not count.
    for alert in 0..5 {
        loaded.serving.watch.alerted("fall", alert);
        loaded.serving.watch.confirmed("fall");
    }
    for alert in 0..5 {
        assert_eq!(site.models.astray(), [], "{alert} alerts");
        loaded.serving.watch.alerted("fall", alert * 60_000);
    }
    site.models.refuse_astray();
    assert_eq!(site.load().1, "1.0.0", "the built-in one is left");
    // It has nothing to go back to: better a loud one than none.
    for alert in 0..9 {
        site.models.watch().alerted("fall", alert);
    }
    site.models.refuse_astray();
    assert_eq!((site.load().1.as_str(), site.models.refused().len()), ("1.0.0", 2));
    assert_eq!(site.models.astray()[0].0, "fall", "but it is told");

    assert_eq!(site.shelf.forgive("fall").unwrap(), 2);
    assert_eq!(site.load().1, "3.0.0");
}

#[test]
fn a_shadow_is_scored_beside_the_model_in_use_and_changes_nothing() {
    let Some(library) = runtime() else { return };
    let site = Site::new(&library);
    site.give("next", "2.0.0", &another_onnx(2), "shadow_of = \"fall\"\n");
    site.give("dull", "0.1.0", include_bytes!("broken/dozing.onnx"), "shadow_of = \"fall\"\n");
    site.give("lone", "0.1.0", &another_onnx(3), "shadow_of = \"flood\"\n");
    let (mut loaded, version) = site.load();
    assert_eq!((version.as_str(), loaded.faults.len()), ("1.0.0", 1));
    assert!(loaded.faults[0].problem.contains("no model `flood`"), "{}", loaded.faults[0]);
    scores_as_trained(&mut loaded);
    let usual = golden().remove(0).features;
    loaded.serving.scorer.score(&Asked { model: "fall", about: "x", features: &usual, what_if: true }).unwrap();
    assert!(score(&mut loaded, "next", &usual).is_err(), "nobody is alerted by it");

    let report = site.models.watch().report().into_iter().find(|report| report.name == "fall").unwrap();
    let (next, dull) = (&report.shadows["next"], &report.shadows["dull"]);
    assert_eq!((next.scores, next.both_yes, next.only_active_yes, next.most_difference), (3, 1, 0, 0.0));
    assert_eq!((dull.scores, dull.both_yes, dull.only_active_yes, dull.errors), (3, 0, 1, 0));
    let lines = shadow::read(&site.shelf.shadows_path(), "next").unwrap();
    assert_eq!(lines.len(), 3, "what was only supposed is not compared");
    assert_eq!((lines[0].about.as_str(), lines[0].active_version.as_str()), ("test", "1.0.0"));
    assert_eq!(lines[0].shadow, Some(lines[0].active));
}

#[test]
fn what_a_model_sees_is_watched_for_what_it_never_learnt_from() {
    let Some(mut loaded) = shipped() else { return };
    let watch = loaded.serving.watch.clone();
    let drifted = || watch.report().into_iter().find(|report| report.name == "fall").unwrap().drifted;
    assert!(ask(&mut loaded, 400).iter().all(Result::is_ok));
    assert_eq!(drifted(), BTreeMap::new(), "the usual");
    let card = loaded.cards.iter().find(|card| card.name == "fall").cloned().unwrap();
    let mut shaken = card.usual_features();
    shaken[0] = 100.0;
    for _ in 0..50 {
        score(&mut loaded, "fall", &shaken).unwrap();
    }
    assert_eq!(drifted(), BTreeMap::new(), "one in nine");
    for _ in 0..200 {
        score(&mut loaded, "fall", &shaken).unwrap();
    }
    assert_eq!(drifted().into_keys().collect::<Vec<_>>(), ["peak_mps2"]);
}

#[test]
fn a_model_that_says_yes_to_the_usual_is_none() {
    let Some(library) = runtime() else { return };
    let site = Site::new(&library);
    let onnx = another_onnx(2);
    site.give("fall", "2.0.0", &onnx, "");
    let path = site.given.path().join("fall/model.toml");
    let low = fs::read_to_string(&path).unwrap().replace("threshold = 0.38", "threshold = 0.0001");
    let line = low.lines().find(|line| line.starts_with("usual_score")).unwrap();
    let low = low.replace(line, "usual_score = { middle = 0.0, low = 0.0, high = 0.0 }");
    fs::write(&path, low).unwrap();
    let (loaded, version) = site.load();
    assert_eq!((version.as_str(), loaded.faults[0].key.as_str()), ("1.0.0", "usual"), "{:?}", loaded.faults);
}
