use envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use proptest::prelude::*;
use prost::Message;

use super::{Protocol, Request, decode_request};

#[test]
fn each_protocol_decodes_its_own_request() {
    let delta = DeltaDiscoveryRequest { type_url: "t".to_owned(), ..Default::default() };
    let sotw = DiscoveryRequest { type_url: "t".to_owned(), ..Default::default() };
    assert_eq!(decode_request(Protocol::Delta, &delta.encode_to_vec()), Ok(Request::Delta(delta)));
    assert_eq!(decode_request(Protocol::Sotw, &sotw.encode_to_vec()), Ok(Request::Sotw(sotw)));
}

#[test]
fn an_empty_message_is_an_empty_request() {
    assert_eq!(
        decode_request(Protocol::Delta, &[]),
        Ok(Request::Delta(DeltaDiscoveryRequest::default()))
    );
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
