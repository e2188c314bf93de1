use bytes::{Buf, Bytes};
use envoy::{
    Any,
    service::discovery::v3::{DeltaDiscoveryResponse, DiscoveryResponse, Resource},
};
use prost::Message;

use super::Response;
use crate::{Frames, Protocol};

/// What a client sees of `response`, through the pieces as they would go to HTTP/2.
fn received(response: Response<'_>, protocol: Protocol) -> Bytes {
    let mut outgoing = response.encode(protocol).unwrap();
    let mut data = Vec::new();
    while !outgoing.is_done() {
        for chunk in outgoing.next_piece() {
            data.extend_from_slice(chunk.chunk());
        }
    }
    let mut frames = Frames::new(1 << 30);
    frames.push(data.into());
    let message = frames.next().unwrap().unwrap();
    assert!(frames.next().is_none());
    frames.finish().unwrap();
    message
}

#[test]
fn a_delta_response_decodes_to_what_was_put_in() {
    let resource = |name: &str| Resource { name: name.to_owned(), ..Default::default() };
    let only_resources = DeltaDiscoveryResponse {
        resources: vec![resource("a"), resource("b")],
        ..Default::default()
    };
    let encoded = Bytes::from(only_resources.encode_to_vec());
    let response = Response {
        type_url: "type",
        nonce: 42,
        version: "7",
        // Cut in the middle of an entry: cuts mean nothing.
        chunks: vec![encoded.slice(..3), Bytes::new(), encoded.slice(3..)],
        removed: vec!["gone".into(), "".into()],
    };
    let message = received(response, Protocol::Delta);
    let expected = DeltaDiscoveryResponse {
        system_version_info: "7".to_owned(),
        type_url: "type".to_owned(),
        nonce: "42".to_owned(),
        removed_resources: vec!["gone".to_owned(), String::new()],
        ..only_resources
    };
    assert_eq!(DeltaDiscoveryResponse::decode(message).unwrap(), expected);
}

#[test]
fn a_sotw_response_decodes_to_what_was_put_in() {
    let any = Any { type_url: "type".to_owned(), value: Bytes::from(vec![7; 300_000]) };
    let resources = DiscoveryResponse { resources: vec![any.clone(); 3], ..Default::default() };
    let response = Response {
        type_url: "type",
        nonce: 0,
        version: "v",
        chunks: vec![resources.encode_to_vec().into()],
        removed: vec![],
    };
    let message = received(response, Protocol::Sotw);
    let expected = DiscoveryResponse {
        version_info: "v".to_owned(),
        type_url: "type".to_owned(),
        nonce: "0".to_owned(),
        ..resources
    };
    assert_eq!(DiscoveryResponse::decode(message).unwrap(), expected);
}

#[test]
fn small_chunks_are_joined_and_large_ones_shared() {
    let large = Bytes::from(vec![1; 5000]);
    let mut chunks: Vec<_> = (0..2000_u32).map(|i| Bytes::from(vec![i as u8; 300])).collect();
    chunks.insert(1000, large.clone());
    let mut outgoing = Response { chunks, ..Default::default() }.encode(Protocol::Delta).unwrap();
    let mut pieces = Vec::new();
    while !outgoing.is_done() {
        pieces.extend(outgoing.next_piece());
    }
    assert!(pieces.len() < 50, "{} pieces", pieces.len());
    assert!(pieces.iter().any(|piece| piece.as_ptr() == large.as_ptr()));
    assert!(pieces.iter().all(|piece| piece.len() <= 16 << 10));
}
