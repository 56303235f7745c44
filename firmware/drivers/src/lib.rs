//! Sensor drivers on embedded-hal 1.0: no std, no allocation, no clock (time comes in), no panic.
//!
//! | file | what it reads or drives | what goes in | what comes out |
//! |--|--|--|--|
//! | [`contact`] | a dry contact: smoke relay, door, leak | [`InputPin`](embedded_hal::digital::InputPin), ms | made or open |
//! | [`mod@line`] | a line with an end-of-line resistor | millivolts, ms | normal, alarm, cut, short |
//! | [`sos`] | an SOS button | `InputPin`, ms | pressed, held, stuck, released |
//! | [`tmp102`] | TMP102, TMP105, TMP75 | [`I2c`](embedded_hal::i2c::I2c) | °C |
//! | [`sht3x`] | SHT30, SHT31, SHT35 | `I2c` | °C and %RH |
//! | [`mq`] | MQ-2 and MQ-5 gas elements | millivolts, ms | ppm, or why there is none |
//! | [`clamp`] | a current clamp (SCT-013) | counts of whole mains cycles | A |
//! | [`ld2410`] | an LD2410 presence radar | bytes of its UART | moving or still, how far |
//! | [`output`] | a siren, lamp or relay | [`OutputPin`](embedded_hal::digital::OutputPin), ms | on, off, blinking |
//!
//! The thermometers keep nothing between calls: where several parts share a bus, make them of `&mut bus`
//! for each read.
//!
//! embedded-hal 1.0 has no trait for an ADC, so what stands on one takes its numbers: [`adc`].
//! Why which driver is our own, and why they block: `docs/decisions/0022-drivers.md`.
#![no_std]

pub mod adc;
pub mod clamp;
pub mod contact;
pub mod ld2410;
pub mod line;
pub mod mq;
pub mod output;
pub mod sht3x;
pub mod sos;
pub mod tmp102;
