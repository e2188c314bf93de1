use bytes::{BufMut, Bytes};
use proptest::prelude::*;

use super::{FrameError, Frames};

fn framed(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for message in messages {
        out.put_u8(0);
        out.put_u32(u32::try_from(message.len()).unwrap());
        out.extend_from_slice(message);
    }
    out
}

fn push_all(frames: &mut Frames, data: &[u8], step: usize) -> Vec<Result<Bytes, FrameError>> {
    let mut out = Vec::new();
    for piece in data.chunks(step) {
        out.extend(frames.push(Bytes::copy_from_slice(piece)));
    }
    out
}

#[test]
fn a_message_within_one_piece_is_a_slice_of_it() {
    let data = Bytes::from(framed(&[vec![7; 100], vec![8; 3]]));
    let mut frames = Frames::new(1000);
    let messages: Vec<_> = frames.push(data.clone()).map(Result::unwrap).collect();
    assert_eq!(messages[0].as_ptr(), data[5..].as_ptr());
    assert_eq!(messages[1].as_ptr(), data[110..].as_ptr());
    assert_eq!(frames.retained(), 0);
}

#[test]
fn half_a_message_is_awaited_and_its_end_is_an_error() {
    let data = framed(&[vec![1; 10]]);
    let mut frames = Frames::new(1000);
    assert_eq!(push_all(&mut frames, &data[..12], 12), []);
    assert_eq!(frames.finish(), Err(FrameError::Truncated));
    assert_eq!(push_all(&mut frames, &data[12..], 1), [Ok(Bytes::from(vec![1; 10]))]);
    assert_eq!(frames.finish(), Ok(()));
}

#[test]
fn compressed_oversize_and_unknown_flags_are_refused_for_good() {
    for (prefix, error) in [
        ([1, 0, 0, 0, 1], FrameError::Compressed),
        ([9, 0, 0, 0, 1], FrameError::UnknownFlag { flag: 9 }),
        ([0, 0, 0, 0, 11], FrameError::TooLarge { length: 11, limit: 10 }),
    ] {
        for step in [1, 5] {
            let mut frames = Frames::new(10);
            assert_eq!(push_all(&mut frames, &prefix, step), [Err(error)]);
            assert_eq!(push_all(&mut frames, &framed(&[vec![1]]), 100), []);
        }
    }
}

#[test]
fn an_announced_length_alone_takes_no_memory() {
    let mut frames = Frames::new(64 << 20);
    assert!(frames.push(Bytes::from_static(&[0, 3, 0, 0, 0])).next().is_none());
    assert!(frames.retained() < 1024);
}

#[test]
fn a_large_message_leaves_no_buffer_behind() {
    let data = framed(&[vec![5; 1 << 20]]);
    let mut frames = Frames::new(2 << 20);
    assert_eq!(push_all(&mut frames, &data, 16 << 10).len(), 1);
    assert_eq!(frames.retained(), 0);
}

#[test]
fn data_pushed_before_the_last_was_read_is_kept() {
    let mut frames = Frames::new(10);
    frames.push(framed(&[vec![1]]).into());
    frames.push(framed(&[vec![2]]).into());
    assert_eq!(frames.map(|message| message.unwrap()[0]).collect::<Vec<_>>(), [1, 2]);
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_messages(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
        step in 1_usize..60,
    ) {
        let mut frames = Frames::new(64);
        let found = push_all(&mut frames, &framed(&messages), step);
        let expected: Vec<_> = messages.into_iter().map(|message| Ok(message.into())).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(frames.finish(), Ok(()));
        prop_assert_eq!(frames.retained(), 0);
    }

    #[test]
    fn garbage_never_panics_and_memory_is_bounded(
        data in prop::collection::vec(any::<u8>(), 0..400),
        step in 1_usize..50,
    ) {
        let mut frames = Frames::new(128);
        for message in push_all(&mut frames, &data, step).into_iter().flatten() {
            prop_assert!(message.len() <= 128);
        }
        prop_assert!(frames.retained() <= 512);
    }
}
