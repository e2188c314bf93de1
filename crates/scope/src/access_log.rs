//! What a caller's proxy reports → the hosts that it called.
//!
//! - Pure. The cluster says it best; where traffic left the mesh, the authority or the server name of
//!   TLS does, and where there is none, the address that the caller had dialled.
//! - Where a rule led elsewhere, authority and cluster differ: both were called.
//! - Only hosts of services and of rules are told: what else stands in a log is anybody's text.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use envoy::{
    config::core::v3::{Address, address, socket_address::PortSpecifier},
    data::accesslog::v3::AccessLogCommon,
    service::accesslog::v3::{StreamAccessLogsMessage, stream_access_logs_message::LogEntries},
};
use model::{Hostname, Namespace};

use crate::{Places, complete_host};

/// The custom tag with the server name of a TLS connection that the proxy does not end.
const SERVER_NAME: &str = "server_name";

/// Clusters that lead wherever the caller said.
const LEADS_ANYWHERE: [&str; 3] = ["PassthroughCluster", "BlackHoleCluster", "LazyGatewayCluster"];

/// Which calls a log has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallLog {
    /// All of a proxy.
    All,
    /// Those that left the proxy's configuration: it knew no service for them.
    Unknown,
}

/// How often each host was called, as a proxy of `namespace` reports it.
pub fn called_hosts(
    message: &StreamAccessLogsMessage,
    namespace: &Namespace,
    log: CallLog,
    places: &(impl Places + ?Sized),
) -> BTreeMap<Hostname, u32> {
    let mut called = BTreeMap::<Hostname, u32>::new();
    let mut add = |common: Option<&AccessLogCommon>, authority: &str| {
        let hosts = common.map(|it| called_by(it, authority, namespace, log, places));
        for host in hosts.into_iter().flatten() {
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
                let tags = entry.common_properties.as_ref().map(|it| &it.custom_tags);
                let name = tags.and_then(|tags| tags.get(SERVER_NAME));
                add(entry.common_properties.as_ref(), name.map_or("", String::as_str));
            }
        }
        None => {}
    }
    called
}

/// The hosts of one entry.
fn called_by(
    common: &AccessLogCommon,
    authority: &str,
    namespace: &Namespace,
    log: CallLog,
    places: &(impl Places + ?Sized),
) -> BTreeSet<Hostname> {
    // Envoy says the name that the cluster has in statistics, which ours end with a mark.
    let cluster = common.upstream_cluster.trim_end_matches(';');
    // Of what never got to the other side it says none. Where all is logged, that may also be
    // somebody who calls this proxy.
    let has_left = match log {
        CallLog::All => false,
        CallLog::Unknown => cluster.is_empty(),
    };
    let service = service_of(cluster);
    let named = || complete_host(authority, namespace, places);
    if has_left
        || LEADS_ANYWHERE.contains(&cluster)
        || service.as_ref().is_some_and(|host| places.is_gateway(host))
    {
        let dialled = || {
            let (address, port) = dialled(common.downstream_local_address.as_ref()?)?;
            places.at(address, port)
        };
        return named().or_else(dialled).into_iter().collect();
    }
    // Whatever else has a cluster is no call of this workload, and its authority names itself.
    let Some(service) = service else { return BTreeSet::new() };
    // Without the host that was called there would be no route to where the rule leads.
    let service = Some(service).filter(|host| places.has(host));
    service.into_iter().chain(named()).collect()
}

/// The host in `outbound|80|v1|cart.shop.svc.cluster.local`; whatever else is not a call of a service.
fn service_of(cluster: &str) -> Option<Hostname> {
    let mut parts = cluster.split('|');
    let is_outbound = parts.next() == Some("outbound");
    Some(Hostname::new(parts.nth(2).filter(|_| is_outbound)?))
}

fn dialled(address: &Address) -> Option<(IpAddr, Option<u16>)> {
    match address.address.as_ref()? {
        address::Address::SocketAddress(socket) => {
            let port = match socket.port_specifier.as_ref()? {
                PortSpecifier::PortValue(port) => u16::try_from(*port).ok(),
                PortSpecifier::NamedPort(_) => None,
            };
            Some((socket.address.parse().ok()?, port))
        }
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
        let (address, port) = dialled.rsplit_once('@').unwrap_or((dialled, "9080"));
        let port_specifier = Some(PortSpecifier::PortValue(port.parse().unwrap()));
        let address = address.to_owned();
        let socket = SocketAddress { address, port_specifier, ..SocketAddress::default() };
        let address = Address { address: Some(address::Address::SocketAddress(socket)) };
        Some(AccessLogCommon {
            upstream_cluster: cluster.to_owned(),
            downstream_local_address: Some(address),
            ..AccessLogCommon::default()
        })
    }

    /// Lines `cluster authority dialled`; `-` is nothing. Without an authority it is TCP, and with one
    /// that begins with `tls:` too.
    #[track_caller]
    fn check(log: &str, expected: Expect) {
        check_log(log, CallLog::All, expected);
    }

    #[track_caller]
    fn check_log(log: &str, calls: CallLog, expected: Expect) {
        let (mut http, mut tcp) = (Vec::new(), Vec::new());
        for line in log.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let [cluster, authority, dialled] =
                line.split_whitespace().collect::<Vec<_>>().try_into().unwrap();
            let cluster = if cluster == "-" { "" } else { cluster };
            let mut common_properties = common(cluster, dialled);
            if let Some(name) = authority.strip_prefix("tls:") {
                let tags = common_properties.as_mut().map(|it| &mut it.custom_tags);
                tags.unwrap().insert(SERVER_NAME.to_owned(), name.to_owned());
            }
            if authority == "-" || authority.starts_with("tls:") {
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
            for (host, count) in called_hosts(&message, &"shop".into(), calls, &FakePlaces) {
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
             outbound|443||pay.bank.svc.cluster.local;  -           -
             outbound|80||gone.shop.svc.cluster.local   cart        -
             inbound|8080||                             web         -
             xds-grpc                                   cart        -
             outbound|80                                cart        -",
            expect![[r"
                http cart.shop.svc.cluster.local 3
                tcp pay.bank.svc.cluster.local 1
            "]],
        );
    }

    #[test]
    fn where_a_rule_led_elsewhere_both_hosts_were_called() {
        check(
            "outbound|80||pay.bank.svc.cluster.local   cart:80          10.9.9.9
             outbound|80|v1|cart.shop.svc.cluster.local cart             -
             outbound|80||pay.bank.svc.cluster.local   nobody           10.0.0.1
             outbound|80||pay.bank.svc.cluster.local   junk%20junk      -
             outbound|443||pay.bank.svc.cluster.local  tls:a.example.net -
             inbound|8080||                            cart             -",
            expect![[r"
                http cart.shop.svc.cluster.local 2
                http pay.bank.svc.cluster.local 3
                tcp *.example.net 1
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
             PassthroughCluster 10.0.0.1:9080     10.9.9.9
             PassthroughCluster -                 10.0.0.1
             PassthroughCluster -                 fd00::1
             PassthroughCluster -                 10.9.9.9
             PassthroughCluster -                 10.0.0.1@80
             PassthroughCluster tls:a.example.net 10.9.9.9@443
             BlackHoleCluster;  tls:-             10.0.0.1
             PassthroughCluster -                 nonsense
             LazyGatewayCluster; cart.shop        10.9.9.9
             outbound|15080||lazy.mesh.svc.cluster.local; pay.bank 10.9.9.9
             BlackHoleCluster   api.example.com   10.9.9.9
             BlackHoleCluster   junk%20junk       10.9.9.9",
            expect![[r"
                http api.example.com 1
                http cart.shop.svc.cluster.local 4
                http pay.bank.svc.cluster.local 2
                tcp *.example.net 1
                tcp cart.shop.svc.cluster.local 2
                tcp pay.bank.svc.cluster.local 1
            "]],
        );
    }
    #[test]
    fn what_never_got_anywhere_counts_where_nothing_else_is_logged() {
        let log = "- cart 10.9.9.9
                   - -    10.0.0.1
                   - tls:pay.bank 10.9.9.9";
        check(log, expect![""]);
        check_log(
            log,
            CallLog::Unknown,
            expect![[r"
                http cart.shop.svc.cluster.local 1
                tcp cart.shop.svc.cluster.local 1
                tcp pay.bank.svc.cluster.local 1
            "]],
        );
    }
}
