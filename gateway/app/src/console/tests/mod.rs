//! The console under test: real HTTP on a loopback port, a real journal and index, and an alert book
//! that plays the engine's part.

mod client;
mod desk;
mod sample;
mod schema;

mod acting;
mod auditing;
mod doors;
mod duty;
mod feed;
mod handing;
mod https;
mod looking;
mod past;
mod people;
mod roles;
mod setting_up;
mod walking;
