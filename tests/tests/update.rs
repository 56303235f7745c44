//! Updates: a newer program comes up, delivers and stays; one that does not is gone back from by itself, and nothing that
//! was acknowledged in between is lost. The real binary under a parent that restarts it as systemd does, packages by
//! `dpkg-deb` and `ninewatch release`.

use anyhow::{Context, ensure};
use ninewatch_tests::device::{self, Device};
use ninewatch_tests::gateway::{Gateway, Site, binary, ninewatch};
use ninewatch_tests::mosquitto::{self, Mosquitto};
use ninewatch_tests::skipped_without;
use ninewatch_tests::upstream::{Seen, Upstream};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(120);

/// Starts the launcher, and starts it again whenever it has ended.
struct Systemd {
    pid: Arc<AtomicU32>,
    over: Arc<AtomicBool>,
    loops: Option<JoinHandle<()>>,
}

impl Systemd {
    fn start(site: &Site) -> Self {
        let (pid, over) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let (folder, file) = (site.folder().to_owned(), site.file());
        let (told, ends) = (pid.clone(), over.clone());
        let loops = thread::spawn(move || {
            let log = fs::File::options().create(true).append(true).open(folder.join("log.txt")).unwrap();
            while !ends.load(SeqCst) {
                let mut command = Command::new(binary());
                command.args(["launch", "--site"]).arg(&file).arg("--ready-file").arg(folder.join("ready.json"));
                let (out, err) = (log.try_clone().unwrap(), log.try_clone().unwrap());
                command.env("RUST_LOG", "info").stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
                let mut child: Child = command.spawn().unwrap();
                told.store(child.id(), SeqCst);
                let _ = child.wait();
                // As systemd, which leaves nothing of a service behind.
                signal_group(child.id(), "-KILL");
                sleep(Duration::from_millis(50));
            }
        });
        Self { pid, over, loops: Some(loops) }
    }

    /// The power is cut: all of it is gone at once, and comes again.
    fn cut(&self, site: &Site) {
        let _ = fs::remove_file(site.folder().join("ready.json"));
        signal_group(self.pid.load(SeqCst), "-KILL");
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        self.over.store(true, SeqCst);
        signal_group(self.pid.load(SeqCst), "-KILL");
        let _ = self.loops.take().map(JoinHandle::join);
    }
}

fn signal_group(leader: u32, signal: &str) {
    if leader > 1 {
        let _ = Command::new("kill").args([signal, "--", &format!("-{leader}")]).stderr(Stdio::null()).status();
    }
}

/// A repository with its key.
struct Repository {
    dir: tempfile::TempDir,
    key: String,
}

impl Repository {
    fn new() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let said = ninewatch(&["release", "key", "--to", &dir.path().join("keys").display().to_string()])?;
        let key = said.lines().nth(1).context("a key")?.to_owned();
        Ok(Self { dir, key })
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn add(&self, package: &Path) -> anyhow::Result<()> {
        let (repo, key) = (self.path("repo"), self.path("keys/release-key.pem"));
        ninewatch(&["release", "add", "--repo", &repo, "--key", &key, &package.display().to_string()]).map(drop)
    }

    fn ring(&self, ring: &str, version: &str) -> anyhow::Result<()> {
        self.promote(ring, &format!("program={version}"))
    }

    fn promote(&self, ring: &str, meant: &str) -> anyhow::Result<()> {
        let (repo, key) = (self.path("repo"), self.path("keys/release-key.pem"));
        ninewatch(&["release", "ring", "--repo", &repo, "--key", &key, ring, meant]).map(drop)
    }

    /// Packs files as `types` or `models`, adds them, and means them for everybody.
    fn deliver(&self, kind: &str, version: &str, files: &[(&str, Vec<u8>)]) -> anyhow::Result<()> {
        let root = self.dir.path().join("content");
        let _ = fs::remove_dir_all(&root);
        for (name, bytes) in files {
            let file = root.join(name);
            fs::create_dir_all(file.parent().context("a folder")?)?;
            fs::write(file, bytes)?;
        }
        let package = self.dir.path().join(format!("{kind}-{version}.tar.xz"));
        let packed = Command::new("tar").arg("-cJf").arg(&package).arg("-C").arg(&root).arg(".").status()?;
        ensure!(packed.success(), "tar");
        self.add(&package)?;
        self.promote("all", &format!("{kind}={version}"))
    }

    /// Makes a package whose program is `program`, adds it, and means it for everybody.
    fn publish(&self, version: &str, program: &[u8]) -> anyhow::Result<PathBuf> {
        let package = self.package(version, program)?;
        self.add(&package)?;
        self.ring("all", version)?;
        Ok(package)
    }

    fn package(&self, version: &str, program: &[u8]) -> anyhow::Result<PathBuf> {
        let root = self.dir.path().join("root");
        let _ = fs::remove_dir_all(&root);
        for folder in ["DEBIAN", "usr/bin", "usr/lib/ninewatch"] {
            fs::create_dir_all(root.join(folder))?;
        }
        let arch = String::from_utf8(Command::new("dpkg").arg("--print-architecture").output()?.stdout)?;
        let control = format!(
            "Package: ninewatch\nVersion: {version}\nArchitecture: {}\nMaintainer: test <test@example.org>\n\
             Description: a program for a test\n",
            arch.trim()
        );
        fs::write(root.join("DEBIAN/control"), control)?;
        fs::write(root.join("usr/lib/ninewatch/journal-format"), "1\n")?;
        let file = root.join("usr/bin/ninewatch");
        fs::write(&file, program)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
        // What takes a while to be fetched and unpacked.
        fs::write(root.join("usr/lib/ninewatch/model"), vec![7; 4 << 20])?;
        let package = self.dir.path().join(format!("ninewatch_{version}.deb"));
        let status = Command::new("dpkg-deb")
            .args(["--root-owner-group", "-Znone", "--build"])
            .args([&root, &package])
            .stdout(Stdio::null())
            .status()?;
        ensure!(status.success(), "dpkg-deb");
        Ok(package)
    }

    fn site(&self, at: &str, more: &str) -> anyhow::Result<Site> {
        Site::new(&format!(
            "[update]\nrepository = \"{at}\"\n{}\nevery = \"1s\"\ntrial = \"20s\"\nready_within = \"8s\"\n{more}",
            self.key
        ))
    }
}

/// Always but for a minute: the tests of the quiet hour say their own.
const ALWAYS: &str = "quiet = \"00:00-23:59\"\n";

fn upstream(port: u16) -> String {
    format!("{ALWAYS}[[upstream]]\nname = \"city\"\nurl = \"mqtt://127.0.0.1:{port}\"\n")
}

fn status(site: &Site) -> anyhow::Result<Value> {
    let said = ninewatch(&["update", "--site", &site.file().display().to_string(), "status", "--json"])?;
    Ok(serde_json::from_str(&said)?)
}

fn until(site: &Site, what: &str, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
    let begun = Instant::now();
    loop {
        let state = status(site)?;
        if wanted(&state) {
            return Ok(state);
        }
        ensure!(begun.elapsed() < LIMIT, "not {what}: {state:#}\n{}", site.log()?);
        sleep(Duration::from_millis(50));
    }
}

/// Waits until a gateway that is not `not` serves; gives its sensor port.
fn ready(site: &Site, not: Option<&str>) -> anyhow::Result<String> {
    let begun = Instant::now();
    loop {
        if let Ok(text) = fs::read_to_string(site.folder().join("ready.json")) {
            let told: Value = serde_json::from_str(&text)?;
            let port = told["sensor_port"].as_str().context("a port")?.to_owned();
            let listens = port.parse().ok().is_some_and(|at| std::net::TcpStream::connect_timeout(&at, LIMIT).is_ok());
            if listens && Some(port.as_str()) != not {
                return Ok(port);
            }
        }
        ensure!(begun.elapsed() < LIMIT, "it does not come up: {}", site.log()?);
        sleep(Duration::from_millis(20));
    }
}

async fn press(device: &(String, String), port: &str, times: usize) -> anyhow::Result<()> {
    let mut button = Device::connect(&device.0, &device.1, port.parse()?).await?;
    for press in 0..times {
        button.publish(device::sos(&device.0, device::now_s() + press as f64 / 1000.0, press % 2 == 0)).await?;
    }
    Ok(())
}

/// The critical alerts that the city has, in the order in which they came.
fn criticals(seen: &Seen) -> Vec<String> {
    let mut ids = Vec::new();
    for (.., event) in &seen.events {
        let id = event["subject"].as_str().unwrap_or_default().to_owned();
        if event["data"]["alert"]["severity"] == "critical" && !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

fn script(line: &str) -> Vec<u8> {
    format!("#!/bin/sh\n{line}\n").into_bytes()
}

/// The program that is there, by another way.
fn same() -> Vec<u8> {
    script(&format!("exec '{}' \"$@\"", binary().display()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_program_comes_up_delivers_and_stays() -> anyhow::Result<()> {
    if skipped_without("mosquitto", mosquitto::find().is_some()) {
        return Ok(());
    }
    let broker = Mosquitto::start()?;
    let city = Upstream::start(broker.port, "test").await?;
    let repository = Repository::new()?;
    fs::create_dir_all(repository.path("repo"))?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut server = Command::new("python3")
        .args(["-m", "http.server", "--bind", "127.0.0.1", "--directory", &repository.path("repo"), &port.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let site = repository.site(&format!("http://127.0.0.1:{port}"), &upstream(broker.port))?;
    site.add_place("home", "home")?;
    let sos = site.add_devices("ninewatch-sos", &[("sos-1".into(), "home".into())])?;
    let systemd = Systemd::start(&site);
    let before = ready(&site, None)?;

    let stripped = site.folder().join("stripped");
    ensure!(Command::new("strip").arg("-o").arg(&stripped).arg(binary()).status()?.success(), "strip");
    repository.publish("0.2.0", &fs::read(&stripped)?)?;
    let known = until(&site, "good", |state| state["good"] == "0.2.0")?;
    assert_eq!((&known["trouble"], &known["trial"]), (&Value::Null, &Value::Null));
    let now = ready(&site, Some(&before))?;
    press(&sos[0], &now, 2).await?;
    city.until(LIMIT, |seen| !seen.taken.is_empty()).await?;

    systemd.cut(&site);
    let again = ready(&site, Some(&now))?;
    let program = fs::read_link(format!("/proc/{}/exe", systemd.pid.load(SeqCst)))?;
    assert!(program.display().to_string().contains("update/program/0.2.0/"), "{}", program.display());
    // A person may still go back, and it is not tried again.
    ninewatch(&["update", "--site", &site.file().display().to_string(), "back"])?;
    until(&site, "gone back", |state| state["good"].is_null() && state["bad"]["0.2.0"].is_object())?;
    ready(&site, Some(&again))?;
    let program = fs::read_link(format!("/proc/{}/exe", systemd.pid.load(SeqCst)))?;
    assert_eq!(program, fs::canonicalize(binary())?);
    let audited = ninewatch(&["audit", "--data-dir", &site.data().display().to_string(), "list", "--what", "update"])?;
    for deed in ["update.begin", "update.good", "update.back", "update.rolled_back"] {
        assert!(audited.contains(deed), "{deed}: {audited}");
    }
    server.kill()?;
    server.wait()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_deliver_is_gone_back_from_with_its_reason_and_nothing_is_lost() -> anyhow::Result<()> {
    if skipped_without("mosquitto", mosquitto::find().is_some()) {
        return Ok(());
    }
    let broker = Mosquitto::start()?;
    let city = Upstream::start(broker.port, "test").await?;
    let repository = Repository::new()?;
    let site = repository.site(&repository.path("repo"), &upstream(broker.port))?;
    site.add_place("home", "home")?;
    site.add_place("next", "home")?;
    let devices = [("sos-1".into(), "home".into()), ("sos-2".into(), "next".into())];
    let sos = site.add_devices("ninewatch-sos", &devices)?;
    let _systemd = Systemd::start(&site);
    let mut port = ready(&site, None)?;
    let failed = |version: &str, why: &str| {
        let state = until(&site, version, |state| state["bad"][version].is_object())?;
        let said = state["bad"][version]["en"].as_str().unwrap_or_default().to_owned();
        ensure!(said.contains(why), "{version}: {said}");
        ensure!(state["trouble"]["zh"].as_str().is_some_and(|zh| zh.contains(version)), "{state:#}");
        ready(&site, None)
    };
    repository.publish("0.2.0", &script("exit 3"))?;
    failed("0.2.0", "exit status: 3")?;
    repository.publish("0.3.0", &script("exec sleep 1000"))?;
    failed("0.3.0", "not ready within 8s")?;
    repository.publish("0.4.0", b"this is no program")?;
    port = failed("0.4.0", "cannot be started").unwrap_or(port);

    // It comes up, takes readings, and reaches nobody.
    let mute = format!(
        "at=$(dirname \"$3\")/mute.toml\nsed 's#mqtt://127.0.0.1:[0-9]*#mqtt://127.0.0.1:9#' \"$3\" >\"$at\"\nshift 3\n\
         exec '{}' run --site \"$at\" \"$@\"",
        binary().display()
    );
    press(&sos[0], &port, 1).await?;
    city.until(LIMIT, |seen| criticals(seen).len() == 1).await?;
    // The alarm is open: nobody changes a program now.
    repository.publish("0.5.0", &script(&mute))?;
    let held =
        until(&site, "held", |state| state["waits_for"]["en"].as_str().is_some_and(|why| why.contains("critical")))?;
    assert_eq!(held["staged"], "0.5.0");
    let accept =
        |id: &str, alert: &str| serde_json::json!({"id": id, "alert": alert, "by": "officer", "verb": "accept"});
    let first = city.look(criticals).remove(0);
    city.act(accept("a-1", &first)).await?;
    until(&site, "on trial", |state| state["trial"]["version"] == "0.5.0" && state["trial"]["ready"] == true)?;
    let trying = ready(&site, None)?;
    press(&sos[1], &trying, 1).await?;
    failed("0.5.0", "upstream city is not connected")?;
    // What was acknowledged on trial is here, and goes up.
    city.until(LIMIT, |seen| criticals(seen).len() == 2).await?;
    let second = city.look(criticals).remove(1);
    city.act(accept("a-2", &second)).await?;

    // One that delivers is taken all the same.
    repository.publish("0.6.0", &same())?;
    let state = until(&site, "good", |state| state["good"] == "0.6.0")?;
    assert_eq!(state["trouble"], Value::Null);
    Ok(())
}

#[test]
fn what_is_not_signed_not_newer_or_not_whole_is_refused_and_ring_and_hour_decide() -> anyhow::Result<()> {
    let repository = Repository::new()?;
    // Twelve hours from now, for a minute; local time is eight hours ahead.
    let minute = (device::now_s() as u64 / 60 + (8 + 12) * 60) % (24 * 60);
    let at = |minute: u64| format!("{:02}:{:02}", minute / 60 % 24, minute % 60);
    let quiet = format!("ring = \"early\"\nquiet = \"{}-{}\"\n", at(minute), at(minute + 1));
    let site = repository.site(&repository.path("repo"), &quiet)?;
    let systemd = Systemd::start(&site);
    ready(&site, None)?;
    let refused =
        |why: &str| until(&site, why, |state| state["refused"]["en"].as_str().is_some_and(|said| said.contains(why)));
    let index = PathBuf::from(repository.path("repo/index.json"));
    let swap = |bytes: &[u8]| {
        let new = index.with_extension("new");
        fs::write(&new, bytes).and_then(|()| fs::rename(&new, &index))
    };

    // Another ring's version is not ours.
    repository.publish("0.2.0", &same())?;
    let first = fs::read(&index)?;
    let state = until(&site, "looked", |state| state["serial"].as_u64() >= Some(2))?;
    assert_eq!((&state["offered"], &state["staged"]), (&Value::Null, &Value::Null));

    // A package that is torn, and one that is not what was signed.
    let package = PathBuf::from(repository.path("repo/packages")).read_dir()?.next().context("a package")??.path();
    let whole = fs::read(&package)?;
    fs::write(&package, &whole[..whole.len() / 2])?;
    repository.ring("early", "0.2.0")?;
    refused("is damaged")?;
    let mut other = whole.clone();
    let middle = other.len() / 2;
    other[middle] ^= 1;
    fs::write(&package, &other)?;
    refused("is damaged")?;

    // An index that was signed before, one by another key, one that was changed.
    let newest = fs::read(&index)?;
    swap(&first)?;
    refused("plays back")?;
    let stranger = Repository::new()?;
    stranger.publish("0.9.0", &same())?;
    swap(&fs::read(stranger.path("repo/index.json"))?)?;
    refused("not signed by a key")?;
    swap(b"{}")?;
    refused("no signed index")?;
    assert_eq!(state_of(&site, "staged")?, Value::Null);

    // Mended, it is staged, and waits for its hour; a person does not.
    fs::write(&package, &whole)?;
    swap(&newest)?;
    let waits = |state: &Value| state["waits_for"]["en"].as_str().is_some_and(|why| why.contains("quiet hours"));
    let state = until(&site, "waiting", |state| state["staged"] == "0.2.0" && waits(state))?;
    assert_eq!((&state["refused"], &state["trial"]), (&Value::Null, &Value::Null));
    ninewatch(&["update", "--site", &site.file().display().to_string(), "now"])?;
    until(&site, "good", |state| state["good"] == "0.2.0")?;

    // What is changed on the disk is not started.
    let program = site.data().join("update/program/0.2.0/files/usr/bin/ninewatch");
    fs::write(&program, script("exit 7"))?;
    systemd.cut(&site);
    ready(&site, None)?;
    let state = status(&site)?;
    assert!(state["bad"]["0.2.0"]["en"].as_str().is_some_and(|why| why.contains("not as it was signed")), "{state:#}");
    Ok(())
}

fn state_of(site: &Site, key: &str) -> anyhow::Result<Value> {
    Ok(status(site)?[key].clone())
}

#[test]
fn power_cuts_at_any_moment_leave_a_gateway_that_works() -> anyhow::Result<()> {
    const ROUNDS: u32 = 30;
    let repository = Repository::new()?;
    let site = repository.site(&repository.path("repo"), ALWAYS)?;
    let systemd = Systemd::start(&site);
    ready(&site, None)?;
    let mut newest = 2;
    repository.publish("0.2.0", &same())?;
    let mut met = std::collections::BTreeMap::<&str, u32>::new();
    for round in 0..ROUNDS {
        // Anywhere between the first look and the end of a trial.
        let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.subsec_nanos();
        sleep(Duration::from_millis(u64::from(nanos / 1000 % 3000)));
        let state = status(&site)?;
        let at = if !state["trial"].is_null() {
            "trial"
        } else if !state["staged"].is_null() {
            "staged"
        } else {
            "else"
        };
        *met.entry(at).or_default() += 1;
        systemd.cut(&site);
        ready(&site, None).with_context(|| format!("round {round}, {at}"))?;
        let version = format!("0.{newest}.0");
        if state["good"] == version.as_str() || state["bad"][&version].is_object() {
            newest += 1;
            repository.publish(&format!("0.{newest}.0"), &same())?;
        }
    }
    eprintln!("{ROUNDS} power cuts, up to version 0.{newest}.0: {met:?}");
    // Left alone, it gets there.
    newest += 1;
    let last = format!("0.{newest}.0");
    repository.publish(&last, &same())?;
    until(&site, "good", |state| state["good"] == last.as_str())?;
    let kept = site.data().join("update/program").read_dir()?.count();
    assert!(kept <= 3, "{kept} slots are kept");
    Ok(())
}

/// A rule that tells of a device at once.
fn rule(id: &str) -> Vec<u8> {
    let built_in = fs::read_to_string(ninewatch_tests::root().join("gateway/rules/care.toml")).unwrap();
    let first = built_in.split("\n[[rule]]").nth(1).unwrap().replace("id = \"sos\"", &format!("id = \"{id}\""));
    format!("[[rule]]{first}").into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn types_and_models_are_put_in_force_alone_and_gone_back_from_where_they_have_a_fault() -> anyhow::Result<()> {
    let repository = Repository::new()?;
    let more = format!("{ALWAYS}[files]\nrules = \"own\"\n");
    let site = repository.site(&repository.path("repo"), &more)?;
    site.write(&fs::read_to_string(site.file())?.replace("trial = \"20s\"", "trial = \"4s\""))?;
    fs::create_dir_all(site.folder().join("own"))?;
    fs::write(site.folder().join("own/own.toml"), rule("own-sos"))?;
    site.add_place("home", "home")?;
    let mut gateway = Gateway::start(&site)?;

    // A type that the program does not know, delivered alone; a device of it is let in by it.
    let sensors = ninewatch_tests::root().join("gateway/sensors/ninewatch-sos.toml");
    let button = fs::read_to_string(&sensors)?.replace("id = \"ninewatch-sos\"", "id = \"acme-button\"");
    repository.deliver("types", "1.0.0", &[("sensors/acme-button.toml", button.clone().into_bytes())])?;
    let good =
        |kind: &'static str, version: &'static str| move |state: &Value| state["content"][kind]["good"] == version;
    until(&site, "types 1.0.0", good("types", "1.0.0"))?;
    let device = serde_json::json!({"id": "acme-1", "type": "acme-button", "place": "home"});
    gateway.post("/api/v1/devices", &device).context("a device of the new type is taken")?;

    // One that is sound where it is made, and has a rule that this site has already.
    let clash = [("sensors/acme-button.toml", button.clone().into_bytes()), ("rules/acme.toml", rule("own-sos"))];
    repository.deliver("types", "1.1.0", &clash)?;
    let state = until(&site, "gone back", |state| state["content"]["types"]["bad"]["1.1.0"].is_object())?;
    assert_eq!(state["content"]["types"]["good"], "1.0.0", "{state:#}");
    assert!(state["trouble"]["en"].as_str().is_some_and(|why| why.contains("types 1.1.0")), "{state:#}");

    // A model of another version takes the built-in one's place.
    let folder = ninewatch_tests::root().join("models/fall");
    let card = fs::read_to_string(folder.join("model.toml"))?;
    let version = card.lines().find(|line| line.starts_with("version")).context("a version")?;
    let newer = card.replace(version, "version = \"9.0.0\"");
    let onnx = fs::read(folder.join("fall.onnx"))?;
    repository.deliver("models", "2.0.0", &[("fall/model.toml", newer.into_bytes()), ("fall/fall.onnx", onnx)])?;
    until(&site, "models 2.0.0", good("models", "2.0.0"))?;
    let shown = gateway.get("/api/v1/update")?;
    assert_eq!(shown["content"]["models"]["version"], "2.0.0", "{shown:#}");
    let listed = ninewatch(&["--lang", "en", "model", "--site", &site.file().display().to_string(), "list"])?;
    assert!(listed.lines().any(|line| line.starts_with("fall ") && line.contains("9.0.0")), "{listed}");

    // What somebody changes on the disk is not used after a start; what was before is.
    gateway.terminate(LIMIT)?;
    let file = site.data().join("update/types/1.0.0/files/sensors/acme-button.toml");
    fs::write(&file, button.replace("3h", "9h"))?;
    let gateway = Gateway::start(&site)?;
    let state = until(&site, "refused", |state| state["content"]["types"]["bad"]["1.0.0"].is_object())?;
    assert_eq!(
        (&state["content"]["types"]["good"], &state["content"]["models"]["good"]),
        (&Value::Null, &"2.0.0".into())
    );
    drop(gateway);

    // Nothing with a fault is published at all.
    let refused =
        repository.deliver("types", "1.2.0", &[("sensors/acme-button.toml", b"id = 7".to_vec())]).unwrap_err();
    assert!(refused.to_string().contains("acme-button.toml"), "{refused}");
    let elsewhere = repository.deliver("types", "1.3.0", &[("etc/passwd", b"x".to_vec())]).unwrap_err().to_string();
    assert!(elsewhere.contains("etc/passwd"), "{elsewhere}");
    Ok(())
}
