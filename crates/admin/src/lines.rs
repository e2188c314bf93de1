//! A body that grows: one line of JSON after the other.

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::mpsc;
use xds::ReceiverBody;

/// Lines that may wait for a slow reader.
const QUEUE: usize = 16;

/// Where lines are put in.
pub(crate) struct LineSender(mpsc::Sender<Bytes>);

pub(crate) fn lines() -> (LineSender, ReceiverBody) {
    let (sender, body) = ReceiverBody::channel(QUEUE);
    (LineSender(sender), body)
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
