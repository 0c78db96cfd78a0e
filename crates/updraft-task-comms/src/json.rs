//! JSON as Python knows it.
//!
//! Values cross from a child to the store and back untouched: `1` stays an integer and
//! `1.0` a float, 64-bit integers stay exact, keys keep their order, and `NaN` and the
//! infinities survive. `serde_json::Value` cannot hold the last ones, so the form we keep
//! is the text itself: [`JsonText`], which the store writes to a text column as it is.
//! [`Json`] is its parsed form for the few places that look inside.

mod number;
mod text;
mod tree;

pub use number::python_float;
pub(crate) use text::with_serde_timestamps;
pub use text::{JsonText, serde_datetime, write_json_string};
pub use tree::{Json, JsonError};

/// Deepest nesting that is read or written, as in pydantic, which checks the same values.
pub const JSON_DEPTH_MAX: usize = 255;
