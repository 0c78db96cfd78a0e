//! [`JsonText`]: one JSON value, kept as text.

use std::fmt::{self, Write as _};

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::{JSON_DEPTH_MAX, Json, JsonError, python_float};
use crate::scalar::UtcDateTime;

/// One JSON value as compact text: Python's dialect with `NaN` and `Infinity`, UTF-8.
///
/// Decoding a message writes this text directly, without a tree in between; encoding
/// parses it again. Two texts are equal if they are spelt the same.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct JsonText(Box<str>);

impl JsonText {
    /// The value `null`.
    pub fn null() -> Self {
        Self("null".into())
    }

    /// Checks `text` and rewrites it in compact form.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        Ok(Self::from(&Json::parse(text)?))
    }

    /// Takes text that was a [`JsonText`] before, such as a column of the store.
    ///
    /// Broken text is noticed when the value is read or sent.
    pub fn from_stored(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the store and for `serde_json::from_str`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_null(&self) -> bool {
        &*self.0 == "null"
    }

    /// This object with `value` under `key`, in place of what was there; `null` counts as an empty
    /// object.
    ///
    /// # Errors
    /// When this is no object, or either text is broken.
    pub fn with_entry(&self, key: &str, value: &Self) -> Result<Self, JsonError> {
        let mut entries = match self.to_json()? {
            Json::Null => Vec::new(),
            Json::Object(entries) => entries,
            _ => {
                return Err(JsonError {
                    expected: "an object",
                    at: 0,
                });
            }
        };
        entries.retain(|(name, _)| name != key);
        entries.push((key.into(), value.to_json()?));
        Ok(Self::from(&Json::Object(entries)))
    }

    /// Parses the text.
    pub fn to_json(&self) -> Result<Json<'_>, JsonError> {
        Json::parse(&self.0)
    }
}

impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<JsonText> for String {
    fn from(text: JsonText) -> Self {
        text.0.into()
    }
}

impl From<&Json<'_>> for JsonText {
    fn from(json: &Json<'_>) -> Self {
        let mut text = String::new();
        json.write(&mut text);
        Self(text.into())
    }
}

impl From<&serde_json::Value> for JsonText {
    fn from(value: &serde_json::Value) -> Self {
        // serde_json prints floats in its own style; going through `Json` gives Python's.
        Self::from(&Json::from(value))
    }
}

impl Serialize for JsonText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json()
            .map_err(serde::ser::Error::custom)?
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut text = String::new();
        ValueWriter::new(&mut text, Style::Plain).deserialize(deserializer)?;
        Ok(Self(text.into()))
    }
}

/// For `deserialize_with`: timestamps become Airflow's "serde" objects instead of text, and keys
/// that would make such an object of something else are refused, as Airflow refuses them.
///
/// Payloads of trigger events end in `next_kwargs`, and the resumed task expects the
/// datetime back that the trigger sent.
pub(crate) fn with_serde_timestamps<'de, D>(deserializer: D) -> Result<JsonText, D::Error>
where
    D: Deserializer<'de>,
{
    let mut text = String::new();
    ValueWriter::new(&mut text, Style::Serde).deserialize(deserializer)?;
    Ok(JsonText(text.into()))
}

/// Appends `value` as a JSON string; only what must be escaped is.
pub fn write_json_string(text: &mut String, value: &str) {
    text.push('"');
    let mut plain_from = 0;
    for (at, byte) in value.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        text.push_str(&value[plain_from..at]);
        plain_from = at + 1;
        match byte {
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            0x08 => text.push_str("\\b"),
            0x0c => text.push_str("\\f"),
            control => push_display(text, format_args!("\\u{control:04x}")),
        }
    }
    text.push_str(&value[plain_from..]);
    text.push('"');
}

/// Appends `value`; writing to a `String` cannot fail.
pub(super) fn push_display(text: &mut String, value: impl fmt::Display) {
    let _infallible = write!(text, "{value}");
}

fn write_iso_time(text: &mut String, time: UtcDateTime) {
    write_json_string(text, &time.to_string());
}

/// An instant in the form from which a child makes a `datetime` again, inside of XComs, `next_kwargs`
/// and arguments of triggers.
///
/// Source: runtime protocols §1.14.
pub fn serde_datetime(time: UtcDateTime) -> JsonText {
    let mut text = String::new();
    write_serde_time(&mut text, time);
    JsonText(text.into())
}

fn write_serde_time(text: &mut String, time: UtcDateTime) {
    let seconds = python_float(time.0.as_microsecond() as f64 / 1e6);
    push_display(
        text,
        format_args!(
            "{{\"__classname__\":\"datetime.datetime\",\"__version__\":2,\"__data__\":\
             {{\"timestamp\":{seconds},\"tz\":{{\"__classname__\":\"builtins.tuple\",\
             \"__version__\":1,\"__data__\":[\"UTC\",\"pendulum.tz.timezone.Timezone\",1,true]}}}}}}"
        ),
    );
}

/// Keys by which Airflow's serde knows its own objects.
const RESERVED_KEYS: [&str; 2] = ["__classname__", "__id__"];

/// What becomes of values that JSON has no form for.
#[derive(Clone, Copy)]
enum Style {
    /// Timestamps become text.
    Plain,
    /// Timestamps become objects of Airflow's serde.
    Serde,
}

/// Writes whatever is deserialized as JSON text.
struct ValueWriter<'a> {
    text: &'a mut String,
    style: Style,
    /// How many arrays and objects this value is in.
    depth: usize,
}

impl<'a> ValueWriter<'a> {
    fn new(text: &'a mut String, style: Style) -> Self {
        Self {
            text,
            style,
            depth: 0,
        }
    }

    /// Enters an array or an object.
    fn descend<E: de::Error>(self) -> Result<Self, E> {
        let depth = self.depth + 1;
        if depth > JSON_DEPTH_MAX {
            return Err(E::custom(format_args!(
                "values are nested deeper than {JSON_DEPTH_MAX}"
            )));
        }
        Ok(Self { depth, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for ValueWriter<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueWriter<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.text.push_str(if value { "true" } else { "false" });
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        push_display(self.text, value);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        push_display(self.text, value);
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.text.push_str(&python_float(value));
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        write_json_string(self.text, value);
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.text.push_str("null");
        Ok(())
    }

    fn visit_none<E>(self) -> Result<(), E> {
        self.text.push_str("null");
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        self.deserialize(value)
    }

    /// The msgpack decoder hands extension values over as newtypes; time is the only one.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, extension: D) -> Result<(), D::Error> {
        let time = UtcDateTime::from_extension(extension)?;
        match self.style {
            Style::Plain => write_iso_time(self.text, time),
            Style::Serde => write_serde_time(self.text, time),
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { text, style, depth } = self.descend()?;
        text.push('[');
        let start = text.len();
        loop {
            let before = text.len();
            if before > start {
                text.push(',');
            }
            if items
                .next_element_seed(ValueWriter { text, style, depth })?
                .is_none()
            {
                text.truncate(before);
                break;
            }
        }
        text.push(']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Self { text, style, depth } = self.descend()?;
        text.push('{');
        let start = text.len();
        loop {
            let before = text.len();
            if before > start {
                text.push(',');
            }
            if entries.next_key_seed(KeyWriter { text, style })?.is_none() {
                text.truncate(before);
                break;
            }
            text.push(':');
            entries.next_value_seed(ValueWriter { text, style, depth })?;
        }
        text.push('}');
        Ok(())
    }
}

/// Writes a key; like `json.dumps`, numbers, booleans and null become text.
struct KeyWriter<'a> {
    text: &'a mut String,
    style: Style,
}

impl<'de> DeserializeSeed<'de> for KeyWriter<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for KeyWriter<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<(), E> {
        if matches!(self.style, Style::Serde) && RESERVED_KEYS.contains(&key) {
            return Err(E::custom(format_args!("the key `{key}` is reserved")));
        }
        write_json_string(self.text, key);
        Ok(())
    }

    fn visit_i64<E>(self, key: i64) -> Result<(), E> {
        push_display(self.text, format_args!("\"{key}\""));
        Ok(())
    }

    fn visit_u64<E>(self, key: u64) -> Result<(), E> {
        push_display(self.text, format_args!("\"{key}\""));
        Ok(())
    }

    fn visit_f64<E>(self, key: f64) -> Result<(), E> {
        push_display(self.text, format_args!("\"{}\"", python_float(key)));
        Ok(())
    }

    fn visit_bool<E>(self, key: bool) -> Result<(), E> {
        push_display(self.text, format_args!("\"{key}\""));
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.text.push_str("\"null\"");
        Ok(())
    }
}
