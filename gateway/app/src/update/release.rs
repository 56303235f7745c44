//! The operator's side: a key, a repository of packages, and which version each ring is meant to have.

use anyhow::{Context, bail, ensure};
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use ninewatch_core::decode::SensorTypes;
use ninewatch_core::detect::Rules;

use super::content::KINDS;
use super::index::{ALL, INDEX, Index, PACKAGES, PROGRAM, PrivateKey, Release};
use super::slot::{self, contents, extract, sha256};
use super::{PublicKey, Version};
use crate::clock::Clock;
use crate::config::Faults;
use crate::private;
use crate::scorer;
use crate::site_files::{rules, sensor_types};

const PRIVATE: &str = "release-key.pem";
const PUBLIC: &str = "release-key.pub";

/// A folder that gateways fetch from, and the key that signs for it.
pub(crate) struct Repository {
    dir: PathBuf,
    key: PrivateKey,
    index: Index,
}

/// Makes a key pair in a folder; gives the public one.
///
/// # Errors
/// Where there is one already, or it cannot be written.
pub(crate) fn make_key(dir: &Path) -> anyhow::Result<PublicKey> {
    let path = dir.join(PRIVATE);
    ensure!(
        !path.exists(),
        "{} is there already: gateways trust it; choose another folder for another key",
        path.display()
    );
    fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    let (key, pem) = PrivateKey::make()?;
    private::write(&path, pem.as_bytes())?;
    let public = key.public();
    fs::write(dir.join(PUBLIC), format!("{}\n", public.text())).context("the public key cannot be written")?;
    Ok(public)
}

/// The index of a repository, read by whoever has a key.
///
/// # Errors
/// Where it is not there, or another key has signed it.
pub(crate) fn read(dir: &Path, key: &PublicKey) -> anyhow::Result<Index> {
    let path = dir.join(INDEX);
    let text = fs::read(&path)
        .with_context(|| format!("{} cannot be read; `ninewatch release add` begins a repository", path.display()))?;
    Index::open(&text, std::slice::from_ref(key)).with_context(|| path.display().to_string())
}

impl Repository {
    /// Opens it, or begins it where nothing is there.
    ///
    /// # Errors
    /// Where the key cannot be read, or another one has signed what is there.
    pub(crate) fn open(dir: &Path, key: &Path) -> anyhow::Result<Self> {
        let key = PrivateKey::read(key)?;
        let index = match fs::metadata(dir.join(INDEX)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Index::default(),
            _ => read(dir, &key.public())?,
        };
        fs::create_dir_all(dir.join(PACKAGES)).with_context(|| format!("{} cannot be made", dir.display()))?;
        Ok(Self { dir: dir.to_owned(), key, index })
    }

    /// Adds a package; gives what it is.
    ///
    /// # Errors
    /// Where it is no package of the gateway, or another one of the same version is there.
    pub(crate) fn add(&mut self, package: &Path) -> anyhow::Result<Release> {
        let shown = package.display();
        let name = package.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(stem) = name.strip_suffix(".tar.xz") {
            let release = self.content(package, stem)?;
            return self.take(package, release);
        }
        if !name.ends_with(".deb") {
            bail!(
                "{shown} is no package that can be published: it has to be the .deb of `make deb`, \
                 types-VERSION.tar.xz or models-VERSION.tar.xz"
            );
        }
        let field = |field: &str| -> anyhow::Result<String> {
            let output = Command::new("dpkg-deb").arg("--field").arg(package).arg(field).output();
            let output = output.context("dpkg-deb cannot be started; it is in Debian's package dpkg")?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "{shown} is no package: {}", said.trim());
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let [what, version, arch] = [field("Package")?, field("Version")?, field("Architecture")?];
        ensure!(what == "ninewatch", "{shown} is the package `{what}`, not `ninewatch`");
        let version = Version::parse(&version)
            .with_context(|| format!("{shown} has the version `{version}`; it has to be numbers, as 1.4.2"))?;
        let unpacked = Unpacked::new(&self.dir)?;
        extract(package, &unpacked.0)?;
        let contents = contents(&unpacked.0).with_context(|| shown.to_string())?;
        ensure!(contents.iter().any(|one| one.path == slot::BINARY), "{shown} has no {}", slot::BINARY);
        let format = fs::read_to_string(unpacked.0.join(slot::FORMAT))
            .with_context(|| format!("{shown} does not say its journal's format in {}", slot::FORMAT))?;
        let journal = format.trim().parse().with_context(|| format!("{shown}: {} holds no number", slot::FORMAT))?;
        let file = format!("ninewatch_{version}_{arch}.deb");
        let (kind, hash) = (PROGRAM.to_owned(), sha256(package)?);
        let bytes = fs::metadata(package)?.len();
        let release = Release { kind, version, arch, file, bytes, sha256: hash, journal, notes: None, contents };
        self.take(package, release)
    }

    /// What an archive of sensor types and rules, or of models, is.
    fn content(&self, package: &Path, stem: &str) -> anyhow::Result<Release> {
        let shown = package.display();
        let named = stem.split_once('-').and_then(|(kind, version)| Some((kind, Version::parse(version)?)));
        let named = named.filter(|(kind, _)| KINDS.contains(kind));
        let (kind, version) = named.with_context(|| {
            format!("{shown} has to be called types-VERSION.tar.xz or models-VERSION.tar.xz, as types-1.4.2.tar.xz")
        })?;
        let unpacked = Unpacked::new(&self.dir)?;
        extract(package, &unpacked.0)?;
        let contents = contents(&unpacked.0).with_context(|| shown.to_string())?;
        let fits = |path: &str| match kind {
            "types" => ["sensors/", "rules/"].iter().any(|folder| {
                path.strip_prefix(folder).is_some_and(|name| name.ends_with(".toml") && !name.contains('/'))
            }),
            _ => path.matches('/').count() == 1,
        };
        if let Some(one) = contents.iter().find(|one| !fits(&one.path)) {
            bail!("{shown} holds `{}`; types are in sensors/NAME.toml and rules/NAME.toml, models in NAME/", one.path);
        }
        ensure!(!contents.is_empty(), "{shown} is empty");
        faults(kind, &unpacked.0).with_context(|| shown.to_string())?;
        Ok(Release {
            kind: kind.to_owned(),
            arch: ALL.to_owned(),
            file: format!("{kind}-{version}.tar.xz"),
            version,
            bytes: fs::metadata(package)?.len(),
            sha256: sha256(package)?,
            journal: 0,
            notes: None,
            contents,
        })
    }

    fn take(&mut self, package: &Path, release: Release) -> anyhow::Result<Release> {
        let same =
            |one: &Release| one.kind == release.kind && one.version == release.version && one.arch == release.arch;
        if let Some(there) = self.index.releases.iter().find(|one| same(one)) {
            ensure!(
                there.sha256 == release.sha256,
                "another package of version {} for {} is there already, and gateways may have it; give this one a higher version",
                release.version,
                release.arch
            );
            return Ok(release);
        }
        let place = self.dir.join(PACKAGES).join(&release.file);
        let new = place.with_added_extension("new");
        fs::copy(package, &new)
            .and_then(|_| File::open(&new)?.sync_all())
            .and_then(|()| fs::rename(&new, &place))
            .with_context(|| format!("{} cannot be written", place.display()))?;
        self.index.releases.push(release.clone());
        self.write()?;
        Ok(release)
    }

    /// From now on a ring is meant to have this version.
    ///
    /// # Errors
    /// Where there is no such version.
    pub(crate) fn promote(&mut self, ring: &str, kind: &str, version: &Version) -> anyhow::Result<()> {
        let named = !ring.is_empty() && ring.bytes().all(|sign| sign.is_ascii_alphanumeric() || sign == b'-');
        ensure!(named, "`{ring}` is no name of a ring; use letters, digits and -");
        let there: Vec<String> =
            self.index.releases.iter().filter(|one| one.kind == kind).map(|one| one.version.to_string()).collect();
        if !there.contains(&version.to_string()) {
            bail!(
                "no {kind} of version {version} is there, but {}; `ninewatch release add` adds one",
                there.join(", ")
            );
        }
        self.index.rings.entry(ring.to_owned()).or_default().insert(kind.to_owned(), version.clone());
        self.write()
    }

    fn write(&mut self) -> anyhow::Result<()> {
        self.index.serial += 1;
        self.index.issued = Clock::System.now_ms();
        let sealed = self.index.seal(&self.key)?;
        let (place, new) = (self.dir.join(INDEX), self.dir.join(format!("{INDEX}.new")));
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&new)?;
            file.write_all(&sealed)?;
            file.sync_all()?;
            fs::rename(&new, &place)
        };
        write().with_context(|| format!("{} cannot be written", place.display()))
    }
}

/// Whether a gateway would take it: types and rules with their own examples, models by their cards.
fn faults(kind: &str, unpacked: &Path) -> anyhow::Result<()> {
    let within = |name: &str| Some(unpacked.join(name)).filter(|folder| folder.is_dir());
    let faults = if kind == "types" {
        let (types, mut faults) = SensorTypes::compile(&sensor_types(within("sensors"))?);
        let checked = Rules::check(&rules(within("rules"))?, &types, &scorer::cards(None));
        faults.extend(checked.into_iter().filter(|rule| !rule.is_in_force()).flat_map(|rule| rule.faults));
        faults
    } else {
        scorer::load(&scorer::Sources::to_check(Some(unpacked), None), None).faults
    };
    if faults.is_empty() { Ok(()) } else { Err(Faults(faults).into()) }
}

/// A package unpacked to be looked at; gone when it has been.
struct Unpacked(PathBuf);

impl Unpacked {
    fn new(beside: &Path) -> anyhow::Result<Self> {
        let dir = beside.join(format!(".unpacked-{}", std::process::id()));
        fs::create_dir(&dir).with_context(|| format!("{} cannot be made", dir.display()))?;
        Ok(Self(dir))
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
