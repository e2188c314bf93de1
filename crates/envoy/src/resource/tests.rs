use prost::Message as _;

use crate::{
    Any, Resource, Rope,
    config::cluster::v3::Cluster,
    service::discovery::v3::{self as discovery, DeltaDiscoveryResponse, DiscoveryResponse},
    type_url,
};

fn cluster(name: &str) -> (Cluster, Resource) {
    let cluster =
        Cluster { name: name.to_owned(), alt_stat_name: "s".repeat(300), ..Cluster::default() };
    let resource = Resource::from_message(name, type_url::CLUSTER, &cluster);
    (cluster, resource)
}

#[test]
fn delta_chunks_are_the_resource_of_a_delta_response() {
    let (cluster, resource) = cluster("web");
    let encoded = DeltaDiscoveryResponse {
        resources: vec![discovery::Resource {
            name: "web".to_owned(),
            version: resource.version_text(),
            resource: Some(Any::pack(&cluster)),
            ..discovery::Resource::default()
        }],
        ..DeltaDiscoveryResponse::default()
    }
    .encode_to_vec();
    let chunks = resource.delta_chunks();
    assert_eq!(chunks.len(), encoded.len());
    assert_eq!(
        DeltaDiscoveryResponse::decode(chunks.to_bytes()).unwrap(),
        DeltaDiscoveryResponse::decode(&encoded[..]).unwrap(),
    );
}

#[test]
fn sotw_chunks_are_the_bytes_of_a_response() {
    let (cluster, resource) = cluster("web");
    let response =
        DiscoveryResponse { resources: vec![Any::pack(&cluster)], ..DiscoveryResponse::default() };
    assert_eq!(resource.sotw_chunks().to_bytes(), response.encode_to_vec());
}

#[test]
fn wire_forms_are_made_once_and_share_the_body() {
    let (_, resource) = cluster("web");
    let body = resource.body().chunks()[0].as_ptr();
    for chunks in [resource.delta_chunks(), resource.sotw_chunks()] {
        assert_eq!(chunks.chunks().len(), 2);
        assert_eq!(chunks.chunks()[1].as_ptr(), body);
    }
    assert!(std::ptr::eq(resource.delta_chunks(), resource.delta_chunks()));
    assert_eq!(resource.to_any_parts().1.chunks()[0].as_ptr(), body);
}

#[test]
fn empty_message_is_a_resource_too() {
    let resource = Resource::new("none", type_url::CLUSTER, Rope::default());
    let response = DeltaDiscoveryResponse::decode(resource.delta_chunks().to_bytes()).unwrap();
    assert_eq!(
        response.resources[0].resource.as_ref().unwrap().unpack::<Cluster>().unwrap(),
        Cluster::default()
    );
    assert_eq!(
        DiscoveryResponse::decode(resource.sotw_chunks().to_bytes()).unwrap().resources.len(),
        1
    );
}

#[test]
fn version_is_a_hash_of_the_bytes_however_they_are_cut() {
    let (_, whole) = cluster("web");
    let bytes = whole.decode_bytes();
    let cut: Rope = [bytes.slice(..7), bytes.slice(7..)].into_iter().collect();
    let cut = Resource::new("web", type_url::CLUSTER, cut);
    assert_eq!(cut.version_text(), whole.version_text());
    assert_eq!(cut.version_text().len(), 16);
    assert_eq!(cut, whole);
    assert_ne!(cluster("other").1.version(), whole.version());
}
