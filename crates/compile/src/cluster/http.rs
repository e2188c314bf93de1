//! HTTP towards the endpoints: version, limits of a connection, names taken from the Host header.

use std::collections::BTreeMap;

use api::istio::traffic_policy::{H2UpgradePolicy, Http2KeepAlive, HttpSettings};
use envoy::{
    Any,
    config::{
        common::matcher::v3::{
            HttpHeadersMatch, MatchPredicate,
            match_predicate::{MatchSet, Rule},
        },
        core::v3::{
            Http1ProtocolOptions, Http2ProtocolOptions, HttpProtocolOptions, KeepaliveSettings,
            UpstreamHttpProtocolOptions,
        },
        route::v3::{HeaderMatcher, header_matcher::HeaderMatchSpecifier},
    },
    extensions::upstreams::http::v3::{
        HttpProtocolOptions as UpstreamOptions,
        http_protocol_options::{
            ExplicitHttpConfig, OutlierDetection, UpstreamProtocolOptions, UseDownstreamHttpConfig,
            explicit_http_config::ProtocolConfig,
        },
    },
    types::matcher::v3::{StringMatcher, string_matcher::MatchPattern},
};
use model::{Protocol, ProxyKind};

use super::{Draft, limits::positive, tls};
use crate::{
    Role,
    filters::{duration, seconds},
};

/// The key under which a cluster keeps its HTTP settings.
const EXTENSION: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// Settings of a cluster for a kind of protocol.
pub(super) type ProtocolOptions = BTreeMap<String, Any>;

pub(super) fn protocol_options(options: &UpstreamOptions) -> ProtocolOptions {
    [(EXTENSION.to_owned(), Any::pack(options))].into()
}

/// The version that the caller speaks.
pub(super) fn use_downstream(http2: Http2ProtocolOptions) -> UpstreamProtocolOptions {
    UpstreamProtocolOptions::UseDownstreamProtocolConfig(UseDownstreamHttpConfig {
        http_protocol_options: Some(Http1ProtocolOptions::default()),
        http2_protocol_options: Some(http2),
        ..UseDownstreamHttpConfig::default()
    })
}

fn explicit(config: ProtocolConfig) -> UpstreamProtocolOptions {
    UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig {
        protocol_config: Some(config),
    })
}

impl Draft<'_> {
    fn http(&self) -> Option<&HttpSettings> {
        self.policy.connection_pool.and_then(|pool| pool.http.as_ref())
    }

    /// Whether endpoints are spoken to in HTTP/2 whatever the caller speaks.
    pub(super) fn is_http2(&self) -> bool {
        !self.uses_client_protocol() && (self.port.protocol.is_http2() || self.upgrades())
    }

    fn uses_client_protocol(&self) -> bool {
        self.input.is_detour || self.http().is_some_and(|http| http.use_client_protocol)
    }

    fn upgrades(&self) -> bool {
        let possible = matches!(self.port.protocol, Protocol::Http | Protocol::Unsupported);
        let wanted = match self.http().map(|http| http.h2_upgrade_policy).unwrap_or_default() {
            H2UpgradePolicy::Upgrade => true,
            H2UpgradePolicy::DoNotUpgrade => false,
            H2UpgradePolicy::Default => self.input.mesh.h2_upgrade,
        };
        possible && wanted
    }

    /// The version to speak; `None` is HTTP/1.1 without further settings.
    fn version(&self) -> Option<UpstreamProtocolOptions> {
        let http2 = Http2ProtocolOptions {
            max_concurrent_streams: positive(self.http().map(|http| http.max_concurrent_streams)),
            connection_keepalive: self
                .http()
                .and_then(|http| http.http2_keep_alive.as_ref())
                .map(keepalive),
            ..Http2ProtocolOptions::default()
        };
        if self.is_http2() {
            return Some(explicit(ProtocolConfig::Http2ProtocolOptions(http2)));
        }
        let client = &self.input.client;
        let has_callers = client.kind == ProxyKind::Sidecar || client.role != Role::Ordinary;
        let detected = self.port.protocol.is_unsupported() && has_callers;
        (self.uses_client_protocol() || detected).then(|| use_downstream(http2))
    }

    pub(super) fn http_protocol_options(&self) -> ProtocolOptions {
        let common = self.common_options();
        let names = self.name_options();
        let errors = self.error_matcher();
        let version = self.version();
        if version.is_none() && common.is_none() && names.is_none() && errors.is_none() {
            return ProtocolOptions::new();
        }
        let http1 = || explicit(ProtocolConfig::HttpProtocolOptions(Default::default()));
        protocol_options(&UpstreamOptions {
            common_http_protocol_options: common,
            upstream_http_protocol_options: names,
            outlier_detection: errors,
            upstream_protocol_options: Some(version.unwrap_or_else(http1)),
            ..UpstreamOptions::default()
        })
    }

    fn common_options(&self) -> Option<HttpProtocolOptions> {
        let tcp = self.policy.connection_pool.and_then(|pool| pool.tcp.as_ref());
        let options = HttpProtocolOptions {
            idle_timeout: self.http().and_then(|http| http.idle_timeout).map(duration),
            max_connection_duration: tcp.and_then(|tcp| tcp.max_connection_duration).map(duration),
            max_requests_per_connection: positive(
                self.http().map(|http| http.max_requests_per_connection),
            ),
            ..HttpProtocolOptions::default()
        };
        (options != HttpProtocolOptions::default()).then_some(options)
    }

    /// TLS without a name of its own takes it from the request, and expects it in the certificate.
    fn name_options(&self) -> Option<UpstreamHttpProtocolOptions> {
        let tls = self.policy.tls.filter(|tls| tls::originates(tls))?;
        let auto_sni = tls.sni.is_empty();
        let sans = tls::subject_alt_names(tls, &self.input.service);
        let auto_san_validation = auto_sni && sans.is_empty() && !tls::skips_verification(tls);
        auto_sni.then(|| UpstreamHttpProtocolOptions {
            auto_sni,
            auto_san_validation,
            ..UpstreamHttpProtocolOptions::default()
        })
    }

    /// Answers with these codes count as failures of the endpoint.
    fn error_matcher(&self) -> Option<OutlierDetection> {
        let codes = &self.policy.outlier_detection?.outlier_detection_http_error_codes;
        let mut rules: Vec<MatchPredicate> = codes.iter().map(status_is).collect();
        let matcher = match rules.len() {
            0 => return None,
            1 => rules.remove(0),
            _ => MatchPredicate { rule: Some(Rule::OrMatch(MatchSet { rules })) },
        };
        Some(OutlierDetection { error_matcher: Some(matcher) })
    }
}

fn status_is(code: &u32) -> MatchPredicate {
    let exact = StringMatcher {
        match_pattern: Some(MatchPattern::Exact(code.to_string())),
        ..StringMatcher::default()
    };
    let header = HeaderMatcher {
        name: ":status".to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(exact)),
        ..HeaderMatcher::default()
    };
    let headers = HttpHeadersMatch { headers: vec![header] };
    MatchPredicate { rule: Some(Rule::HttpResponseHeadersMatch(headers)) }
}

/// Envoy demands a timeout; without one an unanswered ping is given Istio's customary 10 s.
fn keepalive(settings: &Http2KeepAlive) -> KeepaliveSettings {
    KeepaliveSettings {
        interval: settings.interval.map(duration),
        timeout: Some(settings.timeout.map_or(seconds(10), duration)),
        ..KeepaliveSettings::default()
    }
}
