use std::path::PathBuf;
use tokio::sync::mpsc::UnboundedReceiver;

use ninewatch_core::ailment::Ailment;
use ninewatch_core::alert::{AlertSettings, ChangeKind, Outcome, Text, Verb};
use ninewatch_core::detect::model::{Asked, ScoreError, Scorer};
use ninewatch_core::fault::SourceFile;
use ninewatch_core::replay::Recorded;
use ninewatch_core::site::{Device, Place, PlaceKind, Registry};
use ninewatch_core::time::UtcOffset;

use super::lanes::Lane;
use super::*;
use crate::health::{IndexHealth, JournalHealth, Part};
use crate::index::{Delivered, Progress};
use crate::journal;

pub(super) struct NoModel;

impl Scorer for NoModel {
    fn score(&mut self, asked: &Asked<'_>) -> Result<f32, ScoreError> {
        Err(ScoreError { model: asked.model.into(), reason: "there is none here".into() })
    }
}

pub(super) fn settings() -> Settings {
    let place = Place {
        id: "home".into(),
        name: "home".into(),
        kind: PlaceKind::Home,
        grid: "g".into(),
        address: String::new(),
    };
    let device = Device {
        id: "sos".into(),
        sensor_type: "ninewatch-sos".into(),
        place: "home".into(),
        spot: String::new(),
        known_as: String::new(),
        person: None,
        secret: String::new(),
    };
    let shipped = |name: &str, text: &str| SourceFile { name: name.into(), text: text.into() };
    let rule = "[[rule]]\nid = \"sos\"\ntitle = { zh = \"求助\", en = \"SOS\" }\nseverity = \"critical\"\nsource = \"test\"\n\
                reason = { zh = \"按下\", en = \"pressed\" }\nstate = { field = \"sos\", is = true }\n";
    Settings {
        gateway: "test".into(),
        utc_offset: UtcOffset::CHINA,
        alerts: AlertSettings::default(),
        registry: Registry { places: vec![place], devices: vec![device] },
        sensor_types: vec![shipped("sos.toml", include_str!("../../../sensors/ninewatch-sos.toml"))],
        rules: vec![shipped("rules.toml", rule)],
        models: Vec::new(),
        ladders: Vec::new(),
    }
}

/// An engine on a folder, and the acknowledgements that it gives.
struct Bench {
    engine: Engine,
    running: Running,
    acks: UnboundedReceiver<Acked>,
    ack: mpsc::UnboundedSender<Acked>,
}

impl Bench {
    fn start(dir: &Path) -> Self {
        let ground = Ground {
            data_dir: dir,
            journal: &JournalConfig::default(),
            settings: settings(),
            serving: Serving { scorer: Box::new(NoModel), watch: Arc::default() },
            clock: Clock::System,
            counters: Arc::default(),
        };
        let (engine, running) = Engine::start(ground, || {}).unwrap();
        let (ack, acks) = mpsc::unbounded_channel();
        Self { engine, running, acks, ack }
    }

    fn message(&self, token: u64, payload: String) -> Inbound {
        Inbound {
            door: "test".into(),
            device: Some("sos".into()),
            topic: "ninewatch/sos/readings".into(),
            payload: payload.into(),
            redelivered: false,
            ack: Some(Ack { to: self.ack.clone(), token, can_refuse: false }),
        }
    }

    /// Presses or releases, and waits for the acknowledgement.
    async fn press(&mut self, token: u64, pressed: bool) -> Acked {
        self.engine.submit(vec![self.message(token, reading(token, pressed))]).await.unwrap();
        self.acks.recv().await.unwrap()
    }

    fn stop(self) {
        drop(self.engine);
        self.running.join().unwrap();
    }
}

fn reading(token: u64, pressed: bool) -> String {
    format!("[{{\"bt\":{},\"n\":\"sos\",\"vb\":{pressed}}}]", 1_795_467_300 + token)
}

fn recorded_payloads(dir: &Path) -> Vec<String> {
    let mut payloads = Vec::new();
    for segment in journal::intake_segments(&dir.join("journal")).unwrap() {
        let mut frames = journal::read_intake(&segment).unwrap();
        while let Some(frame) = frames.next() {
            if let Ok(Recorded::Message { payload, .. }) = frame.recorded() {
                payloads.push(String::from_utf8_lossy(payload).into_owned());
            }
        }
    }
    payloads
}

fn alerts(dir: &Path) -> Vec<AlertChange> {
    journal::read_alerts(&dir.join("journal"), 1).unwrap().collect::<Result<_, _>>().unwrap()
}

fn alert_log(dir: &Path) -> PathBuf {
    dir.join("journal/alerts/00000000000000000001.log")
}

#[tokio::test]
async fn an_acknowledged_message_and_its_alert_are_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::start(dir.path());
    let mut live = bench.engine.changes();
    assert_eq!(bench.press(7, true).await, Acked { token: 7, fate: Fate::Taken });
    assert_eq!(recorded_payloads(dir.path()), [reading(7, true)]);
    assert_eq!(alerts(dir.path()).len(), 1);
    assert_eq!(live.recv().await.unwrap().kind, ChangeKind::Raised);
    assert_eq!(bench.running.index.last_seq(), 1);
    bench.stop();
}

#[tokio::test]
async fn alert_changes_that_a_crash_kept_from_the_log_come_again_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::start(dir.path());
    for token in 0..10 {
        bench.press(token, token % 2 == 0).await;
    }
    bench.stop();
    let before = alerts(dir.path());
    assert!(before.len() > 5);
    // The crash came between the two syncs: the inputs are there, the last decisions are not.
    let log = alert_log(dir.path());
    let bytes = std::fs::metadata(&log).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(bytes / 3).unwrap();
    let left = journal::read_alerts(&dir.path().join("journal"), 1).unwrap().filter(Result::is_ok).count();
    assert!(left < before.len());
    Bench::start(dir.path()).stop();
    assert_eq!(alerts(dir.path()), before);
}

#[tokio::test]
async fn a_change_that_a_crash_tore_out_from_between_others_comes_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::start(dir.path());
    for token in 0..10 {
        bench.press(token, token % 2 == 0).await;
    }
    bench.stop();
    let before = alerts(dir.path());
    let log = alert_log(dir.path());
    let mut bytes = std::fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 512].fill(0);
    std::fs::write(&log, bytes).unwrap();
    assert!(journal::read_alerts(&dir.path().join("journal"), 1).unwrap().any(|change| change.is_err()));
    let bench = Bench::start(dir.path());
    assert_eq!(bench.running.damage, [], "what was never whole is no damage");
    bench.stop();
    assert_eq!(alerts(dir.path()), before);
}

#[tokio::test]
async fn a_damaged_checkpoint_is_made_up_for_by_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let mut bench = Bench::start(dir.path());
        bench.press(round, round % 2 == 0).await;
        bench.stop();
    }
    let before = alerts(dir.path());
    let newest = journal::intake_segments(&dir.path().join("journal")).unwrap().pop().unwrap();
    let mut bytes = std::fs::read(&newest.path).unwrap();
    bytes[40] ^= 0xff;
    std::fs::write(&newest.path, bytes).unwrap();
    let mut bench = Bench::start(dir.path());
    let told = JournalHealth::new(bench.running.damage.clone()).ails();
    assert!(
        told.len() == 1 && told[0].0 == Ailment::JournalDamaged && told[0].1.en.contains("found 1 damaged"),
        "{told:?}"
    );
    // The press of the last round is still known: it is not found twice.
    bench.press(2, true).await;
    bench.stop();
    assert_eq!(alerts(dir.path()), before);
}

#[tokio::test]
async fn alerts_stand_where_the_readings_behind_them_are_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::start(dir.path());
    bench.press(1, true).await;
    bench.stop();
    std::fs::remove_dir_all(dir.path().join("journal/intake")).unwrap();
    let bench = Bench::start(dir.path());
    let open =
        bench.running.index.alerts(&crate::index::AlertQuery { open_only: true, limit: 10, ..Default::default() });
    assert_eq!(open.len(), 1);
    let accept = StaffAction::new("a", open[0].id.clone(), "li", Verb::Accept);
    assert_eq!(bench.engine.act(accept).await.unwrap().unwrap().outcome, Outcome::Applied);
    bench.stop();
    assert_eq!(alerts(dir.path()).last().unwrap().seq, 2);
}

#[tokio::test]
async fn an_index_that_is_damaged_or_gone_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::start(dir.path());
    bench.press(1, true).await;
    let before = bench.running.index.alert(&alerts(dir.path())[0].alert.id).unwrap();
    let delivered = Delivered { up_to: 1, receipted: true, ..Delivered::default() };
    bench.running.index.set_delivery("city", &delivered);
    bench.stop();
    let db = dir.path().join("index/db");
    let mut bytes = std::fs::read(&db).unwrap();
    for byte in bytes.iter_mut().skip(20).step_by(3) {
        *byte = byte.wrapping_add(91);
    }
    std::fs::write(&db, bytes).unwrap();
    let bench = Bench::start(dir.path());
    assert_eq!(bench.running.index.alert(&before.alert.id).unwrap(), before);
    assert_eq!(bench.running.index.delivery("city"), delivered, "nothing is sent twice for it");
    let health = IndexHealth::new(bench.running.index.clone(), bench.running.index_opened.clone());
    assert_eq!(health.ails().into_iter().map(|(ailment, _)| ailment).collect::<Vec<_>>(), [Ailment::IndexRebuilt]);
    drop(health);
    bench.stop();
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    let bench = Bench::start(dir.path());
    assert_eq!(bench.running.index.alert(&before.alert.id).unwrap(), before);
    assert_eq!(bench.running.index.delivery("city"), delivered, "nothing is sent twice for it");
    bench.stop();
}

#[tokio::test]
async fn what_brings_nothing_is_acknowledged_as_such_and_kept_as_a_sample() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::start(dir.path());
    for token in 0..100 {
        bench.engine.submit(vec![bench.message(token, "{".into())]).await.unwrap();
        assert_eq!(bench.acks.recv().await.unwrap(), Acked { token, fate: Fate::Rejected });
    }
    bench.stop();
    assert_eq!(recorded_payloads(dir.path()).len(), 20);
}

#[tokio::test]
async fn what_ails_the_gateway_is_recorded_where_it_changes_and_decided_the_same_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::start(dir.path());
    let full = Complaint {
        part: "disk".into(),
        ailment: Ailment::DiskFull,
        text: Text { zh: "满".into(), en: "full".into() },
    };
    // Told each second, recorded once.
    for _ in 0..5 {
        bench.engine.complain(vec![full.clone()]).await.unwrap();
    }
    bench.engine.complain(Vec::new()).await.unwrap();
    bench.stop();
    let mut recorded = Vec::new();
    for segment in journal::intake_segments(&dir.path().join("journal")).unwrap() {
        let mut frames = journal::read_intake(&segment).unwrap();
        while let Some(frame) = frames.next() {
            if let Ok(Recorded::Complaints(complaints)) = frame.recorded() {
                recorded.push(complaints.len());
            }
        }
    }
    assert_eq!(recorded, [1, 0]);
    let before = alerts(dir.path());
    assert_eq!(before.iter().map(|change| change.kind).collect::<Vec<_>>(), [ChangeKind::Raised]);
    // The crash kept the decision from the log.
    std::fs::remove_file(alert_log(dir.path())).unwrap();
    let bench = Bench::start(dir.path());
    assert_eq!(alerts(dir.path()), before);
    // It ails again before it was over: nothing new.
    bench.engine.complain(vec![full]).await.unwrap();
    bench.stop();
    assert_eq!(alerts(dir.path()), before);
}

#[tokio::test]
async fn a_device_of_a_life_safety_class_is_preferred_as_the_site_says_it_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::start(dir.path());
    assert_eq!(bench.engine.entrance("sos").lane(), Lane::Preferred);
    assert_eq!(bench.engine.entrance("stranger").lane(), Lane::Routine);
    let mut changed = settings();
    let door = include_str!("../../../sensors/ninewatch-door.toml");
    changed.sensor_types.push(SourceFile { name: "door.toml".into(), text: door.into() });
    changed.registry.devices[0].sensor_type = "ninewatch-door".into();
    bench.engine.configure(changed, None).await.unwrap();
    assert_eq!(bench.engine.entrance("sos").lane(), Lane::Routine);
    bench.stop();
}

#[tokio::test]
async fn every_message_is_counted_once_by_what_became_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::start(dir.path());
    bench.press(1, true).await;
    // The same again, a sign of life, and one that is not what the type says.
    bench.press(1, true).await;
    bench.press(2, false).await;
    bench.engine.submit(vec![bench.message(3, "{".into())]).await.unwrap();
    bench.acks.recv().await.unwrap();
    let mut out = String::new();
    bench.engine.load().render(&mut out);
    let count = |metric: &str| -> u64 {
        let line = out.lines().find(|line| line.starts_with(metric)).unwrap();
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    assert_eq!(count("ninewatch_input_messages_total{lane=\"preferred\"}"), 4);
    let became = |word: &str| count(&format!("ninewatch_decided_messages_total{{became=\"{word}\"}}"));
    assert_eq!(["raised", "folded", "quiet", "rejected"].map(became), [2, 0, 1, 1], "raised, and recovered");
    assert_eq!(count("ninewatch_waiting_messages"), 0);
    bench.stop();
}

#[tokio::test]
async fn a_recorded_change_of_the_site_that_cannot_be_read_does_not_keep_the_gateway_from_starting() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::start(dir.path());
    bench.press(0, true).await;
    bench.stop();
    let segment = journal::intake_segments(&dir.path().join("journal")).unwrap().pop().unwrap();
    let mut frame = Vec::new();
    journal::encode(&mut frame, 1_795_467_400_000, &Recorded::Configure("{}".into())).unwrap();
    let mut bytes = std::fs::read(&segment.path).unwrap();
    bytes.extend(frame);
    std::fs::write(&segment.path, bytes).unwrap();
    let mut bench = Bench::start(dir.path());
    bench.press(1, false).await;
    bench.press(2, true).await;
    bench.stop();
    assert_eq!(alerts(dir.path()).iter().filter(|change| change.kind == ChangeKind::Raised).count(), 1);
}
