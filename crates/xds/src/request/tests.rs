use bytes::Bytes;
use envoy::{
    config::core::v3::Node,
    google::rpc,
    service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest},
};
use proptest::prelude::*;
use prost::Message;

use super::{DeltaRequest, KnownVersion, Protocol, Request, decode, decode_request};

#[test]
fn each_protocol_decodes_its_own_request() {
    let delta = DeltaDiscoveryRequest { type_url: "t".to_owned(), ..Default::default() };
    let sotw = DiscoveryRequest { type_url: "t".to_owned(), ..Default::default() };
    let own = DeltaRequest { type_url: "t".to_owned(), ..Default::default() };
    assert_eq!(decode_request(Protocol::Delta, &delta.encode_to_vec()), Ok(Request::Delta(own)));
    assert_eq!(decode_request(Protocol::Sotw, &sotw.encode_to_vec()), Ok(Request::Sotw(sotw)));
}

#[test]
fn an_empty_message_is_an_empty_request() {
    assert_eq!(decode_request(Protocol::Delta, &[]), Ok(Request::Delta(DeltaRequest::default())));
}

/// Nothing but the form of one field differs from Envoy's message.
#[test]
fn every_field_is_that_of_envoy() {
    let theirs = DeltaDiscoveryRequest {
        node: Some(Node { id: "n".to_owned(), ..Node::default() }),
        type_url: "t".to_owned(),
        resource_names_subscribe: vec!["a".to_owned(), "b".to_owned()],
        resource_names_unsubscribe: vec!["c".to_owned()],
        initial_resource_versions: [("b", "2"), ("a", "1")]
            .map(|(n, v)| (n.into(), v.into()))
            .into(),
        response_nonce: "7".to_owned(),
        error_detail: Some(rpc::Status {
            code: 13,
            message: "why".to_owned(),
            ..Default::default()
        }),
        ..DeltaDiscoveryRequest::default()
    };
    let bytes = Bytes::from(theirs.encode_to_vec());
    let Ok(Request::Delta(ours)) = decode(Protocol::Delta, bytes.clone()) else { panic!() };
    assert_eq!(ours.known_versions(), [("a", "1"), ("b", "2")]);
    assert_eq!(ours.encode_to_vec(), bytes);
    assert_eq!(DeltaDiscoveryRequest::decode(&ours.encode_to_vec()[..]), Ok(theirs));
    // What is held is not copied.
    let name = ours.known_versions()[0].0.as_ptr();
    assert!(bytes.as_ptr_range().contains(&name));
}

#[test]
fn the_last_of_two_versions_counts_and_what_is_no_text_is_left_out() {
    let mut request = DeltaRequest::default();
    for (name, version) in [("b", "1"), ("a", "1"), ("b", "2")] {
        let known = KnownVersion::new(name.to_owned(), version.to_owned());
        request.initial_resource_versions.push(known);
    }
    let broken = KnownVersion { name: Bytes::from_static(b"\xff"), version: Bytes::new() };
    request.initial_resource_versions.push(broken);
    assert_eq!(request.known_versions(), [("a", "1"), ("b", "2")]);
}

#[test]
fn a_broken_message_names_the_protocol() {
    let error = decode_request(Protocol::Sotw, &[0x0a, 0xff]).unwrap_err();
    assert_eq!(error.to_string(), "failed to decode a state-of-the-world discovery request");
}

proptest! {
    #[test]
    fn garbage_never_panics(message in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode_request(Protocol::Delta, &message);
        let _ = decode_request(Protocol::Sotw, &message);
    }
}
