//! Scalars with a wire form of their own: instants and durations.

use std::fmt;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp, civil};
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::ser::SerializeTuple as _;
use serde::{Deserialize, Serialize, Serializer};

/// The msgpack extension type of timestamps.
const TIMESTAMP_EXTENSION: i8 = -1;

/// The struct name by which the msgpack codec knows extension values.
const EXTENSION_STRUCT: &str = "_ExtStruct";

/// An instant on the wire.
///
/// Children send a msgpack timestamp of 4, 8 or 12 bytes, or ISO text; text without a zone
/// is read as UTC. We always send the shortest msgpack form. In JSON it is ISO text with
/// microseconds, as Python prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcDateTime(pub Timestamp);

/// A `timedelta`: ISO text such as `PT301.5S` or `P1DT1.5S`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeDelta(pub SignedDuration);

impl From<Timestamp> for UtcDateTime {
    fn from(instant: Timestamp) -> Self {
        Self(instant)
    }
}

impl From<UtcDateTime> for Timestamp {
    fn from(time: UtcDateTime) -> Self {
        time.0
    }
}

impl fmt::Display for UtcDateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Python shows six digits or none.
        if self.0.subsec_microsecond() == 0 && self.0.subsec_millisecond() == 0 {
            write!(f, "{:.0}", self.0)
        } else {
            write!(f, "{:.6}", self.0)
        }
    }
}

impl UtcDateTime {
    /// Reads the payload of a msgpack extension value: its type and its bytes.
    pub(crate) fn from_extension<'de, D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        value.deserialize_tuple(2, ExtensionVisitor)
    }

    fn parse<E: de::Error>(text: &str) -> Result<Self, E> {
        if let Ok(instant) = text.parse() {
            return Ok(Self(instant));
        }
        let naive: Result<civil::DateTime, _> = text.parse();
        naive
            .and_then(|naive| naive.to_zoned(TimeZone::UTC))
            .map(|zoned| Self(zoned.timestamp()))
            .map_err(|_| E::custom(format_args!("`{text}` is not a date and time")))
    }

    fn from_msgpack(payload: &[u8]) -> Result<Self, String> {
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte))
        };
        let (seconds, nanoseconds) = match payload.len() {
            4 => (number(payload).cast_signed(), 0),
            8 => {
                let packed = number(payload);
                ((packed & 0x3_ffff_ffff).cast_signed(), packed >> 34)
            }
            12 => (number(&payload[4..]).cast_signed(), number(&payload[..4])),
            length => return Err(format!("a timestamp has 4, 8 or 12 bytes, found {length}")),
        };
        // The 8-byte form has room for 2^30 nanoseconds, more than a second has.
        i32::try_from(nanoseconds)
            .ok()
            .filter(|nanoseconds| *nanoseconds < 1_000_000_000)
            .and_then(|nanoseconds| Timestamp::new(seconds, nanoseconds).ok())
            .map(Self)
            .ok_or_else(|| format!("{seconds} s {nanoseconds} ns is outside the calendar"))
    }

    /// The shortest msgpack form: 4 bytes, 8 bytes, or 12 before 1970 and after 2514.
    fn to_msgpack(self) -> Vec<u8> {
        let nanoseconds = self.0.as_nanosecond();
        let seconds = nanoseconds.div_euclid(1_000_000_000) as i64;
        let nanoseconds = nanoseconds.rem_euclid(1_000_000_000) as u64;
        match (u32::try_from(seconds), u64::try_from(seconds)) {
            (Ok(short), _) if nanoseconds == 0 => short.to_be_bytes().to_vec(),
            (_, Ok(medium)) if medium >> 34 == 0 => {
                ((nanoseconds << 34) | medium).to_be_bytes().to_vec()
            }
            _ => {
                let mut bytes = (nanoseconds as u32).to_be_bytes().to_vec();
                bytes.extend(seconds.to_be_bytes());
                bytes
            }
        }
    }
}

impl Serialize for UtcDateTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        serializer.serialize_newtype_struct(EXTENSION_STRUCT, &Extension(self.to_msgpack()))
    }
}

/// The type and payload of an extension value.
struct Extension(Vec<u8>);

impl Serialize for Extension {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pair = serializer.serialize_tuple(2)?;
        pair.serialize_element(&TIMESTAMP_EXTENSION)?;
        pair.serialize_element(&Payload(&self.0))?;
        pair.end()
    }
}

struct Payload<'a>(&'a [u8]);

impl Serialize for Payload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de> Deserialize<'de> for UtcDateTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UtcDateTimeVisitor)
    }
}

struct UtcDateTimeVisitor;

impl<'de> Visitor<'de> for UtcDateTimeVisitor {
    type Value = UtcDateTime;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a date and time")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<UtcDateTime, E> {
        UtcDateTime::parse(text)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, value: D) -> Result<UtcDateTime, D::Error> {
        UtcDateTime::from_extension(value)
    }
}

struct ExtensionVisitor;

impl<'de> Visitor<'de> for ExtensionVisitor {
    type Value = UtcDateTime;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a msgpack timestamp")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<UtcDateTime, A::Error> {
        let kind: i8 = parts
            .next_element()?
            .ok_or_else(|| de::Error::invalid_length(0, &self))?;
        if kind != TIMESTAMP_EXTENSION {
            return Err(de::Error::custom(format_args!(
                "expected msgpack extension -1 (timestamp), found {kind}"
            )));
        }
        let payload: PayloadBuffer = parts
            .next_element()?
            .ok_or_else(|| de::Error::invalid_length(1, &self))?;
        UtcDateTime::from_msgpack(&payload.0).map_err(de::Error::custom)
    }
}

/// The bytes of an extension value; timestamps are too short to care about the copy.
struct PayloadBuffer(Vec<u8>);

impl<'de> Deserialize<'de> for PayloadBuffer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(PayloadVisitor)
    }
}

struct PayloadVisitor;

impl<'de> Visitor<'de> for PayloadVisitor {
    type Value = PayloadBuffer;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes of an extension value")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<PayloadBuffer, E> {
        Ok(PayloadBuffer(bytes.to_vec()))
    }
}

impl<'de> Deserialize<'de> for TimeDelta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse::<Span>()
            .ok()
            .and_then(fixed_duration)
            .map(Self)
            .ok_or_else(|| de::Error::custom(format_args!("`{text}` is not an ISO-8601 duration")))
    }
}

impl Serialize for TimeDelta {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// For `serde(with)`: UUIDs are text on the wire, not the bytes the codec would choose.
pub(crate) mod uuid_text {
    use std::borrow::Cow;

    use serde::de::{self, Deserialize, Deserializer};
    use serde::ser::Serializer;
    use uuid::Uuid;

    pub(crate) fn serialize<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Uuid, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse()
            .map_err(|_| de::Error::custom(format_args!("`{text}` is not a UUID")))
    }
}

/// A `timedelta` has no calendar: pydantic prints 365 days as a year and 7 as a week.
fn fixed_duration(span: Span) -> Option<SignedDuration> {
    let days = i64::from(span.get_years()) * 365
        + i64::from(span.get_months()) * 30
        + i64::from(span.get_weeks()) * 7
        + i64::from(span.get_days());
    let time = span.years(0).months(0).weeks(0).days(0);
    SignedDuration::try_from(time)
        .ok()?
        .checked_add(SignedDuration::from_hours(days * 24))
}
