//! Values of several lines that are JSON, laid out so that `configparser` reads them back.

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

/// The JSON document in `text` with four spaces a level, continued below its option; `None`
/// when `text` is something else.
pub(super) fn indented_json(text: &str) -> Option<String> {
    let document: serde_json::Value = serde_json::from_str(text).ok()?;
    let mut bytes = Vec::new();
    let mut writer = Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(b"    "));
    document.serialize(&mut writer).ok()?;
    let laid_out = String::from_utf8(bytes).ok()?;
    Some(laid_out.replace('\n', "\n    "))
}
