//! TLS connections that wait for the cluster of the service that their server name means.
//!
//! - The cluster is named after the server name. A proxy that lacks it asks for it over the stream that it
//!   has (ODCDS); the control plane adds the service to what the proxy is told of.
//! - A proxy asks for no cluster twice, not even for one that went away: what was asked for once comes as any
//!   other cluster does, for as long as it exists.

use super::{
    TcpRoute, ads,
    filter_state::{SET_FILTER_STATE, formatted},
    network_filter,
    on_demand::WAIT,
    seconds,
    tcp::{TCP_PROXY, configure},
};
use crate::{names, telemetry::Telemetry};
use envoy::{
    config::listener::v3::Filter,
    extensions::filters::network::{
        set_filter_state::v3::Config as SetFilterState,
        tcp_proxy::v3::{TcpProxy, tcp_proxy::OnDemand},
    },
};

/// What the TCP proxy goes by, if it is set.
const CLUSTER: &str = "envoy.tcp_proxy.cluster";
const SERVER_NAME: &str = "%REQUESTED_SERVER_NAME%";

/// The filters for connections on a port of services, all of which have a server name. `unnamed` is where
/// others would go.
pub fn wait_for_server_name(port: u16, unnamed: &TcpRoute, telemetry: &Telemetry) -> [Filter; 2] {
    let cluster = names::outbound_cluster(port, "", SERVER_NAME);
    let state = SetFilterState {
        on_new_connection: vec![formatted(CLUSTER, CLUSTER, &cluster)],
        ..SetFilterState::default()
    };
    let on_demand = OnDemand {
        odcds_config: Some(ads(seconds(0))),
        timeout: Some(seconds(WAIT)),
        ..OnDemand::default()
    };
    let proxy = TcpProxy {
        stat_prefix: format!("on-demand-{port}"),
        on_demand: Some(on_demand),
        ..configure(unnamed, telemetry, None)
    };
    [network_filter(SET_FILTER_STATE, &state), network_filter(TCP_PROXY, &proxy)]
}
