//! What ails lines and nodes, in words.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use ninewatch_core::ailment::Ailment;
use ninewatch_core::alert::Text;
use ninewatch_wire::VERSION;
use ninewatch_wire::message::{Line, Outcome};

use super::list::NodeEntry;
use super::status::{LineStatus, NodeState, NodeStatus, SILENT, Stranger};
use super::{ListFault, Nodes};
use crate::health::Part;
use crate::metrics::header;

impl Part for LineStatus {
    fn name(&self) -> String {
        format!("line:{}", self.name)
    }

    fn ails(&self) -> Vec<(Ailment, Text)> {
        let (is_open, why, is_noisy) = self.look();
        if !is_open {
            let why = why.unwrap_or_else(|| "it is not open yet".into());
            let text = Text { zh: format!("线路不可用：{why}"), en: format!("the line cannot be used: {why}") };
            return vec![(Ailment::LineDown, text)];
        }
        let noisy = || Text {
            zh: "十分之一以上的帧受损".into(),
            en: "more than one frame in ten comes damaged".into(),
        };
        if is_noisy { vec![(Ailment::LineNoisy, noisy())] } else { Vec::new() }
    }

    fn metrics(&self, out: &mut String) {
        for (name, help, counter) in [
            ("asked", "Questions to nodes.", &self.asked),
            ("answered", "Answers that were believed.", &self.answered),
            ("damaged", "Frames that came damaged.", &self.damaged),
        ] {
            let name = format!("ninewatch_line_{name}_total");
            header(out, &name, "counter", help);
            let _ = writeln!(out, "{name}{{line=\"{}\"}} {}", self.name, counter.load(Relaxed));
        }
        let name = "ninewatch_line_open";
        header(out, name, "gauge", "Whether the line is open.");
        let _ = writeln!(out, "{name}{{line=\"{}\"}} {}", self.name, u64::from(self.look().0));
        let name = "ninewatch_line_round_seconds";
        header(out, name, "gauge", "From one question to a node to the next, of the node that was asked last.");
        #[expect(clippy::cast_precision_loss, reason = "a few seconds in µs")]
        let round_s = self.round_us.load(Relaxed) as f64 / 1e6;
        let _ = writeln!(out, "{name}{{line=\"{}\"}} {round_s}", self.name);
    }
}

impl ListFault {
    /// In words, with what follows from it.
    pub(crate) fn text(&self) -> Text {
        let (zh, en) = if self.former_goes_on {
            ("原有清单继续生效", "the former one goes on")
        } else {
            ("所有节点均未接入", "no node is heard")
        };
        Text {
            zh: format!("节点清单有误，{zh}：{}", self.what),
            en: format!("the list of nodes has a fault, and {en}: {}", self.what),
        }
    }
}

impl Part for Nodes {
    fn name(&self) -> String {
        "nodes".into()
    }

    fn ails(&self) -> Vec<(Ailment, Text)> {
        self.fault().map(|fault| (Ailment::SiteFaults, fault.text())).into_iter().collect()
    }

    fn metrics(&self, out: &mut String) {
        let all = self.all();
        let name = "ninewatch_nodes";
        header(out, name, "gauge", "Nodes that are paired.");
        let _ = writeln!(out, "{name} {}", all.len());
        let name = "ninewatch_nodes_silent";
        header(out, name, "gauge", "Those among them that do not answer.");
        let _ = writeln!(out, "{name} {}", all.iter().filter(|(_, status)| status.look().is_silent()).count());
    }

    fn within(&self) -> Vec<Arc<dyn Part>> {
        let part = |(entry, status): (Arc<NodeEntry>, Arc<NodeStatus>)| {
            let line_is_open = self.line_is_open(&status.line);
            Arc::new(NodePart { entry, status, line_is_open }) as Arc<dyn Part>
        };
        self.all().into_iter().map(part).collect()
    }
}

/// A node at one moment.
struct NodePart {
    entry: Arc<NodeEntry>,
    status: Arc<NodeStatus>,
    line_is_open: bool,
}

impl Part for NodePart {
    fn name(&self) -> String {
        format!("node:{}", self.entry.name)
    }

    fn ails(&self) -> Vec<(Ailment, Text)> {
        ails(&self.entry, &self.status.look(), self.line_is_open)
    }

    /// Those of its line are enough.
    fn metrics(&self, _: &mut String) {}
}

/// What ails a node.
pub(crate) fn ails(entry: &NodeEntry, state: &NodeState, line_is_open: bool) -> Vec<(Ailment, Text)> {
    if let Some(stranger) = state.refused {
        return vec![(Ailment::NodeRefused, refused(stranger))];
    }
    // Of a line that is down the line itself complains.
    if state.is_silent() {
        let seconds = SILENT.as_secs();
        let text = Text {
            zh: format!("节点已 {seconds} 秒以上没有应答"),
            en: format!("the node has not answered for more than {seconds} s"),
        };
        return if line_is_open { vec![(Ailment::NodeSilent, text)] } else { Vec::new() };
    }
    let faults = faults(entry, state);
    if faults.is_empty() {
        return Vec::new();
    }
    let all = |pick: fn(&Text) -> &str, between: &str| faults.iter().map(pick).collect::<Vec<_>>().join(between);
    vec![(Ailment::NodeFault, Text { zh: all(|text| &text.zh, "；"), en: all(|text| &text.en, "; ") })]
}

fn refused(stranger: Stranger) -> Text {
    match stranger {
        Stranger::WrongKey => Text {
            zh: "应答所用的密钥与配对时不同".into(),
            en: "it answers with another key than it was paired with".into(),
        },
        Stranger::OtherVersion(version) => Text {
            zh: format!("其通信版本为 {version}，网关为 {VERSION}"),
            en: format!("it speaks version {version} of the wire, the gateway speaks {VERSION}"),
        },
    }
}

fn faults(entry: &NodeEntry, state: &NodeState) -> Vec<Text> {
    let mut faults = Vec::new();
    let mut add = |zh: String, en: String| faults.push(Text { zh, en });
    for (channel, place) in entry.channels.iter().zip(0_u8..) {
        let device = &channel.device;
        if state.health.failing & 1 << place != 0 {
            add(
                format!("通道 {place}（{device}）的传感器没有应答"),
                format!("the sensor of channel {place} ({device}) does not answer"),
            );
        }
        if state.health.stuck & 1 << place != 0 {
            add(
                format!("通道 {place}（{device}）的按钮一直被按住"),
                format!("the button of channel {place} ({device}) is stuck"),
            );
        }
        match state.broken.get(&place) {
            Some(Line::Open) => add(
                format!("通道 {place}（{device}）的监视线路断开"),
                format!("the supervised line of channel {place} ({device}) is cut"),
            ),
            Some(Line::Short) => add(
                format!("通道 {place}（{device}）的监视线路短路"),
                format!("the supervised line of channel {place} ({device}) is shorted"),
            ),
            _ => {}
        }
    }
    if let Some(outcome) = state.not_fitted {
        let (zh, en) = match outcome {
            Outcome::MemoryFailed => ("其存储器无法写入", "its memory cannot be written"),
            _ => ("它没有这样的端子，或程序太旧", "it has no such terminals, or its program is too old"),
        };
        add(format!("节点未接受通道配置：{zh}"), format!("the node does not take its channels: {en}"));
    }
    let (panicked, let_go) = state.of_late();
    if panicked {
        add("节点程序在一小时内异常重启".into(), "its program has panicked within the hour".into());
    }
    if let_go {
        add(
            "节点在一小时内因内存已满舍弃了普通读数".into(),
            "it has let go of routine readings within the hour, for want of memory".into(),
        );
    }
    faults
}
