//! How a stream ends: a gRPC status and its form in HTTP/2 trailers.

use std::{borrow::Cow, fmt::Write as _, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::FrameError;

pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// Of a client's next attempt, in milliseconds (gRFC A6).
const RETRY_PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");
pub(crate) const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// gRPC status codes; the numbers are gRPC's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are gRPC's own and documented there")]
pub enum Code {
    Ok = 0,
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

impl Code {
    const ALL: [Self; 17] = [
        Self::Ok,
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// The code with gRPC's number; numbers that gRPC does not define are `Unknown`.
    pub fn from_number(number: usize) -> Self {
        Self::ALL.get(number).copied().unwrap_or(Self::Unknown)
    }
}

/// How a stream ended, for the peer to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What kind of end it is.
    pub code: Code,
    /// For people; shows up in Envoy's log.
    pub message: Cow<'static, str>,
    /// When the peer should try again, for clients of gRPC that ask.
    pub retry_after: Option<Duration>,
}

impl Status {
    /// The stream ended as it should.
    pub const OK: Self = Self { code: Code::Ok, message: Cow::Borrowed(""), retry_after: None };

    /// A status with a message.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), retry_after: None }
    }

    /// The same, with a hint when to try again, in whole milliseconds.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(Duration::from_millis(wait.as_millis() as u64)), ..self }
    }

    /// Adds `grpc-status` and, unless it is empty, `grpc-message`.
    pub(crate) fn write_to(&self, headers: &mut HeaderMap) {
        headers.insert(GRPC_STATUS, HeaderValue::from(self.code as u16));
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_PUSHBACK, HeaderValue::from(wait.as_millis() as u64));
        }
        if self.message.is_empty() {
            return;
        }
        if let Ok(message) = HeaderValue::try_from(percent_encode(&self.message)) {
            headers.insert(GRPC_MESSAGE, message);
        }
    }

    /// Reads what [`Status::write_to`] wrote; `None` when there is no `grpc-status`.
    pub(crate) fn read_from(headers: &HeaderMap) -> Option<Self> {
        let number = headers.get(GRPC_STATUS)?.to_str().ok().and_then(|text| text.parse().ok());
        let code = number.map_or(Code::Unknown, Code::from_number);
        let message = headers.get(GRPC_MESSAGE).map(|value| percent_decode(value.as_bytes()));
        let retry = headers.get(RETRY_PUSHBACK).and_then(|value| value.to_str().ok()?.parse().ok());
        let retry_after = retry.map(Duration::from_millis);
        Some(Self { retry_after, ..Self::new(code, message.unwrap_or_default()) })
    }
}

impl From<FrameError> for Status {
    fn from(error: FrameError) -> Self {
        let code = match error {
            FrameError::Compressed => Code::Unimplemented,
            FrameError::TooLarge { .. } => Code::ResourceExhausted,
            FrameError::UnknownFlag { .. } | FrameError::Truncated => Code::Internal,
        };
        Self::new(code, error.to_string())
    }
}

/// The encoding of `grpc-message`: all but printable ASCII, and `%`, becomes `%XX`.
fn percent_encode(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            byte => write!(out, "%{byte:02X}").expect("a String takes everything"),
        }
        out
    })
}

/// The inverse of [`percent_encode`]. What is not an encoding stands for itself.
fn percent_decode(text: &[u8]) -> String {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let [first, tail @ ..] = rest {
        let pair = tail.first_chunk::<2>().filter(|_| *first == b'%');
        let digits = pair.and_then(|pair| std::str::from_utf8(pair).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => (out.push(byte), rest = &tail[2..]),
            None => (out.push(*first), rest = tail),
        };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;
    use proptest::prelude::*;

    use super::{Code, Status, percent_decode, percent_encode};

    #[test]
    fn codes_have_the_numbers_of_grpc() {
        for (number, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, number);
        }
        assert_eq!(Code::from_number(77), Code::Unknown);
    }

    #[test]
    fn a_message_is_percent_encoded() {
        assert_eq!(percent_encode("50% of\nschön"), "50%25 of%0Asch%C3%B6n");
    }

    proptest! {
        #[test]
        fn a_status_survives_its_trailers(
            message in ".*",
            number in 0_usize..17,
            retry in prop::option::of(0_u64..1_000_000),
        ) {
            let status = Status::new(Code::from_number(number), message);
            let status = Status { retry_after: retry.map(Duration::from_millis), ..status };
            let mut headers = HeaderMap::new();
            status.write_to(&mut headers);
            prop_assert_eq!(Status::read_from(&headers), Some(status));
        }

        #[test]
        fn decoding_garbage_never_panics(text in prop::collection::vec(any::<u8>(), 0..40)) {
            percent_decode(&text);
        }
    }
}
