//! `ninewatch model bench`: what a score takes here.

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::io::Write;
use std::time::Duration;

use super::Site;
use crate::cli::table;
use crate::lang::Lang;
use crate::scorer::{Measured, measure};

/// # Errors
/// Where no model can be scored, or one that is named is not there.
pub(super) fn run(
    site: &Site,
    names: &[String],
    seconds: u64,
    json: bool,
    lang: Lang,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let bar = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{msg}")?);
    bar.set_message(lang.pick("试运行各模型…", "trying the models out…"));
    let begin = |name: &str| {
        bar.set_message(match lang {
            Lang::Zh => format!("测量 {name}，{seconds} 秒…"),
            Lang::En => format!("measuring {name} for {seconds} s…"),
        });
        bar.tick();
    };
    let measured = measure(&site.sources(), names, Duration::from_secs(seconds), begin);
    bar.finish_and_clear();
    let measured = measured?;
    let arch = std::env::consts::ARCH;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if json {
        let machine = json!({ "arch": arch, "cores": cores });
        return Ok(writeln!(out, "{}", json!({ "machine": machine, "seconds": seconds, "models": measured }))?);
    }
    let header = match lang {
        Lang::Zh => ["模型", "版本", "每秒评分", "每次 µs（中位）", "µs（99%）", "内存 KiB"],
        Lang::En => ["MODEL", "VERSION", "SCORES/S", "µs, MEDIAN", "µs, 99 %", "MEMORY, KiB"],
    };
    table::print(out, header, measured.into_iter().map(row))?;
    match lang {
        Lang::Zh => writeln!(out, "\n{arch}，{cores} 核；评分用一个核")?,
        Lang::En => writeln!(out, "\n{arch}, {cores} cores, of which scoring uses one")?,
    }
    Ok(())
}

fn row(measured: Measured) -> [String; 6] {
    [
        measured.name,
        measured.version,
        format!("{:.0}", measured.scores_per_second),
        format!("{:.1}", measured.us_per_score),
        format!("{:.1}", measured.us_p99),
        format!("{:.0}", measured.memory_kib),
    ]
}
