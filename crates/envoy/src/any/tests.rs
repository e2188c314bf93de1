use crate::{
    Any, UnpackError,
    config::{cluster::v3::Cluster, listener::v3::Listener},
    type_url,
};

use prost::{Message as _, Name as _};

#[test]
fn packed_message_is_unpacked_as_its_own_type_only() {
    let cluster = Cluster { name: "outbound|80||web.shop".to_owned(), ..Cluster::default() };
    let any = Any::pack(&cluster);
    assert_eq!(any.type_url, type_url::CLUSTER);
    assert_eq!(any.unpack::<Cluster>().unwrap(), cluster);
    assert!(matches!(any.unpack::<Listener>(), Err(UnpackError::OtherType { .. })));
    let broken = Any { value: b"\x0a\xff".as_slice().into(), ..any };
    assert!(matches!(broken.unpack::<Cluster>(), Err(UnpackError::Broken { .. })));
}

#[test]
fn encoding_is_that_of_the_well_known_any() {
    let ours = Any { type_url: "example.com/a.B".to_owned(), value: b"\x08\x01".as_slice().into() };
    let theirs = prost_types::Any { type_url: ours.type_url.clone(), value: ours.value.to_vec() };
    assert_eq!(ours.encode_to_vec(), theirs.encode_to_vec());
    assert_eq!(ours.message_name(), "a.B");
}

#[test]
fn type_url_constants_are_those_of_the_types() {
    use crate::{
        config::{core::v3 as core, endpoint::v3 as endpoint, route::v3 as route},
        extensions::transport_sockets::tls::v3::Secret,
        service::runtime::v3::Runtime,
    };
    let urls = [
        Cluster::type_url(),
        endpoint::ClusterLoadAssignment::type_url(),
        Listener::type_url(),
        route::ScopedRouteConfiguration::type_url(),
        route::RouteConfiguration::type_url(),
        route::VirtualHost::type_url(),
        Secret::type_url(),
        core::TypedExtensionConfig::type_url(),
        Runtime::type_url(),
    ];
    assert_eq!(urls, type_url::ALL);
    assert_eq!(type_url::find(&urls[0]), Some(type_url::CLUSTER));
    assert_eq!(type_url::find("type.googleapis.com/envoy.api.v2.Cluster"), None);
}

#[test]
fn typed_maps_have_one_encoding() {
    let encode = |names: &[&str]| {
        let options = names.iter().map(|name| ((*name).to_owned(), Any::default()));
        let typed_extension_protocol_options = options.collect();
        Cluster { typed_extension_protocol_options, ..Cluster::default() }.encode_to_vec()
    };
    let expected = encode(&["a", "b", "c", "d", "e", "f"]);
    for _ in 0..50 {
        assert_eq!(encode(&["f", "d", "b", "a", "c", "e"]), expected);
    }
}
