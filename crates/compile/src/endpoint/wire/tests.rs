use std::{net::Ipv6Addr, sync::Arc};

use model::{EndpointAddress, Health, Labels, Locality};
use proptest::prelude::*;
use prost::Message;

use super::{super::assignment::load_assignment, *};
use crate::{endpoint::group_by_locality, telemetry::UNKNOWN};

fn text(choices: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(choices)
}

fn address() -> impl Strategy<Value = EndpointAddress> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|it| EndpointAddress::Ip(it.into())),
        any::<u16>().prop_map(|it| {
            EndpointAddress::Ip(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, it).into())
        }),
        Just(EndpointAddress::Dns("a.example.com".into())),
        Just(EndpointAddress::Unix("/run/a.sock".into())),
    ]
}

fn labels() -> impl Strategy<Value = Labels> {
    let keys = [
        "app",
        "version",
        "app.kubernetes.io/name",
        "service.istio.io/canonical-name",
        "service.istio.io/canonical-revision",
        crate::traffic_policy::CLUSTER_LABEL,
    ];
    let long: &'static str = Box::leak("x".repeat(150).into_boxed_str());
    let pair =
        (prop::sample::select(keys.to_vec()), prop::sample::select(vec!["", "a", "b", long]));
    prop::collection::vec(pair, 0..4).prop_map(|pairs| pairs.into_iter().collect())
}

prop_compose! {
    fn endpoint()(
        address in address(),
        labels in labels(),
        locality in text(&["", "a", "a/1", "b/2/x"]),
        weight in prop_oneof![Just(1), Just(3), Just(u32::MAX)],
        name in text(&["", "cart", "shop"]),
        namespace in text(&["shop", "web"]),
        port in prop_oneof![Just(None), Just(Some(80)), Just(Some(8080))],
        health in prop_oneof![
            Just(Health::Healthy), Just(Health::Unhealthy), Just(Health::Draining)
        ],
        mtls in any::<bool>(),
    ) -> Endpoint {
        let none: Arc<str> = "".into();
        Endpoint {
            address,
            ports: Arc::new(port.map(|port| ("http".into(), port)).into_iter().collect()),
            labels,
            locality: Locality::parse(locality),
            weight,
            service_account: none.clone(),
            workload_name: name.into(),
            namespace: namespace.into(),
            network: none.clone(),
            node: none.clone(),
            health,
            mtls,
            hostname: none,
        }
    }
}

proptest! {
    #[test]
    fn the_bytes_are_those_of_the_message(
        endpoints in prop::collection::vec(endpoint(), 0..12),
        cluster in text(&["", "outbound|80||cart.example.com"]),
        cluster_id in text(&["", "a", "Kubernetes"]),
        mutual in any::<bool>(),
        priority in 0..3_u32,
    ) {
        // Neighbours that are alike, and the same again later.
        let twice: Vec<Endpoint> =
            endpoints.iter().chain(&endpoints).flat_map(|it| [it.clone(), it.clone()]).collect();
        let mut groups = group_by_locality(twice.iter());
        if let Some(group) = groups.first_mut() {
            group.priority = priority;
        }
        let plain = Default::default();
        let described = Described { port: "http", cluster_id, plain: &plain, mutual };
        let message = load_assignment(cluster, &described, groups.clone());
        prop_assert_eq!(encode_assignment(cluster, &described, groups), message.encode_to_vec());
    }
    /// As `telemetry::labels` reads it.
    #[test]
    fn what_is_not_said_twice_is_known_all_the_same(endpoint in endpoint()) {
        let plain = Default::default();
        let described = Described { port: "http", cluster_id: "a", plain: &plain, mutual: false };
        let said = Said::of(&endpoint, 80, &described);
        let read = |keys: &[&str]| {
            let find = |key: &&str| said.istio().find(|(name, _)| name == key);
            keys.iter().find_map(find).map_or(UNKNOWN, |(_, text)| text).to_owned()
        };
        let or_unknown = |text: Option<&str>| match text {
            None | Some("") => UNKNOWN.to_owned(),
            Some(text) => text.to_owned(),
        };
        prop_assert_eq!(read(&["app", "service"]), or_unknown(endpoint.labels.get("app")));
        prop_assert_eq!(read(&["name", "service"]), or_unknown(Some(&endpoint.workload_name)));
        prop_assert_eq!(read(&["version", "revision"]), or_unknown(endpoint.labels.get("version")));
    }
}
