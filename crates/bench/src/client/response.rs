//! Cuts what arrives into the resources of responses, without ever holding a whole response.
//!
//! - Works for both protocols: their fields have the same numbers.
//! - A resource that lies within one read is not copied; what is spread over several is collected
//!   until it is whole. An idle stream holds no memory here.
//! - Not here: what a resource says (`catalog`).

/// What comes after the resources of a response, or before them: small things.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) type_url: String,
    pub(crate) nonce: String,
    /// SotW: the version of all resources.
    pub(crate) version: String,
    /// Delta: names of what is gone.
    pub(crate) removed: Vec<String>,
    /// Length of the message.
    pub(crate) len: usize,
}

/// A part of a response, in the order of the bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// Delta: a `Resource`. SotW: an `Any`.
    Resource(&'a [u8]),
    End(Head),
}

/// The bytes are not a sequence of responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the data is not a sequence of discovery responses: {0}")]
pub(crate) struct Malformed(&'static str);

const PREFIX_LEN: usize = 5;
const RESOURCES: u64 = 2;

/// Takes data as it comes.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    /// The beginning of a field whose rest has not come.
    rest: Vec<u8>,
    /// Bytes of the message that are still to be cut; `None` between messages.
    open: Option<usize>,
    head: Head,
}

impl Splitter {
    /// Gives the parts that are now complete.
    pub(crate) fn push(
        &mut self,
        data: &[u8],
        mut take: impl FnMut(Part<'_>),
    ) -> Result<(), Malformed> {
        let mut collected = std::mem::take(&mut self.rest);
        let used = if collected.is_empty() {
            let used = self.cut(data, &mut take)?;
            collected.extend_from_slice(&data[used..]);
            0
        } else {
            collected.extend_from_slice(data);
            self.cut(&collected, &mut take)?
        };
        if used == collected.len() {
            return Ok(());
        }
        collected.drain(..used);
        self.rest = collected;
        Ok(())
    }

    /// How many bytes were used up.
    fn cut(&mut self, data: &[u8], take: &mut impl FnMut(Part<'_>)) -> Result<usize, Malformed> {
        let mut at = 0;
        loop {
            let Some(left) = self.open else {
                let Some(prefix) = data[at..].first_chunk::<PREFIX_LEN>() else { return Ok(at) };
                let [0, length @ ..] = prefix else { return Err(Malformed("compressed")) };
                let len = u32::from_be_bytes(*length) as usize;
                self.head = Head { len, ..Head::default() };
                self.open = Some(len);
                at += PREFIX_LEN;
                continue;
            };
            if left == 0 {
                self.open = None;
                take(Part::End(std::mem::take(&mut self.head)));
                continue;
            }
            let input = &data[at..];
            let window = &input[..input.len().min(left)];
            let Some(field) = Field::read(window)? else {
                return if window.len() == left { Err(Malformed("cut off")) } else { Ok(at) };
            };
            if field.number == RESOURCES {
                take(Part::Resource(field.value));
            } else {
                self.head.add(field.number, field.value);
            }
            at += field.len;
            self.open = Some(left - field.len);
        }
    }
}

impl Head {
    fn add(&mut self, number: u64, value: &[u8]) {
        let text = || String::from_utf8_lossy(value).into_owned();
        match number {
            1 => self.version = text(),
            4 => self.type_url = text(),
            5 => self.nonce = text(),
            6 => self.removed.push(text()),
            _ => (),
        }
    }
}

/// A field of a protobuf message. Only strings, bytes and messages have a value here.
struct Field<'a> {
    number: u64,
    value: &'a [u8],
    /// Of all of it.
    len: usize,
}

impl<'a> Field<'a> {
    /// `None` when more bytes are needed.
    fn read(input: &'a [u8]) -> Result<Option<Self>, Malformed> {
        let Some((key, key_len)) = varint(input)? else { return Ok(None) };
        let number = key >> 3;
        let rest = &input[key_len..];
        let (start, value_len) = match key & 7 {
            0 => match varint(rest)? {
                Some((_, len)) => (len, 0),
                None => return Ok(None),
            },
            1 => (8, 0),
            2 => match varint(rest)? {
                Some((len, start)) => (start, usize::try_from(len).unwrap_or(usize::MAX)),
                None => return Ok(None),
            },
            5 => (4, 0),
            _ => return Err(Malformed("unknown wire type")),
        };
        let end = start.saturating_add(value_len);
        if rest.len() < end {
            return Ok(None);
        }
        Ok(Some(Self { number, value: &rest[start..end], len: key_len + end }))
    }
}

fn varint(input: &[u8]) -> Result<Option<(u64, usize)>, Malformed> {
    let mut value = 0;
    for (index, byte) in input.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((value, index + 1)));
        }
    }
    if input.len() >= 10 { Err(Malformed("varint is too long")) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use envoy::service::discovery::v3::{DeltaDiscoveryResponse, Resource};
    use prost::Message;

    use super::*;

    fn message(names: &[&str]) -> Vec<u8> {
        let resource = |name: &&str| Resource { name: (*name).to_owned(), ..Resource::default() };
        let message = DeltaDiscoveryResponse {
            system_version_info: "7".to_owned(),
            type_url: "a-type".to_owned(),
            nonce: "3".to_owned(),
            removed_resources: vec!["gone".to_owned()],
            resources: names.iter().map(resource).collect(),
            ..Default::default()
        }
        .encode_to_vec();
        let len = u32::try_from(message.len()).unwrap();
        [&[0][..], &len.to_be_bytes(), &message].concat()
    }

    /// What is read when the data comes in pieces of `size` bytes.
    fn read(data: &[u8], size: usize) -> (Vec<String>, Vec<Head>, usize) {
        let (mut names, mut heads) = (Vec::new(), Vec::new());
        let mut splitter = Splitter::default();
        for piece in data.chunks(size) {
            let take = |part: Part<'_>| match part {
                Part::Resource(bytes) => names.push(Resource::decode(bytes).unwrap().name),
                Part::End(head) => heads.push(head),
            };
            splitter.push(piece, take).unwrap();
        }
        (names, heads, splitter.rest.capacity())
    }

    #[test]
    fn responses_are_read_however_they_are_cut() {
        let data = [message(&["one", "two"]), message(&[]), message(&["three"])].concat();
        for size in 1..=data.len() {
            let (names, heads, retained) = read(&data, size);
            assert_eq!(names, ["one", "two", "three"], "pieces of {size}");
            assert_eq!(heads.len(), 3);
            assert!(heads.iter().all(|head| head.nonce == "3" && head.removed == ["gone"]));
            assert_eq!(retained, 0, "nothing is kept between messages, pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_response_is_refused() {
        let mut splitter = Splitter::default();
        assert!(splitter.push(&[1, 0, 0, 0, 0], |_| ()).is_err(), "compressed");
        let mut splitter = Splitter::default();
        let cut_off = [0, 0, 0, 0, 2, 0x0a, 9, 1, 1];
        assert!(splitter.push(&cut_off, |_| ()).is_err(), "a field longer than its message");
        let mut splitter = Splitter::default();
        assert!(splitter.push(&[0, 0, 0, 0, 1, 0x0b], |_| ()).is_err(), "a group");
    }
}
