//! Picks the type of a message by its `type` key and decodes its fields.
//!
//! Pydantic writes `type` last, so the body is read twice: once for the tag alone, once
//! for the fields straight into their final form. Serde's own tagged enums would copy the
//! whole body into a buffer first and lose timestamps on the way.

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, EnumAccess, VariantAccess, Visitor};

use crate::frame;
use crate::json::JSON_DEPTH_MAX;

/// How deep a message nests before its values begin; the deepest is `DagFileParsingResult`.
const MESSAGE_DEPTH: usize = 8;

/// Why a body is not a message.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("the body is no map with a text `type`: {0}")]
    NoType(#[source] rmp_serde::decode::Error),
    #[error("`{message_type}` cannot be read: {source}")]
    Fields {
        message_type: String,
        source: rmp_serde::decode::Error,
    },
}

/// Returns the value of the key `type`.
pub(super) fn message_type(body: &[u8]) -> Result<String, DecodeError> {
    #[derive(Deserialize)]
    struct Tag {
        r#type: String,
    }
    // Values may be nested deeper than the decoder goes, and the type is known all the same.
    if let Some(found) = find_type(body) {
        return Ok(found.to_owned());
    }
    let tag: Tag = Tag::deserialize(&mut msgpack(body)).map_err(DecodeError::NoType)?;
    Ok(tag.r#type)
}

fn find_type(body: &[u8]) -> Option<&str> {
    let text = |range| rmp_serde::from_slice::<&str>(&body[range]).ok();
    let mut pairs = frame::msgpack::pairs(body, 0).ok()?.into_iter();
    pairs.find_map(|(key, value)| (text(key) == Some("type")).then(|| text(value))?)
}

/// Decodes `body` into the variant of the enum `T` called `message_type`.
///
/// Returns `None` if `T` has no such variant.
pub(super) fn variant<'de, T: Deserialize<'de>>(
    message_type: &str,
    body: &'de [u8],
) -> Result<Option<T>, DecodeError> {
    let mut known = false;
    let tagged = Tagged {
        message_type,
        body,
        known: &mut known,
    };
    match T::deserialize(tagged) {
        Ok(message) => Ok(Some(message)),
        Err(_) if !known => Ok(None),
        Err(source) => Err(DecodeError::Fields {
            message_type: message_type.to_owned(),
            source,
        }),
    }
}

/// Decodes `body` into the struct `T`, whose name is `message_type`.
pub(super) fn fields<'de, T: Deserialize<'de>>(
    message_type: &str,
    body: &'de [u8],
) -> Result<T, DecodeError> {
    T::deserialize(&mut msgpack(body)).map_err(|source| DecodeError::Fields {
        message_type: message_type.to_owned(),
        source,
    })
}

type Msgpack<'de> = rmp_serde::Deserializer<rmp_serde::decode::ReadRefReader<'de, [u8]>>;

fn msgpack(body: &[u8]) -> Msgpack<'_> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(body);
    deserializer.set_max_depth(JSON_DEPTH_MAX + MESSAGE_DEPTH);
    deserializer
}

/// Presents a tag and a body as the serde enum they stand for.
struct Tagged<'a, 'de> {
    message_type: &'a str,
    body: &'de [u8],
    known: &'a mut bool,
}

impl<'de> Deserializer<'de> for Tagged<'_, 'de> {
    type Error = rmp_serde::decode::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("messages are decoded into enums only"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.known = variants.contains(&self.message_type);
        if !*self.known {
            return Err(de::Error::unknown_variant(self.message_type, variants));
        }
        visitor.visit_enum(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'a, 'de> EnumAccess<'de> for Tagged<'a, 'de> {
    type Error = rmp_serde::decode::Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self), Self::Error> {
        let tag: de::value::StrDeserializer<'a, Self::Error> =
            de::IntoDeserializer::into_deserializer(self.message_type);
        Ok((seed.deserialize(tag)?, self))
    }
}

impl<'de> VariantAccess<'de> for Tagged<'_, 'de> {
    type Error = rmp_serde::decode::Error;

    /// A message without fields.
    fn unit_variant(self) -> Result<(), Self::Error> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<S::Value, Self::Error> {
        seed.deserialize(&mut msgpack(self.body))
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        _length: usize,
        _visitor: V,
    ) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("no message is a tuple"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        msgpack(self.body).deserialize_struct("", fields, visitor)
    }
}
