//! Where ONNX Runtime is.

use std::path::{Path, PathBuf};

const NAME: &str = "libonnxruntime.so";

/// The library at `told`, or what `$ORT_DYLIB_PATH` says, or else the first there is: beside the program, in
/// `../lib/ninewatch` (a package), in an `onnxruntime` folder above the program (`target/` in development), in the
/// system's places.
///
/// # Errors
/// Where it was said where the library is, and it is not there.
pub(super) fn find(told: Option<&Path>) -> Result<PathBuf, String> {
    let from_environment = || std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()).map(PathBuf::from);
    if let Some(path) = told.map(Path::to_owned).or_else(from_environment) {
        return if path.is_file() { Ok(path) } else { Err(format!("there is no ONNX Runtime at {}", path.display())) };
    }
    let program = std::env::current_exe().unwrap_or_default();
    Ok(around(&program).find(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(format!("{NAME}.1"))))
}

fn around(program: &Path) -> impl Iterator<Item = PathBuf> {
    let folder = program.parent().unwrap_or(Path::new("/"));
    let installed = [folder.join(NAME), folder.join("../lib/ninewatch").join(NAME)];
    let developed = folder.ancestors().map(|above| above.join("onnxruntime").join(NAME));
    installed.into_iter().chain(developed)
}
