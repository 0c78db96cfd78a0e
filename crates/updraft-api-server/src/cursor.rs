//! Cursors as clients see them: opaque text that comes back unchanged.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use updraft_rest_api::query::Query;
use updraft_store::listing::{Cursor, CursorValue};

use crate::error::ApiError;

/// Marks a cursor that leads back.
const BACKWARDS: char = '~';

/// How a list is to be paged.
pub(crate) enum Paging {
    Offset,
    Cursor(Option<Cursor>),
}

/// Reads `cursor`: absent means by offset, empty means a walk from the beginning.
pub(crate) fn read_paging(query: &Query) -> Result<Paging, ApiError> {
    match query.text("cursor") {
        None => Ok(Paging::Offset),
        Some(empty) if empty.is_empty() => Ok(Paging::Cursor(None)),
        Some(token) => decode(&token)
            .map(|cursor| Paging::Cursor(Some(cursor)))
            .ok_or_else(|| ApiError::bad_request("Invalid cursor token")),
    }
}

/// The text for a cursor.
pub(crate) fn encode(cursor: &Cursor) -> String {
    let values: Value = cursor
        .values
        .iter()
        .map(|value| match value {
            CursorValue::Null => Value::Null,
            CursorValue::Int(number) => json!(number),
            CursorValue::Real(number) => json!({"r": number}),
            CursorValue::Text(text) => json!(text),
        })
        .collect();
    let token = URL_SAFE_NO_PAD.encode(values.to_string());
    if cursor.backwards {
        format!("{BACKWARDS}{token}")
    } else {
        token
    }
}

fn decode(token: &str) -> Option<Cursor> {
    let (backwards, token) = match token.strip_prefix(BACKWARDS) {
        Some(rest) => (true, rest),
        None => (false, token),
    };
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let values: Vec<Value> = serde_json::from_slice(&bytes).ok()?;
    let values = values.iter().map(|value| match value {
        Value::Null => Some(CursorValue::Null),
        Value::String(text) => Some(CursorValue::Text(text.clone())),
        Value::Number(number) => number.as_i64().map(CursorValue::Int),
        Value::Object(real) => Some(CursorValue::Real(real.get("r")?.as_f64()?)),
        _ => None,
    });
    Some(Cursor {
        values: values.collect::<Option<_>>()?,
        backwards,
    })
}

#[cfg(test)]
mod tests {
    use updraft_store::listing::{Cursor, CursorValue};

    use super::{decode, encode};

    #[test]
    fn a_cursor_survives_the_trip_through_the_client() {
        let cursor = Cursor {
            values: vec![
                CursorValue::Int(-5),
                CursorValue::Null,
                CursorValue::Real(2.0),
                CursorValue::Text("a b/ü".to_owned()),
            ],
            backwards: true,
        };
        assert_eq!(decode(&encode(&cursor)), Some(cursor));
        assert_eq!(decode("!!"), None);
        assert_eq!(decode(""), None);
    }
}
