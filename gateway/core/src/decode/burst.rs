//! Bursts: equally spaced samples, in the many ways in which they are sent.

use std::sync::Arc;

use super::field::{BurstShape, Field, SentAs};
use super::node::Node;
use super::source::{Scope, Source};
use super::unpack::{base64_bytes, hex_bytes};
use crate::decode::DecodeError;
use crate::reading::{Burst, Value};

impl Field {
    pub(super) fn find_burst(
        &self,
        shape: &BurstShape,
        from: &[Source],
        scope: &Scope<'_>,
    ) -> Result<Option<Value>, DecodeError> {
        let rate_hz = match shape.rate_from.as_ref().and_then(|source| source.find(scope)) {
            Some(node) => {
                #[allow(clippy::cast_possible_truncation, reason = "a rate has few digits")]
                let rate = self.number(&node)?.number as f32;
                let wrong = || self.refuse("out_of_range", &format!("{rate} samples per second"));
                if rate.is_finite() && rate > 0.0 { rate } else { return Err(wrong()) }
            }
            None => shape.rate_hz,
        };
        if shape.columns.is_empty() {
            let Some(node) = from.iter().find_map(|source| source.find(scope)) else { return Ok(None) };
            return self.burst(shape, &node, rate_hz).map(Some);
        }
        let columns: Vec<_> = shape.columns.iter().filter_map(|source| source.find(scope)).collect();
        if columns.is_empty() {
            return Ok(None);
        }
        let columns: Option<Vec<&[Node<'_>]>> = columns.iter().map(|column| items(column)).collect();
        let columns = columns.filter(|columns| columns.len() == shape.channels.len());
        let columns = columns.ok_or_else(|| self.refuse("wrong_type", "has to be a list for each channel"))?;
        let count = columns.first().map_or(0, |column| column.len());
        if columns.iter().any(|column| column.len() != count) {
            return Err(self.refuse("wrong_type", "has channels of different lengths"));
        }
        let flat = (0..count).flat_map(|sample| columns.iter().filter_map(move |column| column.get(sample)));
        self.samples(shape, flat, rate_hz).map(Some)
    }

    pub(super) fn burst(&self, shape: &BurstShape, node: &Node<'_>, rate_hz: f32) -> Result<Value, DecodeError> {
        let channels = shape.channels.len();
        match (shape.sent_as, node) {
            (SentAs::Base64 { big_endian }, Node::Text(text)) => {
                // Four signs are three bytes; no more is decoded than is taken.
                self.check_samples(shape, text.len() / 4 * 3 / 2)?;
                let bytes = base64_bytes(text).map_err(|error| self.refuse("not_base64", &error.to_string()))?;
                self.int16(shape, &bytes, big_endian, rate_hz)
            }
            (SentAs::Hex { big_endian }, Node::Text(text)) => {
                let bytes = hex_bytes(text).map_err(|problem| self.refuse("not_hex", &problem))?;
                self.int16(shape, &bytes, big_endian, rate_hz)
            }
            (SentAs::Base64 { big_endian } | SentAs::Hex { big_endian }, Node::Bytes(bytes)) => {
                self.int16(shape, bytes, big_endian, rate_hz)
            }
            (SentAs::List, Node::List(list)) => match list.first() {
                Some(Node::List(_)) => {
                    let rows: Option<Vec<&[Node<'_>]>> = list.iter().map(items).collect();
                    let rows = rows.filter(|rows| rows.iter().all(|row| row.len() == channels));
                    let rows = rows.ok_or_else(|| {
                        self.refuse("wrong_type", &format!("has samples that are no lists of {channels} numbers"))
                    })?;
                    self.samples(shape, rows.into_iter().flatten(), rate_hz)
                }
                Some(Node::Map(_)) => {
                    let member = |row: &'_ Node<'_>, channel: usize| -> Option<f64> {
                        let name = &shape.channels.get(channel)?.name;
                        self.number(row.member(name)?).ok().map(|sent| sent.number)
                    };
                    let mut flat = Vec::with_capacity(list.len().saturating_mul(channels));
                    for row in list {
                        for channel in 0..channels {
                            let number = member(row, channel)
                                .ok_or_else(|| self.refuse("wrong_type", "has a sample that lacks a channel"))?;
                            flat.push(Node::Float(number));
                        }
                    }
                    self.samples(shape, flat.iter(), rate_hz)
                }
                _ => self.samples(shape, list.iter(), rate_hz),
            },
            (SentAs::List, other) => Err(self.wrong_type("a list of samples", other)),
            (_, other) => Err(self.wrong_type("base64 or hex data", other)),
        }
    }

    fn check_samples(&self, shape: &BurstShape, numbers: usize) -> Result<(), DecodeError> {
        // Base64 may be padded by up to two numbers' worth.
        if numbers <= shape.max_samples.saturating_mul(shape.channels.len()).saturating_add(1) {
            return Ok(());
        }
        Err(self.refuse("out_of_range", &format!("has more than {} samples", shape.max_samples)))
    }

    fn int16(&self, shape: &BurstShape, bytes: &[u8], big_endian: bool, rate_hz: f32) -> Result<Value, DecodeError> {
        let channels = shape.channels.len();
        self.check_samples(shape, bytes.len() / 2)?;
        if bytes.is_empty() || !bytes.len().is_multiple_of(2 * channels) {
            let what = format!("{} bytes are no whole samples of {channels} int16", bytes.len());
            return Err(self.refuse("wrong_type", &what));
        }
        let (counts, _) = bytes.as_chunks::<2>();
        let int16 = |count: [u8; 2]| if big_endian { i16::from_be_bytes(count) } else { i16::from_le_bytes(count) };
        let per_count = shape.channels.iter().map(|channel| channel.per_count).cycle();
        let samples = counts.iter().zip(per_count).map(|(count, unit)| f32::from(int16(*count)) * unit).collect();
        Ok(Value::Burst(Arc::new(Burst { rate_hz, channels, samples })))
    }

    /// A burst of numbers as they are interleaved.
    fn samples<'n>(
        &self,
        shape: &BurstShape,
        flat: impl Iterator<Item = &'n Node<'n>>,
        rate_hz: f32,
    ) -> Result<Value, DecodeError> {
        let channels = shape.channels.len();
        let mut samples = Vec::new();
        for (node, channel) in flat.zip(shape.channels.iter().cycle()) {
            #[allow(clippy::cast_possible_truncation, reason = "a sample has few digits")]
            let sample = self.number(node)?.number as f32 * channel.per_count;
            samples.push(sample);
        }
        self.check_samples(shape, samples.len())?;
        if samples.is_empty() || !samples.len().is_multiple_of(channels) || samples.iter().any(|s| !s.is_finite()) {
            let what = format!("{} numbers are no whole samples of {channels} channels", samples.len());
            return Err(self.refuse("wrong_type", &what));
        }
        Ok(Value::Burst(Arc::new(Burst { rate_hz, channels, samples })))
    }
}

fn items<'n, 's>(node: &'s Node<'n>) -> Option<&'s [Node<'n>]> {
    match node {
        Node::List(items) => Some(items),
        _ => None,
    }
}
