//! Placeholder until the part that extracts features is merged.
use crate::reading::Burst;
/// x
pub fn extract(_kind: &str, _burst: &Burst) -> Result<Vec<f32>, String> {
    Err("none".into())
}
/// x
pub fn names(_kind: &str) -> &'static [&'static str] {
    &[]
}
