//! External authorizers: an `extensionProvider` of the mesh → `ext_authz` filters.
//!
//! - [`resolve`] reads the mesh and finds everything that Envoy would refuse; what it gives back is
//!   usable as it is.
//! - Not here: which requests an authorizer is asked about (`rbac`).

use api::{
    Duration,
    istio::extension_provider::{
        ExtAuthzGrpcProvider, ExtAuthzHttpProvider, ExtensionProvider, RequestBodyInCheck,
    },
};
use envoy::{
    config::{
        core::v3::{
            ApiVersion, GrpcService, HeaderValue, HttpUri,
            grpc_service::{EnvoyGrpc, TargetSpecifier},
            http_uri::HttpUpstreamType,
        },
        listener::v3::Filter,
    },
    extensions::filters::{
        http::ext_authz::v3::{
            AuthorizationRequest, AuthorizationResponse, BufferSettings, ExtAuthz, HttpService,
            ext_authz::Services,
        },
        network::{
            ext_authz::v3::ExtAuthz as NetworkExtAuthz, http_connection_manager::v3::HttpFilter,
        },
    },
    types::{
        matcher::v3::{ListStringMatcher, StringMatcher},
        v3::{HttpStatus, StatusCode},
    },
};
use model::Hostname;

use super::{
    matcher,
    rbac::{AUTHORIZER_PREFIX, HTTP_RBAC, NETWORK_RBAC, NETWORK_STAT_PREFIX},
};
use crate::{
    filters::{duration, http_filter, network_filter},
    names,
};

const HTTP_FILTER: &str = "envoy.filters.http.ext_authz";
const NETWORK_FILTER: &str = "envoy.filters.network.ext_authz";
/// Where a provider says nothing: rather a slow decision than a wrong one.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

/// Who is asked, with everything that was looked up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authorizer {
    pub hostname: Hostname,
    pub port: u16,
    /// Answered when the authorizer cannot be reached; Envoy's 403 if absent.
    pub status_on_error: Option<u16>,
    pub protocol: AuthorizerProtocol,
}

/// How it is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AuthorizerProtocol {
    Grpc(ExtAuthzGrpcProvider),
    Http(ExtAuthzHttpProvider),
}

impl Authorizer {
    pub fn cluster(&self) -> String {
        names::outbound_cluster(self.port, "", &self.hostname)
    }
}

/// Checks a provider. `find` says whether the proxy has a cluster for a host and port, and which
/// host that is; it is given `namespace/host` or `host` as written.
pub(super) fn resolve(
    provider: &ExtensionProvider,
    find: impl FnOnce(&str, u16) -> Result<Hostname, String>,
) -> Result<Authorizer, String> {
    let (service, port, status, body, protocol) =
        match (&provider.envoy_ext_authz_grpc, &provider.envoy_ext_authz_http) {
            (Some(grpc), _) => (
                &grpc.service,
                grpc.port,
                &grpc.status_on_error,
                &grpc.include_request_body_in_check,
                AuthorizerProtocol::Grpc(grpc.clone()),
            ),
            (None, Some(http)) => {
                check_http(http)?;
                (
                    &http.service,
                    http.port,
                    &http.status_on_error,
                    &http.include_request_body_in_check,
                    AuthorizerProtocol::Http(http.clone()),
                )
            }
            (None, None) => return Err("it is no external authorizer".to_owned()),
        };
    let port = u16::try_from(port).ok().filter(|port| *port > 0);
    let port = port.ok_or("its port is not in the range 1 to 65535")?;
    if body.as_ref().is_some_and(|body| body.max_request_bytes == 0) {
        return Err("`includeRequestBodyInCheck.maxRequestBytes` must be above 0".to_owned());
    }
    let status_on_error = match status.as_str() {
        "" => None,
        text => Some(status_code(text).ok_or_else(|| format!("`{text}` is no HTTP status"))?),
    };
    let hostname = find(service, port)?;
    Ok(Authorizer { hostname, port, status_on_error, protocol })
}

fn status_code(text: &str) -> Option<u16> {
    let code: u16 = text.parse().ok()?;
    let known = StatusCode::try_from(i32::from(code)).ok()?;
    (known != StatusCode::Empty).then_some(code)
}

fn check_http(provider: &ExtAuthzHttpProvider) -> Result<(), String> {
    if !provider.path_prefix.is_empty() && !provider.path_prefix.starts_with('/') {
        return Err("`pathPrefix` must begin with `/`".to_owned());
    }
    let lists = [
        &provider.include_request_headers_in_check,
        &provider.include_headers_in_check,
        &provider.headers_to_downstream_on_deny,
        &provider.headers_to_downstream_on_allow,
        &provider.headers_to_upstream_on_allow,
    ];
    match lists.into_iter().flatten().any(|name| name.is_empty() || name == "*") {
        true => Err("headers cannot be named by `*` alone".to_owned()),
        false => Ok(()),
    }
}

/// The HTTP filter that asks about what the rules of `name` have found.
pub(super) fn http(authorizer: &Authorizer, name: &str) -> HttpFilter {
    let base = ExtAuthz {
        transport_api_version: ApiVersion::V3.into(),
        filter_enabled_metadata: Some(found_by(HTTP_RBAC, name)),
        status_on_error: authorizer.status_on_error.map(|code| HttpStatus { code: code.into() }),
        ..ExtAuthz::default()
    };
    let filter = match &authorizer.protocol {
        AuthorizerProtocol::Grpc(provider) => ExtAuthz {
            failure_mode_allow: provider.fail_open,
            clear_route_cache: provider.clear_route_cache,
            with_request_body: buffer(provider.include_request_body_in_check.as_ref()),
            services: Some(Services::GrpcService(grpc_service(authorizer, provider))),
            ..base
        },
        AuthorizerProtocol::Http(provider) => ExtAuthz {
            failure_mode_allow: provider.fail_open,
            clear_route_cache: provider.clear_route_cache,
            with_request_body: buffer(provider.include_request_body_in_check.as_ref()),
            allowed_headers: headers(match provider.include_request_headers_in_check.as_slice() {
                [] => &provider.include_headers_in_check,
                listed => listed,
            }),
            services: Some(Services::HttpService(http_service(authorizer, provider))),
            ..base
        },
    };
    http_filter(HTTP_FILTER, &filter)
}

/// The network filter; `None` if the authorizer only knows requests.
pub(super) fn network(authorizer: &Authorizer, name: &str) -> Option<Filter> {
    let AuthorizerProtocol::Grpc(provider) = &authorizer.protocol else { return None };
    let filter = NetworkExtAuthz {
        stat_prefix: NETWORK_STAT_PREFIX.to_owned(),
        failure_mode_allow: provider.fail_open,
        transport_api_version: ApiVersion::V3.into(),
        grpc_service: Some(grpc_service(authorizer, provider)),
        filter_enabled_metadata: Some(found_by(NETWORK_RBAC, name)),
        ..NetworkExtAuthz::default()
    };
    Some(network_filter(NETWORK_FILTER, &filter))
}

/// Only what the rules in front have matched is asked about.
fn found_by(filter: &str, name: &str) -> envoy::types::matcher::v3::MetadataMatcher {
    let key = format!("{AUTHORIZER_PREFIX}shadow_effective_policy_id");
    matcher::metadata_prefix(filter, &key, format!("istio-ext-authz-{name}"))
}

fn grpc_service(authorizer: &Authorizer, provider: &ExtAuthzGrpcProvider) -> GrpcService {
    let target = EnvoyGrpc {
        cluster_name: authorizer.cluster(),
        // The name of the cluster is no valid authority.
        authority: authorizer.hostname.to_string(),
        ..EnvoyGrpc::default()
    };
    GrpcService {
        timeout: Some(duration(provider.timeout.unwrap_or(DEFAULT_TIMEOUT))),
        target_specifier: Some(TargetSpecifier::EnvoyGrpc(target)),
        ..GrpcService::default()
    }
}

fn http_service(authorizer: &Authorizer, provider: &ExtAuthzHttpProvider) -> HttpService {
    let added = provider.include_additional_headers_in_check.iter();
    let added: Vec<HeaderValue> = added
        .map(|(key, value)| HeaderValue {
            key: key.clone(),
            value: value.clone(),
            ..HeaderValue::default()
        })
        .collect();
    let request = (!added.is_empty())
        .then(|| AuthorizationRequest { headers_to_add: added, ..AuthorizationRequest::default() });
    let response = AuthorizationResponse {
        allowed_upstream_headers: headers(&provider.headers_to_upstream_on_allow),
        allowed_client_headers: headers(&provider.headers_to_downstream_on_deny),
        allowed_client_headers_on_success: headers(&provider.headers_to_downstream_on_allow),
        ..AuthorizationResponse::default()
    };
    HttpService {
        server_uri: Some(HttpUri {
            uri: format!("http://{}", authorizer.hostname),
            timeout: Some(duration(provider.timeout.unwrap_or(DEFAULT_TIMEOUT))),
            http_upstream_type: Some(HttpUpstreamType::Cluster(authorizer.cluster())),
        }),
        path_prefix: provider.path_prefix.clone(),
        authorization_request: request,
        authorization_response: (response != AuthorizationResponse::default()).then_some(response),
        ..HttpService::default()
    }
}

fn buffer(body: Option<&RequestBodyInCheck>) -> Option<BufferSettings> {
    body.map(|body| BufferSettings {
        max_request_bytes: body.max_request_bytes,
        allow_partial_message: body.allow_partial_message,
        pack_as_bytes: body.pack_as_bytes,
    })
}

/// Names of headers are compared without case.
fn headers(names: &[String]) -> Option<ListStringMatcher> {
    let pattern = |name: &String| StringMatcher { ignore_case: true, ..matcher::string(name) };
    (!names.is_empty()).then(|| ListStringMatcher { patterns: names.iter().map(pattern).collect() })
}
