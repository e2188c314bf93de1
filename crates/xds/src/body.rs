//! A body over a bounded channel: what is sent comes out, and the end of the channel is its end.
//!
//! `http_body_util::channel` is not it: there, what is sent right before the sender goes can be lost.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::mpsc;

/// The pieces of a body as they come.
pub struct ReceiverBody(mpsc::Receiver<Bytes>);

impl ReceiverBody {
    /// A body in which at most `capacity` pieces wait, and where they are put in.
    pub fn channel(capacity: usize) -> (mpsc::Sender<Bytes>, Self) {
        let (sender, receiver) = mpsc::channel(capacity);
        (sender, Self(receiver))
    }
}

impl Body for ReceiverBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|data| data.map(|data| Ok(Frame::data(data))))
    }
}
