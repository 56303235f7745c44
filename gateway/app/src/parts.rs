//! How each part of the gateway tells whether it is well, and what it counts.

use std::fmt::Write as _;

use ninewatch_core::alert::Text;

use crate::console::{Part, PartHealth};
use crate::forward::{self, UpstreamStatus};
use crate::intake::broker::{self, BrokerStatus};
use crate::intake::sensor_port::PortCounters;
use crate::journal::DiskRoom;
use crate::metrics::header as introduce;
use crate::mqtt_client::Link;
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

impl Part for DiskRoom {
    fn name(&self) -> String {
        "disk_room".into()
    }

    fn health(&self) -> PartHealth {
        if !self.is_short() {
            return PartHealth::Ok;
        }
        let (free_mib, reserve_mib) = (self.free_bytes() >> 20, self.reserve_bytes() >> 20);
        PartHealth::Degraded(Text {
            zh: format!(
                "磁盘将满（剩余 {free_mib} MiB，预警预留 {reserve_mib} MiB）：只接收可产生紧急预警的设备，其他读数暂缓；请清理磁盘"
            ),
            en: format!(
                "the disk is nearly full ({free_mib} MiB left, {reserve_mib} MiB in reserve for alerts): only devices                  that can raise a critical alert are taken in, other readings wait; free some disk"
            ),
        })
    }

    fn metrics(&self, out: &mut String) {
        let short = u64::from(self.is_short());
        for (name, help, value) in [
            ("ninewatch_disk_short", "1 while only devices that can raise a critical alert are taken in.", short),
            ("ninewatch_disk_free_bytes", "Bytes that the gateway can still write.", self.free_bytes()),
            ("ninewatch_disk_reserve_bytes", "Bytes held in reserve for alerts.", self.reserve_bytes()),
        ] {
            introduce(out, name, "gauge", help);
            let _ = writeln!(out, "{name} {value}");
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
