//! What a route does with a request besides choosing a cluster, in the words of Envoy's fields.

use std::collections::BTreeMap;

use envoy::{
    Any,
    config::{
        core::v3::{HeaderValueOption, Metadata, header_value_option::HeaderAppendAction},
        route::v3::{
            RetryPolicy, Route, RouteAction, VirtualHost,
            route::Action,
            route_action::{
                HashPolicy, HostRewriteSpecifier, RequestMirrorPolicy, hash_policy::PolicySpecifier,
            },
        },
    },
    extensions::filters::{
        common::fault::v3::fault_delay::FaultDelaySecifier,
        http::{
            cors::v3::CorsPolicy,
            fault::v3::{HttpFault, fault_abort::ErrorType},
        },
    },
    types::v3::{FractionalPercent, fractional_percent::DenominatorType},
};
use prost_types::value::Kind;
use serde::Serialize;

/// One thing that happens to the request: a field of Envoy's, and what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Effect {
    pub field: &'static str,
    pub value: String,
}

/// Everything that `route` of `host` does with a request.
pub(crate) fn effects(host: &VirtualHost, route: &Route) -> Vec<Effect> {
    let mut list = List(Vec::new());
    match &route.action {
        Some(Action::Route(action)) => list.route_action(host, action),
        Some(
            Action::Redirect(_)
            | Action::DirectResponse(_)
            | Action::FilterAction(_)
            | Action::NonForwardingAction(_),
        )
        | None => (),
    }
    list.filters(&[&route.typed_per_filter_config, &host.typed_per_filter_config]);
    let of_both = |route: &[HeaderValueOption], host: &[HeaderValueOption]| {
        route.iter().chain(host).map(header_text).collect::<Vec<_>>().join(", ")
    };
    list.add(
        "request_headers_to_add",
        of_both(&route.request_headers_to_add, &host.request_headers_to_add),
    );
    list.add("request_headers_to_remove", route.request_headers_to_remove.join(", "));
    list.add(
        "response_headers_to_add",
        of_both(&route.response_headers_to_add, &host.response_headers_to_add),
    );
    list.add("response_headers_to_remove", route.response_headers_to_remove.join(", "));
    list.0
}

/// The path of the Istio object behind a part of a resource: `istio.config` of its metadata.
pub fn owner(metadata: Option<&Metadata>) -> Option<&str> {
    let istio = metadata?.filter_metadata.get("istio")?;
    match &istio.fields.get("config")?.kind {
        Some(Kind::StringValue(path)) => Some(path),
        _ => None,
    }
}

struct List(Vec<Effect>);

impl List {
    /// An empty value is a field that is not set.
    fn add(&mut self, field: &'static str, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.0.push(Effect { field, value });
        }
    }

    fn route_action(&mut self, host: &VirtualHost, action: &RouteAction) {
        let timeout = action.timeout.as_ref();
        self.add("timeout", timeout.map_or("15s (default of Envoy)".to_owned(), duration));
        self.add("idle_timeout", action.idle_timeout.as_ref().map(duration).unwrap_or_default());
        let stream = action.max_stream_duration.as_ref();
        let longest = stream.and_then(|it| it.max_stream_duration.as_ref()).map(duration);
        self.add("max_stream_duration", longest.unwrap_or_default());
        let retry = action.retry_policy.as_ref().or(host.retry_policy.as_ref());
        self.add("retry_policy", retry.map_or("none".to_owned(), retry_text));
        self.add("prefix_rewrite", action.prefix_rewrite.clone());
        let regex = action.regex_rewrite.as_ref().map(|rewrite| {
            let pattern = rewrite.pattern.as_ref().map_or("", |pattern| &pattern.regex);
            format!("{pattern} → {}", rewrite.substitution)
        });
        self.add("regex_rewrite", regex.unwrap_or_default());
        self.add(
            "host_rewrite",
            action.host_rewrite_specifier.as_ref().map_or(String::new(), host_text),
        );
        for mirror in &action.request_mirror_policies {
            self.add("request_mirror_policies", mirror_text(mirror));
        }
        let hash: Vec<String> = action.hash_policy.iter().map(hash_text).collect();
        self.add("hash_policy", hash.join(", "));
    }

    /// The filters that a route can set; what the route says wins over its host.
    fn filters(&mut self, levels: &[&BTreeMap<String, Any>]) {
        let find = |name: &str| levels.iter().find_map(|level| level.get(name));
        let fault = find("envoy.filters.http.fault").and_then(|any| any.unpack::<HttpFault>().ok());
        if let Some(fault) = fault {
            self.add("fault.delay", delay_text(&fault));
            self.add("fault.abort", abort_text(&fault));
        }
        let cors = find("envoy.filters.http.cors").and_then(|any| any.unpack::<CorsPolicy>().ok());
        if let Some(cors) = cors {
            let count = cors.allow_origin_string_match.len();
            let methods = &cors.allow_methods;
            self.add("cors", format!("{count} allowed origins, methods `{methods}`"));
        }
        let told = ["envoy.filters.http.fault", "envoy.filters.http.cors"];
        let mut others: Vec<&str> =
            levels.iter().flat_map(|level| level.keys()).map(String::as_str).collect();
        others.sort_unstable();
        others.dedup();
        others.retain(|name| !told.contains(name));
        self.add("typed_per_filter_config", others.join(", "));
    }
}

fn header_text(option: &HeaderValueOption) -> String {
    let (key, value) = option.header.as_ref().map_or(("", ""), |it| (&it.key, &it.value));
    match HeaderAppendAction::try_from(option.append_action) {
        Ok(HeaderAppendAction::AppendIfExistsOrAdd) | Err(_) => format!("{key}+={value}"),
        Ok(HeaderAppendAction::AddIfAbsent) => format!("{key}?={value}"),
        Ok(HeaderAppendAction::OverwriteIfExistsOrAdd | HeaderAppendAction::OverwriteIfExists) => {
            format!("{key}={value}")
        }
    }
}

fn retry_text(retry: &RetryPolicy) -> String {
    let count = retry.num_retries.unwrap_or(1);
    let mut text = format!("{count} × on {}", retry.retry_on);
    let codes: Vec<String> = retry.retriable_status_codes.iter().map(u32::to_string).collect();
    if !codes.is_empty() {
        text.push_str(&format!(" ({})", codes.join(", ")));
    }
    if let Some(limit) = &retry.per_try_timeout {
        text.push_str(&format!(", {} per try", duration(limit)));
    }
    text
}

fn host_text(rewrite: &HostRewriteSpecifier) -> String {
    match rewrite {
        HostRewriteSpecifier::HostRewriteLiteral(host) => host.clone(),
        HostRewriteSpecifier::AutoHostRewrite(true) => "the name of the endpoint".to_owned(),
        HostRewriteSpecifier::AutoHostRewrite(false) => String::new(),
        HostRewriteSpecifier::HostRewriteHeader(header) => format!("the header `{header}`"),
        HostRewriteSpecifier::HostRewritePathRegex(_) => "a part of the path".to_owned(),
        HostRewriteSpecifier::HostRewrite(format) => format!("`{format}`"),
    }
}

fn mirror_text(mirror: &RequestMirrorPolicy) -> String {
    let share = mirror.runtime_fraction.as_ref().and_then(|it| it.default_value.as_ref());
    match share {
        Some(share) => format!("{} of the requests to `{}`", percent(share), mirror.cluster),
        None => format!("every request to `{}`", mirror.cluster),
    }
}

fn hash_text(policy: &HashPolicy) -> String {
    match &policy.policy_specifier {
        Some(PolicySpecifier::Header(it)) => format!("header `{}`", it.header_name),
        Some(PolicySpecifier::Cookie(it)) => format!("cookie `{}`", it.name),
        Some(PolicySpecifier::ConnectionProperties(_)) => "source address".to_owned(),
        Some(PolicySpecifier::QueryParameter(it)) => format!("query parameter `{}`", it.name),
        Some(PolicySpecifier::FilterState(it)) => format!("filter state `{}`", it.key),
        None => "nothing".to_owned(),
    }
}

fn delay_text(fault: &HttpFault) -> String {
    let Some(delay) = &fault.delay else { return String::new() };
    let share = share_text(delay.percentage.as_ref());
    match &delay.fault_delay_secifier {
        Some(FaultDelaySecifier::FixedDelay(time)) => format!("{} for {share}", duration(time)),
        Some(FaultDelaySecifier::HeaderDelay(_)) => format!("as a header says, for {share}"),
        None => String::new(),
    }
}

fn abort_text(fault: &HttpFault) -> String {
    let Some(abort) = &fault.abort else { return String::new() };
    let share = share_text(abort.percentage.as_ref());
    match &abort.error_type {
        Some(ErrorType::HttpStatus(status)) => format!("{status} for {share}"),
        Some(ErrorType::GrpcStatus(status)) => format!("gRPC status {status} for {share}"),
        Some(ErrorType::HeaderAbort(_)) => format!("as a header says, for {share}"),
        None => String::new(),
    }
}

fn share_text(share: Option<&FractionalPercent>) -> String {
    share.map_or("0%".to_owned(), percent) + " of the requests"
}

/// `12.5%`.
pub(crate) fn percent(share: &FractionalPercent) -> String {
    let (per, digits) = match DenominatorType::try_from(share.denominator) {
        Ok(DenominatorType::Hundred) | Err(_) => (1, 0),
        Ok(DenominatorType::TenThousand) => (100, 2),
        Ok(DenominatorType::Million) => (10_000, 4),
    };
    let (whole, rest) = (share.numerator / per, share.numerator % per);
    let rest = format!("{rest:0digits$}");
    match rest.trim_end_matches('0') {
        "" => format!("{whole}%"),
        rest => format!("{whole}.{rest}%"),
    }
}

fn duration(value: &prost_types::Duration) -> String {
    match (value.seconds, value.nanos) {
        (0, 0) => "none (0s)".to_owned(),
        (seconds, 0) => format!("{seconds}s"),
        (0, nanos) if nanos % 1_000_000 == 0 => format!("{}ms", nanos / 1_000_000),
        (seconds, nanos) => {
            let rest = format!("{nanos:09}");
            format!("{seconds}.{}s", rest.trim_end_matches('0'))
        }
    }
}
