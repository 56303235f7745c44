//! Sensor drivers on embedded-hal 1.0: no std, no allocation, no clock (time comes in).
#![no_std]

pub mod contact;
pub mod tmp102;
