//! Real browsers at the board (`tests/browser/watchers.py`), which note when they show an alert.

use anyhow::{Context, ensure};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::gateway::Gateway;
use crate::root;

/// Chromium pages that are open.
pub struct Browsers {
    process: Child,
    told: ChildStdin,
    says: BufReader<ChildStdout>,
}

/// The Python that drives them; `make` sets it up.
pub fn python() -> PathBuf {
    root().join("target/browser-py/bin/python")
}

/// Whether there is a Chromium, by one of the names that the driver looks for.
pub fn are_here() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    std::env::split_paths(&path).any(|folder| names.iter().any(|name| folder.join(name).is_file()))
}

impl Browsers {
    /// Opens `count` of them, logs each in, and waits until all boards are live.
    ///
    /// # Errors
    /// Where there is no Chromium, or a page does not come up; what is wrong is on standard error.
    pub fn open(gateway: &Gateway, count: usize) -> anyhow::Result<Self> {
        let mut process = Command::new(python())
            .arg(root().join("tests/browser/watchers.py"))
            .args([gateway.console.as_str(), &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the browsers' Python is not there: run `make browser`")?;
        let told = process.stdin.take().context("its standard input")?;
        let says = BufReader::new(process.stdout.take().context("its standard output")?);
        let mut browsers = Self { process, told, says };
        let (account, password) = &gateway.account;
        writeln!(browsers.told, "{account} {password}")?;
        let line = browsers.line()?;
        ensure!(line == "ready", "the browsers say {line}");
        Ok(browsers)
    }

    /// When each browser showed the alert of each place, in milliseconds since 1970, once all show `alerts` of them.
    ///
    /// # Errors
    /// Where they do not.
    pub fn seen(mut self, alerts: usize) -> anyhow::Result<BTreeMap<String, Vec<f64>>> {
        writeln!(self.told, "{alerts}")?;
        Ok(serde_json::from_str(&self.line()?)?)
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.says.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the browsers ended with {}", self.process.wait()?);
        Ok(line.trim().to_owned())
    }
}

impl Drop for Browsers {
    fn drop(&mut self) {
        // It closes its browser when it has said all; otherwise it has to.
        if !matches!(self.process.try_wait(), Ok(Some(_))) {
            let _ = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
            let _ = self.process.wait();
        }
    }
}
