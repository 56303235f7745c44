use ninewatch_core::alert::AlertSettings;
use ninewatch_core::detect::model::ScoreError;
use ninewatch_core::pipeline::Effects;
use ninewatch_core::site::Registry;
use ninewatch_core::time::UtcOffset;

use super::*;
use crate::config::JournalConfig;
use crate::journal::Journal;

const HOUR: TimeMs = 3_600_000;
/// 2026-11-24, 00:00 in China.
const BEGIN: TimeMs = 1_795_449_600_000;

fn checkpoint(now: TimeMs) -> Vec<u8> {
    let settings = Settings {
        gateway: "test".into(),
        utc_offset: UtcOffset::CHINA,
        alerts: AlertSettings::default(),
        registry: Registry::default(),
        sensor_types: Vec::new(),
        rules: Vec::new(),
        models: Vec::new(),
        ladders: Vec::new(),
    };
    Pipeline::new(settings, now).0.checkpoint().unwrap()
}

/// A journal with a segment for each of these, which begins at the time with this state and is at work for ten hours.
fn journal(dir: &Path, segments: &[(TimeMs, Vec<u8>)]) {
    let (mut journal, _) = Journal::open(dir, &JournalConfig::default()).unwrap();
    for (at, state) in segments {
        let mut frames = Vec::new();
        journal::encode(&mut frames, *at, &Recorded::Checkpoint(state.into())).unwrap();
        journal::encode(&mut frames, at + 10 * HOUR, &Recorded::Tick { scores: Vec::new() }).unwrap();
        journal.begin_segment(0).unwrap();
        journal.append_intake(&frames);
        journal.commit().unwrap();
    }
}

#[test]
fn a_recording_begins_at_the_last_usable_state_before_the_time_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let begins = [BEGIN, BEGIN + 10 * HOUR, BEGIN + 20 * HOUR];
    let mut segments: Vec<_> = begins.iter().map(|at| (*at, checkpoint(*at))).collect();
    segments[1].1.truncate(5);
    journal(dir.path(), &segments);
    let opened = |last: Option<i64>| {
        let recording = Recording::open(dir.path(), last.map(|hours| Span::from_ms(hours * HOUR))).unwrap();
        assert_eq!(recording.to_ms, BEGIN + 30 * HOUR);
        (recording.segments.len(), (recording.from_ms - BEGIN) / HOUR)
    };
    assert_eq!(opened(None), (3, 0));
    assert_eq!(opened(Some(4)), (1, 26));
    assert_eq!(opened(Some(10)), (1, 20));
    assert_eq!(opened(Some(15)), (3, 15), "the state of the second segment is damaged");
    assert_eq!(opened(Some(300)), (3, 0), "no more than there is");
}

#[test]
fn what_could_not_be_scored_is_said_in_both_languages() {
    let mut counted = Counted::new(BEGIN, BEGIN + 24 * HOUR);
    let error = ScoreError { model: "fall".into(), reason: "no score was recorded".into() };
    let unscored = Effects { score_errors: vec![error], ..Effects::default() };
    counted.take(&Effects::default(), &unscored);
    counted.take(&Effects::default(), &unscored);
    let said = |lang| {
        let mut out = Vec::new();
        counted.print(&mut out, UtcOffset::CHINA, lang).unwrap();
        String::from_utf8(out).unwrap()
    };
    assert!(said(Lang::Zh).ends_with("模型 fall：2 段波形没有记录的得分，无法判断\n"));
    assert!(said(Lang::En).ends_with("model fall: 2 bursts have no recorded score and were not judged\n"));
    let mut out = Vec::new();
    counted.print_json(&mut out, UtcOffset::CHINA).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(report["unscored"]["fall"], 2);
}
