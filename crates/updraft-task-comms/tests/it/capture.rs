//! Reads recorded data and turns it into bytes and back.
//!
//! In captures `{"$msgpack_timestamp": "…"}` stands for a msgpack timestamp.

use bytes::Bytes;
use jiff::Timestamp;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;
use updraft_task_comms::frame::{Frame, FrameDecoder};
use updraft_task_comms::json::JsonText;
use updraft_task_comms::scalar::UtcDateTime;

const TIMESTAMP_KEY: &str = "$msgpack_timestamp";

/// Loads a file of `testdata/`.
pub(crate) fn load(name: &str) -> Value {
    let path = format!("{}/testdata/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap()
}

/// The msgpack form of a captured value.
pub(crate) fn msgpack(value: &Value) -> Bytes {
    rmp_serde::to_vec(&Captured(value)).unwrap().into()
}

/// The frame a captured array stands for.
pub(crate) fn frame_bytes(frame: &Value) -> Bytes {
    let array = msgpack(frame);
    let mut bytes = u32::try_from(array.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(array);
    bytes.into()
}

/// Decodes exactly one frame.
pub(crate) fn one_frame(bytes: &[u8]) -> Frame {
    let mut decoder = FrameDecoder::default();
    decoder.feed(bytes);
    let frame = decoder.next_frame().expect("a whole frame").unwrap();
    assert!(!decoder.has_partial_frame());
    frame
}

/// msgpack as JSON; timestamps become text, keys are sorted.
pub(crate) fn as_json(msgpack: &[u8]) -> Value {
    let text: JsonText = rmp_serde::from_slice(msgpack).unwrap();
    sorted(&serde_json::from_str(text.as_str()).unwrap())
}

/// A captured value in the form of [`as_json`].
pub(crate) fn plain(value: &Value) -> Value {
    sorted(value)
}

/// msgpack with sorted keys, types and extensions untouched.
pub(crate) fn typed(msgpack: &[u8]) -> rmpv::Value {
    sorted_typed(rmpv::decode::read_value(&mut &msgpack[..]).unwrap())
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
    text.as_bytes()
        .chunks(2)
        .map(|pair| (digit(pair[0]) << 4) | digit(pair[1]))
        .collect()
}

fn sorted_typed(value: rmpv::Value) -> rmpv::Value {
    match value {
        rmpv::Value::Array(items) => {
            rmpv::Value::Array(items.into_iter().map(sorted_typed).collect())
        }
        rmpv::Value::Map(entries) => {
            let mut entries: Vec<_> = entries
                .into_iter()
                .map(|(key, value)| (key, sorted_typed(value)))
                .collect();
            entries.sort_by_key(|(key, _)| key.to_string());
            rmpv::Value::Map(entries)
        }
        other => other,
    }
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Object(_) if timestamp(value).is_some() => {
            Value::String(UtcDateTime(timestamp(value).unwrap()).to_string())
        }
        Value::Object(entries) => {
            let mut keys: Vec<_> = entries.keys().collect();
            keys.sort();
            keys.into_iter()
                .map(|key| (key.clone(), sorted(&entries[key])))
                .collect()
        }
        other => other.clone(),
    }
}

fn timestamp(value: &Value) -> Option<Timestamp> {
    value.as_object().filter(|entries| entries.len() == 1)?;
    value.get(TIMESTAMP_KEY)?.as_str()?.parse().ok()
}

struct Captured<'a>(&'a Value);

impl Serialize for Captured<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(timestamp) = timestamp(self.0) {
            return UtcDateTime(timestamp).serialize(serializer);
        }
        match self.0 {
            Value::Array(items) => {
                let mut sequence = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    sequence.serialize_element(&Captured(item))?;
                }
                sequence.end()
            }
            Value::Object(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, &Captured(value))?;
                }
                map.end()
            }
            scalar => scalar.serialize(serializer),
        }
    }
}
