//! Which language the terminal speaks: Chinese unless English is asked for.

use clap::ValueEnum;
use ninewatch_core::alert::{Severity, Text, Verdict};
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
