//! What ails the gateway itself: which ways there are, how grave each is, and when a complaint
//! becomes an alert.
//!
//! Complaints come in as they stand ([`crate::pipeline::Event::Complaints`]), all of them each time. One that stays becomes
//! an alert of the scene `operations`; one that stays away recovers it. See `docs/decisions/0012-operator-alerts.md`.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::alert::{AlertSettings, Evidence, Finding, GATEWAY, Scene, Severity, Signal, Text};
use crate::time::{Span, TimeMs};

/// A way of being unwell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ailment {
    /// There is no connection to an upstream.
    UpstreamDown,
    /// An upstream lacks alerts that are old.
    UpstreamBehind,
    /// There is no connection to a broker that devices report to.
    BrokerDown,
    /// Somebody tries credentials that are not right, again and again.
    DoorRefused,
    /// The disk is nearly full.
    DiskFilling,
    /// The disk is full: only what matters for life is still taken.
    DiskFull,
    /// The disk takes no writes.
    DiskFailed,
    /// Records of the journal are damaged.
    JournalDamaged,
    /// The index was damaged, and made anew.
    IndexRebuilt,
    /// The system's time cannot be right.
    ClockWrong,
    /// The system's time was set forward while the gateway ran.
    ClockJumped,
    /// Nobody has confirmed the system's time since the machine began.
    ClockUnsynced,
    /// Models give no scores, were gone back from, or see what they have not learnt.
    ModelDegraded,
    /// The site's files have faults.
    SiteFaults,
    /// Decisions come late.
    Overloaded,
    /// The local sign cannot be given.
    SignFailed,
    /// Who did what cannot be noted.
    AuditFailed,
    /// A channel does not tell people.
    ChannelFailed,
    /// A line with nodes cannot be used.
    LineDown,
    /// Many frames of a line come damaged.
    LineNoisy,
    /// A node does not answer.
    NodeSilent,
    /// What answers for a node is not believed.
    NodeRefused,
    /// A node, or what is fitted to it, does not work as it should.
    NodeFault,
    /// What is wired to the gateway's own pins cannot be relied on.
    PinFailed,
    /// A file stands in the place of what should be wired to them.
    PinSimulated,
    /// A place is to be walked again.
    WalkOverdue,
    /// The last good backup is old.
    BackupOverdue,
    /// A new program was gone back from, or refused.
    UpdateFailed,
}

/// How long these hold is a setting.
const BY_SETTINGS: [i64; 2] = [0, 0];

/// What is fixed about an ailment.
struct Nature {
    name: &'static str,
    rule: &'static str,
    severity: Severity,
    /// How long it has to last to be an alert, and to be away to be over.
    holds_s: i64,
    over_s: i64,
    title: [&'static str; 2],
    mend: [&'static str; 2],
}

impl Ailment {
    /// All there are.
    pub const ALL: [Self; 28] = [
        Self::UpstreamDown,
        Self::UpstreamBehind,
        Self::BrokerDown,
        Self::DoorRefused,
        Self::DiskFilling,
        Self::DiskFull,
        Self::DiskFailed,
        Self::JournalDamaged,
        Self::IndexRebuilt,
        Self::ClockWrong,
        Self::ClockJumped,
        Self::ClockUnsynced,
        Self::ModelDegraded,
        Self::SiteFaults,
        Self::Overloaded,
        Self::SignFailed,
        Self::AuditFailed,
        Self::ChannelFailed,
        Self::LineDown,
        Self::LineNoisy,
        Self::NodeSilent,
        Self::NodeRefused,
        Self::NodeFault,
        Self::PinFailed,
        Self::PinSimulated,
        Self::WalkOverdue,
        Self::BackupOverdue,
        Self::UpdateFailed,
    ];

    /// The name in the API and metrics.
    pub const fn name(self) -> &'static str {
        self.nature().name
    }

    /// The name that stands in an alert's `rules`.
    pub const fn rule(self) -> &'static str {
        self.nature().rule
    }

    /// How much it matters.
    pub const fn severity(self) -> Severity {
        self.nature().severity
    }

    /// How long it has to last before it is an alert: a hiccup is none.
    pub fn holds(self, settings: &AlertSettings) -> Span {
        match self {
            Self::UpstreamDown | Self::BrokerDown => settings.link_down_after,
            _ => Span::from_secs(self.nature().holds_s),
        }
    }

    /// How long it has to be away before the alert has recovered.
    pub fn over(self, settings: &AlertSettings) -> Span {
        match self {
            Self::UpstreamDown | Self::BrokerDown => Span::from_ms(settings.link_down_after.ms() / 2),
            _ => Span::from_secs(self.nature().over_s),
        }
    }

    /// A few words.
    pub fn title(self) -> Text {
        both(self.nature().title)
    }

    /// What to do about it.
    pub fn mend(self) -> Text {
        both(self.nature().mend)
    }

    #[rustfmt::skip]
    const fn nature(self) -> Nature {
        use Severity::{Critical, Major, Minor, Notice};
        let (name, rule, severity, [holds_s, over_s], title, mend) = match self {
            Self::UpstreamDown => ("upstream_down", "gateway-upstream-down", Major, BY_SETTINGS,
                ["上级平台断开", "Upstream disconnected"],
                ["请检查外网、平台地址和凭证；预警已留存，恢复后自动补传", "Check the line, the platform's address and the credential; alerts are kept and follow by themselves"]),
            Self::UpstreamBehind => ("upstream_behind", "gateway-upstream-behind", Major, [0, 60],
                ["预警积压未送达", "Alerts not delivered"],
                ["请电话告知上级平台，并检查平台是否在接收", "Tell the platform by phone, and check that it takes alerts"]),
            Self::BrokerDown => ("broker_down", "gateway-broker-down", Major, BY_SETTINGS,
                ["消息代理断开", "Broker disconnected"],
                ["其下的设备目前无人看护；请检查消息代理及其凭证", "Nothing watches over the devices behind it; check the broker and the credential"]),
            Self::DoorRefused => ("door_refused", "gateway-door-refused", Minor, [0, 60],
                ["反复使用错误凭证", "Wrong credentials again and again"],
                ["请在日志中查看来源：改正设备的密钥，或在防火墙上拒绝该地址", "The log names the address: correct the device's secret, or shut that address out"]),
            Self::DiskFilling => ("disk_filling", "gateway-disk-filling", Major, [60, 300],
                ["磁盘将满", "Disk nearly full"],
                ["请清理磁盘，或调小 journal.readings_max_mib", "Free some space, or make journal.readings_max_mib smaller"]),
            Self::DiskFull => ("disk_full", "gateway-disk-full", Critical, [0, 60],
                ["磁盘已满", "Disk full"],
                ["请立即清理磁盘", "Free some space at once"]),
            Self::DiskFailed => ("disk_failed", "gateway-disk-failed", Critical, [0, 60],
                ["磁盘无法写入", "Disk takes no writes"],
                ["请更换存储卡或磁盘；更换前请派人看护", "Replace the card or disk; until then have somebody watch"]),
            Self::JournalDamaged => ("journal_damaged", "gateway-journal-damaged", Major, [0, 60],
                ["日志记录损坏", "Journal damaged"],
                ["请核对近期预警，并更换存储卡或磁盘", "Look through the last alerts, and replace the card or disk"]),
            Self::IndexRebuilt => ("index_rebuilt", "gateway-index-rebuilt", Notice, [0, 0],
                ["索引已重建", "Index rebuilt"],
                ["数据无损；若再次发生，请检查存储卡或磁盘", "Nothing is lost; if it happens again, check the card or disk"]),
            Self::ClockWrong => ("clock_wrong", "gateway-clock-wrong", Major, [0, 0],
                ["系统时间不可信", "Clock not to be trusted"],
                ["请检查对时（NTP）或时钟电池", "Check time synchronisation (NTP) or the clock's battery"]),
            Self::ClockJumped => ("clock_jumped", "gateway-clock-jumped", Minor, [0, 0],
                ["系统时间跳变", "Clock jumped"],
                ["其前后的预警时间可能有误；请检查对时（NTP）", "Times around it may be wrong; check time synchronisation (NTP)"]),
            Self::ClockUnsynced => ("clock_unsynced", "gateway-clock-unsynced", Minor, [600, 0],
                ["时间未校准", "Time not confirmed"],
                ["请检查网络是否放行 NTP（UDP 123），或在本地提供时间服务器", "Let NTP (UDP 123) through to the network, or give the site a time server of its own"]),
            Self::ModelDegraded => ("model_degraded", "gateway-model-degraded", Minor, [60, 60],
                ["模型降级", "Models degraded"],
                ["规则照常判断；运行 ninewatch model list 查看", "The rules go on; `ninewatch model list` says more"]),
            Self::SiteFaults => ("site_faults", "gateway-site-faults", Minor, [60, 10],
                ["配置文件有误", "Faults in the site's files"],
                ["运行 ninewatch check 查看并改正", "`ninewatch check` names them"]),
            Self::Overloaded => ("overloaded", "gateway-overloaded", Major, [0, 60],
                ["网关过载", "Gateway overloaded"],
                ["请查找发送过多的设备，或更换更快的设备", "Find the device that sends too much, or give the gateway a faster box"]),
            Self::SignFailed => ("sign_failed", "gateway-sign-failed", Minor, [0, 60],
                ["本地声光提示失效", "Local sign failed"],
                ["请检查 site.toml 的 [local_sign] 及其接线", "Check [local_sign] in site.toml and its wiring"]),
            Self::AuditFailed => ("audit_failed", "gateway-audit-failed", Major, [60, 60],
                ["审计日志失效", "Audit log failed"],
                ["请检查存储卡或磁盘；恢复后日志会注明缺漏", "Check the card or disk; the log says itself how many entries it lacks, once it can be written"]),
            Self::ChannelFailed => ("channel_failed", "gateway-channel-failed", Major, [180, 60],
                ["通知通道失效", "Notification channel failed"],
                ["请在“通知”页查看原因并发测试消息；未送达的预警请用其他方式告知", "The page of the channels says why, and tries it out; tell people some other way until it is well"]),
            Self::LineDown => ("line_down", "gateway-line-down", Major, [10, 30],
                ["节点线路断开", "Line of nodes down"],
                ["其上的节点目前无人看护；请检查适配器、串口服务器及其接线", "Nothing watches over the nodes on it; check the adapter or the device server, and the wiring"]),
            Self::LineNoisy => ("line_noisy", "gateway-line-noisy", Minor, [60, 300],
                ["节点线路干扰大", "Line of nodes noisy"],
                ["数据会重发，不会丢失；请检查 A/B 接线、两端 120 Ω 终端电阻和屏蔽接地", "What is damaged is sent again and not lost; check A and B, the 120 Ω at both ends and the shield"]),
            Self::NodeSilent => ("node_silent", "gateway-node-silent", Major, [0, 30],
                ["节点无应答", "Node silent"],
                ["其传感器目前无人看护；请检查节点的供电和接线", "Nothing watches over its sensors; check its power and its wiring"]),
            Self::NodeRefused => ("node_refused", "gateway-node-refused", Major, [0, 60],
                ["节点未被接受", "Node refused"],
                ["请按节点上的编码重新配对（ninewatch node pair），或升级其程序；若无人更换过节点，请派人查看", "Pair it anew by the code printed on it (`ninewatch node pair`), or give it another program; where nobody has changed it, have somebody look"]),
            Self::NodeFault => ("node_fault", "gateway-node-fault", Major, [10, 30],
                ["节点故障", "Node faulty"],
                ["请检查节点所接的传感器和按钮；ninewatch node logs 可查看节点日志", "Check the sensors and buttons fitted to it; `ninewatch node logs` shows what it has noted"]),
            Self::PinFailed => ("pin_failed", "gateway-pin-failed", Major, [15, 60],
                ["本机接线故障", "Wired input failed"],
                ["此处目前无人看护；请检查传感器、供电和接线", "Nothing watches there; check the sensor, its supply and its wires"]),
            Self::PinSimulated => ("pin_simulated", "gateway-pin-simulated", Notice, [0, 0],
                ["接线是模拟的", "Wiring is simulated"],
                ["正式使用前请删去 site.toml 中的 simulated", "Remove `simulated` from site.toml before anybody relies on it"]),
            Self::WalkOverdue => ("walk_overdue", "gateway-walk-overdue", Notice, [60, 0],
                ["设备走查到期", "Walk-test due"],
                ["请安排安装人员在“走查”页再走一次", "Have an installer walk there again: the page Walk-test"]),
            Self::BackupOverdue => ("backup_overdue", "gateway-backup-overdue", Minor, [60, 60],
                ["备份过期", "Backup overdue"],
                ["请插入标签为 NW-BACKUP 的 U 盘，或检查它是否已满、损坏", "Put in a stick labelled NW-BACKUP, or see whether the one there is full or broken"]),
            Self::UpdateFailed => ("update_failed", "gateway-update-failed", Minor, [0, 0],
                ["更新失败", "Update failed"],
                ["网关继续使用原有版本；运行 ninewatch update status 查看，并告知软件的发布者", "The former version goes on; `ninewatch update status` says more; tell whoever publishes the program"]),
        };
        Nature { name, rule, severity, holds_s, over_s, title, mend }
    }
}

fn both([zh, en]: [&str; 2]) -> Text {
    Text { zh: zh.to_owned(), en: en.to_owned() }
}

/// What a part of the gateway complains of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complaint {
    /// Which part, such as `upstream:city`.
    pub part: String,
    /// Of what.
    pub ailment: Ailment,
    /// In words, without what to do about it. It must not count up: each change of it is recorded.
    pub text: Text,
}

/// The complaints that there are, and which of them are alerts. Part of the checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Complaints(BTreeMap<(Ailment, String), Course>);

/// How a complaint goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Course {
    text: Text,
    since_ms: TimeMs,
    raised: bool,
    /// Since when it is away.
    over_since_ms: Option<TimeMs>,
}

impl Complaints {
    /// The gateway begins to listen: what was about to become an alert before the stop begins anew.
    pub(crate) fn start(&mut self) {
        self.0.retain(|_, course| course.raised);
        self.0.values_mut().for_each(|course| course.over_since_ms = None);
    }

    /// Whether these are those that are known: then nothing follows from telling them again.
    pub(crate) fn are(&self, told: &[Complaint]) -> bool {
        let present = self.0.values().filter(|course| course.over_since_ms.is_none()).count();
        let known = |complaint: &Complaint| {
            let course = self.0.get(&(complaint.ailment, complaint.part.clone()));
            // What is an alert already keeps its words: some count up.
            course.is_some_and(|course| {
                course.over_since_ms.is_none() && (course.raised || course.text == complaint.text)
            })
        };
        present == told.len() && told.iter().all(known)
    }

    /// Takes all complaints that there are at `now`.
    pub(crate) fn told(&mut self, told: &[Complaint], now: TimeMs) {
        self.0.retain(|(ailment, part), course| {
            let is_there = told.iter().any(|complaint| complaint.ailment == *ailment && complaint.part == *part);
            if !is_there {
                course.over_since_ms.get_or_insert(now);
            }
            // One that went before it was an alert was a hiccup.
            is_there || course.raised
        });
        for Complaint { part, ailment, text } in told {
            let new = || Course { text: text.clone(), since_ms: now, raised: false, over_since_ms: None };
            let course = self.0.entry((*ailment, part.clone())).or_insert_with(new);
            course.text.clone_from(text);
            course.over_since_ms = None;
        }
    }

    /// When time alone next makes an alert of one, or ends it.
    pub(crate) fn next_due(&self, settings: &AlertSettings) -> Option<TimeMs> {
        self.0.iter().filter_map(|((ailment, _), course)| course.due(*ailment, settings)).min()
    }

    /// What falls due at `now`.
    pub(crate) fn on_time(&mut self, gateway: &str, settings: &AlertSettings, now: TimeMs, signals: &mut Vec<Signal>) {
        self.0.retain(|(ailment, part), course| {
            if course.due(*ailment, settings).is_none_or(|due| due > now) {
                return true;
            }
            if course.raised {
                signals.push(Signal::Clear { device: of_gateway(part), rule: ailment.rule().into() });
                return false;
            }
            course.raised = true;
            signals.push(Signal::Raise(Box::new(course.finding(gateway, *ailment, part, now))));
            true
        });
    }
}

impl Course {
    fn due(&self, ailment: Ailment, settings: &AlertSettings) -> Option<TimeMs> {
        match (self.raised, self.over_since_ms) {
            (false, _) => Some(self.since_ms + ailment.holds(settings).ms()),
            (true, Some(since)) => Some(since + ailment.over(settings).ms()),
            (true, None) => None,
        }
    }

    fn finding(&self, gateway: &str, ailment: Ailment, part: &str, now: TimeMs) -> Finding {
        let mend = ailment.mend();
        Finding {
            place: of_gateway(gateway),
            group: ailment.rule().into(),
            scene: Scene::Operations,
            severity: ailment.severity(),
            lasting: true,
            title: ailment.title(),
            evidence: Evidence {
                at_ms: now,
                device: of_gateway(part),
                rule: ailment.rule().to_owned(),
                reason: Text {
                    zh: format!("{}。{}", self.text.zh, mend.zh),
                    en: format!("{}. {}", self.text.en, mend.en),
                },
                series: Vec::new(),
                score: None,
            },
        }
    }
}

/// What stands where alerts of places have a place or a device. The colon keeps it apart: ids have none.
fn of_gateway(name: &str) -> String {
    format!("{GATEWAY}{name}")
}
