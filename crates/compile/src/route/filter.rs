//! What a rule sets for HTTP filters: injected faults and cross-origin rules.

use std::collections::BTreeMap;

use api::istio::{
    StringMatch,
    virtual_service::{
        CorsPolicy, FaultAbort, FaultDelay, HttpFaultInjection, HttpRoute, Percent,
        UnmatchedPreflights,
    },
};
use envoy::{
    Any,
    config::core::v3::RuntimeFractionalPercent,
    extensions::filters::{
        common::fault::v3::{FaultDelay as XdsDelay, fault_delay::FaultDelaySecifier},
        http::{
            cors::v3::CorsPolicy as XdsCors,
            fault::v3::{FaultAbort as XdsAbort, HttpFault, fault_abort::ErrorType},
        },
    },
    types::v3::{FractionalPercent, fractional_percent::DenominatorType},
};

use super::{duration, matches::string_matcher};

const FAULT: &str = "envoy.filters.http.fault";
const CORS: &str = "envoy.filters.http.cors";

pub(super) fn translate_filters(http: &HttpRoute) -> BTreeMap<String, Any> {
    let mut out = BTreeMap::new();
    if let Some(fault) = http.fault.as_ref().and_then(translate_fault) {
        out.insert(FAULT.to_owned(), Any::pack(&fault));
    }
    if let Some(cors) = &http.cors_policy {
        out.insert(CORS.to_owned(), Any::pack(&translate_cors(cors)));
    }
    out
}

/// A share of a hundred, to the fourth digit behind the point.
pub(super) fn fraction(percent: &Percent) -> FractionalPercent {
    let parts = (percent.value.clamp(0.0, 100.0) * 10_000.0) as u32;
    FractionalPercent { numerator: parts, denominator: DenominatorType::Million.into() }
}

pub(super) fn whole_percents(percents: u32) -> FractionalPercent {
    FractionalPercent { numerator: percents.min(100), denominator: DenominatorType::Hundred.into() }
}

pub(super) fn runtime(fraction: FractionalPercent) -> RuntimeFractionalPercent {
    RuntimeFractionalPercent { default_value: Some(fraction), runtime_key: String::new() }
}

fn translate_fault(fault: &HttpFaultInjection) -> Option<HttpFault> {
    let delay = fault.delay.as_ref().and_then(translate_delay);
    let abort = fault.abort.as_ref().and_then(translate_abort);
    (delay.is_some() || abort.is_some()).then(|| HttpFault { delay, abort, ..HttpFault::default() })
}

/// Without a share nothing is delayed. Exponential delays do not exist in Envoy.
fn translate_delay(delay: &FaultDelay) -> Option<XdsDelay> {
    let fixed = duration(delay.fixed_delay?);
    let percentage = match &delay.percentage {
        Some(percent) => fraction(percent),
        None => whole_percents(u32::try_from(delay.percent).unwrap_or(0)),
    };
    Some(XdsDelay {
        percentage: Some(percentage),
        fault_delay_secifier: Some(FaultDelaySecifier::FixedDelay(fixed)),
    })
}

/// HTTP/2 errors cannot be injected by Envoy.
fn translate_abort(abort: &FaultAbort) -> Option<XdsAbort> {
    let error = match (abort.http_status, &abort.grpc_status) {
        (Some(status), _) => ErrorType::HttpStatus(u32::try_from(status).ok()?),
        (None, Some(name)) => ErrorType::GrpcStatus(api::grpc_status(name)?),
        (None, None) => return None,
    };
    Some(XdsAbort {
        percentage: abort.percentage.as_ref().map(fraction),
        error_type: Some(error),
        ..XdsAbort::default()
    })
}

fn translate_cors(cors: &CorsPolicy) -> XdsCors {
    let exact: Vec<StringMatch>;
    let origins = match cors.allow_origins.is_empty() {
        false => &cors.allow_origins,
        true => {
            exact = cors.allow_origin.iter().cloned().map(StringMatch::Exact).collect();
            &exact
        }
    };
    XdsCors {
        allow_origin_string_match: origins.iter().filter_map(string_matcher).collect(),
        allow_methods: cors.allow_methods.join(","),
        allow_headers: cors.allow_headers.join(","),
        expose_headers: cors.expose_headers.join(","),
        max_age: cors.max_age.map(|age| age.split().0.to_string()).unwrap_or_default(),
        allow_credentials: cors.allow_credentials,
        filter_enabled: Some(runtime(whole_percents(100))),
        forward_not_matching_preflights: Some(match cors.unmatched_preflights {
            UnmatchedPreflights::Ignore => false,
            UnmatchedPreflights::Unspecified | UnmatchedPreflights::Forward => true,
        }),
        ..XdsCors::default()
    }
}
