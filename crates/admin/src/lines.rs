//! A body that grows: one line of JSON after the other.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use serde::Serialize;
use tokio::sync::mpsc;

/// Lines that may wait for a slow reader.
const QUEUE: usize = 16;

/// Where lines are put in.
pub(crate) struct LineSender(mpsc::Sender<Bytes>);

/// The body of the answer.
pub(crate) struct LineBody(mpsc::Receiver<Bytes>);

pub(crate) fn lines() -> (LineSender, LineBody) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (LineSender(sender), LineBody(receiver))
}

impl LineSender {
    /// Waits for room. An error says that the reader is gone.
    pub(crate) async fn send(
        &self,
        value: &impl Serialize,
    ) -> Result<(), mpsc::error::SendError<Bytes>> {
        // Our own types have text keys, and writing to memory cannot fail.
        let mut line = serde_json::to_vec(value).unwrap_or_default();
        line.push(b'\n');
        self.0.send(line.into()).await
    }
}

impl Body for LineBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}
