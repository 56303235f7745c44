//! How each part of the gateway tells whether it is well, and what it counts.

use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;

use ninewatch_core::alert::Text;

use crate::console::{Part, PartHealth};
use crate::forward::{self, UpstreamStatus};
use crate::intake::broker::{self, BrokerStatus};
use crate::intake::sensor_port::PortCounters;
use crate::metrics::header as introduce;
use crate::mqtt_client::Link;
use crate::notify::{Channel, Trouble};
use crate::scorer::{ModelReport, Models};
use crate::site_files::SetAside;

impl Part for PortCounters {
    fn name(&self) -> String {
        "sensor_port".into()
    }

    /// A port that falls shut ends the gateway, which systemd starts anew.
    fn health(&self) -> PartHealth {
        PartHealth::Ok
    }

    fn metrics(&self, out: &mut String) {
        self.render(out);
    }
}

impl Part for BrokerStatus {
    fn name(&self) -> String {
        format!("broker:{}", self.link.name())
    }

    fn health(&self) -> PartHealth {
        link_health(&self.link)
    }

    fn metrics(&self, out: &mut String) {
        broker::render(self, out);
    }
}

impl Part for UpstreamStatus {
    fn name(&self) -> String {
        format!("upstream:{}", self.link.name())
    }

    fn health(&self) -> PartHealth {
        link_health(&self.link)
    }

    fn metrics(&self, out: &mut String) {
        forward::render(self, out);
    }
}

impl Part for Channel {
    fn name(&self) -> String {
        format!("notify:{}", Channel::name(self))
    }

    fn health(&self) -> PartHealth {
        let Some(Trouble { refused, said }) = self.trouble() else { return PartHealth::Ok };
        let waiting = self.waiting();
        if refused {
            return PartHealth::Down(Text {
                zh: format!("被拒绝，{waiting} 条预警未送达，请检查地址和密钥：{said}"),
                en: format!("refused, {waiting} alerts not told; look at its address and secret: {said}"),
            });
        }
        PartHealth::Degraded(Text {
            zh: format!("暂时送不出去，{waiting} 条预警在等：{said}"),
            en: format!("not heard for now, {waiting} alerts wait: {said}"),
        })
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

    fn health(&self) -> PartHealth {
        if let Some(text) = self.status().degraded() {
            return PartHealth::Degraded(text.clone());
        }
        if let Some((model, why)) = self.astray().into_iter().next() {
            return PartHealth::Degraded(Text {
                zh: format!("模型 {model} 表现异常且没有可回退的版本：{why}"),
                en: format!("the model {model} went astray and has no version to go back to: {why}"),
            });
        }
        let drifted = self.watch().report().into_iter().find(|report| !report.drifted.is_empty());
        let Some(ModelReport { name, drifted, .. }) = drifted else { return PartHealth::Ok };
        let inputs = drifted.iter().map(|(input, share)| format!("{input} {:.0}%", share * 100.0)).collect::<Vec<_>>();
        PartHealth::Degraded(Text {
            zh: format!("模型 {name} 的输入偏离训练范围：{}", inputs.join("、")),
            en: format!("what the model {name} sees lies outside of what it learnt from: {}", inputs.join(", ")),
        })
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

impl Part for SetAside {
    fn name(&self) -> String {
        "site_files".into()
    }

    fn health(&self) -> PartHealth {
        let faults = self.faults();
        let Some(first) = faults.first() else { return PartHealth::Ok };
        let stopped = faults.iter().filter(|fault| !fault.former_goes_on).count();
        let line = first.line.map(|line| format!("第 {line} 行 ")).unwrap_or_default();
        let (zh, en) = match stopped {
            0 => ("原有版本继续生效".to_owned(), "the former versions go on".to_owned()),
            _ => (format!("其中 {stopped} 处已停用"), format!("{stopped} of them are not in use")),
        };
        PartHealth::Degraded(Text {
            zh: format!("{} 处配置有误，{zh}：{} {line}`{}`（{}）", faults.len(), first.file, first.key, first.problem),
            en: format!("{} faults in the site's files, {en}: {first}", faults.len()),
        })
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

fn link_health(link: &Link) -> PartHealth {
    let state = link.watch().borrow().clone();
    if state.since.is_some() {
        return PartHealth::Ok;
    }
    let why = state.last_error.unwrap_or_else(|| "…".into());
    PartHealth::Down(Text { zh: format!("未连接：{why}"), en: format!("not connected: {why}") })
}
