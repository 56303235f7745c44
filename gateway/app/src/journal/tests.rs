use proptest::prelude::*;
use std::io::{Seek, SeekFrom, Write};

use super::*;

fn config(ring_mib: u64, segment_mib: u32) -> JournalConfig {
    JournalConfig { readings_max_mib: ring_mib, segment_mib: segment_mib.into(), ..JournalConfig::default() }
}

fn open(dir: &Path) -> (Journal, Opened) {
    Journal::open(dir, &config(4, 1)).unwrap()
}

fn message(number: usize) -> Vec<u8> {
    let payload = format!("payload {number} {}", "x".repeat(number % 97));
    let mut frame = Vec::new();
    let recorded = Recorded::Message {
        door: "sensor_port",
        device: Some("d"),
        topic: "t",
        payload: payload.as_bytes(),
        redelivered: false,
        scores: vec![0.5],
        rejected: None,
    };
    encode(&mut frame, i64::try_from(number).unwrap(), &recorded).unwrap();
    frame
}

/// The numbers of the messages in a segment, in order.
fn numbers(segment: &SegmentInfo) -> Vec<usize> {
    let mut frames = read_intake(segment).unwrap();
    let mut numbers = Vec::new();
    while let Some(frame) = frames.next() {
        let Recorded::Message { payload, .. } = frame.recorded().unwrap() else { panic!("a message") };
        let text = std::str::from_utf8(payload).unwrap();
        numbers.push(text.split(' ').nth(1).unwrap().parse().unwrap());
        assert_eq!(frame.at_ms, i64::try_from(*numbers.last().unwrap()).unwrap());
    }
    numbers
}

#[test]
fn what_was_committed_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    journal.begin_segment(0).unwrap();
    (0..100).for_each(|number| journal.append_intake(&message(number)));
    journal.commit().unwrap();
    let segments = intake_segments(dir.path()).unwrap();
    assert_eq!(numbers(&segments[0]), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_torn_tail_is_cut_off_and_what_follows_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    journal.begin_segment(0).unwrap();
    (0..10).for_each(|number| journal.append_intake(&message(number)));
    journal.commit().unwrap();
    drop(journal);
    let segment = &intake_segments(dir.path()).unwrap()[0];
    let file = std::fs::OpenOptions::new().write(true).open(&segment.path).unwrap();
    file.set_len(segment.bytes - 7).unwrap();
    let (mut journal, _) = open(dir.path());
    journal.append_intake(&message(10));
    journal.commit().unwrap();
    let segment = &intake_segments(dir.path()).unwrap()[0];
    assert_eq!(numbers(segment), [0, 1, 2, 3, 4, 5, 6, 7, 8, 10]);
    assert_eq!(read_intake(segment).unwrap().damage(), []);
}

#[test]
fn the_ring_lets_go_of_its_oldest_segments() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    for number in 0..8 {
        journal.begin_segment(0).unwrap();
        journal.append_intake(&vec![b'x'; 1 << 20]);
        journal.append_intake(&message(number));
        journal.commit().unwrap();
    }
    let segments: Vec<u64> = intake_segments(dir.path()).unwrap().iter().map(|segment| segment.number).collect();
    assert_eq!(segments, [5, 6, 7, 8]);
}

#[test]
fn the_ring_lets_go_of_what_is_too_old() {
    const DAY_MS: i64 = 86_400_000;
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    for day in 0..40 {
        let now = day * DAY_MS;
        journal.begin_segment(now).unwrap();
        journal.append_intake(&message(usize::try_from(now).unwrap()));
        journal.commit().unwrap();
    }
    let begins: Vec<i64> =
        intake_segments(dir.path()).unwrap().iter().map(|s| frame::first_at_ms(&s.path).unwrap()).collect();
    // The oldest one ended within the last 30 days.
    assert_eq!(begins, (8..40).map(|day| day * DAY_MS).collect::<Vec<_>>());
}

#[test]
fn a_clock_that_jumps_ahead_takes_no_readings_along() {
    let days = |days: i64| Some(days * 86_400_000);
    let in_years = [days(0), days(1), days(2), days(3_650), days(3_651)];
    let oldest_ms = 30 * 86_400_000;
    assert_eq!(expired(&in_years, 3_652 * 86_400_000, oldest_ms), 0);
    let by_day: Vec<_> = (0..40).map(days).collect();
    assert_eq!(expired(&by_day, 39 * 86_400_000, oldest_ms), 8);
}

#[test]
fn the_reserve_is_really_on_the_disk() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    journal.begin_segment(0).unwrap();
    journal.make_room().unwrap();
    let segment = &intake_segments(dir.path()).unwrap()[0];
    let file = std::fs::metadata(&segment.path).unwrap();
    assert_eq!(file.len(), 0);
    assert!(file.blocks() * 512 >= 16 << 20, "{} blocks", file.blocks());
    assert!(!journal.room().is_short());
}

#[test]
fn one_gateway_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let (_journal, _) = open(dir.path());
    let second = Journal::open(dir.path(), &config(4, 1)).unwrap_err().to_string();
    assert!(second.contains("another gateway is using"), "{second}");
}

#[test]
fn a_cut_is_without_a_gap_while_segments_begin() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    journal.begin_segment(0).unwrap();
    journal.append_intake(&message(0));
    journal.commit().unwrap();
    let is_done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..2000 {
                if number % 5 == 0 {
                    journal.begin_segment(0).unwrap();
                }
                journal.append_intake(&message(number));
                journal.commit().unwrap();
            }
            is_done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let mut last = 0;
        while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
            let cut = Cut::take(dir.path(), |segment| read_intake(segment).unwrap().next().is_some()).unwrap();
            let mut numbers = Vec::new();
            for mut part in cut.into_parts() {
                let mut frames = Frames::of(Path::new(&part.name), &mut part.file, part.bytes).unwrap();
                while let Some(frame) = frames.next() {
                    numbers.push(frame.at_ms);
                }
            }
            let first = numbers[0];
            assert!(first % 5 == 0 && first >= last, "it begins with the newest segment: {first}");
            assert!(numbers.iter().zip(first..).all(|(number, wanted)| *number == wanted), "{numbers:?}");
            last = first;
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Damage costs the frames that it touches, and no other; nothing wrong is ever read.
    #[test]
    fn damage_costs_what_it_touches(count in 1_usize..60, at in any::<prop::sample::Index>(), bytes in proptest::collection::vec(any::<u8>(), 1..64)) {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = open(dir.path());
        journal.begin_segment(0).unwrap();
        let mut ends = Vec::new();
        let mut end = 0;
        for number in 0..count {
            let frame = message(number);
            end += frame.len();
            ends.push(end);
            journal.append_intake(&frame);
        }
        journal.commit().unwrap();
        let segment = &intake_segments(dir.path()).unwrap()[0];
        let begin = at.index(end);
        let mut file = std::fs::OpenOptions::new().write(true).open(&segment.path).unwrap();
        file.seek(SeekFrom::Start(begin as u64)).unwrap();
        file.write_all(&bytes).unwrap();
        let touched = begin..begin + bytes.len();
        let read = numbers(segment);
        for number in 0..count {
            let frame = number.checked_sub(1).map_or(0, |before| ends[before])..ends[number];
            let hit = frame.start < touched.end && touched.start < frame.end;
            // Written over with the same bytes, it may still be whole.
            prop_assert!(hit || read.contains(&number), "frame {number} was not touched");
        }
        prop_assert!(read.is_sorted_by(|a, b| a < b));
    }

    /// Any file at all is read without falling over.
    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("00000000000000000001.log");
        std::fs::write(&path, &bytes).unwrap();
        let mut frames = Frames::open(&path).unwrap();
        while let Some(frame) = frames.next() {
            let _ = frame.recorded();
        }
    }
}
