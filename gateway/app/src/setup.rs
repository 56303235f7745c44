//! What the set-up page stands on: what codes on devices and boxes say, and how they are found in a picture.

mod codes;
mod picture;

pub(crate) use codes::{Means, label_of, meaning};
pub(crate) use picture::{LARGEST_SIDE, codes_in};
