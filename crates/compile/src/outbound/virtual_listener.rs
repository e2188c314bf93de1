//! The listeners that do not come from services: `virtualOutbound` and the HTTP proxy.

use model::{Interception, Protocol};
use snapshot::OutboundPolicy;

use crate::{
    filters::TcpRoute,
    names,
    outbound::{
        Capture, ChainAction, ChainInput, ChainMatch, HttpRouteSource, HttpRoutes, ListenerInput,
        entry::Request, plan::Planner,
    },
};

/// The route configuration of the HTTP proxy.
const HTTP_PROXY_ROUTE: &str = "http_proxy";

impl Planner<'_> {
    /// The port that applications use as an HTTP proxy, if the mesh or the proxy has one.
    pub(super) fn add_http_proxy(&mut self) {
        let of_mesh = u16::try_from(self.mesh.config.proxy_http_port).ok().filter(|it| *it != 0);
        let Some(port) = self.client.http_proxy_port.or(of_mesh) else { return };
        let action = ChainAction::Http(HttpRoutes {
            source: HttpRouteSource::Rds(HTTP_PROXY_ROUTE.into()),
            protocol: Protocol::HttpProxy,
            absolute_url: true,
        });
        let matches = ChainMatch::default();
        self.entries.add(Request {
            bind: self.client.loopback().into(),
            port,
            capture: Capture::Bound,
            protocol: Protocol::HttpProxy,
            chains: vec![ChainInput { name: "".into(), matches, action, origins: Vec::new() }],
            pod: None,
            origin: model::ObjectKey::new(model::Kind::MeshConfig, "", "http-proxy"),
        });
    }

    /// Where redirected connections arrive. They are handed to the listener of their destination;
    /// the chains here are for those that have none.
    pub(super) fn virtual_listener(&self) -> Option<ListenerInput> {
        if self.client.interception == Interception::None {
            return None;
        }
        let black_hole = TcpRoute::to_cluster(names::BLACK_HOLE_CLUSTER, None);
        let to_own_port =
            ChainMatch { destination_port: Some(names::OUTBOUND_PORT), ..ChainMatch::default() };
        // A connection to the port itself was not redirected, and would come back for ever.
        let mut chains =
            vec![chain("virtualOutbound-blackhole", to_own_port, ChainAction::Tcp(black_hole))];
        if self.scope.outbound_policy == OutboundPolicy::AllowAnyDynamicDns {
            let action = ChainAction::Http(HttpRoutes {
                source: HttpRouteSource::DynamicDns,
                protocol: Protocol::Unsupported,
                absolute_url: false,
            });
            let matches = ChainMatch::plain_http(self.http.http10);
            chains.push(chain("virtualOutbound-catchall-tcp-http", matches, action));
        }
        let everything = ChainAction::Tcp(self.fallback.clone());
        chains.push(chain("virtualOutbound-catchall-tcp", ChainMatch::default(), everything));
        Some(ListenerInput {
            name: names::VIRTUAL_OUTBOUND.into(),
            bind: self.wildcard.clone(),
            further_binds: self.further_binds(&self.wildcard),
            port: names::OUTBOUND_PORT,
            capture: Capture::Virtual {
                transparent: self.client.interception == Interception::Tproxy,
            },
            chains,
            fallback: None,
            inspects_tls: false,
            inspection_timeout: self.mesh.config.protocol_detection_timeout,
            http: self.http.clone(),
            telemetry: self.telemetry.clone(),
            pod: None,
        })
    }
}

fn chain(name: &str, matches: ChainMatch, action: ChainAction) -> ChainInput {
    ChainInput { name: name.into(), matches, action, origins: Vec::new() }
}
