use std::io::Write;

use ninewatch_core::ailment::Ailment;

use super::*;

fn deed(of: &str) -> Deed {
    Deed { who: "li".into(), from: "192.0.2.7".into(), what: "alert.accept", of: of.into(), result: "ok".into() }
}

/// A log with `audit.begin` and so many entries.
fn log_of(entries: usize) -> (tempfile::TempDir, AuditLog) {
    let dir = tempfile::tempdir().unwrap();
    let mut log = AuditLog::open(dir.path(), Clock::System).unwrap();
    for number in 0..entries {
        log.add(&[deed(&format!("alert-{number}"))]).unwrap();
    }
    (dir, log)
}

fn text(dir: &Path) -> String {
    fs::read_to_string(dir.join(LOG)).unwrap()
}

/// What `verify` says of a log whose file was changed so.
fn changed(dir: &Path, change: impl FnOnce(Vec<String>) -> Vec<String>) -> String {
    let before = text(dir);
    fs::write(dir.join(LOG), joined(&change(before.lines().map(str::to_owned).collect()))).unwrap();
    let said = verify(dir, None).map(|(head, torn)| format!("whole: {} {torn}", head.seq));
    let said = said.unwrap_or_else(|error| error.to_string());
    fs::write(dir.join(LOG), before).unwrap();
    said
}

fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn entries_are_there_in_order_and_the_log_is_whole() {
    let (dir, log) = log_of(3);
    let (entries, head) = read(dir.path(), &Wanted { limit: 100, ..Wanted::default() }).unwrap();
    assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!((entries[0].what.as_str(), entries[3].of.as_str()), ("audit.begin", "alert-2"));
    assert_eq!((head, 0), verify(dir.path(), None).unwrap());
    assert_eq!(head, log.head());
}

#[test]
fn any_change_of_any_byte_is_told_with_its_line() {
    let (dir, _) = log_of(6);
    let whole = fs::read(dir.path().join(LOG)).unwrap();
    for at in 0..whole.len() {
        let mut forged = whole.clone();
        forged[at] ^= 1;
        fs::write(dir.path().join(LOG), &forged).unwrap();
        let line = 1 + whole[..at].iter().filter(|byte| **byte == b'\n').count();
        let said = verify(dir.path(), None).expect_err(&format!("byte {at} was changed unseen")).to_string();
        assert!(said.contains(&format!("audit.log:{line}:")), "byte {at} in line {line}: {said}");
    }
}

#[test]
fn an_entry_taken_out_put_in_or_moved_is_told() {
    let (dir, _) = log_of(6);
    let (other, _) = log_of(6);
    let foreign = text(other.path()).lines().nth(3).unwrap().to_owned();
    let without = changed(dir.path(), |mut lines| {
        lines.remove(3);
        lines
    });
    assert!(without.contains("audit.log:4: entry 5 does not follow"), "{without}");
    let swapped = changed(dir.path(), |mut lines| {
        lines.swap(2, 3);
        lines
    });
    assert!(swapped.contains("audit.log:3: entry 4 does not follow"), "{swapped}");
    let doubled = changed(dir.path(), |mut lines| {
        lines.insert(3, lines[3].clone());
        lines
    });
    assert!(doubled.contains("audit.log:5: entry 4 does not follow"), "{doubled}");
    let replaced = changed(dir.path(), |mut lines| {
        lines[3] = foreign;
        lines
    });
    assert!(replaced.contains("audit.log:4: entry 4 does not follow"), "{replaced}");
}

#[test]
fn what_is_cut_off_at_the_end_is_told_and_stays_told() {
    let (dir, log) = log_of(5);
    let said = changed(dir.path(), |lines| lines[..4].to_vec());
    assert!(said.contains("ends with entry 4") && said.contains("there are 6"), "{said}");
    let said = changed(dir.path(), |_| Vec::new());
    assert!(said.contains("ends with entry 0"), "{said}");

    // The next one who writes does not cover it up.
    drop(log);
    let lines: Vec<String> = text(dir.path()).lines().take(4).map(str::to_owned).collect();
    fs::write(dir.path().join(LOG), joined(&lines)).unwrap();
    AuditLog::open(dir.path(), Clock::System).unwrap().add(&[deed("later")]).unwrap();
    let said = verify(dir.path(), None).unwrap_err().to_string();
    assert!(said.contains("audit.log:5: entry 5 says that at its time entries were missing"), "{said}");
}

#[test]
fn a_log_that_is_cut_off_under_a_running_gateway_is_told_though_the_head_was_mended() {
    let (dir, mut log) = log_of(5);
    let (shorter, _) = log_of(0);
    for file in [LOG, HEAD] {
        fs::copy(shorter.path().join(file), dir.path().join(file)).unwrap();
    }
    verify(dir.path(), None).unwrap();
    log.add(&[deed("later")]).unwrap();
    assert!(verify(dir.path(), None).unwrap_err().to_string().contains("entries were missing"));
}

#[test]
fn a_log_written_anew_does_not_fit_a_head_that_was_noted_elsewhere() {
    let (dir, log) = log_of(5);
    let noted = (log.head().seq, log.head().hash);
    assert!(verify(dir.path(), Some(noted)).is_ok());
    let (anew, _) = log_of(5);
    let said = verify(anew.path(), Some(noted)).unwrap_err().to_string();
    assert!(said.contains("the noted head says") && said.contains("written anew"), "{said}");
    let (shorter, _) = log_of(2);
    assert!(verify(shorter.path(), Some(noted)).unwrap_err().to_string().contains("cut off"));
    fs::remove_file(dir.path().join(HEAD)).unwrap();
    assert!(verify(dir.path(), None).unwrap_err().to_string().contains("no audit.head"));
}

#[test]
fn what_a_crash_leaves_half_written_is_mended_and_noted() {
    let (dir, _) = log_of(3);
    let (whole, head) = (fs::read(dir.path().join(LOG)).unwrap(), fs::read(dir.path().join(HEAD)).unwrap());
    let mut longer = AuditLog::open(dir.path(), Clock::System).unwrap();
    longer.add(&[deed("the last one")]).unwrap();
    let with_one_more = fs::read(dir.path().join(LOG)).unwrap();
    drop(longer);
    // A power cut at any byte of the last write, also where the file grew before its bytes came.
    for end in whole.len()..with_one_more.len() {
        for tail in [&[][..], &[0; 40]] {
            let mut torn = with_one_more[..end].to_vec();
            torn.extend_from_slice(tail);
            fs::write(dir.path().join(LOG), &torn).unwrap();
            fs::write(dir.path().join(HEAD), &head).unwrap();
            assert_eq!(verify(dir.path(), None).unwrap().1, (torn.len() - whole.len()) as u64, "byte {end}");
            AuditLog::open(dir.path(), Clock::System).unwrap().add(&[deed("next")]).unwrap();
            let (entries, _) = read(dir.path(), &Wanted { limit: 9, ..Wanted::default() }).unwrap();
            let noted = entries.iter().filter(|entry| entry.what == "audit.mended").count();
            assert_eq!(noted, usize::from(torn.len() > whole.len()), "byte {end}");
            assert_eq!(entries.last().unwrap().of, "next");
            verify(dir.path(), None).unwrap();
        }
    }
}

#[test]
fn the_last_entry_cannot_be_made_to_look_like_a_crash() {
    let (dir, _) = log_of(3);
    let whole = text(dir.path());
    fs::write(dir.path().join(LOG), &whole[..whole.len() - 20]).unwrap();
    assert!(verify(dir.path(), None).unwrap_err().to_string().contains("cut off"));
    AuditLog::open(dir.path(), Clock::System).unwrap();
    let said = verify(dir.path(), None).unwrap_err().to_string();
    assert!(said.contains("audit.log:4: this line is no entry"), "what is left of it is not thrown away: {said}");
}

#[test]
fn several_writers_make_one_chain() {
    let (dir, _) = log_of(0);
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let dir = dir.path();
            scope.spawn(move || {
                let mut log = AuditLog::open(dir, Clock::System).unwrap();
                for number in 0..25 {
                    log.add(&[deed(&format!("{writer}-{number}"))]).unwrap();
                }
            });
        }
    });
    assert_eq!(verify(dir.path(), None).unwrap().0.seq, 101);
}

#[test]
fn a_file_of_endless_lines_costs_no_memory_and_is_told() {
    let (dir, _) = log_of(1);
    let mut file = OpenOptions::new().append(true).open(dir.path().join(LOG)).unwrap();
    for _ in 0..64 {
        file.write_all(&[b'x'; 64 << 10]).unwrap();
    }
    file.write_all(text(dir.path()).lines().next().unwrap().as_bytes()).unwrap();
    assert_eq!(verify(dir.path(), None).unwrap().0.seq, 2, "it is a torn end, whatever is in it");
}

#[test]
fn entries_are_found_by_time_person_and_deed() {
    let (dir, mut log) = log_of(2);
    log.add(&[Deed { who: "zhao".into(), what: "alert.look", ..deed("x") }, Deed { what: "alerts.look", ..deed("") }])
        .unwrap();
    let found = |wanted: Wanted| {
        let (entries, _) = read(dir.path(), &Wanted { limit: 2, ..wanted }).unwrap();
        entries.iter().map(|entry| entry.seq).collect::<Vec<_>>()
    };
    assert_eq!(found(Wanted::default()), [4, 5], "the newest");
    assert_eq!(found(Wanted { who: Some("zhao".into()), ..Wanted::default() }), [4]);
    assert_eq!(found(Wanted { what: Some("alert".into()), ..Wanted::default() }), [3, 4]);
    assert_eq!(found(Wanted { before: Some(3), ..Wanted::default() }), [1, 2]);
    assert_eq!(found(Wanted { since_ms: Some(i64::MAX), ..Wanted::default() }), [0; 0]);
}

#[test]
fn the_chain_is_what_the_documentation_says() {
    let (dir, _) = log_of(2);
    let mut former = vec![0; 32];
    for line in text(dir.path()).lines() {
        let (hash, json) = line.split_once(' ').unwrap();
        former = Sha256::digest([&former[..], json.as_bytes()].concat()).to_vec();
        assert_eq!(hash, hex(&former));
    }
}

#[tokio::test]
async fn an_open_page_is_one_look_and_every_action_is_noted() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(dir.path(), Clock::System).unwrap();
    for _ in 0..3 {
        recorder.note(Deed { what: "alert.look", ..deed("x") }, Importance::Look).await;
        recorder.note(deed("x"), Importance::Action).await;
    }
    let (entries, _) = read(dir.path(), &Wanted { limit: 9, ..Wanted::default() }).unwrap();
    let count = |what: &str| entries.iter().filter(|entry| entry.what == what).count();
    assert_eq!((count("alert.look"), count("alert.accept")), (1, 3));
}

#[tokio::test]
async fn what_could_not_be_written_is_told_by_the_health_and_then_by_the_log() {
    use crate::health::Part;
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(dir.path(), Clock::System).unwrap();
    // A folder where the file should be: nobody can write to it, not even root.
    fs::rename(dir.path().join(LOG), dir.path().join("aside")).unwrap();
    fs::create_dir(dir.path().join(LOG)).unwrap();
    recorder.note(deed("lost"), Importance::Action).await;
    assert_eq!(recorder.ails()[0].0, Ailment::AuditFailed);
    fs::remove_dir(dir.path().join(LOG)).unwrap();
    fs::rename(dir.path().join("aside"), dir.path().join(LOG)).unwrap();
    recorder.note(deed("kept"), Importance::Action).await;
    assert_eq!(recorder.ails(), []);
    let (entries, _) = read(dir.path(), &Wanted { limit: 9, ..Wanted::default() }).unwrap();
    let told: Vec<_> = entries.iter().map(|entry| (entry.what.as_str(), entry.of.as_str())).collect();
    assert_eq!(told[1..], [("audit.missed", "1 entries could not be written"), ("alert.accept", "kept")]);
    verify(dir.path(), None).unwrap();
}

#[tokio::test]
async fn a_disk_that_hangs_keeps_nobody_from_looking_and_the_log_tells_how_much_it_lacks() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(dir.path(), Clock::System).unwrap();
    let hangs = private::lock(dir.path(), LOCK).unwrap();
    let looking = async {
        for number in 0..1000 {
            recorder.note(Deed { what: "alert.look", ..deed(&number.to_string()) }, Importance::Look).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), looking).await.expect("they wait for the disk");
    drop(hangs);
    recorder.note(deed("after"), Importance::Action).await;
    let (entries, _) = read(dir.path(), &Wanted { limit: 2000, ..Wanted::default() }).unwrap();
    let looks = entries.iter().filter(|entry| entry.what == "alert.look").count();
    let told = entries.iter().filter(|entry| entry.what == "audit.missed");
    let missed: usize = told.map(|entry| entry.of.split(' ').next().unwrap().parse::<usize>().unwrap()).sum();
    assert!(missed > 0);
    assert_eq!(looks + missed, 1000);
    assert_eq!(entries.last().unwrap().of, "after");
}
