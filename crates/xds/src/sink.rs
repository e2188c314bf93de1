//! Methods that take messages as long as their caller likes, on the port of the ADS streams.
//!
//! - Bounded: in the length of a message, and in how many run at once. A caller that sends faster
//!   than its messages are taken is held up by its own connection.
//! - Not here: what a message means, and whether its caller may send it.

use std::{future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::{Code, Frames, PeerInfo, Status};

/// Longest accepted message, in bytes. Envoy sends reports in pieces of 16 KiB, and an entry whole.
const MAX_LEN: usize = 256 << 10;

/// What the begin of a call gives.
pub type SinkOpening<'a> = Pin<Box<dyn Future<Output = Result<Box<dyn Sink>, Status>> + Send + 'a>>;

/// A method that takes messages and answers at most with a status.
pub trait SinkMethod: Send + Sync + 'static {
    /// Such as `/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs`.
    fn path(&self) -> &'static str;

    /// Begins a call, or refuses it.
    fn open(&self, peer: PeerInfo) -> SinkOpening<'_>;
}

/// One call.
pub trait Sink: Send {
    /// Takes a message; an error ends the call.
    fn take(&mut self, message: Bytes) -> Result<(), Status>;
}

/// Runs one call to its end.
pub(crate) async fn run(method: Arc<dyn SinkMethod>, peer: PeerInfo, mut body: Incoming) -> Status {
    let mut sink = match method.open(peer).await {
        Ok(sink) => sink,
        Err(status) => return status,
    };
    let mut frames = Frames::new(MAX_LEN);
    loop {
        match body.frame().await {
            Some(Ok(frame)) => {
                frames.push(frame.into_data().unwrap_or_else(|_trailers| Bytes::new()));
            }
            Some(Err(_)) => return Status::new(Code::Cancelled, "the call was reset"),
            None => return frames.finish().err().map_or(Status::OK, Status::from),
        }
        for message in frames.by_ref() {
            let taken = message.map_err(Status::from).and_then(|message| sink.take(message));
            if let Err(status) = taken {
                return status;
            }
        }
    }
}
