//! How each part of the gateway tells what ails it, and what it counts.

use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use ninewatch_core::ailment::Ailment;
use ninewatch_core::alert::Text;

use crate::engine::Load;
use crate::forward::{self, UpstreamStatus};
use crate::health::{Part, Refusals};
use crate::intake::broker::{self, BrokerStatus};
use crate::intake::sensor_port::PortCounters;
use crate::journal::DiskRoom;
use crate::metrics::header as introduce;
use crate::mqtt_client::{Link, metric};
use crate::notify::{Channel, Trouble};
use crate::scorer::{ModelReport, Models};
use crate::site_files::SetAside;

/// An upstream that is connected takes an alert in a second. So late, nobody waits for it any more.
const BEHIND: Duration = Duration::from_secs(300);

impl Part for PortCounters {
    fn name(&self) -> String {
        "sensor_port".into()
    }

    /// A port that falls shut ends the gateway, which systemd starts anew.
    fn ails(&self) -> Vec<(Ailment, Text)> {
        let many = self.wrong_credentials.are_many(Instant::now());
        let text = || Refusals::text("有设备凭证错误", "a device's credentials are wrong");
        if many { vec![(Ailment::DoorRefused, text())] } else { Vec::new() }
    }

    fn metrics(&self, out: &mut String) {
        self.render(out);
    }
}

impl Part for Load {
    fn name(&self) -> String {
        "load".into()
    }

    /// How many and of which device says the log: here each number would be recorded.
    fn ails(&self) -> Vec<(Ailment, Text)> {
        let text = || Text {
            zh: "来量超过网关处理能力，普通设备的读数正被舍弃或推迟（烟感、燃气、求助、手环不受影响），日志写明了设备"
                .into(),
            en:
                "more comes in than the gateway can take: readings of routine devices are shed (of smoke, gas, SOS and \
                 bracelets none); the log names the device"
                    .into(),
        };
        self.flood().map(|_| (Ailment::Overloaded, text())).into_iter().collect()
    }

    fn metrics(&self, out: &mut String) {
        self.render(out);
    }
}

impl Part for BrokerStatus {
    fn name(&self) -> String {
        format!("broker:{}", self.link.name())
    }

    fn ails(&self) -> Vec<(Ailment, Text)> {
        let not_let = self.not_let_read().map(|filters| Text {
            zh: format!("已连接，但无权读取 {filters}"),
            en: format!("it is connected, and does not let us read {filters}"),
        });
        let text = not_connected(&self.link).or(not_let);
        text.map(|text| (Ailment::BrokerDown, text)).into_iter().collect()
    }

    fn metrics(&self, out: &mut String) {
        broker::render(self, out);
    }
}

impl Part for UpstreamStatus {
    fn name(&self) -> String {
        format!("upstream:{}", self.link.name())
    }

    fn ails(&self) -> Vec<(Ailment, Text)> {
        let mut ails: Vec<(Ailment, Text)> =
            not_connected(&self.link).map(|text| (Ailment::UpstreamDown, text)).into_iter().collect();
        if self.lacks_for().is_some_and(|age| age >= BEHIND) {
            let minutes = BEHIND.as_secs() / 60;
            let text = Text {
                zh: format!("有预警超过 {minutes} 分钟未送达"),
                en: format!("it lacks alerts that are more than {minutes} min old"),
            };
            ails.push((Ailment::UpstreamBehind, text));
        }
        ails
    }

    fn metrics(&self, out: &mut String) {
        forward::render(self, out);
        let age = self.lacks_for().unwrap_or_default().as_secs();
        let help = "Age of the oldest alert change that the upstream lacks; those about the gateway itself left out.";
        metric(out, "ninewatch_upstream_backlog_age_seconds", "gauge", help, &self.link, age);
    }
}

impl Part for Channel {
    fn name(&self) -> String {
        format!("notify:{}", Channel::name(self))
    }

    /// Without the service's words: some have the time in them. The page of the channels has them.
    fn ails(&self) -> Vec<(Ailment, Text)> {
        let failed = self.trouble().map(|Trouble { refused, .. }| {
            let text = if refused {
                Text { zh: "通知被拒绝".into(), en: "what it tells is refused".into() }
            } else {
                Text { zh: "通知暂时送不出去".into(), en: "nobody takes what it tells".into() }
            };
            (Ailment::ChannelFailed, text)
        });
        let simulated = self.config.is_simulated().then(|| {
            let text = Text {
                zh: "输出是模拟的，现场不会响也不会亮".into(),
                en: "it is simulated: nothing sounds".into(),
            };
            (Ailment::PinSimulated, text)
        });
        failed.into_iter().chain(simulated).collect()
    }

    fn metrics(&self, out: &mut String) {
        let counts = self.counts();
        for (name, help, counter) in [
            ("sent", "Messages that the channel's service took.", &counts.sent),
            ("digests", "Those among them that told of many alerts.", &counts.digests),
            ("failed", "Attempts that failed in passing.", &counts.failed),
            ("throttled", "Attempts that were too many for the service.", &counts.throttled),
            ("refused", "Attempts that were refused: a person has to mend something.", &counts.refused),
        ] {
            let name = format!("ninewatch_notify_{name}_total");
            introduce(out, &name, "counter", help);
            let _ = writeln!(out, "{name}{{channel=\"{}\"}} {}", Channel::name(self), counter.load(Relaxed));
        }
        let name = "ninewatch_notify_waiting";
        introduce(out, name, "gauge", "Alerts that wait to be told.");
        let _ = writeln!(out, "{name}{{channel=\"{}\"}} {}", Channel::name(self), self.waiting());
    }
}

impl Part for Models {
    fn name(&self) -> String {
        "models".into()
    }

    fn ails(&self) -> Vec<(Ailment, Text)> {
        self.trouble().map(|text| (Ailment::ModelDegraded, text)).into_iter().collect()
    }

    fn metrics(&self, out: &mut String) {
        let reports = self.watch().report();
        type Count = (&'static str, &'static str, &'static str, fn(&ModelReport) -> u64);
        let counts: [Count; 3] = [
            ("ninewatch_model_scores_total", "counter", "Scores by model.", |report| report.scores),
            ("ninewatch_model_errors_total", "counter", "Scores that failed, by model.", |report| report.errors),
            ("ninewatch_model_alerts_24h", "gauge", "Alerts of the last 24 hours by model.", |report| {
                report.alerts as u64
            }),
        ];
        for (name, kind, help, value) in counts {
            introduce(out, name, kind, help);
            for report in &reports {
                let _ = writeln!(out, "{name}{{model=\"{}\"}} {}", report.name, value(report));
            }
        }
        let name = "ninewatch_model_drift_ratio";
        introduce(out, name, "gauge", "Share of a model's last scores whose input lies outside of what training saw.");
        for report in &reports {
            for (input, share) in &report.drifted {
                let _ = writeln!(out, "{name}{{model=\"{}\",input=\"{input}\"}} {share:.3}", report.name);
            }
        }
    }
}

impl Models {
    /// The first thing that is wrong with them.
    fn trouble(&self) -> Option<Text> {
        if let Some(text) = self.status().degraded() {
            return Some(text.clone());
        }
        if let Some((model, why)) = self.astray().into_iter().next() {
            return Some(Text {
                zh: format!("模型 {model} 表现异常且没有可回退的版本：{why}"),
                en: format!("the model {model} went astray and has no version to go back to: {why}"),
            });
        }
        let drifted = self.watch().report().into_iter().find(|report| !report.drifted.is_empty());
        let ModelReport { name, drifted, .. } = drifted?;
        // Not the shares: they change with each score, and the metrics have them.
        let inputs: Vec<String> = drifted.into_keys().collect();
        Some(Text {
            zh: format!("模型 {name} 的输入偏离训练范围：{}", inputs.join("、")),
            en: format!("what the model {name} sees lies outside of what it learnt from: {}", inputs.join(", ")),
        })
    }
}

impl Part for SetAside {
    fn name(&self) -> String {
        "site_files".into()
    }

    fn ails(&self) -> Vec<(Ailment, Text)> {
        let faults = self.faults();
        let Some(first) = faults.first() else { return Vec::new() };
        let stopped = faults.iter().filter(|fault| !fault.former_goes_on).count();
        let line = first.line.map(|line| format!("第 {line} 行 ")).unwrap_or_default();
        let (zh, en) = match stopped {
            0 => ("原有版本继续生效".to_owned(), "the former versions go on".to_owned()),
            _ => (format!("其中 {stopped} 处已停用"), format!("{stopped} of them are not in use")),
        };
        let text = Text {
            zh: format!("{} 处配置有误，{zh}：{} {line}`{}`（{}）", faults.len(), first.file, first.key, first.problem),
            en: format!("{} faults in the site's files, {en}: {first}", faults.len()),
        };
        vec![(Ailment::SiteFaults, text)]
    }

    fn metrics(&self, out: &mut String) {
        let faults = self.faults();
        let name = "ninewatch_site_file_faults";
        introduce(
            out,
            name,
            "gauge",
            "Faults in sensor types, rules and the registry; `former`: the former version goes on.",
        );
        for former in [false, true] {
            let count = faults.iter().filter(|fault| fault.former_goes_on == former).count();
            let _ = writeln!(out, "{name}{{former=\"{former}\"}} {count}");
        }
    }
}

impl Part for DiskRoom {
    fn name(&self) -> String {
        "disk_room".into()
    }

    fn ails(&self) -> Vec<(Ailment, Text)> {
        let text = || Text {
            zh: "磁盘已满：只接收可产生紧急预警的设备，其他读数暂缓".into(),
            en: "the disk is full: only devices that can raise a critical alert are taken in, other readings wait"
                .into(),
        };
        if self.is_short() { vec![(Ailment::DiskFull, text())] } else { Vec::new() }
    }

    fn metrics(&self, out: &mut String) {
        let short = u64::from(self.is_short());
        for (name, help, value) in [
            ("ninewatch_disk_short", "1 while only devices that can raise a critical alert are taken in.", short),
            ("ninewatch_disk_reserve_bytes", "Bytes held in reserve for alerts.", self.reserve_bytes()),
        ] {
            introduce(out, name, "gauge", help);
            let _ = writeln!(out, "{name} {value}");
        }
    }
}

/// Why there is no connection, where there is none.
fn not_connected(link: &Link) -> Option<Text> {
    let state = link.watch().borrow().clone();
    if state.since.is_some() {
        return None;
    }
    Some(match state.last_error {
        Some(why) => Text { zh: format!("未连接：{why}"), en: format!("not connected: {why}") },
        None => Text { zh: "尚未连接".into(), en: "not connected yet".into() },
    })
}
