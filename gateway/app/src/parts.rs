//! How each part of the gateway tells whether it is well, and what it counts.

use std::fmt::Write as _;

use ninewatch_core::alert::Text;

use crate::console::{Part, PartHealth};
use crate::forward::{self, UpstreamStatus};
use crate::intake::broker::{self, BrokerStatus};
use crate::intake::sensor_port::PortCounters;
use crate::metrics::header as introduce;
use crate::mqtt_client::Link;
use crate::scorer::ScorerStatus;
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

impl Part for ScorerStatus {
    fn name(&self) -> String {
        "models".into()
    }

    fn health(&self) -> PartHealth {
        self.degraded().map_or(PartHealth::Ok, |text| PartHealth::Degraded(text.clone()))
    }

    fn metrics(&self, _out: &mut String) {}
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
