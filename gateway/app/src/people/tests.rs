use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use ninewatch_core::alert::{AlertId, Scene};

use super::picture::{Format, NoPicture};
use super::residents::{Contact, Need, Resident};
use super::*;
use crate::audit;
use crate::clock::Clock;

const PHONE_JPEG: &[u8] = include_bytes!("pictures/phone.jpg");
const PROGRESSIVE_JPEG: &[u8] = include_bytes!("pictures/progressive.jpg");
const PHONE_PNG: &[u8] = include_bytes!("pictures/phone.png");
const PHONE_WEBP: &[u8] = include_bytes!("pictures/phone.webp");
const LOSSLESS_WEBP: &[u8] = include_bytes!("pictures/lossless.webp");
const ALPHA_WEBP: &[u8] = include_bytes!("pictures/alpha.webp");
const MOVING_WEBP: &[u8] = include_bytes!("pictures/moving.webp");

fn holds(bytes: &[u8], words: &[u8]) -> bool {
    bytes.windows(words.len()).any(|window| window == words)
}

/// Each of them says in EXIF, XMP, a text, a comment or behind its end which phone it is of; EXIF says where it was taken.
#[test]
fn a_picture_comes_back_without_what_it_says_besides() {
    for (bytes, format) in [
        (PHONE_JPEG, Format::Jpeg),
        (PROGRESSIVE_JPEG, Format::Jpeg),
        (PHONE_PNG, Format::Png),
        (PHONE_WEBP, Format::WebP),
        (LOSSLESS_WEBP, Format::WebP),
        (ALPHA_WEBP, Format::WebP),
    ] {
        assert!(holds(bytes, b"SecretPhone"), "the fixture says nothing besides");
        let clean = picture(bytes).unwrap();
        assert_eq!((clean.format, clean.width, clean.height), (format, 64, 48));
        for word in [&b"SecretPhone"[..], b"Exif", b"EXIF", b"eXIf", b"2026:11:28", b"XMP", b"tEXt", b"iTXt"] {
            assert!(!holds(&clean.bytes, word), "{format:?} still has {:?}", String::from_utf8_lossy(word));
        }
        assert!(clean.bytes.len() > 300, "there is nothing left of {format:?}");
        assert_eq!(picture(&clean.bytes).unwrap(), clean, "what is clean stays as it is");
    }
}

#[test]
fn what_is_no_picture_is_told_apart() {
    for bytes in [&b""[..], b"<svg onload=alert(1)>", b"GIF89a", b"%PDF-1.7", b"PK\x03\x04"] {
        assert_eq!(picture(bytes), Err(NoPicture::Unknown));
    }
    assert_eq!(picture(MOVING_WEBP), Err(NoPicture::Damaged(Format::WebP, "moves")));
    for bytes in [PHONE_JPEG, PHONE_PNG, PHONE_WEBP] {
        let clean = picture(bytes).unwrap().bytes;
        for end in 0..clean.len() {
            picture(&clean[..end]).unwrap_err();
        }
    }
    let mut wrong = PHONE_PNG.to_vec();
    wrong[20] ^= 1;
    assert_eq!(picture(&wrong), Err(NoPicture::Damaged(Format::Png, "has a chunk with a wrong checksum")));
    let mut huge = picture(PHONE_JPEG).unwrap().bytes;
    let frame = huge.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
    huge[frame + 5..frame + 9].copy_from_slice(&[0x40, 0, 0x40, 0]);
    assert_eq!(picture(&huge), Err(NoPicture::TooLarge(0x4000, 0x4000)));
}

proptest::proptest! {
    #[test]
    fn whatever_comes_is_a_picture_or_refused(at in 0_usize..1500, with: Vec<u8>, which in 0_usize..6) {
        let fixtures = [PHONE_JPEG, PROGRESSIVE_JPEG, PHONE_PNG, PHONE_WEBP, LOSSLESS_WEBP, ALPHA_WEBP];
        let mut bytes = fixtures[which].to_vec();
        let at = at.min(bytes.len());
        let end = (at + with.len()).min(bytes.len());
        bytes.splice(at..end, with);
        if let Ok(clean) = picture(&bytes) {
            proptest::prop_assert_eq!(picture(&clean.bytes).unwrap(), clean);
        }
    }
}

const NOW: TimeMs = 1_790_000_000_000;
const DAY: TimeMs = 86_400_000;

fn alert() -> AlertId {
    AlertId::from("01KAQW3E5S0000000000000000")
}

fn roomy() -> Arc<DiskRoom> {
    DiskRoom::with_free(1 << 30)
}

#[test]
fn a_photo_is_kept_once_for_its_owner_alone_and_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let photos = Photos::open(&dir.path().join(PHOTOS), 1 << 20, roomy());
    let clean = picture(PHONE_JPEG).unwrap();
    let photo = photos.keep(&alert(), &clean, Some("zhao"), NOW).unwrap();
    assert_eq!(photos.keep(&alert(), &clean, Some("li"), NOW + 1).unwrap(), photo, "the same is the one that is there");
    assert_eq!(photos.read(&alert(), &photo.id).unwrap(), Some(("image/jpeg", clean.bytes.clone())));
    assert_eq!(photos.read(&AlertId::from("../.."), &photo.id).unwrap(), None);
    assert_eq!(photos.belong_to(&alert(), &["0".into()], "a1").unwrap(), Some("0".into()));
    assert_eq!(photos.belong_to(&alert(), std::slice::from_ref(&photo.id), "a1").unwrap(), None);
    let again = Photos::open(&dir.path().join(PHOTOS), 1 << 20, roomy());
    assert_eq!(again.of(&alert()).unwrap(), [Photo { action: Some("a1".into()), ..photo.clone() }]);
    let file = dir.path().join(PHOTOS).join(alert().as_str()).join(format!("{}.jpg", photo.id));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    fs::write(&file, b"other").unwrap();
    photos.read(&alert(), &photo.id).unwrap_err();
}

#[test]
fn photos_stop_where_their_share_ends_and_where_the_disk_has_room_for_alerts_only() {
    let dir = tempfile::tempdir().unwrap();
    let room = roomy();
    let clean = picture(PHONE_JPEG).unwrap();
    let photos = Photos::open(&dir.path().join(PHOTOS), clean.bytes.len() as u64 + 10, room.clone());
    room.set_short(true);
    assert!(matches!(photos.keep(&alert(), &clean, Some("zhao"), NOW), Err(Refusal::DiskShort)));
    room.set_short(false);
    photos.keep(&alert(), &clean, Some("zhao"), NOW).unwrap();
    let other = picture(PHONE_PNG).unwrap();
    assert!(matches!(photos.keep(&alert(), &other, Some("zhao"), NOW), Err(Refusal::Full)));
    assert_eq!(photos.of(&alert()).unwrap().len(), 1);
}

fn written(key: &str) -> Written {
    Written {
        key: key.into(),
        grid: "kaili-1".into(),
        scene: Scene::Fire,
        text: "楼道堆放杂物".into(),
        place: "3 栋 2 单元".into(),
        phone: "13800001234".into(),
    }
}

#[test]
fn a_matter_is_kept_once_and_found_by_its_ticket_however_it_is_typed() {
    let dir = tempfile::tempdir().unwrap();
    let matters = Matters::open(dir.path(), roomy());
    let reported = matters.keep(written("0123456789abcdef"), NOW, 2).unwrap();
    assert_eq!(matters.keep(written("0123456789abcdef"), NOW + 5, 2).unwrap(), reported);
    assert_eq!(matters.left_over().unwrap(), std::slice::from_ref(&reported), "the journal may not have it");
    matters.became(&reported.id, &alert()).unwrap();
    assert_eq!(matters.left_over().unwrap(), []);
    let answer = Answer { at_ms: NOW, by: "zhao".into(), text: "已通知物业".into() };
    matters.answer(&reported.id, answer).unwrap().unwrap();
    let again = Matters::open(dir.path(), roomy());
    let typed = reported.ticket.to_uppercase().replace('-', " ").replace('0', "O").replace('1', "l");
    let found = again.of_ticket(&typed).unwrap().unwrap();
    assert_eq!((found.alert, found.answers.len()), (Some(alert()), 1));
    assert_eq!(again.of_ticket("aaaa-bbbb-cccc").unwrap(), None);
    assert_eq!(again.of("../../registry"), None);
    let file = fs::read_to_string(dir.path().join(format!("{}.json", reported.id))).unwrap();
    assert!(!file.contains("0123456789abcdef"), "the key is not kept");
    assert!(!reported.matter().id.contains(&reported.ticket));
}

#[test]
fn a_code_that_was_made_anew_or_revoked_leads_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let first = grid_codes::renew(dir.path(), "kaili-1", "duty", NOW).unwrap().code;
    let other = grid_codes::renew(dir.path(), "kaili-2", "duty", NOW).unwrap().code;
    let second = grid_codes::renew(dir.path(), "kaili-1", "duty", NOW + 1).unwrap().code;
    let codes = grid_codes::load(dir.path()).unwrap();
    assert_eq!(grid_codes::grid_of(&codes, &second), Some("kaili-1"));
    assert_eq!(grid_codes::grid_of(&codes, &other), Some("kaili-2"));
    for wrong in [first.as_str(), "", &second[..second.len() - 1]] {
        assert_eq!(grid_codes::grid_of(&codes, wrong), None);
    }
    assert!(grid_codes::revoke(dir.path(), "kaili-2").unwrap());
    assert!(!grid_codes::revoke(dir.path(), "kaili-2").unwrap());
    assert_eq!(grid_codes::grid_of(&grid_codes::load(dir.path()).unwrap(), &other), None);
}

fn resident(id: &str, left_at_ms: Option<TimeMs>) -> Resident {
    Resident {
        id: id.into(),
        place: "home-yang".into(),
        name: "杨秀英".into(),
        phone: "13987654321".into(),
        needs: vec![Need::Hearing, Need::Walking],
        note: "钥匙在物业".into(),
        devices: vec!["home-yang-bracelet".into()],
        left_at_ms,
        contacts: vec![Contact { name: "杨梅".into(), relation: "女儿".into(), phone: "13700000001".into() }],
    }
}

#[test]
fn a_residents_record_comes_back_as_it_was_written_and_is_masked_in_lists() {
    let dir = tempfile::tempdir().unwrap();
    let add = |all: &mut Vec<Resident>| {
        all.push(resident("k3x9", None));
        Ok(())
    };
    residents::update(dir.path(), add).unwrap();
    assert_eq!(residents::load(dir.path()).unwrap(), [resident("k3x9", None)]);
    let masked = resident("k3x9", None).masked();
    assert_eq!((&*masked.phone, &*masked.contacts[0].phone), ("*******4321", "*******0001"));
    fs::write(dir.path().join(residents::FILE), "[[resident]]\nid = \"a\"\nplace = \"p\"\nname = \"\"\n").unwrap();
    let fault = residents::load(dir.path()).unwrap_err().to_string();
    assert!(fault.contains("residents.toml:4: `resident.0.name`"), "{fault}");
    residents::update(dir.path(), add).unwrap_err();
}

/// Every byte of every file.
fn is_anywhere(dir: &Path, words: &[u8]) -> bool {
    fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() { is_anywhere(&path, words) } else { holds(&fs::read(&path).unwrap(), words) }
    })
}

#[test]
fn what_is_over_is_found_nowhere_any_more_and_the_audit_log_proves_it() {
    let dir = tempfile::tempdir().unwrap();
    let config = PeopleConfig {
        keep_photos: Span::from_ms(DAY),
        keep_matters: Span::from_ms(2 * DAY),
        keep_residents: Span::from_ms(3 * DAY),
        ..PeopleConfig::default()
    };
    let people = People::open(dir.path(), config, roomy());
    let old = people.photos.keep(&alert(), &picture(PHONE_JPEG).unwrap(), Some("zhao"), NOW).unwrap();
    let young = people.photos.keep(&alert(), &picture(PHONE_PNG).unwrap(), Some("zhao"), NOW + DAY).unwrap();
    let reported = people.matters.keep(written("0123456789abcdef"), NOW, 2).unwrap();
    let left = Resident { name: "吴老先生".into(), ..resident("left", Some(NOW)) };
    residents::update(dir.path(), |all| {
        all.extend([left, resident("here", None)]);
        Ok(())
    })
    .unwrap();

    let run = |now| retention::run(dir.path(), &config, now, Clock::System).unwrap();
    assert!(run(NOW + DAY - 1).is_empty(), "nothing is over yet");
    assert_eq!(run(NOW + DAY)["photos"], 1);
    assert_eq!(people.photos.of(&alert()).unwrap(), std::slice::from_ref(&young));
    assert_eq!(run(NOW + 3 * DAY), [("matters", 1), ("photos", 1), ("residents", 1)].into());
    assert!(run(NOW + 9 * DAY).is_empty());

    for words in ["楼道堆放杂物", "13800001234", "吴老先生", &reported.ticket] {
        assert!(!is_anywhere(dir.path(), words.as_bytes()), "{words} is still there");
    }
    assert!(!is_anywhere(dir.path(), &picture(PHONE_JPEG).unwrap().bytes[100..200]));
    assert!(is_anywhere(dir.path(), "杨秀英".as_bytes()), "who lives here stays");
    people.matters.forget();
    assert_eq!(people.matters.of_ticket(&reported.ticket).unwrap(), None);

    audit::verify(dir.path(), None).unwrap();
    let proofs = retention::prove(dir.path()).unwrap();
    assert_eq!(proofs.len(), 4);
    assert_eq!(proofs[0].sha256, [old.id], "a photo's hash is its name");
    assert!(proofs[0].what.starts_with("1 photos (kept 24h)"), "{}", proofs[0].what);
    // What a copy from elsewhere brings back is noticed.
    people.photos.keep(&alert(), &picture(PHONE_JPEG).unwrap(), None, NOW + 9 * DAY).unwrap();
    let back = retention::prove(dir.path()).unwrap_err().to_string();
    assert!(back.contains("something is here again that was deleted"), "{back}");
}

#[test]
fn a_record_is_deleted_when_somebody_asks_for_it_with_a_proof() {
    let dir = tempfile::tempdir().unwrap();
    residents::update(dir.path(), |all| {
        all.push(resident("k3x9", None));
        Ok(())
    })
    .unwrap();
    assert!(!retention::delete_resident(dir.path(), Clock::System, "other").unwrap());
    assert!(retention::delete_resident(dir.path(), Clock::System, "k3x9").unwrap());
    assert!(!is_anywhere(dir.path(), "杨秀英".as_bytes()));
    assert_eq!(retention::prove(dir.path()).unwrap()[0].what, "1 residents (asked for)");
}

#[test]
fn a_clock_that_was_set_by_years_deletes_nothing_until_it_has_gone_on_steadily() {
    let start = std::time::Instant::now();
    let after = |hours: u64| start + Duration::from_secs(hours * 3600);
    let hours = |hours: i64| hours * 3_600_000;
    let first = |known: TimeMs, now| Known::before_the_start(known).believes(now, start, 1.0);
    assert!(first(NOW, NOW + 59 * DAY), "it was off for a while");
    assert!(!first(NOW, NOW + 61 * DAY));
    assert!(first(0, NOW), "a new box");

    let mut at_work = Known::before_the_start(NOW);
    assert!(at_work.believes(NOW, start, 1.0));
    assert!(at_work.believes(NOW + DAY / 2, start, 1.0), "the time server has set it right");
    assert!(at_work.believes(NOW - 365 * DAY, start, 1.0), "set back, nothing is over early");
    assert!(at_work.believes(NOW + DAY / 2, start, 1.0), "and right again");
    let years = NOW + 365 * DAY;
    assert!((0..6).all(|hour| !at_work.believes(years + hours(hour), after(hour as u64), 1.0)));
    assert!(at_work.believes(years + hours(6), after(6), 1.0), "it has gone on steadily");
    assert!(at_work.believes(years + hours(7), after(7), 1.0));

    let mut unsteady = Known::before_the_start(NOW);
    assert!(!unsteady.believes(years, start, 1.0));
    assert!(!unsteady.believes(years + hours(9), after(5), 1.0), "it has jumped once more");
    assert!(!unsteady.believes(years + hours(10), after(6), 1.0), "so it has to begin anew");
    assert!(unsteady.believes(years + hours(15), after(11), 1.0));
}

#[test]
fn what_comes_while_the_clock_says_1970_does_not_look_over() {
    let dir = tempfile::tempdir().unwrap();
    let people = People::open(dir.path(), PeopleConfig::default(), roomy());
    people.newest_ms.store(NOW, Relaxed);
    assert_eq!((people.stamp(5), people.stamp(NOW + 1)), (NOW, NOW + 1));
}

#[test]
fn a_folder_that_cannot_be_read_keeps_nothing_from_starting_and_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("people"), "no folder").unwrap();
    let people = People::open(dir.path(), PeopleConfig::default(), roomy());
    let clean = picture(PHONE_JPEG).unwrap();
    assert!(matches!(people.matters.keep(written("0123456789abcdef"), NOW, 2), Err(Refusal::Failed(_))));
    assert!(matches!(people.photos.keep(&alert(), &clean, None, NOW), Err(Refusal::Failed(_))));
    people.matters.of_ticket("0").unwrap_err();
    fs::remove_file(dir.path().join("people")).unwrap();
    let reported = people.matters.keep(written("0123456789abcdef"), NOW, 2).unwrap();
    assert_eq!(people.matters.of_ticket(&reported.ticket).unwrap(), Some(reported));
    people.photos.keep(&alert(), &clean, None, NOW).unwrap();
}

/// Pictures that differ by a table that does nothing.
fn pictures(count: u8) -> Vec<picture::Picture> {
    let clean = picture(PHONE_JPEG).unwrap();
    let with = |number: u8| {
        let mut bytes = clean.bytes.clone();
        bytes.splice(2..2, [0xff, 0xdd, 0, 4, 0, number]);
        picture::Picture { bytes, ..clean.clone() }
    };
    (0..count).map(with).collect()
}

#[test]
fn residents_photos_are_three_an_alert_and_half_of_the_room() {
    let dir = tempfile::tempdir().unwrap();
    let all = pictures(9);
    let each = all[0].bytes.len() as u64;
    let photos = Photos::open(&dir.path().join(PHOTOS), 8 * each, roomy());
    let other = AlertId::from("01KAQW3E5S0000000000000001");
    for one in &all[..3] {
        photos.keep(&alert(), one, None, NOW).unwrap();
    }
    assert!(matches!(photos.keep(&alert(), &all[3], None, NOW), Err(Refusal::TooMany(3))));
    photos.keep(&other, &all[3], None, NOW).unwrap();
    assert!(matches!(photos.keep(&other, &all[4], None, NOW), Err(Refusal::Full)), "the rest is for staff");
    for one in &all[4..8] {
        photos.keep(&alert(), one, Some("zhao"), NOW).unwrap();
    }
    assert!(matches!(photos.keep(&alert(), &all[8], Some("zhao"), NOW), Err(Refusal::Full)));
}

#[test]
fn one_photo_that_cannot_be_read_keeps_nothing_else_from_being_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let config = PeopleConfig::default();
    let people = People::open(dir.path(), config, roomy());
    people.photos.keep(&alert(), &picture(PHONE_JPEG).unwrap(), Some("zhao"), NOW).unwrap();
    let reported = people.matters.keep(written("0123456789abcdef"), NOW, 2).unwrap();
    let folder = dir.path().join(PHOTOS).join(alert().as_str());
    let unreadable = folder.join("0.jpg");
    fs::create_dir(&unreadable).unwrap();
    fs::write(folder.join("0.json"), fs::read(files(&folder, "json").unwrap().remove(0)).unwrap()).unwrap();
    let error = retention::run(dir.path(), &config, NOW + 99 * DAY, Clock::System).unwrap_err();
    assert!(format!("{error:#}").contains("0.jpg cannot be read"), "{error:#}");
    assert_eq!(files(&folder, "jpg").unwrap(), [unreadable]);
    assert_eq!(people.matters.of(&reported.id), None);
}

#[test]
fn a_matter_that_is_damaged_is_deleted_with_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let config = PeopleConfig::default();
    fs::create_dir_all(dir.path().join(MATTERS)).unwrap();
    let path = dir.path().join(MATTERS).join("0a.json");
    fs::write(&path, "{\"text\": \"楼道").unwrap();
    let at = written_ms(&path);
    let run = |now| retention::run(dir.path(), &config, now, Clock::System).unwrap();
    assert!(run(at + config.keep_matters.ms() - 1).is_empty());
    assert_eq!(run(at + config.keep_matters.ms())["matters"], 1);
    assert!(!path.exists());
    retention::prove(dir.path()).unwrap();
}

#[test]
fn what_a_power_cut_left_half_written_goes() {
    let dir = tempfile::tempdir().unwrap();
    let people = People::open(dir.path(), PeopleConfig::default(), roomy());
    let photo = people.photos.keep(&alert(), &picture(PHONE_JPEG).unwrap(), Some("zhao"), NOW).unwrap();
    let reported = people.matters.keep(written("0123456789abcdef"), NOW, 2).unwrap();
    let folder = dir.path().join(PHOTOS).join(alert().as_str());
    let note = fs::read(folder.join(format!("{}.json", photo.id))).unwrap();
    let left = [
        folder.join("1.jpg.new"),
        folder.join("2.json"),
        dir.path().join(PHOTOS).join("01KAQW3E5S0000000000000001").join("3.json"),
        dir.path().join(MATTERS).join("4.json.new"),
    ];
    for path in &left {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &note).unwrap();
    }
    people.clear_up().unwrap();
    assert!(left.iter().all(|path| !path.exists()) && !left[2].parent().unwrap().exists());
    assert!(people.photos.read(&alert(), &photo.id).unwrap().is_some());
    assert_eq!(people.matters.of(&reported.id), Some(reported));
}

#[test]
fn one_grids_matters_leave_room_for_anothers() {
    let dir = tempfile::tempdir().unwrap();
    let one = Matters::open(dir.path(), roomy()).keep(written("0123456789abcdef"), NOW, 20).unwrap();
    for number in 1..500 {
        let other = Reported { id: format!("{number:032x}"), ticket: format!("{number:04}"), ..one.clone() };
        let bytes = serde_json::to_vec(&other).unwrap();
        fs::write(dir.path().join(format!("{}.json", other.id)), bytes).unwrap();
    }
    let matters = Matters::open(dir.path(), roomy());
    let again = |grid: &str, grids| {
        let written = Written { grid: grid.into(), ..written(&format!("fedcba9876543210{grid}{grids}")) };
        matters.keep(written, NOW, grids)
    };
    assert!(matches!(again("kaili-1", 20), Err(Refusal::Full)));
    again("kaili-2", 20).unwrap();
    again("kaili-1", 5).unwrap();
}

#[test]
fn the_same_picture_of_another_alert_is_not_what_was_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let config = PeopleConfig::default();
    let people = People::open(dir.path(), config, roomy());
    let clean = picture(PHONE_JPEG).unwrap();
    people.photos.keep(&alert(), &clean, None, NOW).unwrap();
    assert_eq!(retention::run(dir.path(), &config, NOW + 31 * DAY, Clock::System).unwrap()["photos"], 1);
    people.photos.keep(&AlertId::from("01KAQW3E5S0000000000000001"), &clean, None, NOW + 31 * DAY).unwrap();
    retention::prove(dir.path()).unwrap();
    people.photos.keep(&alert(), &clean, None, NOW + 31 * DAY).unwrap();
    retention::prove(dir.path()).unwrap_err();
}

#[test]
fn a_jpeg_has_one_frame_and_not_endless_passes() {
    let clean = picture(PHONE_JPEG).unwrap().bytes;
    let frame = clean.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
    let length = usize::from(clean[frame + 2]) << 8 | usize::from(clean[frame + 3]);
    let mut twice = clean.clone();
    twice.splice(frame..frame, clean[frame..frame + 2 + length].iter().copied());
    assert_eq!(picture(&twice), Err(NoPicture::Damaged(Format::Jpeg, "has a second picture")));
    let mut endless = clean.clone();
    let end = endless.len() - 2;
    let scan = [0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0];
    endless.splice(end..end, std::iter::repeat_n(scan, 99).flatten());
    picture(&endless).unwrap();
    endless.splice(end..end, scan);
    assert_eq!(picture(&endless), Err(NoPicture::Damaged(Format::Jpeg, "is written in too many passes")));
}
