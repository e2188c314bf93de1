//! Requests that wait for the virtual host of their Host: the filter, and how long they wait.
//!
//! - Envoy has no limit of its own for this wait, so that a request would hang for as long as the
//!   control plane is away. The limit is that of the duration of a whole stream, which counts until a
//!   route lifts it: all routes of such a listener do ([`lift_wait`]).
//! - A route that says anything of the duration of its streams makes Envoy look past its `timeout`.
//!   Where there is one, it goes into the header in which callers may ask for a timeout.

use envoy::{
    Any,
    config::{
        accesslog::v3::{
            AccessLogFilter, AndFilter, ComparisonFilter, OrFilter, StatusCodeFilter,
            access_log_filter::FilterSpecifier, comparison_filter::Op,
        },
        common::mutation_rules::v3::{HeaderMutation, header_mutation::Action as Mutation},
        core::v3::{
            DataSource, HeaderValue, HeaderValueOption, RuntimeUInt32, data_source,
            header_value_option::HeaderAppendAction,
        },
        route::v3::{Route, route::Action, route_action::MaxStreamDuration},
    },
    extensions::filters::{
        http::{
            header_mutation::v3::{
                HeaderMutation as HeaderMutations, HeaderMutationPerRoute, Mutations,
            },
            on_demand::v3::OnDemand,
        },
        network::http_connection_manager::v3::{
            HttpConnectionManager, HttpFilter, LocalReplyConfig, ResponseMapper,
        },
    },
};

use super::{http_filter, seconds};
use crate::telemetry::expression_filter;

/// How long a request waits for its route, or a connection for its cluster, in seconds.
pub(super) const WAIT: i64 = 5;
/// The name by which a proxy says that it has the filter, and that the filter has here.
pub const ON_DEMAND: &str = "envoy.filters.http.on_demand";
const HEADER_MUTATION: &str = "envoy.filters.http.header_mutation";
const TIMEOUT_HEADER: &str = "x-envoy-upstream-rq-timeout-ms";
const NO_ROUTE: &str = "no route to this host came in time: the control plane cannot be reached\n";

/// The filters that go in front of all others.
pub(super) fn filters() -> [HttpFilter; 2] {
    [
        http_filter(ON_DEMAND, &OnDemand::default()),
        http_filter(HEADER_MUTATION, &HeaderMutations::default()),
    ]
}

/// Ends the wait with 503.
pub(super) fn limit_wait(manager: &mut HttpConnectionManager) {
    let options = manager.common_http_protocol_options.get_or_insert_default();
    options.max_stream_duration = Some(seconds(WAIT));
    // Envoy says 408 while it still reads the request.
    let timed_out = vec![status_is(504), status_is(408)];
    let timed_out = FilterSpecifier::OrFilter(OrFilter { filters: timed_out });
    let filters = vec![
        AccessLogFilter { filter_specifier: Some(timed_out) },
        expression_filter("!has(upstream.address)"),
    ];
    let filter = FilterSpecifier::AndFilter(AndFilter { filters });
    let mapper = ResponseMapper {
        filter: Some(AccessLogFilter { filter_specifier: Some(filter) }),
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

fn status_is(status: u32) -> AccessLogFilter {
    let filter = StatusCodeFilter {
        comparison: Some(ComparisonFilter {
            op: Op::Eq.into(),
            value: Some(RuntimeUInt32 {
                default_value: status,
                runtime_key: format!("meltemi.on_demand.wait.{status}"),
            }),
        }),
    };
    AccessLogFilter { filter_specifier: Some(FilterSpecifier::StatusCodeFilter(filter)) }
}

/// A request that has found this route waits no more.
pub(crate) fn lift_wait(route: &mut Route) {
    let Some(Action::Route(action)) = &mut route.action else { return };
    if action.max_stream_duration.is_some() {
        return;
    }
    let none = seconds(0);
    action.max_stream_duration =
        Some(MaxStreamDuration { max_stream_duration: Some(none), ..Default::default() });
    let Some(timeout) = action.timeout.filter(|it| *it != none) else { return };
    let milliseconds = timeout.seconds * 1000 + i64::from(timeout.nanos) / 1_000_000;
    let header = HeaderValueOption {
        header: Some(HeaderValue {
            key: TIMEOUT_HEADER.to_owned(),
            value: milliseconds.max(1).to_string(),
            ..HeaderValue::default()
        }),
        append_action: HeaderAppendAction::AddIfAbsent.into(),
        ..HeaderValueOption::default()
    };
    let mutation = HeaderMutation { action: Some(Mutation::Append(header)) };
    let mutations = Mutations { request_mutations: vec![mutation], ..Mutations::default() };
    let config = HeaderMutationPerRoute { mutations: Some(mutations) };
    route.typed_per_filter_config.insert(HEADER_MUTATION.to_owned(), Any::pack(&config));
}
