//! An upstream's session without a network: the simulator moves the packets.

use rumqttc::v5::Request;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnAck, ConnectReturnCode, PubAckReason, Publish, SubAck, SubscribeReasonCode};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use super::line::{self, COMING, Came, Heard, IN_FLIGHT, Publisher, Sent};
use super::outbox::JournalOutbox;
use super::session::Session;
use super::{Patience, Source, UpstreamStatus};
use crate::config::MqttServer;
use crate::engine::Engine;
use crate::index::Progress;

/// What one upstream's task keeps from connection to connection.
pub(crate) struct Stepped {
    session: Arc<Session>,
    outbox: Arc<Mutex<JournalOutbox>>,
}

/// What the gateway has sent.
pub(crate) enum Packet {
    Subscribe,
    Change(u64, Vec<u8>),
    Status(Vec<u8>),
    /// What became of an action.
    Answer(u64, Vec<u8>),
    /// It is done with the event of this packet id.
    Acknowledged(u16),
}

impl Stepped {
    pub(crate) fn new(
        name: &str,
        source: Source,
        journal_dir: PathBuf,
        engine: Engine,
        index: Arc<dyn Progress>,
    ) -> Self {
        let server = MqttServer {
            name: name.to_owned(),
            url: String::new(),
            username: None,
            password_file: None,
            ca: None,
            cert: None,
            key: None,
            subscribe: Vec::new(),
        };
        let status = Arc::new(UpstreamStatus::new(name, index.clone()));
        let outbox = JournalOutbox::new(name, journal_dir, engine.clone(), index);
        Self {
            session: Arc::new(Session::new(Patience::default(), server, source, engine, status)),
            outbox: Arc::new(Mutex::new(outbox)),
        }
    }

    /// A connection, accepted.
    pub(crate) fn connect(&self, online: String) -> Connection {
        let (publisher, requests) = line::loose();
        let publisher = Arc::new(publisher);
        let (hear, mut heard) = mpsc::channel(usize::from(IN_FLIGHT));
        let (deliver, mut delivered) = mpsc::channel(COMING);
        let (session, outbox) = (self.session.clone(), self.outbox.clone());
        let (its_publisher, its_hear) = (publisher.clone(), hear.clone());
        let task = tokio::spawn(async move {
            let mut outbox = outbox.lock().await;
            session.talk(&mut outbox, &its_publisher, &its_hear, &mut heard, &mut delivered, &online).await
        });
        let connection = Connection { task, publisher, requests, hear, deliver };
        connection.hear(Heard::Connected(ConnAck {
            session_present: true,
            code: ConnectReturnCode::Success,
            properties: None,
        }));
        connection
    }
}

/// A connection; dropped, it is cut.
pub(crate) struct Connection {
    task: JoinHandle<anyhow::Result<()>>,
    publisher: Arc<Publisher>,
    requests: flume::Receiver<Request>,
    hear: mpsc::Sender<Heard>,
    deliver: mpsc::Sender<Came>,
}

impl Connection {
    /// The next packet that the gateway has sent.
    pub(crate) fn sent(&self) -> Option<Packet> {
        Some(match self.requests.try_recv().ok()? {
            Request::Publish(publish) => match self.publisher.written()? {
                Sent::Change(seq) => Packet::Change(seq, publish.payload.to_vec()),
                Sent::Answer(answer) => Packet::Answer(answer, publish.payload.to_vec()),
                Sent::Status => Packet::Status(publish.payload.to_vec()),
            },
            Request::PubAck(ack) => Packet::Acknowledged(ack.pkid),
            _ => Packet::Subscribe,
        })
    }

    pub(crate) fn subscribed(&self) {
        let return_codes = vec![SubscribeReasonCode::Success(QoS::AtLeastOnce)];
        self.hear(Heard::Subscribed(SubAck { pkid: 1, return_codes, properties: None }));
    }

    /// The server took the change, or gave it to nobody.
    pub(crate) fn acknowledge(&self, seq: u64, taken: bool) {
        let reason = if taken { PubAckReason::Success } else { PubAckReason::NoMatchingSubscribers };
        self.hear(Heard::Acknowledged(seq, reason));
    }

    /// Brings an event of the platform; whether there was room for it.
    pub(crate) fn deliver(&self, packet: u16, payload: Vec<u8>) -> bool {
        let mut publish = Publish::new("actions", QoS::AtLeastOnce, payload, None);
        publish.pkid = packet;
        self.deliver.try_send(Came::Event(Box::new(publish))).is_ok()
    }

    /// The server took an answer.
    pub(crate) fn answer_taken(&self, answer: u64) {
        // A task that has ended hears no more.
        let _ = self.deliver.try_send(Came::AnswerTaken(answer));
    }

    /// Whether the gateway has ended it.
    pub(crate) fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    fn hear(&self, heard: Heard) {
        // A task that has ended hears no more.
        let _ = self.hear.try_send(heard);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}
