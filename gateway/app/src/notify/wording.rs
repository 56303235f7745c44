//! The sentences of a message. The first line says how grave it is, where, what, since when, and what to do: it is all that
//! a locked telephone shows.

use ninewatch_core::alert::{ChangeKind, GRID, Severity, Status};
use ninewatch_core::duty::Title;
use ninewatch_core::pipeline::Settings;
use ninewatch_core::time::TimeMs;

use super::message::Digest;
use super::waiting::Telling;
use crate::duty;
use crate::lang::{self, Lang};

/// What all messages of a gateway have in common.
pub(super) struct Wording<'s> {
    pub(super) lang: Lang,
    pub(super) settings: &'s Settings,
    pub(super) now_ms: TimeMs,
    /// The longest text, in bytes of UTF-8.
    pub(super) longest: usize,
}

impl Wording<'_> {
    /// A message about one alert; as `unmanned` nobody is on duty who was to be called.
    pub(super) fn one(&self, telling: &Telling, unmanned: &[Title]) -> String {
        let alert = &telling.alert;
        let stop = self.lang.pick("。", ". ");
        let mut text = format!("{}{stop}{}", self.line(telling), self.to_do(telling));
        if alert.reason != alert.title {
            text.push('\n');
            text.push_str(self.lang.of(&alert.reason));
        }
        if !unmanned.is_empty() {
            let titles: Vec<&str> = unmanned.iter().map(|title| duty::title(*title, self.lang)).collect();
            text.push_str(&match self.lang {
                Lang::Zh => format!("\n此刻无人值班：{}。请群内任何人接警。", titles.join("、")),
                Lang::En => format!("\nNobody is on duty as {}: whoever reads this, accept it.", titles.join(", ")),
            });
        }
        let grid = self.settings.registry.grid_of(&alert.place).unwrap_or_default();
        let number = alert.number;
        text.push('\n');
        text.push_str(&match self.lang {
            Lang::Zh => format!("网格 {grid} · 第 {number} 号预警 · {}", self.signature()),
            Lang::En => format!("Grid {grid} · alert no. {number} · {}", self.signature()),
        });
        shortened(text, self.longest)
    }

    /// A message about many alerts, gravest first.
    pub(super) fn digest(&self, tellings: &[Telling], why: Digest) -> String {
        let by_severity = [Severity::Critical, Severity::Major, Severity::Minor, Severity::Notice].map(|severity| {
            let count = tellings.iter().filter(|telling| telling.alert.severity == severity).count();
            (severity, count)
        });
        let counts = by_severity.iter().filter(|(_, count)| *count > 0);
        let counts: Vec<String> =
            counts.map(|(severity, count)| format!("{} {count}", lang::severity(*severity, self.lang))).collect();
        let count = tellings.len();
        let mut text = match (self.lang, why) {
            (Lang::Zh, Digest::AfterQuiet) => {
                format!("免打扰时段内有 {count} 条预警（{}），请打开值守台逐条查看：", counts.join("，"))
            }
            (Lang::En, Digest::AfterQuiet) => {
                format!("{count} alerts came in the quiet hours ({}): look at each on the console.", counts.join(", "))
            }
            (Lang::Zh, Digest::Many) => format!("另有 {count} 条预警（{}），请打开值守台逐条查看：", counts.join("，")),
            (Lang::En, Digest::Many) => {
                format!("{count} more alerts ({}): look at each on the console.", counts.join(", "))
            }
        };
        let rest = |left: usize| match self.lang {
            Lang::Zh => format!("\n· 还有 {left} 条见值守台\n{}", self.signature()),
            Lang::En => format!("\n· and {left} more, on the console\n{}", self.signature()),
        };
        for (index, telling) in tellings.iter().enumerate() {
            let line = format!("\n· {}", self.line(telling));
            if text.len() + line.len() + rest(count).len() > self.longest {
                text.push_str(&rest(count - index));
                return text;
            }
            text.push_str(&line);
        }
        text.push('\n');
        text.push_str(&self.signature());
        text
    }

    /// Shows that a channel works.
    pub(super) fn test(&self, channel: &str) -> String {
        let signature = self.signature();
        match self.lang {
            Lang::Zh => format!("【测试】{signature} 的通知通道 {channel} 工作正常。这不是预警，无须处理。"),
            Lang::En => format!("[TEST] The channel {channel} of {signature} works. This is no alert: nothing to do."),
        }
    }

    fn signature(&self) -> String {
        format!("{} {}", self.lang.pick("九哨", "Ninewatch"), self.settings.gateway)
    }

    /// How grave, where, what, since when, and how it stands.
    fn line(&self, telling: &Telling) -> String {
        let alert = &telling.alert;
        let severity = lang::severity(alert.severity, self.lang);
        let place = self.place(&alert.place);
        let (drill, test) = (alert.drill, alert.walk_test.is_some());
        let (title, since) = (self.lang.of(&alert.title), self.time(alert.raised_at_ms));
        let state = self.state(telling);
        let severity = severity.to_uppercase();
        match self.lang {
            Lang::Zh if drill => format!("【演练·{severity}】{place}：{title}（{since}）{state}"),
            Lang::Zh if test => format!("【巡检测试·{severity}】{place}：{title}（{since}）{state}"),
            Lang::Zh => format!("【{severity}】{place}：{title}（{since}）{state}"),
            Lang::En if drill => format!("[DRILL · {severity}] {place}: {title} ({since}){state}"),
            Lang::En if test => format!("[WALK-TEST · {severity}] {place}: {title} ({since}){state}"),
            Lang::En => format!("[{severity}] {place}: {title} ({since}){state}"),
        }
    }

    /// As people call it; what a resident reported is somewhere in a grid.
    fn place(&self, id: &str) -> String {
        match id.strip_prefix(GRID) {
            Some(grid) => format!("{}{grid}", self.lang.pick("网格 ", "grid ")),
            None => self.settings.registry.place(id).map_or(id, |place| &place.name).to_owned(),
        }
    }

    fn state(&self, telling: &Telling) -> String {
        let alert = &telling.alert;
        let is_over = alert.recovered_at_ms.is_some();
        match (alert.status, alert.verdict) {
            (Status::Closed, Some(verdict)) => {
                format!("{}{}", self.lang.pick("已办结：", " closed: "), lang::verdict(verdict, self.lang))
            }
            (Status::Closed, None) => self.lang.pick("已办结", " closed").into(),
            _ if is_over => self.lang.pick("现场已恢复", " recovered").into(),
            (Status::Raised, _) if telling.kinds.contains(&ChangeKind::Escalated) => match self.lang {
                Lang::Zh => format!("无人接警，已第 {} 次升级", alert.escalation),
                Lang::En => format!(" accepted by nobody, escalated {} times", alert.escalation),
            },
            (Status::Raised, _) if telling.kinds.contains(&ChangeKind::Undone) => {
                self.lang.pick("接警已撤销，现无人负责", " given back, nobody has it").into()
            }
            (Status::Raised, _) => String::new(),
            _ => self.lang.pick("已接警", " accepted").into(),
        }
    }

    fn to_do(&self, telling: &Telling) -> &'static str {
        let alert = &telling.alert;
        let is_over = alert.recovered_at_ms.is_some();
        match (alert.status, alert.severity) {
            (Status::Closed, _) => self.lang.pick("无须再处理。", "Nothing more to do."),
            (Status::Raised, _) if is_over => {
                self.lang.pick("仍须有人接警、核实、办结。", "Somebody still has to accept, verify and close it.")
            }
            (Status::Raised, Severity::Critical) => {
                self.lang.pick("请立即接警并派人到场！", "Accept it NOW and send somebody!")
            }
            (Status::Raised, Severity::Major) => self.lang.pick("请尽快接警。", "Accept it soon."),
            (Status::Raised, _) => self.lang.pick("请在值守台查看。", "Look at it on the console."),
            _ => self.lang.pick("请继续处置并办结。", "See it through and close it."),
        }
    }

    /// Local time; with the date where it is another day's.
    fn time(&self, at: TimeMs) -> String {
        let offset = self.settings.utc_offset;
        let text = offset.rfc3339(at);
        let is_today = offset.midnight_before(at) == offset.midnight_before(self.now_ms);
        let part = |range| text.get(range).unwrap_or_default();
        if is_today { part(11..16).to_owned() } else { format!("{} {}", part(5..10), part(11..16)) }
    }
}

/// Cut at a letter, so that it has at most `longest` bytes.
fn shortened(mut text: String, longest: usize) -> String {
    if text.len() > longest {
        let mut end = longest.saturating_sub("…".len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}
