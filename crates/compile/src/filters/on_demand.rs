//! Requests that wait for the virtual host of their Host: the filter, and how long they wait.
//!
//! - Envoy has no limit of its own for this wait, so that a request would hang for as long as the
//!   control plane is away. The limit is that of a stream on which nothing happens, which counts until
//!   a route lifts it: all routes of such a listener do ([`lift_wait`]), and are otherwise those of
//!   any listener. (The limit of a stream's whole duration would take the deadlines of gRPC callers
//!   away, and the timeouts of routes: Envoy looks past them once a route says anything of durations.)
//! - A request that goes on sending waits on; what Envoy holds of it is limited, so that this ends.

use envoy::{
    config::{
        core::v3::{DataSource, data_source},
        rbac::v3::{Principal, principal::Identifier},
        route::v3::{HeaderMatcher, Route, header_matcher::HeaderMatchSpecifier, route::Action},
    },
    extensions::filters::{
        http::on_demand::v3::OnDemand,
        network::http_connection_manager::v3::{
            HttpConnectionManager, HttpFilter, LocalReplyConfig, ResponseMapper,
        },
    },
    types::matcher::v3::{StringMatcher, string_matcher::MatchPattern},
};

use super::{http::UPGRADE, http_filter, seconds};
use crate::{security::refuse, telemetry::expression_filter};

/// How long a request waits for its route, or a connection for its cluster, in seconds.
pub(super) const WAIT: i64 = 5;
/// The name by which a proxy says that it has the filter, and that the filter has here.
pub const ON_DEMAND: &str = "envoy.filters.http.on_demand";
const NO_ROUTE: &str = "no route to this host came in time: the control plane cannot be reached\n";
/// Neither what an application or a rule answers, nor a request whose headers are yet to come.
const WAITED: &str = "response.code_details == 'stream_idle_timeout' && has(request.host) && \
                      !has(xds.route_name)";

/// The filters that go in front of all others.
pub(super) fn filters() -> [HttpFilter; 2] {
    [refuse_upgrades(), http_filter(ON_DEMAND, &OnDemand::default())]
}

/// Envoy refuses upgrades by itself only where it knows the route from the start; a first call would
/// go through. It has taken the header out of all requests that are no upgrades.
fn refuse_upgrades() -> HttpFilter {
    let allowed = StringMatcher {
        ignore_case: true,
        match_pattern: Some(MatchPattern::Exact(UPGRADE.to_owned())),
    };
    let other = HeaderMatcher {
        name: "upgrade".to_owned(),
        invert_match: true,
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(allowed)),
        ..HeaderMatcher::default()
    };
    refuse("upgrade", vec![Principal { identifier: Some(Identifier::Header(other)) }])
}

/// Ends the wait with 503.
pub(super) fn limit_wait(manager: &mut HttpConnectionManager) {
    manager.stream_idle_timeout = Some(seconds(WAIT));
    let mapper = ResponseMapper {
        filter: Some(expression_filter(WAITED)),
        status_code: Some(503),
        body: Some(DataSource {
            specifier: Some(data_source::Specifier::InlineString(NO_ROUTE.to_owned())),
            ..DataSource::default()
        }),
        ..ResponseMapper::default()
    };
    let config = LocalReplyConfig { mappers: vec![mapper], ..LocalReplyConfig::default() };
    manager.local_reply_config = Some(config);
}

/// A request that has found this route waits no more.
pub(crate) fn lift_wait(route: &mut Route) {
    if let Some(Action::Route(action)) = &mut route.action {
        action.idle_timeout = Some(seconds(0));
    }
}
