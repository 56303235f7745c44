//! Payloads that are nearly right.

use ninewatch_core::decode::Sample;
use ninewatch_tests::fuzz::Dice;
use serde_json::{Value, json};

/// Makes nearly right messages out of right ones; the same ones for the same type and seed.
pub(crate) struct Mutator<'a> {
    dice: Dice,
    samples: &'a [Sample],
}

impl<'a> Mutator<'a> {
    pub(crate) fn new(sensor_type: &str, seed: u64, samples: &'a [Sample]) -> Self {
        // FNV-1a: each type meets other mutations.
        let name = sensor_type
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3_u64));
        Self { dice: Dice::new(name ^ seed), samples }
    }

    pub(crate) fn next(&mut self) -> Sample {
        let mut sample = self.samples[self.dice.below(self.samples.len())].clone();
        if self.dice.below(20) == 0 {
            // Of another kind on this topic.
            sample.topic = self.samples[self.dice.below(self.samples.len())].topic.clone();
        }
        if self.dice.below(40) == 0 {
            let at = self.dice.below(sample.topic.len());
            if sample.topic.is_char_boundary(at) {
                sample.topic.insert(at, ['/', 'x', '{', '家'][self.dice.below(4)]);
            }
        }
        for _ in 0..=self.dice.below(3) {
            self.mutate(&mut sample.payload);
        }
        sample
    }

    fn mutate(&mut self, payload: &mut Vec<u8>) {
        let (at, to) = (self.dice.below(payload.len()), self.dice.below(payload.len()));
        let (from, to) = (at.min(to), at.max(to));
        match self.dice.below(8) {
            0 => {
                let byte = self.dice.byte();
                if let Some(slot) = payload.get_mut(at) {
                    *slot = byte;
                }
            }
            1 => payload.insert(at, self.dice.byte()),
            2 => _ = payload.drain(from..to),
            3 => payload.truncate(at),
            4 => {
                let part = payload[from..to].to_vec();
                payload.splice(at..at, part);
            }
            _ => {
                if let Ok(mut json) = serde_json::from_slice::<Value>(payload) {
                    self.change(&mut json);
                    *payload = serde_json::to_vec(&json).unwrap();
                }
            }
        }
        payload.truncate(256 << 10);
    }

    /// Changes one value somewhere in it.
    fn change(&mut self, json: &mut Value) {
        match json {
            Value::Array(items) if !items.is_empty() && self.dice.below(5) > 0 => {
                let at = self.dice.below(items.len());
                return self.change(&mut items[at]);
            }
            Value::Object(members) if !members.is_empty() && self.dice.below(5) > 0 => {
                let at = self.dice.below(members.len());
                if self.dice.below(6) == 0 {
                    let name = members.keys().nth(at).unwrap().clone();
                    members.remove(&name);
                    return;
                }
                return self.change(members.values_mut().nth(at).unwrap());
            }
            _ => {}
        }
        *json = match self.dice.below(16) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(false),
            3 => json!(self.dice.any() as i64),
            4 => json!(u64::MAX),
            5 => json!(1e308),
            6 => json!(-1),
            7 => json!(0),
            8 => json!(f64::MIN_POSITIVE),
            9 => json!(""),
            10 => json!("nan"),
            11 => json!("21.5 furlongs"),
            12 => json!("AAAA"),
            13 => json!("ff".repeat(self.dice.below(64))),
            14 => json!([json, json]),
            _ => json!({ "value": json, "家": [] }),
        };
    }
}
