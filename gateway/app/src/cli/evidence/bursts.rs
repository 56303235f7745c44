//! Bursts of motion, laid out as WEDA-FALL is.

use std::collections::HashMap;
use std::io::Write;

use ninewatch_core::reading::Burst;

use super::findings::Matter;
use super::folder::Folder;

const SENSORS: [&str; 2] = ["accel", "gyro"];
const AXES: usize = 3;
/// Staff say that somebody fell, and not from when to when. The set's falls last 3 s; the impact is a second into them.
const FALL_S: (f64, f64) = (-1.0, 2.0);

/// Writes each burst as a trial of its own.
pub(super) struct Writer<'f> {
    folder: &'f Folder,
    /// By device: the number of whoever wears it, and how many trials there are.
    subjects: HashMap<String, (usize, usize)>,
    /// Rows of the set's table of falls.
    falls: Vec<String>,
}

impl<'f> Writer<'f> {
    pub(super) fn new(folder: &'f Folder) -> Self {
        Self { folder, subjects: HashMap::new(), falls: Vec::new() }
    }

    /// Writes a burst; gives the file with its accelerations.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn write(&mut self, matter: &Matter, burst: &Burst) -> anyhow::Result<String> {
        let next = self.subjects.len() + 1;
        let (subject, trials) = self.subjects.entry(matter.device.clone()).or_insert((next, 0));
        *trials += 1;
        let movement = if matter.is_true() { "F00" } else { "D00" };
        let name = format!("{movement}/S{subject:02}_R{trials:02}");
        let path = |sensor| format!("weda-fall/50Hz/{name}_{sensor}.csv");
        for (number, sensor) in SENSORS.into_iter().enumerate() {
            self.folder.write(&path(sensor), |out| {
                writeln!(out, "{sensor}_time_list,{sensor}_x_list,{sensor}_y_list,{sensor}_z_list")?;
                for (at_s, sample) in samples(burst) {
                    let axes = sample.iter().skip(number * AXES).take(AXES);
                    writeln!(out, "{at_s:.3}{}", axes.map(|value| format!(",{value}")).collect::<String>())?;
                }
                Ok(())
            })?;
        }
        if matter.is_true() {
            let impact_s = impact_s(burst);
            let (begins, ends) = ((impact_s + FALL_S.0).max(0.0), impact_s + FALL_S.1);
            self.falls.push(format!("{name},{begins:.2},{ends:.2}"));
        }
        Ok(path("accel"))
    }

    /// Writes the table of falls, which training needs.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        if self.subjects.is_empty() {
            return Ok(());
        }
        self.folder.write("weda-fall/fall_timestamps.csv", |out| {
            writeln!(out, "filename,start_time,end_time")?;
            self.falls.iter().try_for_each(|row| Ok(writeln!(out, "{row}")?))
        })
    }
}

/// Each sample with its time in seconds.
fn samples(burst: &Burst) -> impl Iterator<Item = (f64, &[f32])> {
    let rate_hz = f64::from(burst.rate_hz);
    (0_u32..).map(move |index| f64::from(index) / rate_hz).zip(burst.samples.chunks_exact(burst.channels.max(1)))
}

/// When the acceleration is highest.
fn impact_s(burst: &Burst) -> f64 {
    let size = |sample: &[f32]| sample.iter().take(AXES).map(|axis| axis * axis).sum::<f32>();
    samples(burst).max_by(|(_, a), (_, b)| size(a).total_cmp(&size(b))).map_or(0.0, |(at_s, _)| at_s)
}
