//! `ninewatch model list`: every model there is, and how it stands with it.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;

use ninewatch_core::detect::features::{self, Source};
use ninewatch_core::detect::model::{Figure, ModelCard};
use ninewatch_core::time::{Span, UtcOffset};

use super::Site;
use crate::cli::table;
use crate::lang::Lang;
use crate::scorer::{Inventory, Known, Standing, inventory};

/// # Errors
/// Where nobody listens.
pub(super) fn run(site: &Site, json: bool, lang: Lang, out: &mut impl Write) -> anyhow::Result<()> {
    let inventory = inventory(&site.sources());
    if json {
        Ok(writeln!(out, "{}", to_json(&inventory, site.utc_offset()))?)
    } else {
        print(&inventory, site.utc_offset(), lang, out)
    }
}

fn print(inventory: &Inventory, utc_offset: UtcOffset, lang: Lang, out: &mut impl Write) -> anyhow::Result<()> {
    let header = match lang {
        Lang::Zh => ["模型", "版本", "状态", "门限", "输入", "来源"],
        Lang::En => ["MODEL", "VERSION", "STATE", "THRESHOLD", "MADE FROM", "FROM"],
    };
    let row = |known: &Known| {
        let card = &known.card;
        let from = known.folder.as_ref().map(|folder| folder.display().to_string());
        let from = from.unwrap_or_else(|| lang.pick("内置", "built in").to_owned());
        [
            card.name.clone(),
            card.version.clone(),
            state(known, lang),
            threshold(card, lang),
            made_from(card, lang),
            from,
        ]
    };
    table::print(out, header, inventory.models.iter().map(row))?;

    let header = match lang {
        Lang::Zh => ["模型", "指标", "值", "95% 区间"],
        Lang::En => ["MODEL", "FIGURE", "VALUE", "95 %"],
    };
    let used = inventory.models.iter().filter(|known| matches!(known.standing, Standing::Used | Standing::Unscored));
    let rows = used.flat_map(|known| {
        let row = |(name, figure): (&String, &Figure)| {
            let Figure { value, low, high } = figure;
            [known.card.name.clone(), name.replace('_', " "), format!("{value:.3}"), format!("{low:.3}–{high:.3}")]
        };
        key_figures(&known.card.figures).map(row)
    });
    writeln!(out)?;
    table::print(out, header, rows)?;
    remarks(inventory, utc_offset, lang, out)
}

/// What needs more words than a table has room for.
fn remarks(inventory: &Inventory, utc_offset: UtcOffset, lang: Lang, out: &mut impl Write) -> anyhow::Result<()> {
    let mut said = Vec::new();
    if let Err(why) = &inventory.runtime {
        said.push(match lang {
            Lang::Zh => format!("未评分，只按规则判断：{why}"),
            Lang::En => format!("no model is scored, the rules stand alone: {why}"),
        });
    }
    for Known { card: ModelCard { name, version, .. }, standing, .. } in &inventory.models {
        match standing {
            Standing::Refused(refused) => {
                let (at, why) = (utc_offset.rfc3339(refused.at_ms), &refused.why);
                said.push(match lang {
                    Lang::Zh => format!("{name} {version} 自 {at} 停用：{why}；ninewatch model retry {name} 重新起用"),
                    Lang::En => {
                        format!("{name} {version} is refused since {at}: {why}; `ninewatch model retry {name}` takes it up again")
                    }
                });
            }
            Standing::Broken(fault) => said.push(fault.to_string()),
            Standing::Used | Standing::Unscored => {}
        }
    }
    said.extend(inventory.faults.iter().map(ToString::to_string));
    if !said.is_empty() {
        writeln!(out)?;
    }
    said.iter().try_for_each(|said| Ok(writeln!(out, "{said}")?))
}

fn state(known: &Known, lang: Lang) -> String {
    match (&known.standing, &known.card.shadow_of) {
        (Standing::Used, None) => lang.pick("在用", "in use").to_owned(),
        (Standing::Used, Some(of)) => format!("{} {of}", lang.pick("影子，对照", "shadow of")),
        (Standing::Unscored, _) => lang.pick("未评分", "not scored").to_owned(),
        (Standing::Refused(_), _) => lang.pick("停用", "refused").to_owned(),
        (Standing::Broken(_), _) => lang.pick("有误", "broken").to_owned(),
    }
}

/// The threshold, and how far verdicts may raise it.
fn threshold(card: &ModelCard, lang: Lang) -> String {
    let ModelCard { threshold, threshold_most, .. } = card;
    threshold_most.map_or_else(
        || threshold.to_string(),
        |most| match lang {
            Lang::Zh => format!("{threshold}，至多 {most}"),
            Lang::En => format!("{threshold} to {most}"),
        },
    )
}

fn made_from(card: &ModelCard, lang: Lang) -> String {
    let source = match features::source(&card.features) {
        Some(Source::Burst) => lang.pick("一段波形", "a burst"),
        Some(Source::Series) => lang.pick("读数", "readings"),
        Some(Source::Home) => lang.pick("居家活动", "a home's day"),
        Some(Source::Place) => lang.pick("场所作息", "a place's hours"),
        None => return card.features.clone(),
    };
    let Some(input) = &card.input else { return source.to_owned() };
    let channels = input.channels.len();
    #[allow(clippy::cast_possible_truncation, reason = "a length of time")]
    let time = Span::from_secs(input.seconds as i64);
    match lang {
        Lang::Zh => format!("{source}，{channels} 路，{time}"),
        Lang::En if channels == 1 => format!("{source}, 1 channel, {time}"),
        Lang::En => format!("{source}, {channels} channels, {time}"),
    }
}

/// Those that are no finer part of another: `specificity_young` is one of `specificity`.
fn key_figures(figures: &BTreeMap<String, Figure>) -> impl Iterator<Item = (&String, &Figure)> {
    let is_part = |name: &str| {
        figures.keys().any(|other| name.strip_prefix(other.as_str()).is_some_and(|rest| rest.starts_with('_')))
    };
    figures.iter().filter(move |(name, _)| !is_part(name))
}

fn to_json(inventory: &Inventory, utc_offset: UtcOffset) -> Value {
    let model = |known: &Known| {
        let Known { card, folder, standing } = known;
        let (state, why, at) = match standing {
            Standing::Used if card.shadow_of.is_some() => ("shadow", None, None),
            Standing::Used => ("in_use", None, None),
            Standing::Unscored => ("unscored", None, None),
            Standing::Refused(refused) => {
                ("refused", Some(refused.why.clone()), Some(utc_offset.rfc3339(refused.at_ms)))
            }
            Standing::Broken(fault) => ("broken", Some(fault.to_string()), None),
        };
        json!({
            "name": card.name, "version": card.version, "sha256": card.sha256,
            "state": state, "why": why, "at": at, "folder": folder,
            "threshold": card.threshold, "threshold_most": card.threshold_most, "shadow_of": card.shadow_of,
            "features": card.features, "input": card.input, "data": card.data, "figures": card.figures, "cost": card.cost,
        })
    };
    json!({
        "onnxruntime": inventory.runtime.as_ref().ok(),
        "unscored": inventory.runtime.as_ref().err(),
        "models": inventory.models.iter().map(model).collect::<Vec<_>>(),
        "faults": inventory.faults.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}
