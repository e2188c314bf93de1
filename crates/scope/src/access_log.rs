//! What a caller's proxy reports → the hosts that it called.
//!
//! - Pure. The cluster says it best; where traffic left the mesh, the authority does, and where
//!   there is none, the address that the caller had dialled.
//! - Only hosts that a service has are told: what else stands in a log is anybody's text.

use std::{collections::BTreeMap, net::IpAddr};

use envoy::{
    config::core::v3::{Address, address},
    data::accesslog::v3::AccessLogCommon,
    service::accesslog::v3::{StreamAccessLogsMessage, stream_access_logs_message::LogEntries},
};
use model::{Hostname, Namespace};

use crate::{Places, complete_host};

/// How often each host was called, as a proxy of `namespace` reports it.
pub fn called_hosts(
    message: &StreamAccessLogsMessage,
    namespace: &Namespace,
    places: &(impl Places + ?Sized),
) -> BTreeMap<Hostname, u32> {
    let mut called = BTreeMap::<Hostname, u32>::new();
    let mut add = |common: Option<&AccessLogCommon>, authority: &str| {
        let host = common.and_then(|it| called_host(it, authority, namespace, places));
        if let Some(host) = host {
            *called.entry(host).or_default() += 1;
        }
    };
    match &message.log_entries {
        Some(LogEntries::HttpLogs(logs)) => {
            for entry in &logs.log_entry {
                let authority = entry.request.as_ref().map_or("", |it| it.authority.as_str());
                add(entry.common_properties.as_ref(), authority);
            }
        }
        Some(LogEntries::TcpLogs(logs)) => {
            for entry in &logs.log_entry {
                add(entry.common_properties.as_ref(), "");
            }
        }
        None => {}
    }
    called
}

fn called_host(
    common: &AccessLogCommon,
    authority: &str,
    namespace: &Namespace,
    places: &(impl Places + ?Sized),
) -> Option<Hostname> {
    match common.upstream_cluster.as_str() {
        "PassthroughCluster" | "BlackHoleCluster" => {
            let dialled = || ip(common.downstream_local_address.as_ref()?);
            let named = complete_host(authority, namespace, places);
            named.or_else(|| places.at(dialled()?))
        }
        // `outbound|80|v1|cart.shop.svc.cluster.local`; whatever else is not a call of a service.
        cluster => {
            let mut parts = cluster.split('|');
            let is_outbound = parts.next() == Some("outbound");
            let host = Hostname::new(parts.nth(2).filter(|_| is_outbound)?);
            places.has(&host).then_some(host)
        }
    }
}

fn ip(address: &Address) -> Option<IpAddr> {
    match address.address.as_ref()? {
        address::Address::SocketAddress(socket) => socket.address.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use envoy::{
        config::core::v3::SocketAddress,
        data::accesslog::v3::{HttpAccessLogEntry, HttpRequestProperties, TcpAccessLogEntry},
        service::accesslog::v3::stream_access_logs_message::{
            HttpAccessLogEntries, TcpAccessLogEntries,
        },
    };
    use expect_test::{Expect, expect};

    use super::*;
    use crate::target::tests::FakePlaces;

    fn common(cluster: &str, dialled: &str) -> Option<AccessLogCommon> {
        let socket = SocketAddress { address: dialled.to_owned(), ..SocketAddress::default() };
        let address = Address { address: Some(address::Address::SocketAddress(socket)) };
        Some(AccessLogCommon {
            upstream_cluster: cluster.to_owned(),
            downstream_local_address: Some(address),
            ..AccessLogCommon::default()
        })
    }

    /// Lines `cluster authority dialled`; `-` is nothing. Without an authority it is TCP.
    #[track_caller]
    fn check(log: &str, expected: Expect) {
        let (mut http, mut tcp) = (Vec::new(), Vec::new());
        for line in log.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let [cluster, authority, dialled] =
                line.split_whitespace().collect::<Vec<_>>().try_into().unwrap();
            let common_properties = common(cluster, dialled);
            if authority == "-" {
                tcp.push(TcpAccessLogEntry { common_properties, ..TcpAccessLogEntry::default() });
            } else {
                let request = Some(HttpRequestProperties {
                    authority: authority.to_owned(),
                    ..HttpRequestProperties::default()
                });
                http.push(HttpAccessLogEntry {
                    common_properties,
                    request,
                    ..HttpAccessLogEntry::default()
                });
            }
        }
        let message =
            |entries| StreamAccessLogsMessage { identifier: None, log_entries: Some(entries) };
        let http = message(LogEntries::HttpLogs(HttpAccessLogEntries { log_entry: http }));
        let tcp = message(LogEntries::TcpLogs(TcpAccessLogEntries { log_entry: tcp }));
        let mut text = String::new();
        for (kind, message) in [("http", http), ("tcp", tcp)] {
            for (host, count) in called_hosts(&message, &"shop".into(), &FakePlaces) {
                text.push_str(&format!("{kind} {host} {count}\n"));
            }
        }
        expected.assert_eq(&text);
    }

    #[test]
    fn the_cluster_names_the_host_whatever_the_caller_called_it() {
        check(
            "outbound|80||cart.shop.svc.cluster.local   anything:1  -
             outbound|80|v1|cart.shop.svc.cluster.local cart        -
             outbound|443||pay.bank.svc.cluster.local   -           -
             outbound|80||gone.shop.svc.cluster.local   cart        -
             inbound|8080||                             web         -
             xds-grpc                                   cart        -
             outbound|80                                cart        -",
            expect![[r"
                http cart.shop.svc.cluster.local 2
                tcp pay.bank.svc.cluster.local 1
            "]],
        );
    }

    #[test]
    fn what_left_the_mesh_is_told_by_its_authority_and_else_by_its_address() {
        check(
            "PassthroughCluster cart:80           10.9.9.9
             PassthroughCluster pay.bank          10.9.9.9
             PassthroughCluster example.com       10.0.0.1
             PassthroughCluster 10.0.0.1:80       10.9.9.9
             PassthroughCluster -                 10.0.0.1
             PassthroughCluster -                 fd00::1
             PassthroughCluster -                 10.9.9.9
             PassthroughCluster -                 nonsense
             BlackHoleCluster   api.example.com   10.9.9.9
             BlackHoleCluster   junk%20junk       10.9.9.9",
            expect![[r"
                http api.example.com 1
                http cart.shop.svc.cluster.local 3
                http pay.bank.svc.cluster.local 1
                tcp cart.shop.svc.cluster.local 1
                tcp pay.bank.svc.cluster.local 1
            "]],
        );
    }
}
