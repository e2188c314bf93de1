use std::{
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame};

use super::{Closed, Piece, Pipe, PipeReader, ResponseSender, Room};
use crate::{Code, Metrics, Protocol, Response, Status};

const ROOM: Room = Room { responses: 4, bytes: 1000 };

fn stream() -> (ResponseSender, PipeReader) {
    let pipe = Pipe::new(ROOM);
    let sender = ResponseSender::new(Arc::clone(&pipe), Protocol::Delta, Metrics::default());
    (sender, PipeReader::new(pipe))
}

fn response(len: usize) -> Response<'static> {
    Response { chunks: vec![Bytes::from(vec![0; len])], ..Default::default() }
}

fn poll(reader: &mut PipeReader) -> Poll<Option<Frame<Piece>>> {
    let frame = Pin::new(reader).poll_frame(&mut Context::from_waker(Waker::noop()));
    frame.map(|frame| frame.map(Result::unwrap))
}

fn next_piece(reader: &mut PipeReader) -> Piece {
    match poll(reader) {
        Poll::Ready(Some(frame)) => frame.into_data().expect("data"),
        other => panic!("expected data, found {other:?}"),
    }
}

fn send(sender: &mut ResponseSender, len: usize) {
    sender.try_reserve().unwrap().expect("room").send(response(len));
}

#[test]
fn there_is_no_room_until_http2_took_the_response() {
    let (mut sender, mut reader) = stream();
    send(&mut sender, 10);
    assert!(!sender.has_capacity());
    let mut piece = next_piece(&mut reader);
    assert!(sender.has_capacity());
    assert_eq!(sender.bytes_in_flight(), piece.remaining());
    piece.advance(piece.remaining());
    assert_eq!((sender.bytes_in_flight(), sender.responses_in_flight()), (0, 0));
}

#[test]
fn bytes_that_are_not_written_leave_no_room() {
    let (mut sender, mut reader) = stream();
    send(&mut sender, 300_000);
    let mut pieces: Vec<_> = (0..3).map(|_| next_piece(&mut reader)).collect();
    assert!(poll(&mut reader).is_pending());
    assert!(!sender.has_capacity());
    for piece in &mut pieces {
        piece.advance(piece.remaining() - 100);
    }
    assert!(sender.has_capacity());
    assert_eq!((sender.bytes_in_flight(), sender.responses_in_flight()), (300, 1));
    drop(pieces);
    assert_eq!((sender.bytes_in_flight(), sender.responses_in_flight()), (0, 0));
}

#[test]
fn small_responses_are_counted_too() {
    let (mut sender, mut reader) = stream();
    let mut pieces = Vec::new();
    for _ in 0..ROOM.responses {
        send(&mut sender, 1);
        pieces.push(next_piece(&mut reader));
    }
    assert!(!sender.has_capacity());
    pieces.pop();
    assert!(sender.has_capacity());
}

#[test]
fn a_waiting_sender_is_woken_by_room() {
    let (mut sender, mut reader) = stream();
    send(&mut sender, 5000);
    let mut piece = next_piece(&mut reader);
    let mut context = Context::from_waker(Waker::noop());
    {
        let mut waiting = pin!(sender.reserve());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        piece.advance(4500);
        assert!(waiting.as_mut().poll(&mut context).is_ready());
    }
    assert!(piece.remaining() < 1000);
}

#[test]
fn the_status_comes_behind_what_was_sent_and_the_first_counts() {
    let (mut sender, mut reader) = stream();
    send(&mut sender, 10);
    sender.close(Status::new(Code::Unavailable, "bye"));
    sender.close(Status::OK);
    assert_eq!(sender.try_reserve().unwrap_err(), Closed);
    next_piece(&mut reader);
    let Poll::Ready(Some(frame)) = poll(&mut reader) else { panic!("expected trailers") };
    let trailers = frame.into_trailers().unwrap();
    assert_eq!(Status::read_from(&trailers), Some(Status::new(Code::Unavailable, "bye")));
    assert!(matches!(poll(&mut reader), Poll::Ready(None)));
}

#[test]
fn a_reader_that_goes_frees_everything_and_fails_the_sender() {
    let (mut sender, mut reader) = stream();
    send(&mut sender, 300_000);
    let piece = next_piece(&mut reader);
    drop(reader);
    drop(piece);
    assert_eq!((sender.bytes_in_flight(), sender.responses_in_flight()), (0, 0));
    assert!(sender.is_closed());
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(pin!(sender.reserve()).poll(&mut context), Poll::Ready(Err(Closed))));
}

#[test]
fn joining_changes_no_byte_and_copies_nothing_long() {
    let sizes = [10, 20, 4096, 30, 300_000, 1, 2, 3, 4095, 70_000, 5, 6];
    let chunks = sizes.iter().zip(1u8..).map(|(size, number)| Bytes::from(vec![number; *size]));
    let chunks: Vec<Bytes> = chunks.collect();
    let joined = super::join_small(chunks.clone());
    assert_eq!(joined.concat(), chunks.concat());
    for chunk in chunks.iter().filter(|it| it.len() >= 4096) {
        let is_shared = joined.iter().any(|it| it.as_ptr() == chunk.as_ptr());
        assert!(is_shared, "{} bytes were copied", chunk.len());
    }
    let small = |chunks: &[Bytes]| chunks.iter().filter(|it| it.len() < 4096).count();
    assert!(small(&joined) < small(&chunks), "{joined:?}");
    assert!(super::join_small(Vec::new()).is_empty());
}
