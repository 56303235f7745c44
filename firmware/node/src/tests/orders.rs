//! What a node is told to do.

use super::*;

#[test]
fn a_siren_goes_off_by_itself() {
    let (mut bench, mut gateway) = Bench::in_session();
    let on = What::Switch { channel: SIREN, on: true, for_s: 3 };
    assert_eq!(bench.order(&mut gateway, 2, on), Outcome::Done);
    assert!(bench.surroundings.is_high(5));
    bench.live(2_900);
    assert!(bench.surroundings.is_high(5));
    bench.live(200);
    assert!(!bench.surroundings.is_high(5));
    let no_output = What::Switch { channel: BUTTON, on: true, for_s: 3 };
    assert_eq!(bench.order(&mut gateway, 3, no_output), Outcome::CannotDo);
}

#[test]
fn an_order_is_carried_out_once_however_often_it_is_sent() {
    let (mut bench, mut gateway) = Bench::in_session();
    let on = || Some(Order { number: 2, what: What::Switch { channel: SIREN, on: true, for_s: 1 } });
    // Its answer is lost.
    bench.ask(&mut gateway, on(), &mut undamaged);
    bench.live(1_100);
    assert!(!bench.surroundings.is_high(5), "its time is over");
    bench.ask(&mut gateway, on(), &mut undamaged);
    assert!(!bench.surroundings.is_high(5));
    assert_eq!(gateway.done, Some(Done { number: 2, outcome: Outcome::Done }));
}

#[test]
fn the_table_outlives_a_restart_and_an_unknown_terminal_is_failing() {
    let (mut bench, mut gateway) = Bench::in_session();
    bench.restart();
    bench.ask(&mut gateway, None, &mut undamaged);
    assert_eq!(gateway.hello.unwrap().table_crc, table().crc());
    bench.ask(&mut gateway, None, &mut undamaged);
    let contact = Fitted::Contact { input: 99, active_low: true, settle_ms: 20 };
    let other = Table { channels: [channel(contact, true, 60)].into_iter().collect() };
    assert_eq!(bench.order(&mut gateway, 1, What::Fit(&encoded(&other))), Outcome::Done);
    assert_eq!(bench.order(&mut gateway, 2, What::Fit(&[9, 9, 9])), Outcome::Malformed);
    bench.live(100);
    let mut next = Gateway::new(9);
    bench.ask(&mut next, None, &mut undamaged);
    assert_eq!(next.hello.unwrap().health.failing, 1);
}

#[test]
fn what_another_sensor_measured_is_not_taken_for_the_new_ones() {
    let (mut bench, mut gateway) = Bench::in_session();
    bench.surroundings.close(0, true);
    bench.surroundings.close(1, true);
    bench.live(1_000);
    let mut other = table();
    other.channels[usize::from(BUTTON)].fitted = Fitted::Ld2410;
    assert_eq!(bench.order(&mut gateway, 2, What::Fit(&encoded(&other))), Outcome::Done);
    gateway.heard.clear();
    let mut disk = Disk::default();
    bench.talk(&mut gateway, &mut disk, 5_000);
    assert_eq!(of(&disk, BUTTON), []);
    assert!(of(&disk, DOOR).contains(&Measure::Made(true)));
}

#[test]
fn the_log_is_told_whole_over_a_bad_line() {
    let (mut bench, mut gateway) = Bench::in_session();
    bench.surroundings.warm(0x48, Some(20.0));
    let mut others = Disk::default();
    for _ in 0..12 {
        bench.surroundings.warm(0x48, None);
        bench.talk(&mut gateway, &mut others, 11_000);
        bench.surroundings.warm(0x48, Some(20.0));
        bench.talk(&mut gateway, &mut others, 11_000);
    }
    assert_eq!(bench.order(&mut gateway, 2, What::Log), Outcome::Done);
    let mut turn = 0;
    for _ in 0..200 {
        bench.ask(&mut gateway, None, &mut |bytes: &mut Vec<u8>| {
            turn += 1;
            if turn % 5 == 0 {
                bytes.clear();
            }
        });
    }
    let log = gateway.log.unwrap();
    assert!(log.starts_with("0.000 start 1, Power"), "{log}");
    assert_eq!(log.matches("channel 2 does not answer").count(), 12, "{log}");
    assert_eq!(log.matches("channel 2 answers again").count(), 12, "{log}");
}

#[test]
fn a_restart_waits_until_alarms_are_on_disk_and_its_answer_has_arrived() {
    let (mut bench, mut gateway) = Bench::in_session();
    let mut disk = Disk::default();
    bench.surroundings.close(0, true);
    bench.live(100);
    assert_eq!(bench.order(&mut gateway, 2, What::Restart), Outcome::Done);
    bench.ask(&mut gateway, None, &mut undamaged);
    assert!(!bench.node.wants_restart(bench.now_ms), "the press is not on disk yet");
    gateway.sync(&mut disk);
    bench.ask(&mut gateway, None, &mut undamaged);
    assert!(bench.node.wants_restart(bench.now_ms));
    assert_eq!(of(&disk, BUTTON)[0], Measure::Pressed(true));
}

#[test]
fn a_new_program_is_kept_only_where_it_hears_the_gateway() {
    let (mut bench, mut gateway) = Bench::in_session();
    let program: Vec<u8> = (0..1_000_u32).map(|byte| (byte * 7) as u8).collect();
    let (size, crc) = (1_000, ninewatch_wire::frame::crc32(&program));
    let board = ninewatch_wire::message::Board::Simulated;
    let wrong = ninewatch_wire::message::Board::Pico;
    assert_eq!(bench.order(&mut gateway, 2, What::UpdateBegin { size, crc, board: wrong }), Outcome::CannotDo);
    let mut number = 3;
    let mut offset = match bench.order(&mut gateway, number, What::UpdateBegin { size, crc, board }) {
        Outcome::Awaits(offset) => offset as usize,
        other => panic!("{other:?}"),
    };
    while offset < program.len() {
        number += 1;
        let bytes = &program[offset..program.len().min(offset + 100)];
        match bench.order(&mut gateway, number, What::UpdatePart { offset: offset as u32, bytes }) {
            Outcome::Awaits(next) => offset = next as usize,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(bench.order(&mut gateway, number + 1, What::UpdateApply), Outcome::Done);
    gateway.sync(&mut Disk::default());
    bench.ask(&mut gateway, None, &mut undamaged);
    gateway.sync(&mut Disk::default());
    bench.ask(&mut gateway, None, &mut undamaged);
    assert!(bench.node.wants_restart(bench.now_ms));
    assert_eq!(bench.flash.boot().as_deref(), Some(&program[..]), "the boot loader starts it");
    bench.restart();
    bench.live(59_000);
    assert!(!bench.node.wants_restart(bench.now_ms));
    bench.live(2_000);
    assert!(bench.node.wants_restart(bench.now_ms), "nobody has asked it");
    assert_eq!(bench.flash.boot(), None, "the former one comes back");
    // Once more, and this time the gateway asks.
    let flash = bench.flash.clone();
    crate::update::Slots::try_next(&mut flash.clone()).unwrap();
    assert!(flash.boot().is_some());
    bench.restart();
    let mut gateway = Gateway::new(5);
    bench.ask(&mut gateway, None, &mut undamaged);
    assert!(gateway.hello.unwrap().on_trial);
    bench.ask(&mut gateway, None, &mut undamaged);
    bench.live(120_000);
    assert!(!bench.node.wants_restart(bench.now_ms));
    let mut next = Gateway::new(6);
    bench.ask(&mut next, None, &mut undamaged);
    assert!(!next.hello.unwrap().on_trial);
}

#[test]
fn a_damaged_program_is_not_started() {
    let (mut bench, mut gateway) = Bench::in_session();
    let board = ninewatch_wire::message::Board::Simulated;
    assert_eq!(bench.order(&mut gateway, 2, What::UpdateBegin { size: 4, crc: 1, board }), Outcome::Awaits(0));
    let ahead = What::UpdatePart { offset: 2, bytes: &[3, 4] };
    assert_eq!(bench.order(&mut gateway, 3, ahead), Outcome::Awaits(0), "in order");
    let too_much = What::UpdatePart { offset: 0, bytes: &[0; 5] };
    assert_eq!(bench.order(&mut gateway, 4, too_much), Outcome::Malformed);
    let all = What::UpdatePart { offset: 0, bytes: &[1, 2, 3, 4] };
    assert_eq!(bench.order(&mut gateway, 5, all), Outcome::Awaits(4));
    assert_eq!(bench.order(&mut gateway, 6, What::UpdateApply), Outcome::Malformed);
    assert_eq!(bench.flash.boot(), None);
}
