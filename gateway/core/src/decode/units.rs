//! Units of measurement and their conversion.
//!
//! The symbols of SenML (RFC 8428, section 12.1; secondary units of RFC 8798), the ones that sensor
//! makers write instead, and a few that neither has but the field needs (`%LEL`, `%/m`, `MPa`).

/// What a unit measures. Values of one quantity convert into each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantity {
    Temperature,
    Pressure,
    Current,
    Voltage,
    Power,
    Energy,
    Frequency,
    Illuminance,
    Acceleration,
    AngularRate,
    Angle,
    Length,
    Speed,
    Time,
    Age,
    Volume,
    Flow,
    MassConcentration,
    Resistance,
    Conductivity,
    Charge,
    Acidity,
    Turbidity,
    Mass,
    Sound,
    /// Radio power, on dBm's logarithmic scale.
    Signal,
    /// Things, by one.
    Count,
    /// A share of nothing in particular.
    Ratio,
    HumidityRatio,
    BatteryRatio,
    ExplosiveLimitRatio,
    VolumeRatio,
    Obscuration,
}

impl Quantity {
    /// A plain share may stand for a share of something: many devices send `%` for `%RH`.
    fn takes(self, from: Self) -> bool {
        self == from
            || (from == Self::Ratio
                && matches!(
                    self,
                    Self::HumidityRatio | Self::BatteryRatio | Self::ExplosiveLimitRatio | Self::VolumeRatio
                ))
    }
}

/// A unit: `value · scale + offset` is the value in the quantity's base unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Unit {
    quantity: Quantity,
    scale: f64,
    offset: f64,
    /// As people write it.
    pub(super) shown: &'static str,
}

const fn unit(quantity: Quantity, scale: f64, shown: &'static str) -> Unit {
    Unit { quantity, scale, offset: 0.0, shown }
}

use Quantity::{
    Acceleration, Acidity, Age, Angle, AngularRate, BatteryRatio, Charge, Conductivity, Count, Current, Energy,
    ExplosiveLimitRatio, Flow, Frequency, HumidityRatio, Illuminance, Length, Mass, MassConcentration, Obscuration,
    Power, Pressure, Ratio, Resistance, Signal, Sound, Speed, Temperature, Time, Turbidity, Voltage, Volume,
    VolumeRatio,
};

/// Standard gravity, m/s² (CGPM 1901).
const STANDARD_GRAVITY: f64 = 9.806_65;

/// By symbol, as a payload or a sensor type file may write it.
pub(super) fn find(symbol: &str) -> Option<Unit> {
    Some(match symbol {
        // As people and firmware write them besides.
        "\u{2103}" | "º C" | "ºC" | "° C" => unit(Temperature, 1.0, "°C"),
        "\u{2109}" => return find("°F"),
        "kpa" | "KPa" | "Kpa" | "KPA" => return find("kPa"),
        "Mpa" | "MPA" => return find("MPa"),
        "hpa" => return find("hPa"),
        "kwh" | "KWh" | "KWH" | "kWH" => return find("kWh"),
        "KW" | "Kw" => return find("kW"),
        "lux" | "Lux" => return find("lx"),
        "dbm" | "DBM" => return find("dBm"),
        "PPM" => return find("ppm"),
        "PPB" => return find("ppb"),
        "L" => return find("l"),
        "L/min" => return find("l/min"),
        "L/s" => return find("l/s"),
        "m³" => return find("m3"),
        "m³/h" => return find("m3/h"),
        "m³/s" => return find("m3/s"),
        "Ω" | "ohm" => return find("Ohm"),
        "kΩ" | "kohm" => return find("kOhm"),
        "\u{ff05}" => return find("%"),
        "\u{3bc}g/m³" | "\u{3bc}g/m3" | "\u{b5}g/m3" => return find("ug/m3"),
        "BPM" => return find("bpm"),
        "Cel" | "°C" | "C" => unit(Temperature, 1.0, "°C"),
        "K" => Unit { offset: -273.15, ..unit(Temperature, 1.0, "K") },
        "°F" | "F" => Unit { offset: -32.0 / 1.8, ..unit(Temperature, 1.0 / 1.8, "°F") },
        "Pa" => unit(Pressure, 1.0, "Pa"),
        "hPa" | "mbar" => unit(Pressure, 100.0, "hPa"),
        "kPa" => unit(Pressure, 1e3, "kPa"),
        "MPa" => unit(Pressure, 1e6, "MPa"),
        "bar" => unit(Pressure, 1e5, "bar"),
        "psi" => unit(Pressure, 6_894.757_293_168, "psi"),
        "mmHg" => unit(Pressure, 133.322_387_415, "mmHg"),
        "A" => unit(Current, 1.0, "A"),
        "uA" | "µA" => unit(Current, 1e-6, "µA"),
        "mA" => unit(Current, 1e-3, "mA"),
        "V" => unit(Voltage, 1.0, "V"),
        "mV" => unit(Voltage, 1e-3, "mV"),
        "kV" => unit(Voltage, 1e3, "kV"),
        "W" => unit(Power, 1.0, "W"),
        "kW" => unit(Power, 1e3, "kW"),
        "VA" => unit(Power, 1.0, "VA"),
        "var" => unit(Power, 1.0, "var"),
        "J" => unit(Energy, 1.0, "J"),
        "Wh" => unit(Energy, 3600.0, "Wh"),
        "kWh" => unit(Energy, 3.6e6, "kWh"),
        "Ohm" => unit(Resistance, 1.0, "Ω"),
        "kOhm" => unit(Resistance, 1e3, "kΩ"),
        "uS/cm" | "µS/cm" => unit(Conductivity, 1e-4, "µS/cm"),
        "mS/cm" => unit(Conductivity, 0.1, "mS/cm"),
        "Ah" => unit(Charge, 3600.0, "Ah"),
        "mAh" => unit(Charge, 3.6, "mAh"),
        "Hz" => unit(Frequency, 1.0, "Hz"),
        "beat/min" | "bpm" | "1/min" => unit(Frequency, 1.0 / 60.0, "bpm"),
        "rpm" => unit(Frequency, 1.0 / 60.0, "rpm"),
        "lx" => unit(Illuminance, 1.0, "lx"),
        "m/s2" | "m/s²" => unit(Acceleration, 1.0, "m/s²"),
        "g" => unit(Acceleration, STANDARD_GRAVITY, "g"),
        "mg" => unit(Acceleration, STANDARD_GRAVITY / 1000.0, "mg"),
        "rad/s" => unit(AngularRate, 1.0, "rad/s"),
        "deg/s" | "°/s" => unit(AngularRate, std::f64::consts::PI / 180.0, "°/s"),
        "deg" => unit(Angle, 1.0, "°"),
        "m" => unit(Length, 1.0, "m"),
        "km" => unit(Length, 1e3, "km"),
        "cm" => unit(Length, 1e-2, "cm"),
        "mm" => unit(Length, 1e-3, "mm"),
        "m/s" => unit(Speed, 1.0, "m/s"),
        "km/h" => unit(Speed, 1.0 / 3.6, "km/h"),
        "us" => unit(Time, 1e-6, "µs"),
        "ms" => unit(Time, 1e-3, "ms"),
        "s" => unit(Time, 1.0, "s"),
        "min" => unit(Time, 60.0, "min"),
        "h" => unit(Time, 3600.0, "h"),
        "d" => unit(Time, 86_400.0, "d"),
        // The UCUM symbol of a year; an age is said without it.
        "a" => unit(Age, 1.0, ""),
        "m3" => unit(Volume, 1.0, "m³"),
        "l" => unit(Volume, 1e-3, "l"),
        "m3/s" => unit(Flow, 1.0, "m³/s"),
        "m3/h" => unit(Flow, 1.0 / 3600.0, "m³/h"),
        "l/s" => unit(Flow, 1e-3, "l/s"),
        "l/min" => unit(Flow, 1e-3 / 60.0, "l/min"),
        "ug/m3" | "µg/m³" => unit(MassConcentration, 1e-9, "µg/m³"),
        "mg/m3" | "mg/m³" => unit(MassConcentration, 1e-6, "mg/m³"),
        "dB" => unit(Sound, 1.0, "dB"),
        "dBm" => unit(Signal, 1.0, "dBm"),
        "/" => unit(Ratio, 1.0, ""),
        "%" | "/100" => unit(Ratio, 1e-2, "%"),
        "/1000" => unit(Ratio, 1e-3, "‰"),
        "ppm" => unit(Ratio, 1e-6, "ppm"),
        "ppb" => unit(Ratio, 1e-9, "ppb"),
        "%RH" => unit(HumidityRatio, 1e-2, "%RH"),
        "%EL" => unit(BatteryRatio, 1e-2, "%"),
        "%LEL" => unit(ExplosiveLimitRatio, 1e-2, "%LEL"),
        "%/m" => unit(Obscuration, 1e-2, "%/m"),
        "pH" => unit(Acidity, 1.0, "pH"),
        "NTU" => unit(Turbidity, 1.0, "NTU"),
        "kg" => unit(Mass, 1.0, "kg"),
        "%VOL" | "%vol" => unit(VolumeRatio, 1e-2, "%VOL"),
        "count" => unit(Count, 1.0, ""),
        _ => return None,
    })
}

/// `value` of the unit `from` in the unit `to`; `None` where one of them is not known, or they do not
/// measure the same.
pub fn convert_unit(value: f64, from: &str, to: &str) -> Option<f64> {
    find(from)?.convert(value, find(to)?)
}

impl Unit {
    /// `value` of this unit in `to`; `None` where they do not measure the same.
    pub(super) fn convert(self, value: f64, to: Self) -> Option<f64> {
        if self == to {
            return Some(value);
        }
        to.quantity.takes(self.quantity).then(|| (value * self.scale + self.offset - to.offset) / to.scale)
    }

    /// Whether it says how full a battery is.
    pub(super) fn is_battery(self) -> bool {
        self.quantity == BatteryRatio
    }
}

#[cfg(test)]
mod tests {
    use super::convert_unit as convert;

    #[test]
    fn values_convert_within_a_quantity_and_never_across() {
        let close = |given: Option<f64>, wanted: f64| (given.unwrap() - wanted).abs() < 1e-9;
        assert!(close(convert(300.15, "K", "°C"), 27.0));
        assert!(close(convert(98.6, "°F", "Cel"), 37.0));
        assert!(close(convert(310_000.0, "Pa", "MPa"), 0.31));
        assert!(close(convert(0.3, "A", "mA"), 300.0));
        assert!(close(convert(1.2, "Hz", "beat/min"), 72.0));
        assert!(close(convert(0.2, "/", "%LEL"), 20.0));
        assert_eq!(convert(20.0, "%LEL", "%RH"), None);
        assert_eq!(convert(20.0, "Cel", "MPa"), None);
        assert_eq!(convert(21.5, "Cel", "°C"), Some(21.5));
    }
}
