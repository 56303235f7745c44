//! The local sign: light and sound on the spot while critical alerts reach nobody.
//!
//! GB 26875.1 asks for it where the transmission of an alarm fails. It is a command, a pin, or both. On while a critical alert
//! waits that nobody has accepted, and that no upstream has (without an upstream: while no page is open); off when
//! there is none any more.

use anyhow::Context;
use embedded_hal::digital::OutputPin;
use std::fmt::{Debug, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ninewatch_core::ailment::Ailment;
use ninewatch_core::alert::{Alert, Text};
use ninewatch_drivers::output::{Output, Pattern};

use super::Part;
use super::sign_hook::{Hook, Said};
use crate::config::LocalSignConfig;
use crate::metrics::header;

/// The sign, off until it is [shown](Self::show).
pub(crate) struct Sign {
    after: Duration,
    every: Duration,
    hook: Option<Hook>,
    off_hook: Option<Hook>,
    showing: tokio::sync::Mutex<Showing>,
    told: Arc<Told>,
    is_simulated: bool,
}

/// What goes on.
struct Showing {
    lamp: Option<Box<dyn Lamp>>,
    on: bool,
    running: Option<tokio::task::JoinHandle<()>>,
    next: Instant,
}

/// How it goes, for those who ask.
#[derive(Debug, Default)]
pub(super) struct Told {
    on: AtomicBool,
    runs: AtomicU64,
    failures: AtomicU64,
    failing: Mutex<Option<Text>>,
}

/// A pin that something is lit or sounded by.
trait Lamp: Send {
    fn light(&mut self, on: bool) -> anyhow::Result<()>;
}

impl<P: OutputPin<Error: Debug> + Send> Lamp for Output<P> {
    fn light(&mut self, on: bool) -> anyhow::Result<()> {
        let pattern = if on { Pattern::On } else { Pattern::Off };
        self.play(pattern, None, 0).map_err(|error| anyhow::anyhow!("the pin cannot be set: {error:?}"))
    }
}

impl Sign {
    /// Takes the pin, and turns it off.
    ///
    /// # Errors
    /// Where there is no GPIO, or the pin is not to be had.
    pub(crate) fn open(config: &LocalSignConfig) -> anyhow::Result<Self> {
        let lamp = config.gpio.as_ref().map(|gpio| -> anyhow::Result<Box<dyn Lamp>> {
            let (pin, by) = gpio.output()?;
            match gpio.simulated {
                Some(_) => tracing::warn!(by, "the local sign is simulated"),
                None => tracing::info!(by, pin = gpio.pin, "the local sign has its pin"),
            }
            Ok(Box::new(Output::new(pin, gpio.active_of_output())?))
        });
        let lamp = lamp.transpose().context("the local sign cannot be opened; mend [local_sign] in site.toml")?;
        Ok(Self::with(config, lamp))
    }

    fn with(config: &LocalSignConfig, lamp: Option<Box<dyn Lamp>>) -> Self {
        let told = Arc::new(Told::default());
        let hook = |command: &[String]| Hook::new(command, config.time_limit.duration());
        Self {
            after: config.after.duration(),
            every: config.every.duration(),
            hook: hook(&config.command),
            off_hook: hook(&config.off_command),
            showing: tokio::sync::Mutex::new(Showing { lamp, on: false, running: None, next: Instant::now() }),
            told,
            is_simulated: config.gpio.as_ref().is_some_and(|gpio| gpio.simulated.is_some()),
        }
    }

    /// How long a critical alert may be unheard.
    pub(crate) fn after(&self) -> Duration {
        self.after
    }

    /// Is on while there are such alerts, and off while there are none. To be called again and again.
    pub(crate) async fn show(&self, unheard: &[&Alert]) {
        let mut showing = self.showing.lock().await;
        let on = !unheard.is_empty();
        if on != showing.on {
            showing.on = on;
            self.told.on.store(on, Relaxed);
            match on {
                true => tracing::error!(alerts = unheard.len(), "critical alerts reach nobody: the local sign is on"),
                false => tracing::info!("the local sign is off"),
            }
            self.light(&mut showing, on);
            if !on {
                self.begin(&mut showing, self.off_hook.as_ref(), &Said::off());
            }
            showing.next = Instant::now();
        }
        let is_running = showing.running.as_ref().is_some_and(|running| !running.is_finished());
        if on && !is_running && Instant::now() >= showing.next {
            showing.next = Instant::now() + self.every;
            self.begin(&mut showing, self.hook.as_ref(), &Said::on(unheard));
        }
    }

    /// The gateway cannot go on, and nothing else can be said: it sounds once, and the lamp stays on.
    pub(crate) async fn last_word(&self, why: &Text) {
        let mut showing = self.showing.lock().await;
        self.told.on.store(true, Relaxed);
        self.light(&mut showing, true);
        self.begin(&mut showing, self.hook.as_ref(), &Said::stopping(why));
        if let Some(running) = showing.running.take() {
            let _ = running.await;
        }
    }

    /// A gateway that is told to stop leaves no sign on.
    pub(crate) async fn put_out(&self) {
        self.show(&[]).await;
        if let Some(running) = self.showing.lock().await.running.take() {
            let _ = running.await;
        }
    }

    fn light(&self, showing: &mut Showing, on: bool) {
        if let Some(Err(error)) = showing.lamp.as_mut().map(|lamp| lamp.light(on)) {
            self.told.failed(&format!("{error:#}"));
        }
    }

    /// Begins a hook in the place of the one that runs.
    fn begin(&self, showing: &mut Showing, hook: Option<&Hook>, said: &Said) {
        if let Some(running) = showing.running.take() {
            running.abort();
        }
        let Some(hook) = hook else { return };
        let (running, told) = (hook.run(said), self.told.clone());
        told.runs.fetch_add(1, Relaxed);
        showing.running = Some(tokio::spawn(async move {
            match running.await {
                Ok(()) => told.worked(),
                Err(error) => told.failed(&format!("{error:#}")),
            }
        }));
    }
}

impl Told {
    fn worked(&self) {
        *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn failed(&self, why: &str) {
        tracing::error!("the local sign failed: {why}");
        self.failures.fetch_add(1, Relaxed);
        let text =
            Text { zh: format!("本地声光提示失败：{why}"), en: format!("the local sign failed: {why}") };
        *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }
}

impl Part for Sign {
    fn name(&self) -> String {
        "local_sign".into()
    }

    fn ails(&self) -> Vec<(Ailment, Text)> {
        let failing = self.told.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let failing = failing.iter().map(|text| (Ailment::SignFailed, text.clone()));
        let simulated = self.is_simulated.then(|| {
            let text =
                Text { zh: "本地声光提示是模拟的".into(), en: "the local sign's pin is simulated".into() };
            (Ailment::PinSimulated, text)
        });
        failing.chain(simulated).collect()
    }

    fn metrics(&self, out: &mut String) {
        let told = &self.told;
        for (name, kind, help, value) in [
            (
                "ninewatch_local_sign_on",
                "gauge",
                "1 while critical alerts reach nobody.",
                u64::from(told.on.load(Relaxed)),
            ),
            ("ninewatch_local_sign_runs_total", "counter", "Runs of the sign's commands.", told.runs.load(Relaxed)),
            ("ninewatch_local_sign_failures_total", "counter", "Times that it failed.", told.failures.load(Relaxed)),
        ] {
            header(out, name, kind, help);
            let _ = writeln!(out, "{name} {value}");
        }
    }
}

#[cfg(test)]
mod tests {
    use embedded_hal_mock::eh1::digital::{Mock, State, Transaction as Set};
    use ninewatch_core::time::Span;
    use ninewatch_drivers::contact::Active;
    use std::path::Path;

    use super::*;
    use crate::pins::Pin;

    fn config(command: &str, off_command: &str) -> LocalSignConfig {
        let shell = |script: &str| match script {
            "" => Vec::new(),
            _ => vec!["/bin/sh".into(), "-c".into(), script.into()],
        };
        LocalSignConfig {
            command: shell(command),
            off_command: shell(off_command),
            gpio: None,
            after: Span::from_secs(10),
            every: Span::from_secs(3600),
            time_limit: Span::from_secs(60),
        }
    }

    fn alert() -> Alert {
        let alert = serde_json::json!({
            "id": "01KAQW3E5S0000000000000000", "number": 1, "gateway": "g", "place": "p", "group": "fire",
            "scene": "fire", "severity": "critical", "status": "raised", "title": {"zh": "火警", "en": "Fire"},
            "reason": {"zh": "", "en": ""}, "raised_at_ms": 1, "updated_at_ms": 1, "recovered_at_ms": null,
            "devices": [], "rules": [], "occurrences": 1, "escalation": 0, "accepted_by": null,
            "dispatched_to": null, "verdict": null,
        });
        serde_json::from_value(alert).unwrap()
    }

    /// Waits for what runs.
    async fn ended(sign: &Sign) {
        let running = sign.showing.lock().await.running.take();
        running.unwrap().await.unwrap();
    }

    fn read(file: &Path) -> String {
        std::fs::read_to_string(file).unwrap_or_default()
    }

    #[tokio::test]
    async fn it_says_by_the_environment_what_there_is_and_ends_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let said = dir.path().join("said");
        let write = format!(
            "echo $NINEWATCH_SIGN $NINEWATCH_ALERTS $NINEWATCH_TEXT_ZH $NINEWATCH_TEXT_EN >> {}",
            said.display()
        );
        let sign = Sign::with(&config(&write, &write), None);
        sign.show(&[]).await;
        assert!(sign.showing.lock().await.running.is_none(), "it is off from the start");
        let alert = alert();
        sign.show(&[&alert, &alert]).await;
        sign.show(&[&alert]).await;
        ended(&sign).await;
        assert_eq!(read(&said), "on 2 火警 Fire\n", "each title once, and not again before its time");
        sign.show(&[]).await;
        ended(&sign).await;
        assert_eq!(read(&said).lines().last(), Some("off 0"));
        sign.last_word(&Text { zh: "停".into(), en: "stopped".into() }).await;
        assert_eq!(read(&said).lines().last(), Some("on 0 停 stopped"), "it is waited for");
        assert_eq!(sign.ails(), []);
    }

    #[tokio::test]
    async fn what_sounds_on_is_killed_with_what_it_has_begun_when_the_sign_goes_off() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
        // A child of the shell's holds the writing end; the reader is at the end when nobody holds it any more.
        let script = format!("(echo sounds; sleep 3600) > {} & sleep 3600", fifo.display());
        let sign = Sign::with(&config(&script, ""), None);
        sign.show(&[&alert()]).await;
        let opened = tokio::task::spawn_blocking(move || {
            let mut pipe = std::io::BufReader::new(std::fs::File::open(fifo).unwrap());
            let mut line = String::new();
            std::io::BufRead::read_line(&mut pipe, &mut line).unwrap();
            (pipe, line)
        });
        let (mut pipe, line) = opened.await.unwrap();
        assert_eq!(line, "sounds\n");
        sign.show(&[]).await;
        // A thread of its own: where something goes on holding the pipe, nobody waits for it.
        let (ended, rest) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || ended.send(std::io::Read::read_to_end(&mut pipe, &mut Vec::new()).unwrap()));
        assert_eq!(tokio::time::timeout(Duration::from_secs(60), rest).await.unwrap().unwrap(), 0);
    }

    #[tokio::test]
    async fn a_command_that_fails_hangs_or_is_not_there_ails_until_one_works() {
        let mut hangs = config("sleep 3600", "true");
        hangs.time_limit = Span::from_ms(50);
        let mut missing = config("x", "true");
        missing.command = vec!["/nowhere/siren".into()];
        for (config, why) in
            [(config("exit 3", "true"), "exit status: 3"), (hangs, "longer than 0.05 s"), (missing, "cannot be run")]
        {
            let sign = Sign::with(&config, None);
            sign.show(&[&alert()]).await;
            ended(&sign).await;
            let ails = sign.ails();
            assert!(ails.len() == 1 && ails[0].0 == Ailment::SignFailed && ails[0].1.en.contains(why), "{ails:?}");
            sign.show(&[]).await;
            ended(&sign).await;
            assert_eq!(sign.ails(), []);
        }
    }

    #[tokio::test]
    async fn a_pin_is_on_at_its_level_and_off_otherwise() {
        for (active, on, off) in [(Active::High, State::High, State::Low), (Active::Low, State::Low, State::High)] {
            let mut pin = Mock::new(&[off, on, off].map(Set::set));
            let sign = Sign::with(&config("", ""), Some(Box::new(Output::new(pin.clone(), active).unwrap())));
            sign.show(&[&alert()]).await;
            sign.put_out().await;
            sign.put_out().await;
            pin.done();
        }
    }

    #[test]
    fn without_the_hardware_it_is_refused_in_words() {
        let mut config = config("", "");
        config.gpio = Some(Pin { pin: 23, chip: Some("/nowhere/gpiochip0".into()), active: None, simulated: None });
        let error = format!("{:#}", Sign::open(&config).err().unwrap());
        assert!(error.contains("mend [local_sign] in site.toml: /nowhere/gpiochip0 is not to be had"), "{error}");
        config.gpio = None;
        assert!(Sign::open(&config).is_ok(), "without a pin no hardware is needed");
    }
}
