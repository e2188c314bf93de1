//! Requests and responses of both protocols as one form each.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use envoy::{
    Any,
    config::core::v3::Node,
    google::rpc,
    service::discovery::v3::{
        DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Resource,
    },
};
use prost::Message;

use super::{ClientError, Subscription};
use crate::{Code, DeltaRequest, KnownVersion, Protocol, Request, frame::PREFIX_LEN};

/// A response of either protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct AdsResponse {
    /// Type of the resources.
    pub type_url: String,
    /// What an ACK or NACK refers to.
    pub nonce: String,
    /// Delta: `system_version_info`. SotW: `version_info`.
    pub version: String,
    /// In the order in which they were sent.
    pub resources: Vec<AdsResource>,
    /// Names of resources that are gone. Delta only.
    pub removed: Vec<String>,
    /// Length of the message in bytes.
    pub len: usize,
}

/// A resource of a response.
#[derive(Clone, Debug, PartialEq)]
pub struct AdsResource {
    /// On SotW, read from the resource itself.
    pub name: String,
    /// Other names that it is an answer to.
    pub aliases: Vec<String>,
    /// On SotW, the version of the response.
    pub version: String,
    /// `None` when the server says only that it knows nothing more of this name.
    pub resource: Option<Any>,
}

/// All resources that xDS serves have their name in field 1.
#[derive(Clone, PartialEq, Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
}

pub(super) fn decode(protocol: Protocol, message: Bytes) -> Result<AdsResponse, ClientError> {
    let len = message.len();
    let response = match protocol {
        Protocol::Delta => DeltaDiscoveryResponse::decode(message).map(|it| from_delta(it, len)),
        Protocol::Sotw => DiscoveryResponse::decode(message).map(|it| from_sotw(it, len)),
    };
    response.map_err(|source| ClientError::Decode { protocol, source })
}

fn from_delta(response: DeltaDiscoveryResponse, len: usize) -> AdsResponse {
    let resource = |Resource { name, aliases, version, resource, .. }| AdsResource {
        name,
        aliases,
        version,
        resource,
    };
    AdsResponse {
        type_url: response.type_url,
        nonce: response.nonce,
        version: response.system_version_info,
        resources: response.resources.into_iter().map(resource).collect(),
        removed: response.removed_resources,
        len,
    }
}

fn from_sotw(response: DiscoveryResponse, len: usize) -> AdsResponse {
    let version = response.version_info;
    let resource = |any: Any| AdsResource {
        name: Named::decode(any.value.clone()).unwrap_or_default().name,
        aliases: Vec::new(),
        version: version.clone(),
        resource: Some(any),
    };
    AdsResponse {
        type_url: response.type_url,
        nonce: response.nonce,
        resources: response.resources.into_iter().map(resource).collect(),
        removed: Vec::new(),
        version,
        len,
    }
}

pub(super) fn subscribe(
    type_url: &str,
    resource_names_subscribe: Vec<String>,
    versions: BTreeMap<String, String>,
) -> Request {
    let known = versions.into_iter().map(|(name, version)| KnownVersion::new(name, version));
    Request::Delta(DeltaRequest {
        type_url: type_url.to_owned(),
        resource_names_subscribe,
        initial_resource_versions: known.collect(),
        ..Default::default()
    })
}

pub(super) fn unsubscribe(type_url: &str, resource_names_unsubscribe: Vec<String>) -> Request {
    Request::Delta(DeltaRequest {
        type_url: type_url.to_owned(),
        resource_names_unsubscribe,
        ..Default::default()
    })
}

pub(super) fn acknowledge(type_url: &str, nonce: &str) -> Request {
    Request::Delta(DeltaRequest {
        type_url: type_url.to_owned(),
        response_nonce: nonce.to_owned(),
        ..Default::default()
    })
}

/// The one request of SotW: everything that is subscribed to and what was last answered.
pub(super) fn repeat(type_url: &str, held: &Subscription) -> Request {
    Request::Sotw(DiscoveryRequest {
        type_url: type_url.to_owned(),
        version_info: held.version.clone(),
        response_nonce: held.nonce.clone(),
        resource_names: held.names.iter().cloned().collect(),
        ..Default::default()
    })
}

pub(super) fn with_error(mut request: Request, reason: Option<&str>) -> Request {
    let error = reason.map(|reason| rpc::Status {
        code: Code::InvalidArgument as i32,
        message: reason.to_owned(),
        details: Vec::new(),
    });
    match &mut request {
        Request::Delta(request) => request.error_detail = error,
        Request::Sotw(request) => request.error_detail = error,
    }
    request
}

pub(super) fn with_node(mut request: Request, node: Option<Node>) -> Request {
    match &mut request {
        Request::Delta(request) => request.node = node,
        Request::Sotw(request) => request.node = node,
    }
    request
}

/// The message behind its gRPC prefix. Requests are far below 4 GiB.
pub(super) fn encode(request: &Request) -> Bytes {
    let len = match request {
        Request::Delta(request) => request.encoded_len(),
        Request::Sotw(request) => request.encoded_len(),
    };
    let mut data = BytesMut::with_capacity(PREFIX_LEN + len);
    data.put_u8(0);
    data.put_u32(u32::try_from(len).unwrap_or(u32::MAX));
    let encoded = match request {
        Request::Delta(request) => request.encode(&mut data),
        Request::Sotw(request) => request.encode(&mut data),
    };
    encoded.expect("a BytesMut takes everything");
    data.freeze()
}
