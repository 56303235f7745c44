//! Trying a model out where it can do no harm: in a child process with limits on time and memory.
//!
//! ONNX Runtime turns nearly every broken file into an error. What it cannot turn into one is a loop without end, or
//! memory that the machine does not have.

use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Read, Write};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::session::{NoScore, Runtime, ScoringSession};

/// What the program is called with to be such a child; see [`be_checked`].
pub(crate) const CHECK_COMMAND: &str = "__check-model";

/// What a child may take: far more than the 50 ms of CPU and 200 MB that a sound model takes, on the smallest machine.
const CPU_TIME_S: u64 = 10;
/// How long it is waited for: a machine that has other things to do must not make a sound model a broken one.
const PATIENCE: Duration = Duration::from_secs(60);
const ADDRESS_SPACE_BYTES: u64 = 1 << 30;

/// What a child is asked: one line of JSON, then the model's bytes if there is a model.
#[derive(Debug, Serialize, Deserialize)]
struct Question {
    library: PathBuf,
    /// What the model is asked; nothing where only the library is tried.
    rows: Vec<Vec<f32>>,
}

/// Begins the line in which a child answers; after it comes nothing, or what is wrong.
const ANSWER: &str = "ninewatch-check:";

/// Why something is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotSound {
    #[error("{0}")]
    Broken(String),
    /// That may be the machine's fault: it is worth another try.
    #[error("it could not be tried out within {} s: the machine is too busy, or the file hangs", PATIENCE.as_secs())]
    OutOfTime,
}

impl From<String> for NotSound {
    fn from(why: String) -> Self {
        Self::Broken(why)
    }
}

/// Tries the library out.
pub(super) fn library(path: &Path) -> Result<(), NotSound> {
    ask(&Question { library: path.to_owned(), rows: Vec::new() }, &[])
}

/// Tries a model out: it has to give a score of each of these rows.
pub(super) fn model(library: &Path, onnx: &[u8], rows: &[Vec<f32>]) -> Result<(), NotSound> {
    ask(&Question { library: library.to_owned(), rows: rows.to_vec() }, onnx)
}

fn ask(question: &Question, onnx: &[u8]) -> Result<(), NotSound> {
    let failed = |error: io::Error| format!("it could not be tried out: {error}");
    let mut sent = serde_json::to_vec(question).map_err(|error| failed(error.into()))?;
    sent.push(b'\n');
    sent.extend_from_slice(onnx);

    let mut child = child()
        .map_err(failed)?
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let (mut stdin, mut stdout) = match (child.stdin.take(), child.stdout.take()) {
        (Some(stdin), Some(stdout)) => (stdin, stdout),
        _ => return Err("it could not be tried out: the child has no pipes".to_owned().into()),
    };
    let (told, heard) = mpsc::channel();
    std::thread::spawn(move || {
        // A child that ends early hears the rest no more; what it said counts.
        let _ = stdin.write_all(&sent);
        drop(stdin);
        let mut answer = Vec::new();
        let _ = stdout.read_to_end(&mut answer);
        let _ = told.send(answer);
    });
    let answer = heard.recv_timeout(PATIENCE);
    let _ = child.kill();
    let status = child.wait().map_err(failed)?;
    let Ok(answer) = answer else { return Err(NotSound::OutOfTime) };
    if status.signal().is_some_and(|signal| signal == Signal::XCPU.as_raw()) {
        return Err(format!("it was not done within {CPU_TIME_S} s of CPU time").into());
    }
    let answer = String::from_utf8_lossy(&answer);
    match answer.lines().find_map(|line| line.split_once(ANSWER)) {
        Some((_, "")) => Ok(()),
        Some((_, why)) => Err(why.to_owned().into()),
        None => Err(format!("it broke the process that tried it out ({status})").into()),
    }
}

#[cfg(not(test))]
fn child() -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(CHECK_COMMAND);
    Ok(command)
}

/// In tests the program is the test harness: one of its tests is the child.
#[cfg(test)]
fn child() -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["scorer::tests::the_child", "--exact", "--ignored", "--nocapture"]);
    Ok(command)
}

/// The child's whole life: reads a question from stdin, tries, answers on stdout.
pub(crate) fn be_checked() -> ExitCode {
    let answer = answer(&mut io::stdin().lock()).err().unwrap_or_default();
    // On one line, whatever it holds. Where nobody listens any more there is nobody to tell.
    let _ = writeln!(io::stdout(), "{ANSWER}{}", answer.replace('\n', " "));
    ExitCode::SUCCESS
}

fn answer(asked: &mut impl BufRead) -> Result<(), String> {
    let mut line = String::new();
    asked.read_line(&mut line).map_err(|error| error.to_string())?;
    let question: Question = serde_json::from_str(&line).map_err(|error| error.to_string())?;
    let mut onnx = Vec::new();
    asked.read_to_end(&mut onnx).map_err(|error| error.to_string())?;
    limit()?;

    let runtime = Runtime::load(&question.library)?;
    let Some(inputs) = question.rows.first().map(Vec::len) else { return Ok(()) };
    let mut session = ScoringSession::new(&runtime, &onnx, inputs)?;
    for row in &question.rows {
        session.score(row).map_err(|why| why.to_string())?;
    }
    // Nothing, and more than any feature is: the answer may be nonsense, but there has to be one.
    for value in [0.0, 1e6] {
        match session.score(&vec![value; inputs]) {
            Ok(_) | Err(NoScore::NotAScore(_)) => {}
            Err(why) => return Err(why.to_string()),
        }
    }
    Ok(())
}

/// Takes the limits upon itself. CPU time has a second one, for what does not end at the first.
fn limit() -> Result<(), String> {
    for (resource, value, last) in [
        (Resource::As, ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES),
        (Resource::Cpu, CPU_TIME_S, CPU_TIME_S + 1),
        (Resource::Core, 0, 0),
    ] {
        setrlimit(resource, Rlimit { current: Some(value), maximum: Some(last) })
            .map_err(|error| format!("the limits cannot be set: {error}"))?;
    }
    Ok(())
}
