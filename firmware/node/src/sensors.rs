//! The sensors and outputs of a table, and what they have to say.
//!
//! What changes is told at once, in the channel's lane; a state that stays is told again each `every_s`, in the
//! routine lane. A sensor that does not answer says nothing, and has its bit in `failing`.

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
use ninewatch_wire::message::{Lane, Line, Measure};
use ninewatch_wire::table::{Channel, Fitted, GasElement, MAX_CHANNELS, Table};

use crate::board::Board;
use crate::log::Log;

/// How often what is asked for its state is looked at: buttons want 10 ms.
const LOOK_MS: u64 = 10;
/// A sensor that has not answered is asked again after this, or sooner where it is due sooner.
const RETRY_MS: u64 = 5_000;
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

/// Takes what was measured.
pub(crate) type File<'a> = &'a mut dyn FnMut(Lane, u8, Measure);

/// What is fitted.
pub(crate) struct Sensors<B: Board> {
    fitted: Vec<Seat<B>, MAX_CHANNELS>,
}

impl<B: Board> Default for Sensors<B> {
    fn default() -> Self {
        Self { fitted: Vec::new() }
    }
}

/// A channel and what is there.
struct Seat<B: Board> {
    channel: Channel,
    sensor: Sensor<B>,
    /// When it is to be measured, or told again.
    due_ms: u64,
    is_failing: bool,
    is_stuck: bool,
}

enum Sensor<B: Board> {
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
    Gas(Mq, u8),
    Current(Clamp, u8, Samples),
    Radar(Radar),
    Output(Output<B::Output>),
    /// This board has no such terminal, or this program no such sensor.
    None,
}

impl<B: Board> Sensors<B> {
    /// Fits what the table says. Outputs go off.
    pub(crate) fn fit(&mut self, table: &Table, board: &mut B, now_ms: u64) {
        self.fitted = table.channels.iter().map(|channel| Seat::new(*channel, board, now_ms)).collect();
    }

    /// Looks at all that is due; gives when the next is.
    pub(crate) fn poll(&mut self, board: &mut B, log: &mut Log, now_ms: u64, file: File<'_>) -> u64 {
        let mut next_ms = u64::MAX;
        for (number, seat) in (0_u8..).zip(&mut self.fitted) {
            let (was_failing, was_stuck) = (seat.is_failing, seat.is_stuck);
            next_ms = next_ms.min(seat.poll(board, now_ms, &mut |lane, measure| file(lane, number, measure)));
            if was_failing != seat.is_failing {
                let what = if seat.is_failing { "does not answer" } else { "answers again" };
                log.line(now_ms, format_args!("channel {number} {what}: {:?}", seat.channel.fitted));
            }
            if was_stuck != seat.is_stuck {
                let what = if seat.is_stuck { "is stuck" } else { "is free again" };
                log.line(now_ms, format_args!("channel {number} {what}"));
            }
        }
        next_ms
    }

    /// Switches an output; false where there is none.
    pub(crate) fn switch(&mut self, channel: u8, on: bool, for_s: u16, now_ms: u64) -> bool {
        match self.fitted.get_mut(usize::from(channel)).map(|seat| &mut seat.sensor) {
            Some(Sensor::Output(output)) => {
                let pattern = if on { Pattern::On } else { Pattern::Off };
                let for_ms = (for_s > 0).then(|| u32::from(for_s) * 1_000);
                output.play(pattern, for_ms, now_ms).is_ok()
            }
            _ => false,
        }
    }

    /// A bit for each channel whose sensor does not answer.
    pub(crate) fn failing(&self) -> u16 {
        self.bits(|seat| seat.is_failing)
    }

    /// A bit for each button that is stuck.
    pub(crate) fn stuck(&self) -> u16 {
        self.bits(|seat| seat.is_stuck)
    }

    fn bits(&self, is_set: impl Fn(&Seat<B>) -> bool) -> u16 {
        self.fitted.iter().zip(0..).filter(|(seat, _)| is_set(seat)).fold(0, |bits, (_, place)| bits | 1 << place)
    }

    /// What an installer who calibrates gas elements wants to know.
    pub(crate) fn describe(&self, board: &mut B, log: &mut Log, now_ms: u64) {
        for (number, seat) in self.fitted.iter().enumerate() {
            let (Sensor::Gas(_, adc), Fitted::Gas { load_ohm, .. }) = (&seat.sensor, seat.channel.fitted) else {
                continue;
            };
            if let Some(mv) = board.millivolts(*adc) {
                let ohm = divider(load_ohm).element_ohm(at_load(mv));
                log.line(now_ms, format_args!("channel {number}: the element has {ohm:.0} ohm"));
            }
        }
    }
}

impl<B: Board> Seat<B> {
    fn new(channel: Channel, board: &mut B, now_ms: u64) -> Self {
        let sensor = Sensor::new(channel.fitted, board, now_ms).unwrap_or(Sensor::None);
        // That a button is up is known once it would have been heard.
        let is_button = matches!(sensor, Sensor::Button(_));
        let due_ms = if is_button { now_ms + 2 * u64::from(sos::SETTLE_MS) } else { now_ms };
        Self { channel, sensor, due_ms, is_failing: false, is_stuck: false }
    }

    fn poll(&mut self, board: &mut B, now_ms: u64, file: &mut dyn FnMut(Lane, Measure)) -> u64 {
        let lane = if self.channel.urgent { Lane::Urgent } else { Lane::Routine };
        let every_ms = u64::from(self.channel.every_s.max(1)) * 1_000;
        let is_due = now_ms >= self.due_ms;
        let found = self.sensor.look(board, now_ms, is_due);
        if let Some(is_stuck) = found.is_stuck {
            self.is_stuck = is_stuck;
        }
        match found.state {
            State::Nothing => {
                // It needs that long, whoever else has the node look about meanwhile.
                if let Some(next_ms) = found.next_ms.filter(|_| is_due) {
                    self.due_ms = next_ms;
                }
            }
            State::Failing => {
                self.is_failing = true;
                if is_due {
                    self.due_ms = now_ms + every_ms.min(RETRY_MS);
                }
            }
            State::Again(measure) => {
                self.is_failing = false;
                if is_due {
                    self.due_ms = now_ms + every_ms;
                    file(Lane::Routine, measure);
                }
            }
            State::New(measure, other) => {
                self.is_failing = false;
                self.due_ms = now_ms + every_ms;
                file(lane, measure);
                if let Some(other) = other {
                    file(lane, other);
                }
            }
        }
        found.next_ms.unwrap_or(self.due_ms).max(now_ms + 1)
    }
}

/// What a look at a sensor has found.
struct Found {
    state: State,
    /// Where that has changed.
    is_stuck: Option<bool>,
    /// When it wants to be looked at; when it is due, otherwise.
    next_ms: Option<u64>,
}

enum State {
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
    fn new(fitted: Fitted, board: &mut B, now_ms: u64) -> Option<Self> {
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
                    // Nothing that lives depend on: see the driver.
                    GasElement::Mq7 => return None,
                };
                #[expect(clippy::cast_precision_loss, reason = "resistors are known to three digits")]
                let r0_ohm = r0_ohm as f32;
                Self::Gas(Mq::new(gas, divider(load_ohm), r0_ohm, now_ms), adc)
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

    fn look(&mut self, board: &mut B, now_ms: u64, is_due: bool) -> Found {
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
            Self::Gas(mq, adc) => {
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
struct Samples {
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

struct Radar {
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
