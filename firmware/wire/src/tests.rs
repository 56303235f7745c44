//! The two ends talk over a line that a test holds, damages, records and plays again.

mod golden;
mod line;
mod sessions;
