//! Units and their conversions.
