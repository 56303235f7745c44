//! `ninewatch model compare`: what a shadow would have done in the place of the model in use.

use anyhow::{Context, bail};
use std::io::{ErrorKind, Write};

use ninewatch_core::time::{Span, UtcOffset};

use super::comparison::{Comparison, Differing, Meaning, Moment, OneAlert};
use crate::cli::table;
use crate::config::Config;
use crate::lang::Lang;
use crate::scorer::{self, Shelf, shadow};

/// # Errors
/// Where the shadow has no log.
pub(super) fn run(config: &Config, name: &str, json: bool, lang: Lang, out: &mut impl Write) -> anyhow::Result<()> {
    let folder = Shelf::new(&config.gateway.data_dir).shadows_path();
    let log = match shadow::read(&folder, name) {
        Ok(log) => log,
        Err(error) if error.kind() == ErrorKind::NotFound => bail!("{}", no_log(name, &shadow::logged(&folder))),
        Err(error) => {
            return Err(error).with_context(|| format!("the log of `{name}` in {} cannot be read", folder.display()));
        }
    };
    let comparison = Comparison::of(&log, one_alert(config, name));
    let comparison = comparison.with_context(|| format!("the log of `{name}` holds no score yet; look again later"))?;
    if json {
        return Ok(writeln!(out, "{}", serde_json::to_string(&comparison)?)?);
    }
    print(&comparison, name, config.gateway.utc_offset, lang, out)
}

fn no_log(name: &str, logged: &[String]) -> String {
    let others = match logged {
        [] => "there is no log of any shadow".to_owned(),
        names => format!("there are logs of {}", names.join(", ")),
    };
    format!(
        "there is no log of a shadow `{name}`; {others}. `shadow_of` in a model's card makes it a shadow: docs/models.md"
    )
}

/// As the gateway does it: by the quiet time of each card, and by what joins alerts.
fn one_alert(config: &Config, shadow: &str) -> OneAlert {
    let cards = scorer::cards(config.files.models.as_deref());
    let card = |name: &str| cards.iter().find(|card| card.name == name);
    let active = card(shadow).and_then(|card| card.shadow_of.as_deref()).and_then(card);
    let join = config.alerts.join_window.ms();
    let of = |quiet: Option<Span>| Span::from_ms(quiet.map_or(join, |quiet| quiet.ms().max(join)));
    OneAlert { active: of(active.map(|card| card.quiet)), shadow: of(card(shadow).map(|card| card.quiet)) }
}

fn print(
    comparison: &Comparison,
    name: &str,
    utc_offset: UtcOffset,
    lang: Lang,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let Comparison { active_version, shadow_version, devices, former, .. } = comparison;
    let (from, to) = (utc_offset.rfc3339(comparison.from_ms), utc_offset.rfc3339(comparison.to_ms));
    #[allow(clippy::cast_precision_loss, reason = "days of a log")]
    let days = (comparison.to_ms - comparison.from_ms) as f64 / 86_400_000.0;
    match lang {
        Lang::Zh => {
            writeln!(
                out,
                "影子 {name} {shadow_version} 对照在用的 {active_version}\n{from} 至 {to}，{days:.1} 天，{devices} 个设备或场所"
            )?;
        }
        Lang::En => {
            writeln!(
                out,
                "shadow {name} {shadow_version} beside {active_version} in use\n{from} to {to}, {days:.1} days, devices or places: {devices}"
            )?;
        }
    }
    if *former > 0 {
        match lang {
            Lang::Zh => writeln!(out, "先前版本的 {former} 次评分不计")?,
            Lang::En => writeln!(out, "{former} scores of former versions do not count")?,
        }
    }
    writeln!(out)?;
    let header = match lang {
        Lang::Zh => ["评分", "都判是", "仅在用判是", "仅影子判是", "影子出错", "平均差", "最大差"],
        Lang::En => ["SCORES", "BOTH YES", "ONLY IN USE", "ONLY SHADOW", "ERRORS", "MEAN DIFFERENCE", "LARGEST"],
    };
    let counts = [
        comparison.scores.to_string(),
        comparison.both_yes.to_string(),
        comparison.only_active_yes.to_string(),
        comparison.only_shadow_yes.to_string(),
        comparison.errors.to_string(),
        format!("{:.3}", comparison.mean_difference),
        format!("{:.3}", comparison.most_difference),
    ];
    table::print(out, header, std::iter::once(counts))?;
    let rate = |rate: Option<f64>| {
        rate.map_or_else(|| lang.pick("时间太短", "too short a time").to_owned(), |rate| format!("{rate:.2}"))
    };
    let active = rate(comparison.active_alerts_per_device_day);
    let shadow = rate(comparison.shadow_alerts_per_device_day);
    match lang {
        Lang::Zh => writeln!(out, "\n每设备每天预警：在用 {active}，影子 {shadow}")?,
        Lang::En => writeln!(out, "\nalerts a device and day: in use {active}, shadow {shadow}")?,
    }
    print_differing(&comparison.differing, utc_offset, lang, out)?;
    Ok(writeln!(out, "\n{}", meaning(comparison.meaning, lang))?)
}

fn print_differing(
    differing: &[Differing],
    utc_offset: UtcOffset,
    lang: Lang,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    if differing.is_empty() {
        return Ok(());
    }
    let header = match lang {
        Lang::Zh => ["设备或场所", "判断不同", "最近几次（在用 / 影子）"],
        Lang::En => ["DEVICE OR PLACE", "DIFFERENT ANSWERS", "THE LAST (IN USE / SHADOW)"],
    };
    let moment =
        |moment: &Moment| format!("{} ({:.2} / {:.2})", utc_offset.rfc3339(moment.at_ms), moment.active, moment.shadow);
    let row = |device: &Differing| {
        let last: Vec<String> = device.last.iter().map(moment).collect();
        [device.about.clone(), device.times.to_string(), last.join("  ")]
    };
    writeln!(out)?;
    table::print(out, header, differing.iter().map(row))
}

fn meaning(meaning: Meaning, lang: Lang) -> &'static str {
    match meaning {
        Meaning::Fails => lang.pick(
            "影子有时给不出评分：不要起用，先修好它。",
            "The shadow gives no score at times: mend it, and do not put it in use.",
        ),
        Meaning::TooLittle => lang.pick(
            "还不足以判断：至少要一天、200 次评分，让它继续运行。",
            "This is too little to judge by: let it run on until it has a day and 200 scores.",
        ),
        Meaning::Same => lang.pick(
            "两者每次判断都相同：起用影子不会改变任何预警。",
            "Both gave the same answer every time: with the shadow in use no alert would be another.",
        ),
        Meaning::Louder => lang.pick(
            "起用影子预警会更多：先看它单独判是的那些时刻是否真有其事。",
            "With the shadow in use there would be more alerts: look first whether those that it alone sees are true.",
        ),
        Meaning::Quieter => lang.pick(
            "起用影子预警会更少：先看只有在用模型判是的那些时刻，真的就会漏掉。",
            "With the shadow in use there would be fewer alerts: look first whether those that it does not see are true, as they would be missed.",
        ),
        Meaning::Other => lang.pick(
            "起用影子预警一样多，但时刻不同：先看上面的时刻谁说得对。",
            "With the shadow in use there would be as many alerts, at other times: look first which of the two is right at those above.",
        ),
    }
}
