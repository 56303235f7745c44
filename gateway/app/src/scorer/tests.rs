//! With the real ONNX Runtime: `make` puts it into target/onnxruntime.

use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fs;
use std::time::{Duration, Instant};

use ninewatch_core::detect::model::{Asked, ScoreError};

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
fn the_shipped_model_scores_as_in_training() {
    let Some(mut loaded) = shipped() else { return };
    assert_eq!(loaded.faults, []);
    assert_eq!(loaded.status.degraded(), None);
    assert_eq!(loaded.cards.iter().map(|card| card.name.as_str()).collect::<Vec<_>>(), ["fall"]);
    scores_as_trained(&mut loaded);
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
        ("endless", include_bytes!("broken/endless.onnx"), "it was not done within 10 s"),
        ("not_a_score", include_bytes!("broken/not_a_score.onnx"), "it said 40; a score is from 0 to 1"),
    ];
    for (name, onnx, why) in broken {
        let folder = folder_with(name, onnx);
        let begun = Instant::now();
        let mut loaded = load_from(Some(folder.path()), &library);

        let [fault] = &loaded.faults[..] else { panic!("{name}: {:?}", loaded.faults) };
        assert_eq!(fault.file, folder.path().join(name).join("model.toml").display().to_string());
        assert_eq!((fault.key.as_str(), fault.line, fault.mend.is_empty()), ("file", Some(3), false));
        assert!(fault.problem.contains(why), "{name}: {fault}");
        assert!(begun.elapsed() < Duration::from_secs(60), "{name}: the limits hold");

        assert!(loaded.status.degraded().is_some_and(|text| text.en.contains("models in use: 1, faults: 1")));
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
    assert_eq!(loaded.cards.len(), 1);
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
    assert_eq!(versions, [("fall", "0.1.0"), ("fall2", "0.1.0")]);
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

    let files = model_files::read(Some(folder.path()));
    let faults = files.faults.clone();
    let told: Vec<_> = faults.iter().map(|fault| (fault.key.as_str(), fault.line)).collect();
    assert_eq!(told, [("file", Some(3)), ("sha256", Some(4)), ("file", Some(3)), ("nmae", Some(1))]);
}

#[test]
fn a_models_folder_that_is_not_there_is_a_fault() {
    let faults = model_files::read(Some(Path::new("/nowhere"))).faults;
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
        assert_eq!((loaded.cards.len(), loaded.faults.len(), loaded.status.library.as_ref()), (1, 0, None));
        assert!(score(&mut loaded, "fall", &[0.0; 40]).is_err());
    }
}
