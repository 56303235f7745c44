//! A sensor or an output, and what a look at it finds.

use embedded_hal::digital::InputPin;
use embedded_hal::i2c::I2c;
use heapless::Vec;
use ninewatch_drivers::adc::Adc;
use ninewatch_drivers::clamp::{self, Clamp, MAINS_HZ, Ratio};
use ninewatch_drivers::contact::{Active, Contact};
use ninewatch_drivers::ld2410;
use ninewatch_drivers::line::{self, Condition, Wiring};
use ninewatch_drivers::mq::{self, Divider, Mq};
use ninewatch_drivers::output::{Output, Pattern};
use ninewatch_drivers::sht3x::{self, Sht3x};
use ninewatch_drivers::sos::{self, SosButton};
use ninewatch_drivers::tmp102::{self, Tmp102};
use ninewatch_wire::message::{Line, Measure};
use ninewatch_wire::table::{Fitted, GasElement};

use crate::board::Board;

/// How often what is asked for its state is looked at: buttons want 10 ms.
const LOOK_MS: u64 = 10;
/// A supervised line as the docs draw it.
const WIRING: Wiring =
    Wiring { supply_mv: SUPPLY_MV, pull_up_ohm: 4_700.0, end_of_line_ohm: 4_700.0, alarm_ohm: 680.0 };
/// A smoke head's relay holds; what is shorter is lightning.
const LINE_SETTLE_MS: u32 = 300;
/// All boards measure up to this.
const SUPPLY_MV: u16 = 3_300;
/// Gas elements stand at 5 V, behind 10 kΩ over 20 kΩ, which also lie beside the load.
const GAS_SUPPLY_MV: u16 = 5_000;
const GAS_DIVIDER_OHM: f32 = 30_000.0;
/// A current is measured over two cycles of the mains, each ms: 20 samples a cycle.
const SAMPLE_HZ: u32 = 1_000;
const SAMPLES: usize = 2 * (SAMPLE_HZ / MAINS_HZ) as usize;
/// Somebody who is still is lost now and then for a moment.
const RADAR_SETTLE_MS: u64 = 1_000;

/// What is fitted to a channel.
pub(super) enum Sensor<B: Board> {
    Contact(Contact<B::Input>),
    Button(SosButton<B::Input>),
    Line(line::Line, u8),
    Thermometer {
        address: u8,
        is_set_up: bool,
    },
    Sht3x {
        address: u8,
        is_measuring: bool,
    },
    Gas(Mq, Divider, u8),
    Current(Clamp, u8, Samples),
    Radar(Radar),
    Output(Output<B::Output>),
    /// This board has no such terminal, or this program no such sensor.
    None,
}

/// What a look at a sensor has found.
pub(super) struct Found {
    pub(super) state: State,
    /// Where that has changed.
    pub(super) is_stuck: Option<bool>,
    /// When it wants to be looked at; when it is due, otherwise.
    pub(super) next_ms: Option<u64>,
}

/// What it says.
pub(super) enum State {
    /// Nothing is known yet, or nothing is due.
    Nothing,
    /// It does not answer.
    Failing,
    /// It is as it was.
    Again(Measure),
    /// It has changed, or was measured.
    New(Measure, Option<Measure>),
}

impl State {
    fn found(self, next_ms: Option<u64>) -> Found {
        Found { state: self, is_stuck: None, next_ms }
    }
}

impl<B: Board> Sensor<B> {
    /// What `fitted` says; none where this board has no such terminal, or this program no such sensor.
    pub(super) fn new(fitted: Fitted, board: &mut B, now_ms: u64) -> Option<Self> {
        Some(match fitted {
            Fitted::Contact { input, active_low, settle_ms } => {
                Self::Contact(Contact::new(board.input(input)?, active(active_low), settle_ms.into()))
            }
            Fitted::Button { input, active_low } => {
                Self::Button(SosButton::new(board.input(input)?, active(active_low)))
            }
            Fitted::Line { adc } => Self::Line(line::Line::new(WIRING, LINE_SETTLE_MS).ok()?, adc),
            Fitted::Thermometer { address } => Self::Thermometer { address, is_set_up: false },
            Fitted::Sht3x { address } => Self::Sht3x { address, is_measuring: false },
            Fitted::Gas { adc, element, load_ohm, r0_ohm } => {
                let gas = match element {
                    GasElement::Mq2 => mq::MQ2_LPG,
                    GasElement::Mq5 => mq::MQ5_METHANE,
                };
                #[expect(clippy::cast_precision_loss, reason = "resistors are known to three digits")]
                let r0_ohm = r0_ohm as f32;
                let divider = divider(load_ohm);
                Self::Gas(Mq::new(gas, divider, r0_ohm, now_ms), divider, adc)
            }
            Fitted::Current { adc, turns, burden_decohm } => {
                let ratio = Ratio::Turns { turns, burden_ohm: f32::from(burden_decohm) / 10.0 };
                // It is given millivolts.
                let scale = Adc { full_scale: SUPPLY_MV, reference_mv: SUPPLY_MV };
                Self::Current(Clamp::new(ratio, scale, SAMPLE_HZ).ok()?, adc, Samples::default())
            }
            Fitted::Ld2410 => Self::Radar(Radar::new(now_ms)),
            Fitted::Output { output, active_low } => {
                Self::Output(Output::new(board.output(output)?, active(active_low)).ok()?)
            }
        })
    }

    /// Switches an output; false where it is none.
    pub(super) fn switch(&mut self, on: bool, for_s: u16, now_ms: u64) -> bool {
        let Self::Output(output) = self else { return false };
        let pattern = if on { Pattern::On } else { Pattern::Off };
        let for_ms = (for_s > 0).then(|| u32::from(for_s) * 1_000);
        output.play(pattern, for_ms, now_ms).is_ok()
    }

    /// The resistance of a gas element.
    pub(super) fn element_ohm(&self, board: &mut B) -> Option<f32> {
        let Self::Gas(_, divider, adc) = self else { return None };
        board.millivolts(*adc).map(|mv| divider.element_ohm(at_load(mv)))
    }

    /// Looks at it; a value that is measured only when it is due.
    pub(super) fn look(&mut self, board: &mut B, now_ms: u64, is_due: bool) -> Found {
        let soon = Some(now_ms + LOOK_MS);
        match self {
            Self::Contact(contact) => look_at_contact(contact, now_ms).found(soon),
            Self::Button(button) => look_at_button(button, now_ms),
            Self::Line(line, adc) => look_at_line(line, board.millivolts(*adc), now_ms).found(soon),
            Self::Thermometer { .. } | Self::Sht3x { .. } | Self::Gas(..) if !is_due => State::Nothing.found(None),
            Self::Thermometer { address, is_set_up } => {
                look_at_thermometer(&mut Tmp102::new(board.bus(), *address), is_set_up, now_ms)
            }
            Self::Sht3x { address, is_measuring } => {
                look_at_sht3x(&mut Sht3x::new(board.bus(), *address), is_measuring, now_ms)
            }
            Self::Gas(mq, _, adc) => {
                let air = board.millivolts(*adc).map(|mv| (mq.air(at_load(mv), now_ms), mq.ppm(at_load(mv), now_ms)));
                match air {
                    Some((_, Some(ppm))) => State::New(Measure::Gas(ppm), None),
                    Some((mq::Air::WarmingUp { .. }, None)) => State::Nothing,
                    Some((_, None)) | None => State::Failing,
                }
                .found(Some(now_ms + 1_000))
            }
            Self::Current(clamp, adc, samples) => {
                if !is_due {
                    return State::Nothing.found(None);
                }
                match board.millivolts(*adc) {
                    None => State::Failing.found(None),
                    Some(mv) if samples.take(mv, now_ms) => match clamp.current(&samples.taken) {
                        Ok(clamp::Current { rms_a, .. }) => State::New(Measure::Current(rms_a), None).found(None),
                        Err(_) => State::Failing.found(None),
                    },
                    Some(_) => State::Nothing.found(Some(now_ms + 1)),
                }
            }
            Self::Radar(radar) => radar.look(board, now_ms).found(soon),
            Self::Output(output) => match output.poll(now_ms) {
                Ok(_) => State::Nothing.found(soon),
                Err(_) => State::Failing.found(soon),
            },
            Self::None => State::Failing.found(None),
        }
    }
}

fn look_at_contact(contact: &mut Contact<impl InputPin>, now_ms: u64) -> State {
    match contact.poll(now_ms) {
        Ok(Some(made)) => State::New(Measure::Made(made), None),
        Ok(None) if contact.is_unsteady(now_ms) => State::Failing,
        Ok(None) => contact.is_made().map_or(State::Nothing, |made| State::Again(Measure::Made(made))),
        Err(_) => State::Failing,
    }
}

fn look_at_button(button: &mut SosButton<impl InputPin>, now_ms: u64) -> Found {
    let (state, is_stuck) = match button.poll(now_ms) {
        Ok(Some(sos::Event::Pressed)) => (State::New(Measure::Pressed(true), None), None),
        Ok(Some(sos::Event::Released { .. })) => (State::New(Measure::Pressed(false), None), Some(false)),
        Ok(Some(sos::Event::Stuck)) => (State::Again(Measure::Pressed(true)), Some(true)),
        Ok(None) if button.is_unsteady(now_ms) => (State::Failing, None),
        Ok(Some(sos::Event::Held) | None) => (State::Again(Measure::Pressed(button.is_pressed())), None),
        Err(_) => (State::Failing, None),
    };
    Found { state, is_stuck, next_ms: Some(now_ms + LOOK_MS) }
}

fn look_at_line(line: &mut line::Line, mv: Option<u16>, now_ms: u64) -> State {
    let Some(mv) = mv else { return State::Failing };
    let changed = line.poll(mv, now_ms);
    let measure = match changed.or_else(|| line.condition()) {
        None => return State::Nothing,
        Some(Condition::Normal) => Line::Normal,
        Some(Condition::Alarm) => Line::Alarm,
        Some(Condition::Open) => Line::Open,
        Some(Condition::Short) => Line::Short,
        Some(Condition::Unsteady) => return State::Failing,
    };
    let measure = Measure::Line(measure);
    if changed.is_some() { State::New(measure, None) } else { State::Again(measure) }
}

fn look_at_thermometer(thermometer: &mut Tmp102<impl I2c>, is_set_up: &mut bool, now_ms: u64) -> Found {
    if !*is_set_up {
        if thermometer.setup().is_err() {
            return State::Failing.found(None);
        }
        *is_set_up = true;
        return State::Nothing.found(Some(now_ms + u64::from(tmp102::CONVERSION_MS)));
    }
    match thermometer.read_c() {
        Ok(celsius) => State::New(Measure::Temperature(celsius), None),
        Err(_) => {
            *is_set_up = false;
            State::Failing
        }
    }
    .found(None)
}

fn look_at_sht3x(sht3x: &mut Sht3x<impl I2c>, is_measuring: &mut bool, now_ms: u64) -> Found {
    if !*is_measuring {
        if sht3x.start().is_err() {
            return State::Failing.found(None);
        }
        *is_measuring = true;
        return State::Nothing.found(Some(now_ms + u64::from(sht3x::MEASURE_MS)));
    }
    *is_measuring = false;
    match sht3x.finish() {
        Ok(climate) => {
            State::New(Measure::Temperature(climate.temperature_c), Some(Measure::Humidity(climate.humidity_percent)))
        }
        Err(_) => State::Failing,
    }
    .found(None)
}

/// Voltages of whole cycles, one each ms. Where the node was busy for longer, it begins anew.
#[derive(Default)]
pub(super) struct Samples {
    taken: Vec<u16, SAMPLES>,
    next_ms: u64,
}

impl Samples {
    /// Takes one; true when there are enough.
    fn take(&mut self, mv: u16, now_ms: u64) -> bool {
        if now_ms != self.next_ms || self.taken.is_full() {
            self.taken.clear();
        }
        self.next_ms = now_ms + 1;
        // There is room.
        let _ = self.taken.push(mv);
        self.taken.is_full()
    }
}

/// A radar, and what it said last.
pub(super) struct Radar {
    parser: ld2410::Parser,
    heard_ms: u64,
    told: Option<bool>,
    /// What it says now, and since when.
    now: Option<(bool, u64)>,
}

impl Radar {
    fn new(now_ms: u64) -> Self {
        Self { parser: ld2410::Parser::new(), heard_ms: now_ms, told: None, now: None }
    }

    fn look(&mut self, board: &mut impl Board, now_ms: u64) -> State {
        while let Some(byte) = board.radar() {
            if let Some(report) = self.parser.feed(byte) {
                self.heard_ms = now_ms;
                let present = report.is_present();
                if self.now.is_none_or(|(before, _)| before != present) {
                    self.now = Some((present, now_ms));
                }
            }
        }
        if now_ms.saturating_sub(self.heard_ms) >= ld2410::SILENT_AFTER_MS {
            return State::Failing;
        }
        if let Some((present, since_ms)) = self.now.filter(|(present, _)| self.told != Some(*present))
            && now_ms.saturating_sub(since_ms) >= RADAR_SETTLE_MS
        {
            self.told = Some(present);
            return State::New(Measure::Present(present), None);
        }
        self.told.map_or(State::Nothing, |present| State::Again(Measure::Present(present)))
    }
}

fn active(active_low: bool) -> Active {
    if active_low { Active::Low } else { Active::High }
}

/// The load with what lies beside it.
fn divider(load_ohm: u32) -> Divider {
    #[expect(clippy::cast_precision_loss, reason = "resistors are known to three digits")]
    let load_ohm = load_ohm as f32;
    Divider { supply_mv: GAS_SUPPLY_MV, load_ohm: load_ohm * GAS_DIVIDER_OHM / (load_ohm + GAS_DIVIDER_OHM) }
}

/// The voltage at the load, of that at the terminal.
fn at_load(mv: u16) -> u16 {
    mv.saturating_mul(3) / 2
}
