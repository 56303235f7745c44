//! The files of models: built in, and in the folders of a folder.

use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ninewatch_core::detect::model::ModelCard;
use ninewatch_core::fault::Fault;

use super::shelf::Shelf;

#[derive(RustEmbed)]
#[folder = "../../models"]
#[include = "*/model.toml"]
#[include = "*/*.onnx"]
struct BuiltIn;

pub(super) const CARD: &str = "model.toml";
/// Far more than a model for a gateway needs.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// A model whose card and file belong together. Whether the file is sound is not known yet.
#[derive(Debug)]
pub(super) struct ModelFile {
    pub(super) card: ModelCard,
    pub(super) onnx: Vec<u8>,
    /// It is not built in.
    pub(super) is_given: bool,
    /// The card's text.
    pub(super) source: String,
    /// The card, as named in messages.
    name: String,
}

/// The models there are.
#[derive(Debug, Default)]
pub(super) struct Files {
    built_in: Vec<ModelFile>,
    given: Vec<ModelFile>,
    /// The names of folders whose card says nothing.
    unreadable: Vec<String>,
    pub(super) faults: Vec<Fault>,
}

impl Files {
    fn take(&mut self, models_dir: &Path) {
        let (folders, unreadable) = folders(models_dir);
        self.faults.extend(unreadable);
        let mut named: BTreeMap<String, PathBuf> = BTreeMap::new();
        for folder in folders {
            match read_folder(&folder) {
                Ok(file) => match named.insert(file.card.name.clone(), folder) {
                    Some(other) => {
                        let problem = format!("`{}` is the model in {} too", file.card.name, other.display());
                        self.faults.push(file.fault("name", problem, "give one of them another name"));
                    }
                    None => self.given.push(file),
                },
                Err(fault) => {
                    self.faults.push(fault);
                    self.unreadable.extend(folder.file_name().map(|name| name.to_string_lossy().into_owned()));
                }
            }
        }
    }

    /// By name what may be used, the first choice first: what was given, what is kept of that, what is built in.
    pub(super) fn candidates(self, shelf: Option<&Shelf>) -> BTreeMap<String, Vec<ModelFile>> {
        let mut by_name: BTreeMap<String, Vec<ModelFile>> = BTreeMap::new();
        let mut shadows = BTreeSet::new();
        for file in self.given {
            if file.card.shadow_of.is_some() {
                shadows.insert(file.card.name.clone());
            }
            by_name.entry(file.card.name.clone()).or_default().push(file);
        }
        for name in self.unreadable {
            by_name.entry(name).or_default();
        }
        // A shadow decides nothing: nothing takes its place.
        let kept = |name: &String| shelf.filter(|_| !shadows.contains(name)).map(|shelf| shelf.versions(name));
        by_name.iter_mut().for_each(|(name, files)| files.extend(kept(name).unwrap_or_default()));
        for file in self.built_in {
            if !shadows.contains(&file.card.name) {
                by_name.entry(file.card.name.clone()).or_default().push(file);
            }
        }
        by_name
    }
}

impl ModelFile {
    /// Where it lies; nowhere where it is built in.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        self.is_given.then(|| Path::new(&self.name).parent().map(Path::to_owned))?
    }

    /// A fault of this model at `key` of its card.
    pub(super) fn fault(&self, key: &str, problem: impl Into<String>, mend: &str) -> Fault {
        Fault::at_key(&self.name, &self.source, key, problem, mend)
    }
}

/// The built-in models, then those that an update `delivered`, then those in the folders of `models_dir`; and what is wrong
/// with others.
pub(super) fn read(models_dir: Option<&Path>, delivered: Option<&Path>) -> Files {
    let mut files = Files::default();
    for card in BuiltIn::iter().filter(|path| path.ends_with(CARD)) {
        read_built_in(&card).map_or_else(|fault| files.faults.push(fault), |file| files.built_in.push(file));
    }
    // A site's own come first, and win.
    for given in [models_dir, delivered].into_iter().flatten() {
        files.take(given);
    }
    files
}

/// The names of the built-in models.
pub(crate) fn built_in_names() -> Vec<String> {
    let cards = BuiltIn::iter().filter(|path| path.ends_with(CARD));
    cards.filter_map(|card| Some(read_built_in(&card).ok()?.card.name)).collect()
}

fn read_built_in(card: &str) -> Result<ModelFile, Fault> {
    let bytes =
        |path: &str| BuiltIn::get(path).map(|file| file.data.into_owned()).ok_or(io::ErrorKind::NotFound.into());
    let folder = card.strip_suffix(CARD).unwrap_or_default();
    understand(format!("built-in {card}"), bytes(card), |file| bytes(&format!("{folder}{file}")))
}

/// The folders with a card, by name.
fn folders(models_dir: &Path) -> (Vec<PathBuf>, Option<Fault>) {
    let listed = fs::read_dir(models_dir).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    match listed {
        Ok(paths) => {
            let mut folders: Vec<PathBuf> = paths;
            folders.retain(|path| path.join(CARD).is_file());
            folders.sort();
            (folders, None)
        }
        Err(error) => {
            let problem = format!("the folder cannot be listed: {error}");
            let mend = "make it, or name another as `files.models`";
            (Vec::new(), Some(Fault::at_key(&models_dir.display().to_string(), "", "", problem, mend)))
        }
    }
}

pub(super) fn read_folder(folder: &Path) -> Result<ModelFile, Fault> {
    let card = folder.join(CARD);
    let read = understand(card.display().to_string(), read_file(&card), |file| read_file(&folder.join(file)));
    read.map(|file| ModelFile { is_given: true, ..file })
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it is larger than {} MiB", MAX_FILE_BYTES >> 20)));
    }
    Ok(bytes)
}

/// Reads a card and fetches its file.
fn understand(
    name: String,
    card: io::Result<Vec<u8>>,
    onnx: impl FnOnce(&str) -> io::Result<Vec<u8>>,
) -> Result<ModelFile, Fault> {
    let unreadable = |error: io::Error| Fault::at_key(&name, "", "", format!("it cannot be read: {error}"), "");
    let source = String::from_utf8_lossy(&card.map_err(unreadable)?).into_owned();
    let card: ModelCard = toml::from_str(&source).map_err(|error| Fault::from_toml(&name, &source, &error))?;
    let file = card.file.clone();
    let mut model = ModelFile { card, onnx: Vec::new(), is_given: false, source, name };
    if let Some((key, problem, mend)) = model.card.problem() {
        return Err(model.fault(&key, problem, &mend));
    }
    if Path::new(&file).file_name() != Some(file.as_ref()) {
        return Err(model.fault(
            "file",
            format!("`{file}` is not the name of a file beside the card"),
            "give its name alone",
        ));
    }
    model.onnx = onnx(&file)
        .map_err(|error| model.fault("file", format!("`{file}` cannot be read: {error}"), "put it beside the card"))?;
    let sha256 = hex(&Sha256::digest(&model.onnx));
    if sha256 != model.card.sha256.to_ascii_lowercase() {
        let mend = "the file is damaged or another one: fetch it again, or train the model again, which writes both";
        return Err(model.fault("sha256", format!("`{file}` is {sha256}"), mend));
    }
    Ok(model)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
