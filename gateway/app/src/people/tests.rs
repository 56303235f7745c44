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
    let photos = Photos::open(&dir.path().join(PHOTOS), 1 << 20, roomy()).unwrap();
    let clean = picture(PHONE_JPEG).unwrap();
    let photo = photos.keep(&alert(), &clean, Some("zhao"), NOW).unwrap();
    assert_eq!(photos.keep(&alert(), &clean, Some("li"), NOW + 1).unwrap(), photo, "the same is the one that is there");
    assert_eq!(photos.read(&alert(), &photo.id).unwrap(), Some(("image/jpeg", clean.bytes.clone())));
    assert_eq!(photos.read(&AlertId::from("../.."), &photo.id).unwrap(), None);
    assert_eq!(photos.belong_to(&alert(), &["0".into()], "a1").unwrap(), Some("0".into()));
    assert_eq!(photos.belong_to(&alert(), std::slice::from_ref(&photo.id), "a1").unwrap(), None);
    let again = Photos::open(&dir.path().join(PHOTOS), 1 << 20, roomy()).unwrap();
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
    let photos = Photos::open(&dir.path().join(PHOTOS), clean.bytes.len() as u64 + 10, room.clone()).unwrap();
    room.set_short(true);
    assert!(matches!(photos.keep(&alert(), &clean, None, NOW), Err(Refusal::DiskShort)));
    room.set_short(false);
    photos.keep(&alert(), &clean, None, NOW).unwrap();
    let other = picture(PHONE_PNG).unwrap();
    assert!(matches!(photos.keep(&alert(), &other, None, NOW), Err(Refusal::Full)));
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
    let matters = Matters::open(dir.path(), roomy()).unwrap();
    let reported = matters.keep(written("0123456789abcdef"), NOW).unwrap();
    assert_eq!(matters.keep(written("0123456789abcdef"), NOW + 5).unwrap(), reported);
    assert_eq!(matters.left_over().unwrap(), std::slice::from_ref(&reported), "the journal may not have it");
    matters.became(&reported.id, &alert()).unwrap();
    assert_eq!(matters.left_over().unwrap(), []);
    let answer = Answer { at_ms: NOW, by: "zhao".into(), text: "已通知物业".into() };
    matters.answer(&reported.id, answer).unwrap().unwrap();
    let again = Matters::open(dir.path(), roomy()).unwrap();
    let typed = reported.ticket.to_uppercase().replace('-', " ").replace('0', "O").replace('1', "l");
    let found = again.of_ticket(&typed).unwrap();
    assert_eq!((found.alert, found.answers.len()), (Some(alert()), 1));
    assert_eq!(again.of_ticket("aaaa-bbbb-cccc"), None);
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
    let people = People::open(dir.path(), config, roomy()).unwrap();
    let old = people.photos.keep(&alert(), &picture(PHONE_JPEG).unwrap(), Some("zhao"), NOW).unwrap();
    let young = people.photos.keep(&alert(), &picture(PHONE_PNG).unwrap(), Some("zhao"), NOW + DAY).unwrap();
    let reported = people.matters.keep(written("0123456789abcdef"), NOW).unwrap();
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
    assert_eq!(people.matters.of_ticket(&reported.ticket), None);

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
fn a_clock_that_was_set_by_years_deletes_nothing() {
    let before_the_start = Known { at_ms: NOW, seen: None };
    assert!(before_the_start.is_plausible(NOW + 59 * DAY, 1.0), "it was off for a while");
    assert!(!before_the_start.is_plausible(NOW + 61 * DAY, 1.0));
    assert!(Known { at_ms: 0, seen: None }.is_plausible(NOW, 1.0), "a new box");
    let at_work = Known { at_ms: NOW, seen: Some(std::time::Instant::now()) };
    assert!(at_work.is_plausible(NOW + DAY / 2, 1.0), "the time server has set it right");
    assert!(!at_work.is_plausible(NOW + 365 * DAY, 1.0));
    assert!(at_work.is_plausible(NOW - 365 * DAY, 1.0), "set back, nothing is over early");
}
