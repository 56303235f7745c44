//! A gateway under test: the real binary, with its own folder.

use anyhow::{Context, bail};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Where the binary is: beside the tests, or where `NINEWATCH_BIN` says.
pub fn binary() -> PathBuf {
    if let Some(named) = std::env::var_os("NINEWATCH_BIN") {
        return named.into();
    }
    // target/<profile>/deps/<test> or target/<profile>/<bin>
    let mut folder = std::env::current_exe().unwrap_or_default();
    while folder.pop() {
        let candidate = folder.join("ninewatch");
        if candidate.is_file() {
            return candidate;
        }
    }
    "ninewatch".into()
}

/// Runs `ninewatch` to its end; gives standard output, or what it said on standard error.
///
/// # Errors
/// Where it cannot be started or ends with another code than 0.
pub fn ninewatch(args: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(binary()).args(args).output().context("the binary is not there: run `make test`")?;
    if !output.status.success() {
        bail!("ninewatch {args:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// A folder with a site file and a data folder, and what is asked of the gateway in it.
pub struct Site {
    dir: tempfile::TempDir,
    /// What else the gateway finds in its environment.
    pub environment: Vec<(String, String)>,
}

impl Site {
    /// A site with a plain sensor port and a console on free ports, and `more` TOML.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn new(more: &str) -> anyhow::Result<Self> {
        let site = Self { dir: tempfile::tempdir()?, environment: Vec::new() };
        site.write(&format!(
            "[gateway]\nid = \"test\"\ndata_dir = \"data\"\n\n[sensor_port]\nlisten = \"127.0.0.1:0\"\n\n\
             [console]\nlisten = \"127.0.0.1:0\"\n\n{more}\n"
        ))?;
        Ok(site)
    }

    /// Writes the site file anew.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, text: &str) -> anyhow::Result<()> {
        Ok(std::fs::write(self.file(), text)?)
    }

    /// The site file.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("site.toml")
    }

    /// The folder that holds it all.
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// What the gateway has said since its last start.
    ///
    /// # Errors
    /// Where it was never started.
    pub fn log(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.folder().join("log.txt"))?)
    }

    /// Adds a place.
    ///
    /// # Errors
    /// Where the command fails.
    pub fn add_place(&self, id: &str, kind: &str) -> anyhow::Result<()> {
        let data = self.data().display().to_string();
        ninewatch(&["place", "--data-dir", &data, "add", id, "--name", id, "--kind", kind, "--grid", "g1"]).map(drop)
    }

    /// Adds devices of one type to a place by an import, as an installer with a spreadsheet does.
    /// Gives (id, secret) of each.
    ///
    /// # Errors
    /// Where the command fails.
    pub fn add_devices(
        &self,
        sensor_type: &str,
        devices: &[(String, String)],
    ) -> anyhow::Result<Vec<(String, String)>> {
        let data = self.data().display().to_string();
        let list = self.dir.path().join("devices.csv");
        let secrets = self.dir.path().join("secrets.csv");
        let mut csv = String::from("id,type,place,spot,person\n");
        for (id, place) in devices {
            csv.push_str(&format!("{id},{sensor_type},{place},,\n"));
        }
        std::fs::write(&list, csv)?;
        let (list, secrets_text) = (list.display().to_string(), secrets.display().to_string());
        ninewatch(&["device", "--data-dir", &data, "import", &list, "--secrets", &secrets_text])?;
        let given = std::fs::read_to_string(&secrets)?;
        std::fs::remove_file(&secrets)?;
        let rows = given.lines().skip(1).filter_map(|row| row.split_once(','));
        Ok(rows.map(|(id, secret)| (id.to_owned(), secret.to_owned())).collect())
    }
}

/// A gateway that may not be up yet.
pub struct Starting {
    process: Child,
}

impl Starting {
    /// Starts the gateway of `site` without waiting for anything.
    ///
    /// # Errors
    /// Where there is no binary.
    pub fn spawn(site: &Site) -> anyhow::Result<Self> {
        let ready = site.folder().join("ready.json");
        let _ = std::fs::remove_file(&ready);
        let log = std::fs::File::create(site.folder().join("log.txt"))?;
        let process = Command::new(binary())
            .args(["run", "--site"])
            .arg(site.file())
            .arg("--ready-file")
            .arg(&ready)
            .env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "info".into()))
            .envs(site.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("the binary is not there: run `make test`")?;
        Ok(Self { process })
    }

    /// Kills it with SIGKILL, wherever it is.
    ///
    /// # Errors
    /// Where it had ended by itself.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.process.try_wait()? {
            bail!("it ended with {status} before it was killed");
        }
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Waits until it serves.
    ///
    /// # Errors
    /// With what it said, where it does not start.
    pub fn ready(mut self, site: &Site) -> anyhow::Result<Gateway> {
        let begun = Instant::now();
        let told: Value = loop {
            // The file comes by a rename, whole.
            if let Ok(text) = std::fs::read_to_string(site.folder().join("ready.json")) {
                break serde_json::from_str(&text)?;
            }
            if let Some(status) = self.process.try_wait()? {
                bail!("it ended with {status}: {}", site.log()?);
            }
            if begun.elapsed() > Duration::from_secs(60) {
                let _ = self.process.kill();
                bail!("it does not come up: {}", site.log()?);
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        Gateway::of(self.process, &told, site)
    }
}

/// A running gateway.
pub struct Gateway {
    process: Child,
    /// Where devices connect.
    pub sensor_port: std::net::SocketAddr,
    /// Where they do so over TLS, if they do.
    pub sensor_port_tls: Option<std::net::SocketAddr>,
    /// The console's address, as `http://host:port`.
    pub console: String,
    /// The account to log in with.
    pub account: (String, String),
}

impl Gateway {
    /// Starts the gateway of `site` and waits until it serves.
    ///
    /// # Errors
    /// With what it said, where it does not start.
    pub fn start(site: &Site) -> anyhow::Result<Self> {
        Starting::spawn(site)?.ready(site)
    }

    fn of(process: Child, told: &Value, site: &Site) -> anyhow::Result<Self> {
        let text = |key: &str| told[key].as_str().map(str::to_owned).with_context(|| format!("no {key} in {told}"));
        let account = match (told["account"].as_str(), told["password"].as_str()) {
            (Some(account), Some(password)) => {
                // Only the first start tells it.
                std::fs::write(site.folder().join("account"), format!("{account}\n{password}"))?;
                (account.to_owned(), password.to_owned())
            }
            _ => {
                let kept = std::fs::read_to_string(site.folder().join("account"))?;
                let (account, password) = kept.split_once('\n').context("an account")?;
                (account.to_owned(), password.to_owned())
            }
        };
        Ok(Self {
            sensor_port: text("sensor_port")?.parse()?,
            sensor_port_tls: told["sensor_port_tls"].as_str().map(str::parse).transpose()?,
            console: format!("http://{}", text("console")?),
            account,
            process,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Ends it as systemd does, with SIGTERM; gives how it ended.
    ///
    /// # Errors
    /// Where it does not within `limit`.
    pub fn terminate(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        Command::new("kill").args(["-TERM", &self.pid().to_string()]).status()?;
        self.ended(limit)
    }

    /// Waits until it has ended by itself; gives how.
    ///
    /// # Errors
    /// Where it has not within `limit`.
    pub fn ended(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status);
            }
            anyhow::ensure!(begun.elapsed() < limit, "it has not ended after {limit:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills it as a power cut of the process would: SIGKILL.
    ///
    /// # Errors
    /// Where it is gone already.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// GETs a path of the API.
    ///
    /// # Errors
    /// Where it does not answer with 2xx.
    pub fn get(&self, path: &str) -> anyhow::Result<Value> {
        let mut answer = ureq::get(format!("{}{path}", self.console)).header("Authorization", self.basic()).call()?;
        Ok(answer.body_mut().read_json()?)
    }

    /// POSTs JSON to a path of the API.
    ///
    /// # Errors
    /// Where it does not answer with 2xx.
    pub fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let mut answer =
            ureq::post(format!("{}{path}", self.console)).header("Authorization", self.basic()).send_json(body)?;
        Ok(answer.body_mut().read_json()?)
    }

    /// POSTs bytes to a path of the API.
    ///
    /// # Errors
    /// Where it does not answer with 2xx.
    pub fn post_bytes(&self, path: &str, body: &[u8]) -> anyhow::Result<Value> {
        let mut answer = ureq::post(format!("{}{path}", self.console))
            .header("Authorization", self.basic())
            .header("Content-Type", "application/octet-stream")
            .send(body)?;
        Ok(answer.body_mut().read_json()?)
    }

    /// PUTs JSON to a path of the API.
    ///
    /// # Errors
    /// Where it does not answer with 2xx.
    pub fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let mut answer =
            ureq::put(format!("{}{path}", self.console)).header("Authorization", self.basic()).send_json(body)?;
        Ok(answer.body_mut().read_json()?)
    }

    /// Opens the live feed and calls `each` with (event, data) until it returns false or `limit` is up.
    ///
    /// # Errors
    /// Where the feed ends or does not open.
    pub fn listen(&self, limit: Duration, each: impl FnMut(&str, &Value) -> bool) -> anyhow::Result<()> {
        self.feed("", limit, each)
    }

    /// The same, with all alert changes after `seq` first.
    ///
    /// # Errors
    /// As [`Self::listen`].
    pub fn listen_from(&self, seq: u64, limit: Duration, each: impl FnMut(&str, &Value) -> bool) -> anyhow::Result<()> {
        self.feed(&format!("?from={seq}"), limit, each)
    }

    fn feed(&self, query: &str, limit: Duration, mut each: impl FnMut(&str, &Value) -> bool) -> anyhow::Result<()> {
        let agent = ureq::Agent::new_with_config(ureq::Agent::config_builder().timeout_global(Some(limit)).build());
        let url = format!("{}/api/v1/events{query}", self.console);
        let answer = agent.get(url).header("Authorization", self.basic()).call()?;
        let mut event = String::new();
        for line in BufReader::new(answer.into_body().into_reader()).lines() {
            let line = line?;
            if let Some(name) = line.strip_prefix("event:") {
                event = name.trim().to_owned();
            } else if let Some(data) = line.strip_prefix("data:")
                && !each(&event, &serde_json::from_str(data.trim()).unwrap_or(Value::Null))
            {
                return Ok(());
            }
        }
        bail!("the live feed ended")
    }

    /// Waits until an alert change, from the first one on, is as wanted; gives it.
    ///
    /// # Errors
    /// Where none is within half a minute.
    pub fn until_alert(&self, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let mut found = None;
        self.listen_from(0, Duration::from_secs(30), |event, change| {
            if event == "alert" && wanted(change) {
                found = Some(change.clone());
            }
            found.is_none()
        })?;
        found.context("no such alert")
    }

    /// What `/metrics` says.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn metrics(&self) -> anyhow::Result<String> {
        let mut answer = ureq::get(format!("{}/metrics", self.console)).header("Authorization", self.basic()).call()?;
        Ok(answer.body_mut().read_to_string()?)
    }

    /// A metric, by its name and labels as `/metrics` writes them; several of one name are summed.
    ///
    /// # Errors
    /// Where it is not there.
    pub fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let text = self.metrics()?;
        let values: Vec<f64> = text
            .lines()
            .filter_map(|line| line.rsplit_once(' '))
            .filter(|(key, _)| *key == name || key.strip_prefix(name).is_some_and(|rest| rest.starts_with('{')))
            .filter_map(|(_, value)| value.parse().ok())
            .collect();
        anyhow::ensure!(!values.is_empty(), "there is no metric {name} in:\n{text}");
        Ok(values.iter().sum())
    }

    /// Waits until a metric is as wanted.
    ///
    /// # Errors
    /// Where it is not within a minute.
    pub async fn until_metric(&self, name: &str, wanted: impl Fn(f64) -> bool) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let value = self.metric(name)?;
            if wanted(value) {
                return Ok(());
            }
            anyhow::ensure!(begun.elapsed() < Duration::from_secs(60), "{name} stays at {value}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn basic(&self) -> String {
        use base64::Engine as _;
        let (account, password) = &self.account;
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{account}:{password}")))
    }

    /// Memory that it holds, in KiB.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn resident_kib(&self) -> anyhow::Result<u64> {
        crate::fuzz::resident_kib(Some(self.pid()))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
