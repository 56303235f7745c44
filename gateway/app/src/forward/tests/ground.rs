//! What the tests stand on: a real journal and index, and an upstream played packet by packet.

use mqtt_protocol_core::mqtt::packet::{Packet, Qos, v5_0};
use mqtt_protocol_core::mqtt::result_code::{ConnectReasonCode, PubackReasonCode, SubackReasonCode};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use ninewatch_core::alert::{Alert, AlertChange, AlertId, ChangeKind, Evidence, Scene, Severity, Status, Text};

use crate::config::{JournalConfig, MqttServer};
use crate::demo::city::endpoint::Endpoint;
use crate::engine::{Command, Engine};
use crate::epochs::Epochs;
use crate::forward::outbox::JournalOutbox;
use crate::forward::{Patience, Source, UpstreamStatus, start_with};
use crate::index::{Index, Progress};
use crate::journal::Journal;

pub(super) const GATEWAY: &str = "kaili-01";
/// Nothing in a test takes this long unless it hangs.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// A gateway's ground: what it has on disk, and an engine that the test plays.
pub(super) struct Ground {
    dir: tempfile::TempDir,
    pub(super) journal: Journal,
    pub(super) index: Index,
    pub(super) engine: Engine,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) epochs: Epochs,
    seq: u64,
    raised: HashSet<String>,
}

pub(super) const EPOCH: &str = "e1";

impl Ground {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(&dir.path().join("journal"), &JournalConfig::default()).unwrap();
        let (index, _) = Index::open(&dir.path().join("index"), &dir.path().join("journal")).unwrap();
        let (engine, commands) = Engine::for_tests();
        Self { dir, journal, index, engine, commands, epochs: Epochs::one(EPOCH), seq: 0, raised: HashSet::new() }
    }

    pub(super) fn journal_dir(&self) -> PathBuf {
        self.dir.path().join("journal")
    }

    /// Writes the next changes of these alerts to the journal; nobody is told.
    pub(super) fn write<A: AsRef<str>>(
        &mut self,
        changes: impl IntoIterator<Item = (A, Severity)>,
    ) -> Vec<AlertChange> {
        let changes: Vec<AlertChange> = changes
            .into_iter()
            .map(|(alert, severity)| {
                self.seq += 1;
                let is_new = self.raised.insert(alert.as_ref().to_owned());
                let kind = if is_new { ChangeKind::Raised } else { ChangeKind::Joined };
                AlertChange { kind, ..change(self.seq, alert.as_ref(), severity) }
            })
            .collect();
        for change in &changes {
            self.journal.append_alert(change).unwrap();
        }
        self.journal.commit().unwrap();
        self.index.apply(&changes).unwrap();
        changes
    }

    /// Writes them and tells, as the engine does.
    pub(super) fn announce<A: AsRef<str>>(&mut self, changes: impl IntoIterator<Item = (A, Severity)>) {
        for change in self.write(changes) {
            self.engine.announce(change);
        }
    }

    /// How many changes the sink does not have.
    pub(super) fn backlog(&self) -> u64 {
        self.seq - self.index.delivery("city").count()
    }

    pub(super) fn outbox(&self) -> JournalOutbox {
        JournalOutbox::new("city", self.journal_dir(), self.engine.clone(), Arc::new(self.index.clone()))
    }

    /// Starts forwarding to an upstream on this port.
    pub(super) fn forward(&self, port: u16) -> Forwarding {
        // As little patience as tells the cases apart.
        let patience = Patience {
            answer: LIMIT,
            first_answer: LIMIT,
            quiet: Duration::from_millis(100),
            receipt: LIMIT,
            nobody_reads: Duration::from_millis(100),
            passed_over: Duration::ZERO,
        };
        self.forward_with(patience, server(port))
    }

    pub(super) fn forward_with(&self, patience: Patience, server: MqttServer) -> Forwarding {
        let source = Source { gateway: GATEWAY.into(), epochs: self.epochs.clone() };
        let (status, forwarding) =
            start_with(patience, server, source, self.journal_dir(), self.engine.clone(), self.index.clone()).unwrap();
        Forwarding { status, task: tokio::spawn(forwarding) }
    }
}

/// A forward task; dropped as by a kill.
pub(super) struct Forwarding {
    pub(super) status: Arc<UpstreamStatus>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Forwarding {
    /// Waits until the upstream lacks no more than this.
    pub(super) async fn until_backlog(&self, backlog: u64) {
        within(self.status.until_backlog(backlog)).await;
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) fn server(port: u16) -> MqttServer {
    MqttServer {
        name: "city".into(),
        url: format!("mqtt://127.0.0.1:{port}"),
        username: None,
        password_file: None,
        ca: None,
        cert: None,
        key: None,
        subscribe: Vec::new(),
    }
}

pub(super) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.expect("it hangs")
}

fn change(seq: u64, alert: &str, severity: Severity) -> AlertChange {
    let text = |zh: &str, en: &str| Text { zh: zh.into(), en: en.into() };
    let at_ms = 1_795_467_300_000 + i64::try_from(seq).unwrap();
    let evidence = Evidence {
        at_ms,
        device: "gas-1".into(),
        rule: "co".into(),
        reason: text("一氧化碳 160 ppm", "CO at 160 ppm"),
        series: Vec::new(),
        score: None,
    };
    AlertChange {
        seq,
        at_ms,
        kind: ChangeKind::Raised,
        by: None,
        note: None,
        action: None,
        alert: Alert {
            id: AlertId::from(alert),
            number: 1,
            gateway: GATEWAY.into(),
            place: "restaurant".into(),
            group: "fire".into(),
            scene: Scene::Fire,
            severity,
            status: Status::Raised,
            title: text("一氧化碳偏高", "High CO"),
            reason: evidence.reason.clone(),
            raised_at_ms: at_ms,
            updated_at_ms: at_ms,
            recovered_at_ms: None,
            devices: vec!["gas-1".into()],
            rules: vec!["co".into()],
            occurrences: 1,
            escalation: 0,
            accepted_by: None,
            dispatched_to: None,
            verdict: None,
            next_rung_at_ms: None,
            drill: false,
            walk_test: None,
        },
        evidence: Some(evidence),
    }
}

/// An upstream that the test plays.
pub(super) struct Upstream {
    listener: TcpListener,
    pub(super) port: u16,
}

impl Upstream {
    pub(super) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        Self { listener, port }
    }

    /// Takes the gateway's next connection up to its `online`; gives that event's id too.
    pub(super) async fn connected(&self) -> (Line, String) {
        let mut line = self.accepted(None).await;
        let online = line.event().await;
        assert_eq!(online["type"], "cn.ninewatch.online");
        (line, online["id"].as_str().unwrap().to_owned())
    }

    /// Takes the gateway's next connection up to its subscription, and lets it send packets up to a
    /// length.
    pub(super) async fn accepted(&self, max_packet_bytes: Option<u32>) -> Line {
        let (stream, _) = within(self.listener.accept()).await.unwrap();
        let mut line = Line { endpoint: Endpoint::new(stream), publishes: Vec::new() };
        let Packet::V5_0Connect(connect) = line.packet().await else { panic!("no CONNECT") };
        assert!(!connect.clean_start() && connect.will_retain());
        assert_eq!(connect.will_topic(), Some("ninewatch/v1/kaili-01/status"));
        let will: Value = serde_json::from_slice(connect.will_payload().unwrap()).unwrap();
        assert_eq!(will["type"], "cn.ninewatch.offline");
        let mut connack = v5_0::Connack::builder().session_present(false).reason_code(ConnectReasonCode::Success);
        if let Some(max) = max_packet_bytes {
            use mqtt_protocol_core::mqtt::packet::MaximumPacketSize;
            connack = connack.props(vec![MaximumPacketSize::new(max).unwrap().into()]);
        }
        line.endpoint.send(connack.build().unwrap()).await.unwrap();
        let Packet::V5_0Subscribe(subscribe) = line.packet().await else { panic!("no SUBSCRIBE") };
        assert_eq!(subscribe.entries()[0].topic_filter(), "ninewatch/v1/kaili-01/actions");
        let granted = vec![SubackReasonCode::GrantedQos1];
        let suback = v5_0::Suback::builder().packet_id(subscribe.packet_id()).reason_codes(granted);
        line.endpoint.send(suback.build().unwrap()).await.unwrap();
        line
    }
}

/// One connection of the gateway.
pub(super) struct Line {
    endpoint: Endpoint<TcpStream>,
    /// Publishes that came while something else was waited for.
    publishes: Vec<v5_0::Publish>,
}

impl Line {
    async fn packet(&mut self) -> Packet {
        within(self.endpoint.receive()).await.unwrap().expect("the gateway is gone")
    }

    /// The next publish, unacknowledged.
    pub(super) async fn publish(&mut self) -> v5_0::Publish {
        if !self.publishes.is_empty() {
            return self.publishes.remove(0);
        }
        loop {
            if let Packet::V5_0Publish(publish) = self.packet().await {
                return publish;
            }
        }
    }

    pub(super) async fn acknowledge(&mut self, publish: &v5_0::Publish, reason: PubackReasonCode) {
        let puback = v5_0::Puback::builder().packet_id(publish.packet_id().unwrap()).reason_code(reason);
        self.endpoint.send(puback.build().unwrap()).await.unwrap();
    }

    /// The next event, acknowledged.
    pub(super) async fn event(&mut self) -> Value {
        let publish = self.publish().await;
        self.acknowledge(&publish, PubackReasonCode::Success).await;
        serde_json::from_slice(publish.payload().as_slice()).unwrap()
    }

    /// The sequence numbers of the next changes.
    pub(super) async fn changes(&mut self, count: usize) -> Vec<u64> {
        let mut sequences = Vec::new();
        while sequences.len() < count {
            sequences.push(sequence(&self.event().await));
        }
        sequences
    }

    /// Sends an event to the gateway; gives the packet id.
    pub(super) async fn send_only(&mut self, event: impl ToString) -> u16 {
        let id = self.endpoint.packet_id().unwrap();
        let publish = v5_0::Publish::builder().topic_name("ninewatch/v1/kaili-01/actions").unwrap();
        let publish = publish.qos(Qos::AtLeastOnce).packet_id(id).payload(event.to_string());
        self.endpoint.send(publish.build().unwrap()).await.unwrap();
        id
    }

    /// Sends a staff action; gives the answer, which comes before it is acknowledged.
    pub(super) async fn act(&mut self, event: impl ToString) -> Value {
        let id = self.send_only(event).await;
        let answer = self.answer().await;
        self.until_acknowledged(id).await;
        answer
    }

    /// The next answer to an action.
    pub(super) async fn answer(&mut self) -> Value {
        let publish = self.publish().await;
        assert_eq!((publish.topic_name(), publish.retain()), ("ninewatch/v1/kaili-01/status", false));
        self.acknowledge(&publish, PubackReasonCode::Success).await;
        serde_json::from_slice(publish.payload().as_slice()).unwrap()
    }

    /// Sends an event to the gateway and waits until it is acknowledged.
    pub(super) async fn send(&mut self, event: impl ToString) {
        let id = self.send_only(event).await;
        self.until_acknowledged(id).await;
    }

    pub(super) async fn until_acknowledged(&mut self, id: u16) {
        loop {
            match self.packet().await {
                Packet::V5_0Puback(puback) if puback.packet_id() == id => return,
                Packet::V5_0Publish(publish) => self.publishes.push(publish),
                _ => {}
            }
        }
    }

    pub(super) async fn receipt(&mut self, up_to: u64, also: &[u64], answers: Option<&str>) {
        self.send(receipt(up_to, also, answers)).await;
    }

    /// Sends a receipt upon which the gateway may leave.
    pub(super) async fn last_receipt(&mut self, up_to: u64, also: &[u64]) {
        self.send_only(receipt(up_to, also, None)).await;
    }
}

fn receipt(up_to: u64, also: &[u64], answers: Option<&str>) -> Value {
    let mut data = json!({"epoch": EPOCH, "up_to": up_to, "also": also});
    if let Some(answers) = answers {
        data["answers"] = answers.into();
    }
    json!({"specversion": "1.0", "id": "r", "source": "/city", "type": "cn.ninewatch.receipt", "data": data})
}

pub(super) fn sequence(event: &Value) -> u64 {
    event["sequence"].as_str().unwrap().parse().unwrap()
}
