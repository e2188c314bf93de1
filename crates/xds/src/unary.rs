//! Methods that take one message and give one, on the port of the ADS streams.
//!
//! - Bounded: in the length of a message, in time, and in how many run at once.
//! - Not here: what a method means, and whether its caller may call it.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time;

use crate::{
    Code, Frames, PeerInfo, Status,
    frame::PREFIX_LEN,
    pipe::{Outgoing, Pipe},
};

/// Longest accepted message, in bytes.
const MAX_LEN: usize = 256 << 10;
/// How long a call may take, its message included.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// Calls that may run at once over all connections.
pub(crate) const MAX_CALLS: usize = 256;

/// What a call gives.
pub type UnaryAnswer<'a> = Pin<Box<dyn Future<Output = Result<Bytes, Status>> + Send + 'a>>;

/// A method that takes one message and gives one.
pub trait UnaryMethod: Send + Sync + 'static {
    /// Such as `/istio.v1.auth.IstioCertificateService/CreateCertificate`.
    fn path(&self) -> &'static str;

    /// Answers one call. Both messages are encoded.
    fn call(&self, peer: PeerInfo, message: Bytes) -> UnaryAnswer<'_>;
}

/// Runs one call to its end, and leaves answer and status in `pipe`.
pub(crate) async fn run(
    method: Arc<dyn UnaryMethod>,
    peer: PeerInfo,
    body: Incoming,
    pipe: Arc<Pipe>,
) {
    let call = async {
        let message = read(body).await?;
        method.call(peer, message).await
    };
    let answer = time::timeout(TIME_LIMIT, call).await;
    let status = match answer {
        Ok(Ok(message)) => match u32::try_from(message.len()) {
            Ok(length) => {
                let mut head = BytesMut::with_capacity(PREFIX_LEN);
                head.put_u8(0);
                head.put_u32(length);
                let length = message.len();
                pipe.push(Outgoing::new(head.freeze(), vec![message], length));
                Status::OK
            }
            Err(_) => Status::new(Code::Internal, "the answer exceeds 4 GiB"),
        },
        Ok(Err(status)) => status,
        Err(_) => Status::new(Code::DeadlineExceeded, "the call took too long"),
    };
    pipe.finish(status);
}

async fn read(mut body: Incoming) -> Result<Bytes, Status> {
    let mut frames = Frames::new(MAX_LEN);
    loop {
        if let Some(message) = frames.next() {
            return Ok(message?);
        }
        match body.frame().await {
            Some(Ok(frame)) => {
                frames.push(frame.into_data().unwrap_or_else(|_trailers| Bytes::new()));
            }
            Some(Err(_)) => return Err(Status::new(Code::Cancelled, "the call was reset")),
            None => {
                frames.finish()?;
                return Err(Status::new(Code::InvalidArgument, "the call has no message"));
            }
        }
    }
}
