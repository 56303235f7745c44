//! `ninewatch evidence export`: what staff judged of the models' alerts, laid out as training and judging read it.

mod bursts;
mod findings;
mod folder;
mod homes;
mod pseudonym;
mod series;
mod sheet;
#[cfg(test)]
mod tests;
mod windows;

use anyhow::Context;
use clap::{Args, Subcommand};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use super::replay::journal_dir;
use super::table;
use crate::audit::note_command;
use crate::config::Config;
use crate::journal;
use crate::lang::Lang;
use findings::Judged;
use folder::Folder;
use pseudonym::Pseudonyms;
use sheet::{Note, Row};
use windows::{Kept, Window, Windows};

/// What can be done with evidence.
#[derive(Debug, Args)]
pub(crate) struct EvidenceArgs {
    #[command(subcommand)]
    command: EvidenceCommand,
}

#[derive(Debug, Subcommand)]
enum EvidenceCommand {
    /// 导出模型参与且已办结的预警及其读数 · Write closed alerts that a model had a part in, with the readings behind them
    ///
    /// 按训练数据的布局写入：evidence.csv（每条模型判断一行，含研判结论）以及 weda-fall/、skab/ 等文件夹中的读数，
    /// 供 models/evaluate.py --data DIR 评估和再训练。场所和设备只以假名写出（由数据文件夹中的 site.key 生成）；
    /// 账号、值班备注、地址、人员类别、名称和人脸都不写出（人脸摄像机只写出何时见到有人）。时间不改动：作息判断需要真实的钟点。
    ///
    /// Laid out as training data is: evidence.csv (a row for each time a model said yes, with the verdict) and the
    /// readings in weda-fall/, skab/ and the like, for models/evaluate.py --data DIR and for training. Places and devices
    /// leave by pseudonym only (made with site.key in the data folder); no account, staff note, address, category of
    /// person, name or face leaves; of a face camera only when it saw somebody. Times stay as they are: routines need the
    /// hours of the day.
    Export(ExportArgs),
}

#[derive(Debug, Args)]
struct ExportArgs {
    /// A gateway's data folder, or the journal in it
    #[arg(value_name = "DATA", required_unless_present = "site")]
    dir: Option<PathBuf>,
    /// The site file that names the data folder
    #[arg(long, value_name = "FILE", conflicts_with = "dir")]
    site: Option<PathBuf>,
    /// The folder to write: new, empty, or of an earlier export, whose files are replaced
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Write into a folder that holds other things; files of the same names are replaced
    #[arg(long)]
    force: bool,
}

/// Writes the evidence and tells how much it is.
///
/// # Errors
/// Where nothing is recorded, or the folder cannot be written.
pub(crate) fn run(args: EvidenceArgs, lang: Lang) -> anyhow::Result<()> {
    let EvidenceCommand::Export(args) = args.command;
    let named = match (args.dir, args.site) {
        (Some(dir), _) => dir,
        (None, Some(site)) => Config::load(&site)?.gateway.data_dir,
        (None, None) => anyhow::bail!("name a gateway's data folder, or its site file with `--site`"),
    };
    let holds_none = || format!("{} holds no journal; name a gateway's data folder", named.display());
    let journal = journal_dir(&named).canonicalize().with_context(holds_none)?;
    let segments = journal::intake_segments(&journal).with_context(holds_none)?;
    let to = args.to.display().to_string();
    let folder = Folder::open(args.to, args.force)?;
    let data_dir = journal.parent().with_context(holds_none)?;
    let pseudonyms = Pseudonyms::open(data_dir)?;
    let judged = findings::read(&journal).with_context(holds_none)?;
    let mut windows = Windows::of(&judged.matters);
    windows.gather(&segments, lang)?;
    let rows = note_command(data_dir, "evidence.export", &to, write(&folder, &windows, &pseudonyms))?;
    tell(&mut std::io::stdout().lock(), &judged, &rows, lang)
}

/// Writes the windows, and then the sheet that names them.
fn write<'m>(folder: &Folder, windows: &Windows<'m>, pseudonyms: &Pseudonyms) -> anyhow::Result<Vec<Row<'m>>> {
    let utc_offset = windows.utc_offset();
    folder.clear()?;
    let (mut bursts, mut series) = (bursts::Writer::new(folder), series::Writer::new(folder, utc_offset));
    let mut homes = BTreeMap::new();
    let mut rows = Vec::new();
    for (matter, window) in windows.of_matters() {
        let is_reached = |window: &&Window| matter.findings.iter().any(|finding| window.reaches(finding.at_ms));
        let window = window.filter(is_reached);
        // Of readings and signs all findings share a file.
        let shared = match window.map(|window| (window, &window.kept)) {
            Some((window, Kept::Readings(readings))) => series.write(matter, window, readings)?,
            Some((_, Kept::Signs { .. })) => {
                let file = homes::path(&pseudonyms.of("place", &matter.place));
                homes.entry(file.clone()).or_insert(&matter.place);
                file
            }
            _ => String::new(),
        };
        for finding in &matter.findings {
            let Some(window) = window.filter(|window| window.reaches(finding.at_ms)) else {
                rows.push(Row { matter, finding, file: String::new(), note: Note::Gone });
                continue;
            };
            let file = match &window.kept {
                Kept::Bursts(kept) => {
                    let burst = kept.get(&finding.at_ms).map(|burst| bursts.write(matter, burst));
                    burst.transpose()?.unwrap_or_default()
                }
                Kept::Readings(_) | Kept::Signs { .. } => shared.clone(),
            };
            let note = if window.is_short { Note::Short } else { Note::Whole };
            rows.push(Row { matter, finding, file, note });
        }
    }
    bursts.finish()?;
    series.finish()?;
    for (file, place) in homes {
        homes::write(folder, &file, windows.signs(place), utc_offset)?;
    }
    sheet::write(folder, &rows, utc_offset, pseudonyms)?;
    Ok(rows)
}

/// How much there is of each model, and what was left out.
fn tell(out: &mut impl Write, judged: &Judged, rows: &[Row<'_>], lang: Lang) -> anyhow::Result<()> {
    let mut counts: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for row in rows {
        let [yes, no, files] = counts.entry(&row.matter.model).or_default();
        *(if row.matter.is_true() { yes } else { no }) += 1;
        *files += usize::from(!row.file.is_empty());
    }
    let header = match lang {
        Lang::Zh => ["模型", "属实", "误报", "含读数"],
        Lang::En => ["MODEL", "TRUE", "FALSE", "WITH READINGS"],
    };
    let cells = |(model, [yes, no, files]): (&&str, &[usize; 3])| {
        [(*model).to_owned(), yes.to_string(), no.to_string(), files.to_string()]
    };
    table::print(out, header, counts.iter().map(cells))?;
    if judged.tests > 0 {
        let tests = judged.tests;
        match lang {
            Lang::Zh => writeln!(out, "研判为测试的预警 {tests} 条，未写出")?,
            Lang::En => writeln!(out, "alerts judged to be tests, left out: {tests}")?,
        }
    }
    let gone = rows.iter().filter(|row| row.note == Note::Gone).map(|row| row.matter.number);
    let mut gone: Vec<u64> = gone.collect();
    gone.dedup();
    if !gone.is_empty() {
        let numbers = gone.iter().map(|number| format!("#{number}")).collect::<Vec<_>>().join(", ");
        match lang {
            Lang::Zh => writeln!(out, "读数已不在日志中，只写入 evidence.csv：{numbers}")?,
            Lang::En => writeln!(out, "readings no longer in the journal, in evidence.csv only: {numbers}")?,
        }
    }
    Ok(())
}
