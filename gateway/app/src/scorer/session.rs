//! One model in ONNX Runtime. The child that tries a model out and the gateway that uses it run this same code.

use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::SessionBuilder;
use ort::value::TensorRef;
use std::error::Error as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

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
}

impl ScoringSession {
    /// Reads the model; it takes `inputs` numbers and gives one.
    pub(super) fn new(runtime: &Runtime, onnx: &[u8], inputs: usize) -> Result<Self, String> {
        let session = build(runtime, onnx).map_err(told)?;
        match (session.inputs().len(), session.outputs().len()) {
            (1, 1) => Ok(Self { session, inputs }),
            (ins, outs) => Err(format!("it has {ins} inputs and {outs} outputs; one of each is needed")),
        }
    }

    /// The score of one row of features: 0 to 1.
    pub(super) fn score(&mut self, features: &[f32]) -> Result<f32, String> {
        if features.len() != self.inputs {
            return Err(format!("it takes {} features and was given {}", self.inputs, features.len()));
        }
        // NaN in would be NaN out, without an error.
        if let Some(index) = features.iter().position(|feature| !feature.is_finite()) {
            return Err(format!("feature {index} is not a finite number"));
        }
        let score = self.run(features).map_err(told)?;
        if (0.0..=1.0).contains(&score) { Ok(score) } else { Err(format!("it said {score}; a score is from 0 to 1")) }
    }

    fn run(&mut self, features: &[f32]) -> ort::Result<f32> {
        let row = TensorRef::from_array_view(([1, features.len()], features))?;
        let outputs = self.session.run(ort::inputs![row])?;
        let (_, scores) = outputs[0].try_extract_tensor::<f32>()?;
        match scores {
            [score] => Ok(*score),
            _ => Err(ort::Error::new(format!("it gave {} numbers; one is needed", scores.len()))),
        }
    }
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
