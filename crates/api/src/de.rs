//! Trees into typed values, by way of serde.
//!
//! - Follows protobuf's JSON form where it is looser than serde: numbers may be written as texts,
//!   and `null` means absent.
//! - Fields that a type does not know are remembered, not refused.

mod number;

use std::{cell::RefCell, fmt};

use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use crate::yaml::{Content, Tree, is_null};

/// A field that the type does not have.
#[derive(Debug)]
pub(crate) struct Unknown {
    /// Its key.
    pub(crate) node: u32,
    pub(crate) known: &'static [&'static str],
}

/// Why a value does not have its type.
#[derive(Debug)]
pub(crate) struct Error {
    pub(crate) node: Option<u32>,
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl Error {
    fn new(node: u32, message: impl Into<String>) -> Self {
        Self { node: Some(node), message: message.into(), hint: String::new() }
    }

    /// Places an error that a type raised by itself.
    fn at(mut self, node: u32) -> Self {
        self.node.get_or_insert(node);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { node: None, message: message.to_string(), hint: String::new() }
    }
}

/// Reads the value at `node`; an absent one is the default.
pub(crate) fn read<T: serde::de::DeserializeOwned + Default>(
    tree: &Tree<'_>,
    node: Option<u32>,
    unknown: &RefCell<Vec<Unknown>>,
) -> Result<T, Error> {
    let Some(at) = node else { return Ok(T::default()) };
    T::deserialize(Value { tree, at, unknown, known: &[] })
}

#[derive(Clone, Copy)]
struct Value<'t, 'a> {
    tree: &'t Tree<'a>,
    at: u32,
    unknown: &'t RefCell<Vec<Unknown>>,
    /// Fields of the struct that the value is a part of.
    known: &'static [&'static str],
}

impl<'t, 'a> Value<'t, 'a> {
    fn content(&self) -> &'t Content<'a> {
        self.tree.content(self.at)
    }

    fn is_null(&self) -> bool {
        self.tree.is_null(self.at)
    }

    fn mismatch(&self, expected: &str) -> Error {
        let found = match self.content() {
            Content::Plain(text) if is_null(text) => "nothing".to_owned(),
            Content::Plain(text) => format!("`{text}`"),
            Content::Text(text) => format!("the text `{text}`"),
            Content::List => "a list".to_owned(),
            Content::Map | Content::Alias(_) => "an object".to_owned(),
        };
        Error::new(self.at, format!("expected {expected}, found {found}"))
    }

    /// A text. Unquoted numbers and truth values are refused, as Kubernetes does.
    fn text(&self) -> Result<&'t str, Error> {
        match self.content() {
            Content::Text(text) => Ok(text),
            Content::Plain(text) if is_null(text) => Ok(""),
            Content::Plain(text) if number::is_other(text) => {
                let mut error = self.mismatch("a text");
                error.hint = format!("put it in quotes: \"{text}\"");
                Err(error)
            }
            Content::Plain(text) => Ok(text),
            Content::List | Content::Map | Content::Alias(_) => Err(self.mismatch("a text")),
        }
    }

    fn map<'de, V: Visitor<'de>>(
        self,
        visitor: V,
        known: Option<&'static [&'static str]>,
    ) -> Result<V::Value, Error> {
        let end = match self.content() {
            Content::Map => self.tree.nodes[self.at as usize].end,
            Content::Plain(text) if is_null(text) => self.at + 1,
            Content::Plain(_) | Content::Text(_) | Content::List | Content::Alias(_) => {
                return Err(self.mismatch("an object"));
            }
        };
        let entries = Entries { value: self, next: self.at + 1, end, known };
        visitor.visit_map(entries).map_err(|error| error.at(self.at))
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $type:ty),+ $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let text = self.tree.scalar(self.at);
            let number = match text {
                Some(_) if self.is_null() => Some(0),
                Some(text) => number::whole(text),
                None => None,
            };
            let number = number.ok_or_else(|| self.mismatch("a whole number"))?;
            let number = <$type>::try_from(number).map_err(|_| {
                let range = format!("a number from {} to {}", <$type>::MIN, <$type>::MAX);
                self.mismatch(&range)
            })?;
            visitor.$visit(number).map_err(|error: Error| error.at(self.at))
        }
    )+};
}

impl<'de> Deserializer<'de> for Value<'_, '_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let located = |error: Error| error.at(self.at);
        match self.content() {
            Content::Text(text) => visitor.visit_str(text).map_err(located),
            Content::Plain(text) if is_null(text) => visitor.visit_unit().map_err(located),
            Content::Plain(text) => match number::scalar(text) {
                number::Scalar::Bool(value) => visitor.visit_bool(value),
                number::Scalar::Int(value) => visitor.visit_i64(value),
                number::Scalar::Float(value) => visitor.visit_f64(value),
                number::Scalar::Text => visitor.visit_str(text),
            }
            .map_err(located),
            Content::List => self.deserialize_seq(visitor),
            Content::Map | Content::Alias(_) => self.map(visitor, None),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = match self.content() {
            Content::Plain(text) if is_null(text) => Some(false),
            Content::Plain(text) => number::truth(text),
            Content::Text(_) | Content::List | Content::Map | Content::Alias(_) => None,
        };
        let value = value.ok_or_else(|| self.mismatch("`true` or `false`"))?;
        visitor.visit_bool(value).map_err(|error: Error| error.at(self.at))
    }

    numbers! {
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64,
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = match self.tree.scalar(self.at) {
            Some(_) if self.is_null() => Some(0.0),
            Some(text) => number::decimal(text),
            None => None,
        };
        let value = value.ok_or_else(|| self.mismatch("a number"))?;
        visitor.visit_f64(value).map_err(|error: Error| error.at(self.at))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.text()?).map_err(|error: Error| error.at(self.at))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let end = match self.content() {
            Content::List => self.tree.nodes[self.at as usize].end,
            Content::Plain(text) if is_null(text) => self.at + 1,
            Content::Plain(_) | Content::Text(_) | Content::Map | Content::Alias(_) => {
                return Err(self.mismatch("a list"));
            }
        };
        visitor
            .visit_seq(Items { value: self, next: self.at + 1, end })
            .map_err(|error: Error| error.at(self.at))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.map(visitor, None)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.map(visitor, Some(fields))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let name = match self.tree.scalar(self.at) {
            // Absent: the first variant is the default one.
            Some(_) if self.is_null() => variants.first().copied().unwrap_or_default(),
            Some(name) => name,
            None => return Err(self.mismatch("one of the known names")),
        };
        if !variants.contains(&name) {
            let mut error = Error::new(self.at, format!("`{name}` is not a known value"));
            error.hint = format!("known are {}", variants.join(", "));
            return Err(error);
        }
        visitor.visit_enum(Variant(name)).map_err(|error: Error| error.at(self.at))
    }

    /// serde skips the values of unknown fields with this.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.unknown.borrow_mut().push(Unknown { node: self.at - 1, known: self.known });
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        char bytes byte_buf unit unit_struct tuple tuple_struct identifier
    }
}

struct Items<'t, 'a> {
    value: Value<'t, 'a>,
    next: u32,
    end: u32,
}

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        if self.next >= self.end {
            return Ok(None);
        }
        let item = Value { at: self.next, ..self.value };
        if item.is_null() {
            return Err(Error::new(item.at, "an item of a list may not be empty"));
        }
        self.next = item.tree.nodes[item.at as usize].end;
        seed.deserialize(item).map(Some).map_err(|error| error.at(item.at))
    }
}

struct Entries<'t, 'a> {
    value: Value<'t, 'a>,
    next: u32,
    end: u32,
    /// `None` for maps, whose keys are free.
    known: Option<&'static [&'static str]>,
}

impl<'de> MapAccess<'de> for Entries<'_, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        if self.next >= self.end {
            return Ok(None);
        }
        let key = self.next;
        self.next += 1;
        let text = self.value.tree.scalar(key).unwrap_or_default();
        seed.deserialize(text.into_deserializer()).map(Some).map_err(|error: Error| error.at(key))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let known = self.known.unwrap_or_default();
        let value = Value { at: self.next, known, ..self.value };
        self.next = value.tree.nodes[value.at as usize].end;
        seed.deserialize(value).map_err(|error| error.at(value.at))
    }
}

struct Variant<'t>(&'t str);

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let name: de::value::StrDeserializer<'_, Error> = self.0.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Error> {
        Err(de::Error::custom("this value has no content"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        Err(de::Error::custom("this value has no content"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        Err(de::Error::custom("this value has no content"))
    }
}
