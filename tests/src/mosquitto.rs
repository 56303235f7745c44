//! A real mosquitto, started and killed by the test.

use anyhow::{Context, bail};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where mosquitto is on this machine, if it is.
pub fn find() -> Option<PathBuf> {
    ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/usr/bin/mosquitto", "/opt/homebrew/sbin/mosquitto"]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.is_file())
}

/// A mosquitto on loopback that keeps what it holds in its own folder.
pub struct Mosquitto {
    process: Child,
    dir: tempfile::TempDir,
    /// Where it listens.
    pub port: u16,
}

impl Mosquitto {
    /// Starts one that saves each change at once: what it acknowledged outlives a kill.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with("persistence true\nautosave_interval 1\nautosave_on_changes true\n")
    }

    /// Starts one that keeps all in memory: as fast as it goes.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn start_in_memory() -> anyhow::Result<Self> {
        Self::start_with("persistence false\n")
    }

    /// Starts one that wants a sign of life every 10 s, as [`Self::start`] otherwise.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn start_impatient() -> anyhow::Result<Self> {
        Self::start_with("persistence true\nautosave_interval 1\nautosave_on_changes true\nmax_keepalive 10\n")
    }

    fn start_with(persistence: &str) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let port = crate::free_port()?;
        let folder = dir.path().display();
        std::fs::write(
            dir.path().join("mosquitto.conf"),
            format!(
                "listener {port} 127.0.0.1\nallow_anonymous true\npersistence_location {folder}/\n{persistence}\
                 max_queued_messages 0\nmax_inflight_messages 100\nuser root\nlog_type error\n"
            ),
        )?;
        let process = spawn(&dir)?;
        let this = Self { process, dir, port };
        this.wait()?;
        Ok(this)
    }

    /// Kills it with SIGKILL.
    ///
    /// # Errors
    /// Where it is gone already.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Starts it again on the same port and folder.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.process = spawn(&self.dir)?;
        self.wait()
    }

    /// Kills it with SIGKILL and starts it again on the same port and folder.
    ///
    /// # Errors
    /// Where it does not come up again.
    pub fn kill_and_restart(&mut self) -> anyhow::Result<()> {
        self.kill()?;
        self.restart()
    }

    /// Whether this stands in what it has saved on disk: a kill does not lose it any more.
    pub fn has_saved(&self, part: &str) -> bool {
        let saved = std::fs::read(self.dir.path().join("mosquitto.db")).unwrap_or_default();
        saved.windows(part.len()).any(|window| window == part.as_bytes())
    }

    fn wait(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if begun.elapsed() > Duration::from_secs(10) {
                bail!("mosquitto does not come up on port {}", self.port);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

fn spawn(dir: &tempfile::TempDir) -> anyhow::Result<Child> {
    Command::new(find().context("mosquitto is not on this machine")?)
        .arg("-c")
        .arg(dir.path().join("mosquitto.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("mosquitto cannot be started")
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
