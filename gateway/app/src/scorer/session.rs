//! One model in ONNX Runtime. The child that tries a model out and the gateway that uses it run this same code.

use ort::environment::Environment;
use ort::session::builder::SessionBuilder;
use ort::session::{RunOptions, Session};
use ort::value::TensorRef;
use rustix::process::Pid;
use std::error::Error as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// ONNX Runtime, loaded. A process can load it once.
pub(super) struct Runtime(Environment);

static LOADED: Mutex<Option<Environment>> = Mutex::new(None);

impl Runtime {
    /// Loads the library at `path`, or gives the one that is loaded.
    pub(super) fn load(path: &Path) -> Result<Self, String> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(environment) = &*loaded {
            return Ok(Self(environment.clone()));
        }
        let builder = ort::init_from(path).map_err(|error| not_loaded(&error))?;
        let environment = builder.with_name("ninewatch").with_telemetry(false).build().map_err(told)?;
        std::thread::Builder::new().name("models".into()).spawn(stop_long_runs).map_err(|error| error.to_string())?;
        *loaded = Some(environment.clone());
        Ok(Self(environment))
    }
}

/// With what the system said: another architecture, a libc that is too old, …
fn not_loaded(error: &ort::LoadDynamicError) -> String {
    let source = match error {
        ort::LoadDynamicError::Dlopen { error, .. } => error.source(),
        _ => None,
    };
    source.map_or_else(|| error.to_string(), |said| format!("{error}: {said}"))
}

/// A model ready to score.
pub(super) struct ScoringSession {
    session: Session,
    inputs: usize,
    options: Arc<RunOptions>,
    /// How often it had to be stopped, and when it was last since it rests for it.
    stops: u32,
    rests_since: Option<Instant>,
}

/// Why a model gave no score.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum NoScore {
    /// It was asked wrongly, or failed.
    #[error("{0}")]
    Failed(String),
    /// It said something that is no score.
    #[error("it said {0}; a score is from 0 to 1")]
    NotAScore(f32),
    /// It was still at it after a time in which a sound one gives thousands.
    #[error("it was not done within {} ms and was stopped", LONGEST_RUN.as_millis())]
    Hung,
}

/// A sound model takes microseconds, on the smallest machine a millisecond. Time of the CPU: on a machine that has
/// other things to do a sound one must not pass for one that hangs.
const LONGEST_RUN: Duration = Duration::from_secs(1);
/// One that waits for something takes no CPU, and is stopped all the same.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// One that had to be stopped so often rests in between: whoever decides must not wait for it at every reading.
const MOST_STOPS: u32 = 3;
const REST: Duration = Duration::from_secs(60);
/// How often it is looked whether one takes longer.
const LOOK: Duration = Duration::from_millis(200);

/// The runs that go on, for whoever stops those that never end: the check of a new model cannot try every input.
static RUNS: Mutex<Vec<Run>> = Mutex::new(Vec::new());

struct Run {
    thread: Pid,
    begun: Instant,
    /// What its thread had taken of the CPU when it was first looked at.
    cpu_before: Option<Duration>,
    options: Arc<RunOptions>,
    stopped: bool,
}

impl Run {
    fn takes_too_long(&mut self) -> bool {
        if self.begun.elapsed() < LOOK {
            return false;
        }
        let now = cpu_time(self.thread).unwrap_or_else(|| self.begun.elapsed());
        let before = *self.cpu_before.get_or_insert(now);
        now.saturating_sub(before) > LONGEST_RUN || self.begun.elapsed() > LONGEST_WAIT
    }
}

/// What a thread of ours has taken of the CPU; nothing where the kernel does not count it.
fn cpu_time(thread: Pid) -> Option<Duration> {
    let counted = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?;
    counted.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// Stops runs that take too long, for as long as the program lives.
fn stop_long_runs() {
    loop {
        std::thread::sleep(LOOK);
        let mut runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
        for run in runs.iter_mut() {
            if run.takes_too_long() {
                run.stopped |= run.options.terminate().is_ok();
            }
        }
    }
}

impl ScoringSession {
    /// Reads the model; it takes `inputs` numbers and gives one.
    pub(super) fn new(runtime: &Runtime, onnx: &[u8], inputs: usize) -> Result<Self, String> {
        let session = build(runtime, onnx).map_err(told)?;
        match (session.inputs().len(), session.outputs().len()) {
            (1, 1) => {
                let options = Arc::new(RunOptions::new().map_err(told)?);
                Ok(Self { session, inputs, options, stops: 0, rests_since: None })
            }
            (ins, outs) => Err(format!("it has {ins} inputs and {outs} outputs; one of each is needed")),
        }
    }

    /// The score of one row of features: 0 to 1.
    pub(super) fn score(&mut self, features: &[f32]) -> Result<f32, NoScore> {
        let failed = |why: String| Err(NoScore::Failed(why));
        if features.len() != self.inputs {
            return failed(format!("it takes {} features and was given {}", self.inputs, features.len()));
        }
        // NaN in would be NaN out, without an error.
        if let Some(index) = features.iter().position(|feature| !feature.is_finite()) {
            return failed(format!("feature {index} is not a finite number"));
        }
        if self.rests_since.is_some_and(|since| since.elapsed() < REST) {
            return failed(format!("it had to be stopped {} times, and rests", self.stops));
        }
        begin_run(&self.options);
        let score = self.run(features);
        if end_run(&self.options) {
            let _ = self.options.unterminate();
            self.stops = self.stops.saturating_add(1);
            self.rests_since = (self.stops >= MOST_STOPS).then(Instant::now);
            return Err(NoScore::Hung);
        }
        match score {
            Ok(score) if (0.0..=1.0).contains(&score) => Ok(score),
            Ok(score) => Err(NoScore::NotAScore(score)),
            Err(error) => failed(told(error)),
        }
    }

    fn run(&mut self, features: &[f32]) -> ort::Result<f32> {
        let row = TensorRef::from_array_view(([1, features.len()], features))?;
        let outputs = self.session.run_with_options(ort::inputs![row], &*self.options)?;
        let (_, scores) = outputs[0].try_extract_tensor::<f32>()?;
        match scores {
            [score] => Ok(*score),
            _ => Err(ort::Error::new(format!("it gave {} numbers; one is needed", scores.len()))),
        }
    }
}

fn begin_run(options: &Arc<RunOptions>) {
    let (thread, begun) = (rustix::thread::gettid(), Instant::now());
    let run = Run { thread, begun, cpu_before: None, options: options.clone(), stopped: false };
    RUNS.lock().unwrap_or_else(PoisonError::into_inner).push(run);
}

/// Whether it had to be stopped.
fn end_run(options: &Arc<RunOptions>) -> bool {
    let mut runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
    let at = runs.iter().position(|run| Arc::ptr_eq(&run.options, options));
    at.is_some_and(|at| runs.swap_remove(at).stopped)
}

fn build(runtime: &Runtime, onnx: &[u8]) -> ort::Result<Session> {
    // One thread that sleeps when idle: by default a pool of them spins, for up to 600 ms of CPU a second.
    SessionBuilder::new(&runtime.0)?.with_intra_threads(1)?.with_intra_op_spinning(false)?.commit_from_memory(onnx)
}

/// The first line of what ONNX Runtime says: the rest is its own sources.
#[allow(clippy::needless_pass_by_value, reason = "fits map_err")]
fn told(error: ort::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
