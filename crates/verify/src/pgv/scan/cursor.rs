//! Reads the pieces of an encoded message, one after the other.

use super::{Doubt, Form, Sure};

/// The rest of a message.
pub(super) struct Cursor<'b> {
    rest: &'b [u8],
}

/// How a value is written. Groups are not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Varint,
    Eight,
    Bytes,
    Four,
}

impl Wire {
    pub(super) fn of(form: Form) -> Self {
        match form {
            Form::Int32
            | Form::Int64
            | Form::Uint32
            | Form::Uint64
            | Form::Sint32
            | Form::Sint64 => Self::Varint,
            Form::Fixed32 | Form::Sfixed32 | Form::Float => Self::Four,
            Form::Fixed64 | Form::Sfixed64 | Form::Double => Self::Eight,
        }
    }
}

impl<'b> Cursor<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Number of a field, and how its value is written.
    pub(super) fn key(&mut self) -> Sure<(u32, Wire)> {
        let key = u32::try_from(self.varint()?).map_err(|_| Doubt)?;
        let wire = match key & 7 {
            0 => Wire::Varint,
            1 => Wire::Eight,
            2 => Wire::Bytes,
            5 => Wire::Four,
            _ => return Err(Doubt),
        };
        Ok((key >> 3, wire))
    }

    pub(super) fn bytes(&mut self) -> Sure<&'b [u8]> {
        let length = usize::try_from(self.varint()?).map_err(|_| Doubt)?;
        self.take(length)
    }

    pub(super) fn text(&mut self) -> Sure<&'b str> {
        str::from_utf8(self.bytes()?).map_err(|_| Doubt)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "decoders take the low bits of numbers that are written with too many"
    )]
    pub(super) fn number(&mut self, form: Form, wire: Wire) -> Sure<i128> {
        if wire != Wire::of(form) {
            return Err(Doubt);
        }
        let bits = match wire {
            Wire::Varint => self.varint()?,
            Wire::Four => u32::from_le_bytes(self.array()?).into(),
            Wire::Eight => u64::from_le_bytes(self.array()?),
            Wire::Bytes => return Err(Doubt),
        };
        Ok(match form {
            Form::Int32 | Form::Sfixed32 => (bits as i32).into(),
            Form::Int64 | Form::Sfixed64 => (bits as i64).into(),
            Form::Uint32 | Form::Fixed32 => (bits as u32).into(),
            Form::Uint64 | Form::Fixed64 => bits.into(),
            Form::Sint32 => zigzag((bits as u32).into()).into(),
            Form::Sint64 => zigzag(bits).into(),
            Form::Float | Form::Double => return Err(Doubt),
        })
    }

    pub(super) fn float(&mut self, form: Form, wire: Wire) -> Sure<f64> {
        match (form, wire) {
            (Form::Float, Wire::Four) => Ok(f32::from_le_bytes(self.array()?).into()),
            (Form::Double, Wire::Eight) => Ok(f64::from_le_bytes(self.array()?)),
            (_, _) => Err(Doubt),
        }
    }

    fn varint(&mut self) -> Sure<u64> {
        let mut value = 0_u64;
        for (place, byte) in self.rest.iter().take(10).enumerate() {
            let bits = u64::from(byte & 0x7f);
            if place == 9 && bits > 1 {
                return Err(Doubt);
            }
            value |= bits << (7 * place);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[place + 1..];
                return Ok(value);
            }
        }
        Err(Doubt)
    }

    fn array<const N: usize>(&mut self) -> Sure<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(Doubt)?;
        self.rest = rest;
        Ok(*array)
    }

    fn take(&mut self, length: usize) -> Sure<&'b [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Doubt)?;
        self.rest = rest;
        Ok(taken)
    }
}

#[expect(clippy::cast_possible_wrap, reason = "the lowest bit is the sign")]
fn zigzag(bits: u64) -> i64 {
    (bits >> 1) as i64 ^ -((bits & 1) as i64)
}
