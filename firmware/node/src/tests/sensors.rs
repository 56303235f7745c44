//! What sensors have to say.

use super::*;

#[test]
fn states_are_told_again_and_temperatures_each_time() {
    let (mut bench, mut gateway) = Bench::in_session();
    let mut disk = Disk::default();
    bench.surroundings.warm(0x48, Some(21.5));
    bench.talk(&mut gateway, &mut disk, 125_000);
    assert_eq!(of(&disk, DOOR), [Measure::Made(false); 3], "at the start and each minute");
    let temperatures = of(&disk, HEAT);
    assert!(temperatures.iter().all(|measure| *measure == Measure::Temperature(21.5)));
    assert!((12..=13).contains(&temperatures.len()), "each ten seconds: {}", temperatures.len());
}

#[test]
fn a_thermometer_that_does_not_answer_says_nothing_and_is_told_of() {
    let (mut bench, mut gateway) = Bench::in_session();
    let mut disk = Disk::default();
    bench.talk(&mut gateway, &mut disk, 20_000);
    assert!(of(&disk, HEAT).is_empty());
    bench.restart();
    bench.talk(&mut gateway, &mut disk, 1_000);
    // As a new gateway hears it.
    let mut gateway = Gateway::new(3);
    bench.ask(&mut gateway, None, &mut undamaged);
    assert_eq!(gateway.hello.unwrap().health.failing, 1 << HEAT);
    bench.surroundings.warm(0x48, Some(-3.25));
    bench.talk(&mut gateway, &mut disk, 20_000);
    assert_eq!(of(&disk, HEAT).first(), Some(&Measure::Temperature(-3.25)));
}

#[test]
fn a_button_that_is_stuck_is_told_of() {
    let (mut bench, mut gateway) = Bench::in_session();
    bench.surroundings.close(0, true);
    bench.live(61_000);
    let mut next = Gateway::new(3);
    bench.ask(&mut next, None, &mut undamaged);
    assert_eq!(next.hello.unwrap().health.stuck, 1 << BUTTON);
    bench.surroundings.close(0, false);
    bench.talk(&mut gateway, &mut Disk::default(), 1_000);
    let mut next = Gateway::new(4);
    bench.ask(&mut next, None, &mut undamaged);
    assert_eq!(next.hello.unwrap().health.stuck, 0);
}

#[test]
fn a_button_whose_contact_never_settles_is_failing() {
    let (mut bench, mut gateway) = Bench::in_session();
    for look in 0..1_200 {
        bench.surroundings.close(0, look % 2 == 0);
        bench.live(10);
    }
    let mut next = Gateway::new(3);
    bench.ask(&mut next, None, &mut undamaged);
    assert_eq!(next.hello.unwrap().health.failing & 1 << BUTTON, 1 << BUTTON);
    bench.talk(&mut gateway, &mut Disk::default(), 100);
}

#[test]
fn a_radar_tells_who_is_there_and_is_failing_when_it_is_silent() {
    let (mut bench, mut gateway) = (Bench::new(), Gateway::new(1));
    bench.ask(&mut gateway, None, &mut undamaged);
    let radar = Table { channels: [channel(Fitted::Ld2410, true, 60)].into_iter().collect() };
    assert_eq!(bench.order(&mut gateway, 1, What::Fit(&encoded(&radar))), Outcome::Done);
    let mut disk = Disk::default();
    for seen in 0..60_u8 {
        // The protocol's basic report: nobody, then somebody who is still at 50 cm.
        let state = if seen < 20 { 0 } else { 2 };
        let data = [0x02, 0xaa, state, 0x51, 0, 0, 0, 0, 0x3b, 0, 0, 0x55, 0];
        bench.surroundings.radar(&[&[0xf4, 0xf3, 0xf2, 0xf1, 13, 0], &data[..], &[0xf8, 0xf7, 0xf6, 0xf5]].concat());
        bench.talk(&mut gateway, &mut disk, 100);
    }
    assert_eq!(of(&disk, 0), [Measure::Present(false), Measure::Present(true)]);
    bench.talk(&mut gateway, &mut disk, 2_000);
    let mut next = Gateway::new(3);
    bench.ask(&mut next, None, &mut undamaged);
    assert_eq!(next.hello.unwrap().health.failing, 1);
}

#[test]
fn a_supervised_line_that_is_cut_is_told() {
    let (mut bench, mut gateway) = (Bench::new(), Gateway::new(1));
    bench.ask(&mut gateway, None, &mut undamaged);
    let line = Table { channels: [channel(Fitted::Line { adc: 2 }, true, 60)].into_iter().collect() };
    assert_eq!(bench.order(&mut gateway, 1, What::Fit(&encoded(&line))), Outcome::Done);
    let mut disk = Disk::default();
    // Of 3.3 V: half at rest, 380 mV with 680 Ω beside 4.7 kΩ.
    for mv in [1_650, 370, 1_650, 3_300, 0] {
        bench.surroundings.apply(2, Some(mv));
        bench.talk(&mut gateway, &mut disk, 1_000);
    }
    let changes = [Line::Normal, Line::Alarm, Line::Normal, Line::Open, Line::Short].map(Measure::Line);
    assert_eq!(of(&disk, 0), changes);
}

#[test]
fn a_current_is_measured_over_whole_cycles() {
    let (mut bench, mut gateway) = (Bench::new(), Gateway::new(1));
    bench.ask(&mut gateway, None, &mut undamaged);
    let clamp = Fitted::Current { adc: 1, turns: 2_000, burden_decohm: 220 };
    let table = Table { channels: [channel(clamp, false, 1)].into_iter().collect() };
    assert_eq!(bench.order(&mut gateway, 1, What::Fit(&encoded(&table))), Outcome::Done);
    // 0.11 V RMS at 22 Ω are 5 mA, of 2,000 turns: 10 A.
    for ms in 0..200_u64 {
        let phase = core::f64::consts::TAU * (bench.now_ms % 20) as f64 / 20.0;
        let mv = 1_650.0 + 110.0 * core::f64::consts::SQRT_2 * phase.sin();
        bench.surroundings.apply(1, Some(mv.round() as u16));
        assert!(ms < 200);
        bench.node.poll(bench.now_ms);
        bench.now_ms += 1;
    }
    let mut disk = Disk::default();
    bench.ask(&mut gateway, None, &mut undamaged);
    gateway.sync(&mut disk);
    let currents = of(&disk, 0);
    assert!(matches!(currents[..], [Measure::Current(a)] if (9.9..10.1).contains(&a)), "{currents:?}");
}
