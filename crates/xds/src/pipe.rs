//! The way of responses from the content side to HTTP/2, bounded by what the client takes.
//!
//! - A response is *in flight* from [`Permit::send`] until its last byte was written to the
//!   connection. There is room for the next one when all earlier ones have been handed to HTTP/2
//!   and few bytes are in flight, so a slow client is always sent what is newest by then.
//! - One sender, one reader, one small lock; nothing is allocated while a stream is idle.
//! - Not here: the content of responses, and what to do while there is no room.

mod outgoing;

use std::{
    collections::VecDeque,
    convert::Infallible,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::sync::Notify;

pub use self::outgoing::join_small;
pub(crate) use self::outgoing::{Outgoing, Piece};
use crate::{Code, Metrics, Protocol, Response, Status};

#[cfg(test)]
mod tests;

/// The client is gone or the stream has been closed; nothing more will be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stream is closed")]
pub struct Closed;

/// How much may be in flight before there is no room for a response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) responses: usize,
    pub(crate) bytes: usize,
}

/// The shared middle of one stream.
#[derive(Debug)]
pub(crate) struct Pipe {
    room: Room,
    state: Mutex<State>,
    /// Told whenever there may be room, and when the reader is gone.
    drained: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// What HTTP/2 has not been given.
    queue: VecDeque<Outgoing>,
    /// Not written to the connection.
    responses: usize,
    bytes: usize,
    end: End,
    reader: Option<Waker>,
}

/// How far the stream is on its way out.
#[derive(Debug, Default, PartialEq)]
enum End {
    #[default]
    Open,
    /// The status goes out behind the queue.
    Closing(Status),
    Closed,
}

impl Pipe {
    pub(crate) fn new(room: Room) -> Arc<Self> {
        Arc::new(Self { room, state: Mutex::default(), drained: Notify::new() })
    }

    /// Ends the stream behind what has been sent. The first status counts.
    pub(crate) fn finish(&self, status: Status) {
        let mut state = self.lock();
        if state.end == End::Open {
            state.end = End::Closing(status);
            wake(state);
            self.drained.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(&self) -> Result<bool, Closed> {
        let state = self.lock();
        match state.end {
            End::Open => Ok(state.queue.is_empty()
                && state.responses < self.room.responses
                && state.bytes <= self.room.bytes),
            End::Closing(_) | End::Closed => Err(Closed),
        }
    }

    pub(crate) fn push(&self, outgoing: Outgoing) {
        let mut state = self.lock();
        if state.end == End::Open {
            state.responses += 1;
            state.bytes += outgoing.len();
            state.queue.push_back(outgoing);
            wake(state);
        }
    }

    /// Counts bytes, and perhaps a whole response, as no longer in flight.
    fn release(&self, bytes: usize, responses: usize) {
        let mut state = self.lock();
        state.bytes -= bytes;
        state.responses -= responses;
        self.notify(state);
    }

    /// Tells the sender if there is room.
    fn notify(&self, state: MutexGuard<'_, State>) {
        let room = state.queue.is_empty() && state.bytes <= self.room.bytes;
        drop(state);
        if room {
            self.drained.notify_one();
        }
    }
}

fn wake(mut state: MutexGuard<'_, State>) {
    let reader = state.reader.take();
    drop(state);
    if let Some(reader) = reader {
        reader.wake();
    }
}

/// The content side's end of a stream: sends responses, as fast as the client takes them.
#[derive(Debug)]
pub struct ResponseSender {
    pipe: Arc<Pipe>,
    protocol: Protocol,
    metrics: Metrics,
}

impl ResponseSender {
    pub(crate) fn new(pipe: Arc<Pipe>, protocol: Protocol, metrics: Metrics) -> Self {
        Self { pipe, protocol, metrics }
    }

    /// Waits until the client has taken what was sent before. Make the response *then*, so that
    /// it is the newest. Cancelling the wait loses nothing.
    pub async fn reserve(&mut self) -> Result<Permit<'_>, Closed> {
        while !self.pipe.has_room()? {
            self.pipe.drained.notified().await;
        }
        Ok(Permit(self))
    }

    /// As [`ResponseSender::reserve`], without waiting: `None` when there is no room.
    pub fn try_reserve(&mut self) -> Result<Option<Permit<'_>>, Closed> {
        Ok(self.pipe.has_room()?.then_some(Permit(self)))
    }

    /// Whether a response could be sent at once. `false` too when the stream is closed.
    pub fn has_capacity(&self) -> bool {
        self.pipe.has_room() == Ok(true)
    }

    /// Waits for room and sends.
    pub async fn send(&mut self, response: Response<'_>) -> Result<(), Closed> {
        self.reserve().await?.send(response);
        Ok(())
    }

    /// Bytes that were sent and not yet written to the connection.
    pub fn bytes_in_flight(&self) -> usize {
        self.pipe.lock().bytes
    }

    /// Responses that were sent and not yet written to the connection as a whole.
    pub fn responses_in_flight(&self) -> usize {
        self.pipe.lock().responses
    }

    /// Whether the client is gone or the stream has been closed.
    pub fn is_closed(&self) -> bool {
        self.pipe.has_room().is_err()
    }

    /// Ends the stream with `status`, behind what has been sent. Later sends fail.
    pub fn close(&self, status: Status) {
        self.pipe.finish(status);
    }
}

/// The right to send one response now.
#[derive(Debug)]
pub struct Permit<'a>(&'a mut ResponseSender);

impl Permit<'_> {
    /// Sends. What a client that has gone meanwhile would have been sent is dropped.
    pub fn send(self, response: Response<'_>) {
        let ResponseSender { pipe, protocol, metrics } = self.0;
        let type_url = response.type_url;
        match response.encode(*protocol) {
            Ok(outgoing) => {
                metrics.responses.inc();
                metrics.bytes_sent.inc_by(outgoing.len() as u64);
                pipe.push(outgoing);
            }
            Err(_) => {
                tracing::error!(type_url, "Response exceeds 4 GiB, stream closed");
                pipe.finish(Status::new(Code::Internal, "response exceeds 4 GiB"));
            }
        }
    }
}

/// HTTP/2's end of a stream: a body whose data are pieces of responses and whose trailers are the
/// status.
#[derive(Debug)]
pub(crate) struct PipeReader(Arc<Pipe>);

impl PipeReader {
    pub(crate) fn new(pipe: Arc<Pipe>) -> Self {
        Self(pipe)
    }

    /// Takes a whole response, for readers that are no HTTP/2. It counts as written.
    pub(crate) fn poll_response(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Vec<Bytes>, Status>> {
        let mut state = self.0.lock();
        if let Some(outgoing) = state.queue.pop_front() {
            state.bytes -= outgoing.len();
            state.responses -= 1;
            self.0.notify(state);
            return Poll::Ready(Ok(outgoing.into_chunks()));
        }
        match &state.end {
            End::Open => {
                let reader = state.reader.get_or_insert_with(|| context.waker().clone());
                reader.clone_from(context.waker());
                Poll::Pending
            }
            End::Closing(status) => Poll::Ready(Err(status.clone())),
            End::Closed => Poll::Ready(Err(Status::OK)),
        }
    }
}

impl Body for PipeReader {
    type Data = Piece;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Infallible>>> {
        let pipe = &self.0;
        let mut state = pipe.lock();
        if let Some(outgoing) = state.queue.front_mut() {
            let chunks = outgoing.next_piece();
            let last = outgoing.is_done();
            if last {
                state.queue.pop_front();
            }
            pipe.notify(state);
            let piece = Piece::new(chunks, usize::from(last), pipe.clone());
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match mem::take(&mut state.end) {
            End::Open => {
                let reader = state.reader.get_or_insert_with(|| context.waker().clone());
                reader.clone_from(context.waker());
                Poll::Pending
            }
            End::Closing(status) => {
                state.end = End::Closed;
                let mut trailers = HeaderMap::with_capacity(2);
                status.write_to(&mut trailers);
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            End::Closed => {
                state.end = End::Closed;
                Poll::Ready(None)
            }
        }
    }
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        let queue = mem::take(&mut state.queue);
        let (bytes, responses) = (queue.iter().map(Outgoing::len).sum::<usize>(), queue.len());
        state.bytes -= bytes;
        state.responses -= responses;
        state.end = End::Closed;
        drop(state);
        self.0.drained.notify_one();
    }
}
