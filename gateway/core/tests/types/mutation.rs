//! Payloads that are nearly right.

use ninewatch_core::decode::Sample;
use serde_json::{Value, json};

/// Makes nearly right messages out of right ones; the same ones for the same name.
pub(crate) struct Mutator<'a> {
    state: u64,
    samples: &'a [Sample],
}

impl<'a> Mutator<'a> {
    pub(crate) fn new(name: &str, samples: &'a [Sample]) -> Self {
        // FNV-1a
        let seed = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3_u64));
        Self { state: seed | 1, samples }
    }

    /// xorshift64*
    fn random(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.random() % u64::try_from(most.max(1)).unwrap()).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.random().to_le_bytes()[3]
    }

    pub(crate) fn next(&mut self) -> Sample {
        let mut sample = self.samples[self.below(self.samples.len())].clone();
        if self.below(20) == 0 {
            // Of another kind on this topic.
            sample.topic = self.samples[self.below(self.samples.len())].topic.clone();
        }
        if self.below(40) == 0 {
            let at = self.below(sample.topic.len());
            if sample.topic.is_char_boundary(at) {
                sample.topic.insert(at, ['/', 'x', '{', '家'][self.below(4)]);
            }
        }
        for _ in 0..=self.below(3) {
            self.mutate(&mut sample.payload);
        }
        sample
    }

    fn mutate(&mut self, payload: &mut Vec<u8>) {
        let (at, to) = (self.below(payload.len()), self.below(payload.len()));
        let (from, to) = (at.min(to), at.max(to));
        match self.below(8) {
            0 => {
                let byte = self.byte();
                if let Some(slot) = payload.get_mut(at) {
                    *slot = byte;
                }
            }
            1 => payload.insert(at, self.byte()),
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
            Value::Array(items) if !items.is_empty() && self.below(5) > 0 => {
                let at = self.below(items.len());
                return self.change(&mut items[at]);
            }
            Value::Object(members) if !members.is_empty() && self.below(5) > 0 => {
                let at = self.below(members.len());
                if self.below(6) == 0 {
                    let name = members.keys().nth(at).unwrap().clone();
                    members.remove(&name);
                    return;
                }
                return self.change(members.values_mut().nth(at).unwrap());
            }
            _ => {}
        }
        *json = match self.below(16) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(false),
            3 => json!(self.random() as i64),
            4 => json!(u64::MAX),
            5 => json!(1e308),
            6 => json!(-1),
            7 => json!(0),
            8 => json!(f64::MIN_POSITIVE),
            9 => json!(""),
            10 => json!("nan"),
            11 => json!("21.5 furlongs"),
            12 => json!("AAAA"),
            13 => json!("ff".repeat(self.below(64))),
            14 => json!([json, json]),
            _ => json!({ "value": json, "家": [] }),
        };
    }
}
