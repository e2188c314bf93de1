//! The little of HTTP/2 that a client with one call needs, without I/O.
//!
//! - Cheap in time and memory: thousands of these run beside the server that is measured. Headers
//!   are never decoded, and nothing is held for a stream that is idle.
//! - Flow control is kept in both directions, pings and settings are answered.
//! - Not here: why a server ended the call; trailers are not read (`probe` asks a full client).

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

/// Envoy's own windows for a connection to a control plane.
const STREAM_WINDOW: u32 = 16 << 20;
const CONNECTION_WINDOW: u32 = 24 << 20;
/// What both windows are before anybody says otherwise.
const INITIAL_WINDOW: u32 = 65_535;
const MAX_FRAME: usize = 16_384;
const FRAME_HEADER: usize = 9;
/// Framed bytes that wait for the socket at most.
const OUTPUT: usize = 64 << 10;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const PADDED: u8 = 8;
const END_HEADERS: u8 = 4;
const SETTINGS_INITIAL_WINDOW: u16 = 4;
const SETTINGS_MAX_FRAME: u16 = 5;
/// The only stream of a connection.
const CALL: u32 = 1;

/// Why the connection is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    #[error("the server ended the stream")]
    Ended,
    #[error("the server reset the stream with code {0}")]
    Reset(u32),
    #[error("the server closes the connection with code {0}")]
    GoneAway(u32),
    #[error("the server sent padded data")]
    Padded,
    #[error("the server sent a frame of {0} bytes")]
    FrameTooLong(usize),
}

/// One connection with one call.
#[derive(Debug)]
pub(crate) struct Wire {
    /// Framed bytes for the socket, of which `written` are out.
    output: Vec<u8>,
    written: usize,
    /// Messages with their gRPC prefixes that wait for the windows.
    waiting: VecDeque<Bytes>,
    /// What the server allows us to send.
    stream_credit: i64,
    connection_credit: i64,
    server_window: u32,
    server_frame: usize,
    /// Data read and not yet given back to the server's windows.
    taken: u32,
    /// The header of the frame that is being read, as far as it has come.
    header: [u8; FRAME_HEADER],
    header_len: usize,
    /// The payload of a frame other than data, as far as it has come.
    payload: Vec<u8>,
    /// Of the frame, still to come.
    missing: usize,
}

impl Wire {
    /// A connection whose first bytes open the call.
    pub(crate) fn open(authority: &str, path: &str) -> Self {
        let mut wire = Self {
            output: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            written: 0,
            waiting: VecDeque::new(),
            stream_credit: INITIAL_WINDOW.into(),
            connection_credit: INITIAL_WINDOW.into(),
            server_window: INITIAL_WINDOW,
            server_frame: MAX_FRAME,
            taken: 0,
            header: [0; FRAME_HEADER],
            header_len: 0,
            payload: Vec::new(),
            missing: 0,
        };
        let mut settings = SETTINGS_INITIAL_WINDOW.to_be_bytes().to_vec();
        settings.extend_from_slice(&STREAM_WINDOW.to_be_bytes());
        // No push: ENABLE_PUSH is 2.
        settings.extend_from_slice(&[0, 2, 0, 0, 0, 0]);
        wire.frame(SETTINGS, 0, 0, &settings);
        let more = CONNECTION_WINDOW - INITIAL_WINDOW;
        wire.frame(WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
        wire.frame(HEADERS, END_HEADERS, CALL, &headers(authority, path));
        wire
    }

    /// Puts a message, cut anywhere, behind the others.
    pub(crate) fn send(&mut self, message: impl IntoIterator<Item = Bytes>) {
        self.waiting.extend(message.into_iter().filter(|chunk| !chunk.is_empty()));
        self.fill();
    }

    /// What the socket should be given now.
    pub(crate) fn output(&self) -> &[u8] {
        &self.output[self.written..]
    }

    /// The socket took so many bytes of the output.
    pub(crate) fn advance(&mut self, count: usize) {
        self.written += count;
        if self.written == self.output.len() {
            self.written = 0;
            self.output = Vec::new();
            self.fill();
        }
    }

    /// Takes bytes from the socket; gives the data of the call.
    pub(crate) fn read<E: From<WireError>>(
        &mut self,
        mut input: &[u8],
        mut data: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while !input.is_empty() || self.is_empty_frame() {
            if self.header_len < FRAME_HEADER {
                let count = input.len().min(FRAME_HEADER - self.header_len);
                self.header[self.header_len..][..count].copy_from_slice(&input[..count]);
                self.header_len += count;
                input = &input[count..];
                if self.header_len == FRAME_HEADER {
                    self.begin_frame()?;
                }
                continue;
            }
            let count = input.len().min(self.missing);
            let (own, rest) = input.split_at(count);
            input = rest;
            self.missing -= count;
            if self.header[3] == DATA {
                self.taken += u32::try_from(count).unwrap_or(u32::MAX);
                if count > 0 {
                    data(own)?;
                }
            } else {
                self.payload.extend_from_slice(own);
            }
            if self.missing == 0 {
                self.end_frame()?;
            }
        }
        self.give_back();
        Ok(())
    }

    /// Whether a frame without payload has begun and not ended.
    fn is_empty_frame(&self) -> bool {
        self.header_len == FRAME_HEADER && self.missing == 0
    }

    fn begin_frame(&mut self) -> Result<(), WireError> {
        let [a, b, c, kind, flags, ..] = self.header;
        self.missing = u32::from_be_bytes([0, a, b, c]) as usize;
        if self.missing > MAX_FRAME {
            return Err(WireError::FrameTooLong(self.missing));
        }
        if kind == DATA && flags & PADDED != 0 {
            return Err(WireError::Padded);
        }
        Ok(())
    }

    fn end_frame(&mut self) -> Result<(), WireError> {
        let [_, _, _, kind, flags, stream @ ..] = self.header;
        self.header_len = 0;
        let payload = std::mem::take(&mut self.payload);
        let number = |at: usize| {
            let bytes = payload.get(at..).and_then(|rest| rest.first_chunk());
            bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes))
        };
        match kind {
            DATA | HEADERS if flags & END_STREAM != 0 => return Err(WireError::Ended),
            RST_STREAM => return Err(WireError::Reset(number(0))),
            // Code 0 only says that no new calls are welcome.
            GOAWAY if number(4) != 0 => return Err(WireError::GoneAway(number(4))),
            SETTINGS if flags & ACK == 0 => {
                for setting in payload.chunks_exact(6) {
                    self.set(setting);
                }
                self.frame(SETTINGS, ACK, 0, &[]);
            }
            PING if flags & ACK == 0 => self.frame(PING, ACK, 0, &payload),
            WINDOW_UPDATE => {
                let more = i64::from(number(0) & 0x7fff_ffff);
                match u32::from_be_bytes(stream) {
                    0 => self.connection_credit += more,
                    _ => self.stream_credit += more,
                }
                self.fill();
            }
            _ => (),
        }
        Ok(())
    }

    fn set(&mut self, setting: &[u8]) {
        let [a, b, value @ ..] = setting else { return };
        let value = value.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        match u16::from_be_bytes([*a, *b]) {
            SETTINGS_INITIAL_WINDOW => {
                self.stream_credit += i64::from(value) - i64::from(self.server_window);
                self.server_window = value;
            }
            SETTINGS_MAX_FRAME => self.server_frame = value as usize,
            _ => (),
        }
        self.fill();
    }

    /// Opens the windows again, seldom.
    fn give_back(&mut self) {
        if self.taken >= STREAM_WINDOW / 4 {
            let taken = std::mem::take(&mut self.taken).to_be_bytes();
            self.frame(WINDOW_UPDATE, 0, CALL, &taken);
            self.frame(WINDOW_UPDATE, 0, 0, &taken);
        }
    }

    /// Frames as much of the waiting messages as windows and output take.
    fn fill(&mut self) {
        while let Some(front) = self.waiting.front_mut() {
            let credit = self.stream_credit.min(self.connection_credit);
            let credit = usize::try_from(credit).unwrap_or(0);
            let count = front.len().min(credit).min(self.server_frame.min(MAX_FRAME));
            if count == 0 || self.output.len() >= OUTPUT {
                return;
            }
            let chunk = front.split_to(count);
            if front.is_empty() {
                self.waiting.pop_front();
            }
            let spent = i64::try_from(count).unwrap_or(i64::MAX);
            self.stream_credit -= spent;
            self.connection_credit -= spent;
            self.frame(DATA, 0, CALL, chunk.chunk());
        }
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let [_, a, b, c] = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
        self.output.extend_from_slice(&[a, b, c, kind, flags]);
        self.output.extend_from_slice(&stream.to_be_bytes());
        self.output.extend_from_slice(payload);
    }
}

/// The request's headers in HPACK, all as literals that no table remembers.
fn headers(authority: &str, path: &str) -> Vec<u8> {
    // `:method: POST` and `:scheme: http` of the static table, then names by their index in it.
    let mut block = vec![0x83, 0x86];
    for (name, value) in [
        (&[0x04][..], path),
        (&[0x01], authority),
        (&[0x0f, 0x10], "application/grpc"),
        (b"\x00\x02te", "trailers"),
    ] {
        block.extend_from_slice(name);
        // Seven bits of length; what is longer goes on in a second byte.
        match u8::try_from(value.len()).unwrap_or(u8::MAX) {
            len @ ..127 => block.push(len),
            len => block.extend_from_slice(&[127, len - 127]),
        }
        block.extend_from_slice(value.as_bytes());
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(wire: &mut Wire, input: &[u8]) -> Result<Vec<u8>, WireError> {
        let mut got = Vec::new();
        wire.read(input, |data| {
            got.extend_from_slice(data);
            Ok::<_, WireError>(())
        })?;
        Ok(got)
    }

    fn drain(wire: &mut Wire) -> Vec<u8> {
        let output = wire.output().to_vec();
        wire.advance(output.len());
        output
    }

    fn raw(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let len = u8::try_from(payload.len()).unwrap();
        [&[0, 0, len, kind, flags, 0, 0, 0, stream], payload].concat()
    }

    #[test]
    fn data_is_read_however_it_is_cut() {
        let input = [
            raw(SETTINGS, 0, 0, &[]),
            raw(DATA, 0, 1, b"abc"),
            raw(DATA, 0, 1, b""),
            raw(DATA, 0, 1, b"de"),
        ]
        .concat();
        for size in 1..=input.len() {
            let mut wire = Wire::open("host", "/path");
            let pieces = input.chunks(size).map(|piece| read(&mut wire, piece).unwrap());
            assert_eq!(pieces.collect::<Vec<_>>().concat(), b"abcde", "pieces of {size}");
        }
    }

    #[test]
    fn settings_and_pings_are_answered() {
        let mut wire = Wire::open("host", "/path");
        drain(&mut wire);
        read(&mut wire, &raw(SETTINGS, 0, 0, &[])).unwrap();
        assert_eq!(drain(&mut wire), raw(SETTINGS, ACK, 0, &[]));
        read(&mut wire, &raw(PING, 0, 0, b"12345678")).unwrap();
        assert_eq!(drain(&mut wire), raw(PING, ACK, 0, b"12345678"));
        read(&mut wire, &raw(PING, ACK, 0, b"12345678")).unwrap();
        assert!(wire.output().is_empty());
    }

    #[test]
    fn a_message_waits_for_the_window() {
        let mut wire = Wire::open("host", "/path");
        drain(&mut wire);
        // A window of 4 bytes for the stream.
        read(&mut wire, &raw(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 4])).unwrap();
        drain(&mut wire);
        wire.send([Bytes::from_static(b"abc"), Bytes::from_static(b"defg")]);
        assert_eq!(drain(&mut wire), [raw(DATA, 0, 1, b"abc"), raw(DATA, 0, 1, b"d")].concat());
        assert_eq!(wire.waiting.len(), 1);
        read(&mut wire, &raw(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 9])).unwrap();
        assert_eq!(drain(&mut wire), raw(DATA, 0, 1, b"efg"));
        assert!(wire.waiting.is_empty());
    }

    #[test]
    fn windows_are_opened_again() {
        let mut wire = Wire::open("host", "/path");
        drain(&mut wire);
        let data = [&[0, 0x40, 0, DATA, 0, 0, 0, 0, 1][..], &[7; 0x4000]].concat();
        let frames = (STREAM_WINDOW / 4) / 0x4000;
        for _ in 1..frames {
            read(&mut wire, &data).unwrap();
        }
        assert_eq!(drain(&mut wire), b"");
        read(&mut wire, &data).unwrap();
        let more = (STREAM_WINDOW / 4).to_be_bytes();
        let both = [raw(WINDOW_UPDATE, 0, 1, &more), raw(WINDOW_UPDATE, 0, 0, &more)].concat();
        assert_eq!(drain(&mut wire), both);
    }

    #[test]
    fn the_end_is_noticed() {
        let end = |input: Vec<u8>| read(&mut Wire::open("host", "/path"), &input).unwrap_err();
        assert_eq!(end(raw(HEADERS, END_STREAM, 1, b"x")), WireError::Ended);
        assert_eq!(end(raw(RST_STREAM, 0, 1, &[0, 0, 0, 8])), WireError::Reset(8));
        assert_eq!(end(raw(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 2])), WireError::GoneAway(2));
        let mut wire = Wire::open("host", "/path");
        assert!(read(&mut wire, &raw(GOAWAY, 0, 0, &[0; 8])).is_ok(), "a graceful one");
    }
}
