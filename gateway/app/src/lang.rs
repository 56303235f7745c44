//! Which language the terminal speaks: Chinese unless English is asked for.

use clap::ValueEnum;
use ninewatch_core::alert::{Severity, Text, Verdict};
use ninewatch_core::time::{TimeMs, UtcOffset};
use serde::Deserialize;

/// A language for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Lang {
    /// 简体中文
    #[default]
    Zh,
    /// English
    En,
}

impl Lang {
    /// Picks the sentence of this language.
    pub(crate) fn pick<'t>(self, zh: &'t str, en: &'t str) -> &'t str {
        match self {
            Self::Zh => zh,
            Self::En => en,
        }
    }

    /// Picks the sentence of this language.
    pub(crate) fn of(self, text: &Text) -> &str {
        self.pick(&text.zh, &text.en)
    }
}

/// The severity as people say it.
pub(crate) fn severity(severity: Severity, lang: Lang) -> &'static str {
    match severity {
        Severity::Critical => lang.pick("紧急", "critical"),
        Severity::Major => lang.pick("重要", "major"),
        Severity::Minor => lang.pick("一般", "minor"),
        Severity::Notice => lang.pick("提示", "notice"),
    }
}

/// The verdict as people say it.
pub(crate) fn verdict(verdict: Verdict, lang: Lang) -> &'static str {
    match verdict {
        Verdict::TrueAlarm => lang.pick("真实警情", "true alarm"),
        Verdict::FalseAlarm => lang.pick("误报", "false alarm"),
        Verdict::Test => lang.pick("测试", "test"),
        Verdict::Nuisance => lang.pick("扰警", "nuisance"),
    }
}

/// The local day of the week.
pub(crate) fn weekday(offset: UtcOffset, at: TimeMs, lang: Lang) -> &'static str {
    // 1970-01-01 was a Thursday.
    match (offset.local_ms(at).div_euclid(86_400_000) + 3).rem_euclid(7) {
        0 => lang.pick("星期一", "Monday"),
        1 => lang.pick("星期二", "Tuesday"),
        2 => lang.pick("星期三", "Wednesday"),
        3 => lang.pick("星期四", "Thursday"),
        4 => lang.pick("星期五", "Friday"),
        5 => lang.pick("星期六", "Saturday"),
        _ => lang.pick("星期日", "Sunday"),
    }
}
