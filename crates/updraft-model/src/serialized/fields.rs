//! Reads keys from JSON maps that lie in layers, and decodes Airflow's `{"__type", "__var"}`.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::error::{Error, Place};

/// A JSON object.
pub(super) type Object = Map<String, Value>;

/// The layers in which a key may stand, the strongest first, and where they belong.
///
/// A key that stands in a layer hides the weaker layers even when its value is `null`.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    pub(super) place: &'a Place,
    layers: [Option<&'a Object>; 3],
}

impl<'a> Fields<'a> {
    /// Reads from one map.
    pub(super) fn new(place: &'a Place, object: &'a Object) -> Self {
        Self {
            place,
            layers: [Some(object), None, None],
        }
    }

    /// Reads an operator: its own keys, then `partial_kwargs`, then the client's defaults.
    pub(super) fn of_operator(
        place: &'a Place,
        own: &'a Object,
        client_defaults: Option<&'a Object>,
    ) -> Self {
        let partial = own.get("partial_kwargs").and_then(unwrapped_object);
        Self {
            place,
            layers: [Some(own), partial, client_defaults],
        }
    }

    /// The value of `key`, without its wrapper; `None` when absent or null.
    pub(super) fn find(&self, key: &str) -> Option<&'a Value> {
        self.find_wrapped(key)
            .map(unwrapped)
            .filter(|value| !value.is_null())
    }

    /// The value of `key` as it stands; `None` when absent or null.
    pub(super) fn find_wrapped(&self, key: &str) -> Option<&'a Value> {
        self.layers
            .iter()
            .flatten()
            .find_map(|layer| layer.get(key))
            .filter(|value| !value.is_null())
    }

    /// The value of `key`, which must be there.
    pub(super) fn require(&self, key: &str) -> Result<&'a Value, Error> {
        self.find(key)
            .ok_or_else(|| self.place.error(key, "expected a value, found none"))
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>, Error> {
        self.read(key, "a text", Value::as_str)
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, Error> {
        self.read(key, "true or false", Value::as_bool)
    }

    pub(super) fn integer(&self, key: &str) -> Result<Option<i64>, Error> {
        self.read(key, "a whole number", whole_number)
    }

    /// A count that fits the columns it is stored in.
    pub(super) fn count(&self, key: &str) -> Result<Option<i32>, Error> {
        self.read(key, "a whole number of 32 bits", |value| {
            whole_number(value).and_then(|number| i32::try_from(number).ok())
        })
    }

    pub(super) fn instant(&self, key: &str) -> Result<Option<Timestamp>, Error> {
        self.read(key, "an instant in seconds since 1970", |value| {
            value.as_f64().and_then(instant_from_secs)
        })
    }

    pub(super) fn duration(&self, key: &str) -> Result<Option<SignedDuration>, Error> {
        self.read(key, "a duration in seconds", |value| {
            value.as_f64().and_then(duration_from_secs)
        })
    }

    /// A list of texts; a single text counts as a list of one.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<&'a str>, Error> {
        let texts = self.read(key, "a list of texts", |value| match value {
            Value::String(text) => Some(vec![text.as_str()]),
            Value::Array(items) => items.iter().map(Value::as_str).collect(),
            _ => None,
        })?;
        Ok(texts.unwrap_or_default())
    }

    /// The items of a list; none when the key is absent.
    pub(super) fn list(&self, key: &str) -> Result<&'a [Value], Error> {
        let items = self.read(key, "a list", |value| value.as_array().map(Vec::as_slice))?;
        Ok(items.unwrap_or_default())
    }

    /// A value that names one of a fixed set.
    pub(super) fn named<T: std::str::FromStr>(&self, key: &str) -> Result<Option<T>, Error>
    where
        T::Err: std::fmt::Display,
    {
        self.text(key)?
            .map(|text| {
                text.parse()
                    .map_err(|error: T::Err| self.place.error(key, error.to_string()))
            })
            .transpose()
    }

    fn read<T>(
        &self,
        key: &str,
        what: &str,
        convert: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        self.find(key)
            .map(|value| convert(value).ok_or_else(|| self.place.expected(key, what, value)))
            .transpose()
    }
}

/// The value inside `{"__type": …, "__var": …}`, or the value itself.
pub(super) fn unwrapped(value: &Value) -> &Value {
    match value.as_object() {
        Some(object) if object.contains_key("__type") => object.get("__var").unwrap_or(value),
        _ => value,
    }
}

/// As [`unwrapped`], when it is a map.
pub(super) fn unwrapped_object(value: &Value) -> Option<&Object> {
    unwrapped(value).as_object()
}

/// The type name of a wrapped value.
pub(super) fn wrapper_type(value: &Value) -> Option<&str> {
    value.as_object()?.get("__type")?.as_str()
}

/// Python writes a whole number as `3` or, after some arithmetic, as `3.0`.
fn whole_number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| {
        let number = value.as_f64()?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "checked to be whole and far below the limits of i64"
        )]
        (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
    })
}

/// Seconds to a duration, rounded to the microsecond as Python's `timedelta` is.
fn duration_from_secs(secs: f64) -> Option<SignedDuration> {
    micros(secs).map(SignedDuration::from_micros)
}

fn instant_from_secs(secs: f64) -> Option<Timestamp> {
    Timestamp::from_microsecond(micros(secs)?).ok()
}

fn micros(secs: f64) -> Option<i64> {
    let micros = (secs * 1e6).round_ties_even();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "checked to lie within the range of i64"
    )]
    (micros.abs() < 9.2e18).then_some(micros as i64)
}
