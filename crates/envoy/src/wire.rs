//! Fields with a length, as protobuf has them on the wire: what is encoded piece by piece, without a
//! message in between, is put together from these.

use bytes::BufMut;
use prost::{
    Message,
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint},
};

/// Tag and length of a field whose content of `len` bytes follows.
pub fn put_length(field: u32, len: usize, out: &mut impl BufMut) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(len as u64, out);
}

/// A field of bytes, of a string, or of an encoded message. Also when it is empty, as entries of a list are.
pub fn put_bytes(field: u32, value: &[u8], out: &mut impl BufMut) {
    put_length(field, value.len(), out);
    out.put_slice(value);
}

/// A field with a message. Buffers that grow have room for it.
pub fn put_message(field: u32, message: &impl Message, out: &mut impl BufMut) {
    put_length(field, message.encoded_len(), out);
    message.encode_raw(out);
}

/// What a field takes whose number is at most 15 and whose content has so many bytes.
pub fn field_len(content: usize) -> usize {
    1 + encoded_len_varint(content as u64) + content
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Any;

    #[test]
    fn fields_are_what_prost_makes_of_a_message() {
        let any = Any { type_url: "it".to_owned(), value: vec![7; 200].into() };
        let mut fields = Vec::new();
        put_bytes(1, any.type_url.as_bytes(), &mut fields);
        put_bytes(2, &any.value, &mut fields);
        assert_eq!(fields, any.encode_to_vec());
        assert_eq!(fields.len(), field_len(2) + field_len(200));
        let mut outer = Vec::new();
        put_message(3, &any, &mut outer);
        assert_eq!(outer.len(), field_len(fields.len()));
        assert!(outer.ends_with(&fields));
    }
}
