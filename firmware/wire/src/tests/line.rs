//! Frames on a line that damages them.
use proptest::prelude::*;

use crate::frame::{Deframer, Direction, Key, MAX_ON_LINE, MAX_PAYLOAD, NodeId, NotOurs, TooLong, header, write};

const KEY: Key = Key([7; 16]);

fn framed(payload: &[u8]) -> Vec<u8> {
    let header = header(Direction::Up, NodeId(1), 2, 3, 4);
    write(&header, &KEY, &payload, &mut [0; MAX_ON_LINE]).unwrap().into()
}

/// The payloads that come out of `bytes`; `None` for what is damaged or sealed by another.
fn heard(bytes: &[u8], key: &Key) -> Vec<Option<Vec<u8>>> {
    let mut deframer = Deframer::default();
    let mut heard = Vec::new();
    for byte in bytes {
        if let Some(frame) = deframer.push(*byte) {
            heard.push(frame.ok().and_then(|frame| frame.open(key).ok().map(Into::into)));
        }
    }
    heard
}

/// As postcard writes it: its length, then itself.
fn with_length(payload: &[u8]) -> Vec<u8> {
    postcard::to_slice(&payload, &mut [0; 300]).unwrap().to_vec()
}

#[test]
fn what_does_not_fit_is_refused() {
    let header = header(Direction::Up, NodeId(1), 2, 3, 4);
    // Two bytes are its length.
    let fits = vec![1_u8; MAX_PAYLOAD - 2];
    assert!(write(&header, &KEY, &fits.as_slice(), &mut [0; MAX_ON_LINE]).is_ok());
    let too_long = vec![1_u8; MAX_PAYLOAD - 1];
    assert_eq!(write(&header, &KEY, &too_long.as_slice(), &mut [0; MAX_ON_LINE]), Err(TooLong));
}

#[test]
fn another_key_opens_nothing() {
    let mut deframer = Deframer::default();
    let bytes = framed(b"press");
    let opened =
        bytes.iter().find_map(|byte| deframer.push(*byte).map(|frame| frame.unwrap().open(&Key([8; 16])).err()));
    assert_eq!(opened, Some(Some(NotOurs)));
}

proptest! {
    #[test]
    fn what_is_sealed_is_opened(payload in proptest::collection::vec(any::<u8>(), 0..MAX_PAYLOAD - 2)) {
        prop_assert_eq!(heard(&framed(&payload), &KEY), [Some(with_length(&payload))]);
    }

    /// Whatever single bit the line turns, in whichever frame: that one is not heard, the next is.
    #[test]
    fn a_damaged_frame_costs_itself(payload in proptest::collection::vec(any::<u8>(), 0..200), bit in any::<usize>()) {
        let mut bytes = framed(&payload);
        let bit = bit % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes.extend(framed(b"next"));
        let heard = heard(&bytes, &KEY);
        prop_assert_eq!(heard.last().unwrap(), &Some(with_length(b"next")));
        prop_assert!(heard.iter().rev().skip(1).all(|frame| frame.as_ref().is_none_or(|heard| *heard == with_length(&payload))));
        // A turned bit of a delimiter at an end is made up for by the neighbour's.
        let inside = bit / 8 > 0 && bit / 8 < bytes.len() - framed(b"next").len() - 1;
        prop_assert!(!inside || heard.iter().rev().skip(1).all(Option::is_none));
    }

    /// No bytes at all make it panic, or be anything but a frame or none.
    #[test]
    fn noise_is_no_frame(noise in proptest::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(0)], 0..2000)) {
        prop_assert!(heard(&noise, &KEY).iter().all(Option::is_none));
        let mut with_frame = noise;
        with_frame.push(0);
        with_frame.extend(framed(b"next"));
        prop_assert_eq!(heard(&with_frame, &KEY).pop(), Some(Some(with_length(b"next"))));
    }
}
