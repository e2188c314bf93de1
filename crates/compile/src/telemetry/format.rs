//! How a request is written down: Istio's default formats, and whether Envoy takes a written one.

#[cfg(test)]
use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

/// Istio's format since 1.9. Tools parse it, so the order stays.
pub(super) const DEFAULT_TEXT: &str = "[%START_TIME%] \
\"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% \
%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% \
\"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% \
%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \
\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% \
%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% \
%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n";

/// Operators without an argument, or with an optional one.
const PLAIN: &str = "ACCESS_LOG_TYPE BYTES_RECEIVED BYTES_RETRANSMITTED BYTES_SENT CONNECTION_ID \
CONNECTION_TERMINATION_DETAILS CUSTOM_FLAGS DOWNSTREAM_CX_RTT \
DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT \
DOWNSTREAM_DETECTED_CLOSE_TYPE DOWNSTREAM_DIRECT_LOCAL_ADDRESS \
DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT \
DOWNSTREAM_DIRECT_LOCAL_PORT DOWNSTREAM_DIRECT_REMOTE_ADDRESS \
DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT DOWNSTREAM_DIRECT_REMOTE_PORT \
DOWNSTREAM_HANDSHAKE_DURATION DOWNSTREAM_HEADER_BYTES_RECEIVED DOWNSTREAM_HEADER_BYTES_SENT \
DOWNSTREAM_LOCAL_ADDRESS DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT \
DOWNSTREAM_LOCAL_CLOSE_REASON DOWNSTREAM_LOCAL_DNS_SAN DOWNSTREAM_LOCAL_EMAIL_SAN \
DOWNSTREAM_LOCAL_IP_SAN DOWNSTREAM_LOCAL_OTHERNAME_SAN DOWNSTREAM_LOCAL_PORT \
DOWNSTREAM_LOCAL_SUBJECT DOWNSTREAM_LOCAL_URI_SAN DOWNSTREAM_PEER_CERT DOWNSTREAM_PEER_CERT_V_END \
DOWNSTREAM_PEER_CERT_V_START DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1 \
DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256 DOWNSTREAM_PEER_CHAIN_SERIALS DOWNSTREAM_PEER_DNS_SAN \
DOWNSTREAM_PEER_EMAIL_SAN DOWNSTREAM_PEER_FINGERPRINT_1 DOWNSTREAM_PEER_FINGERPRINT_256 \
DOWNSTREAM_PEER_IP_SAN DOWNSTREAM_PEER_ISSUER DOWNSTREAM_PEER_OTHERNAME_SAN DOWNSTREAM_PEER_SERIAL \
DOWNSTREAM_PEER_SUBJECT DOWNSTREAM_PEER_URI_SAN DOWNSTREAM_REMOTE_ADDRESS \
DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT DOWNSTREAM_REMOTE_PORT DOWNSTREAM_TLS_CIPHER \
DOWNSTREAM_TLS_GROUP DOWNSTREAM_TLS_SESSION_ID DOWNSTREAM_TLS_VERSION \
DOWNSTREAM_TRANSPORT_FAILURE_REASON DOWNSTREAM_WIRE_BYTES_RECEIVED DOWNSTREAM_WIRE_BYTES_SENT \
DURATION EMIT_TIME EMIT_TIME_LOCAL FILTER_CHAIN_NAME GRPC_STATUS GRPC_STATUS_NUMBER HOSTNAME \
LOCAL_REPLY_BODY PATH PROTOCOL QUERY_PARAMS REQUESTED_SERVER_NAME REQUEST_DURATION \
REQUEST_HEADERS_BYTES REQUEST_TX_DURATION RESPONSE_CODE RESPONSE_CODE_DETAILS RESPONSE_DURATION \
RESPONSE_FLAGS RESPONSE_FLAGS_LONG RESPONSE_HEADERS_BYTES RESPONSE_TRAILERS_BYTES \
RESPONSE_TX_DURATION ROUNDTRIP_DURATION ROUTE_NAME SPAN_ID START_TIME START_TIME_LOCAL STREAM_ID \
TLS_JA3_FINGERPRINT TLS_JA4_FINGERPRINT TRACE_ID UNIQUE_ID UPSTREAM_CLUSTER UPSTREAM_CLUSTER_RAW \
UPSTREAM_CONNECTION_ID UPSTREAM_CONNECTION_IDS_ATTEMPTED UPSTREAM_CONNECTION_POOL_READY_DURATION \
UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT \
UPSTREAM_DETECTED_CLOSE_TYPE UPSTREAM_HEADER_BYTES_RECEIVED UPSTREAM_HEADER_BYTES_SENT \
UPSTREAM_HOST UPSTREAM_HOSTS_ATTEMPTED UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT UPSTREAM_HOST_NAME \
UPSTREAM_HOST_NAMES_ATTEMPTED UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT \
UPSTREAM_HOST_NAME_WITHOUT_PORT UPSTREAM_LOCAL_ADDRESS UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT \
UPSTREAM_LOCAL_CLOSE_REASON UPSTREAM_LOCAL_DNS_SAN UPSTREAM_LOCAL_IP_SAN UPSTREAM_LOCAL_PORT \
UPSTREAM_LOCAL_URI_SAN UPSTREAM_PEER_CERT UPSTREAM_PEER_CERT_V_END UPSTREAM_PEER_CERT_V_START \
UPSTREAM_PEER_DNS_SAN UPSTREAM_PEER_IP_SAN UPSTREAM_PEER_ISSUER UPSTREAM_PEER_SUBJECT \
UPSTREAM_PEER_URI_SAN UPSTREAM_PROTOCOL UPSTREAM_REMOTE_ADDRESS \
UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT UPSTREAM_REMOTE_PORT UPSTREAM_REQUEST_ATTEMPT_COUNT \
UPSTREAM_SERVER_NAME UPSTREAM_TLS_CIPHER UPSTREAM_TLS_GROUP UPSTREAM_TLS_SESSION_ID \
UPSTREAM_TLS_VERSION UPSTREAM_TRANSPORT_FAILURE_REASON UPSTREAM_WIRE_BYTES_RECEIVED \
UPSTREAM_WIRE_BYTES_SENT VIRTUAL_CLUSTER_NAME";
/// Operators that an argument may follow.
const OPTIONAL: &str = "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT \
DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT \
DOWNSTREAM_PEER_CERT_V_END DOWNSTREAM_PEER_CERT_V_START DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT \
EMIT_TIME EMIT_TIME_LOCAL RESPONSE_CODE_DETAILS START_TIME START_TIME_LOCAL \
UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT UPSTREAM_PEER_CERT_V_END UPSTREAM_PEER_CERT_V_START \
UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT";
/// Operators that an argument must follow.
const REQUIRED: &str = "CLUSTER_METADATA COMMON_DURATION DYNAMIC_METADATA ENVIRONMENT \
FILTER_STATE METADATA QUERY_PARAM REQ REQUEST_HEADER RESP RESPONSE_HEADER REQ_WITHOUT_QUERY TRAILER \
UPSTREAM_FILTER_STATE UPSTREAM_METADATA";
/// The operator whose argument is an expression.
const EXPRESSION: &str = "CEL";
/// The operator that Envoy has only where an extension is named beside the format.
const EXTENSION_OPERATOR: &str = "%REQ_WITHOUT_QUERY(";

/// The form of one entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum LogFormat {
    Text(Arc<str>),
    /// An object whose texts have operators in them, as compact JSON with sorted keys.
    Json(Arc<str>),
}

impl LogFormat {
    pub(super) fn default_text() -> Self {
        Self::Text(DEFAULT_TEXT.into())
    }

    pub(super) fn default_json() -> Self {
        Self::Json(default_labels().to_string().into())
    }

    /// As a user writes it; a line ends by itself.
    pub(super) fn text(written: &str) -> Result<Self, String> {
        check_format(written)?;
        let end = if written.ends_with('\n') { "" } else { "\n" };
        Ok(Self::Text(format!("{written}{end}").into()))
    }

    pub(super) fn labels(written: &Value) -> Result<Self, String> {
        if !written.is_object() {
            return Err("it is not an object of labels".to_owned());
        }
        check_labels(written)?;
        Ok(Self::Json(written.to_string().into()))
    }

    pub(super) fn json(written: &str) -> Result<Self, String> {
        let value = serde_json::from_str(written).map_err(|error| error.to_string())?;
        Self::labels(&value)
    }

    /// Whether an extension must be named beside it.
    pub(super) fn needs_extension(&self) -> bool {
        let (Self::Text(text) | Self::Json(text)) = self;
        text.contains(EXTENSION_OPERATOR)
    }
}

/// Istio's default as JSON.
pub(super) fn default_labels() -> Value {
    json!({
        "authority": "%REQ(:AUTHORITY)%",
        "bytes_received": "%BYTES_RECEIVED%",
        "bytes_sent": "%BYTES_SENT%",
        "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
        "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
        "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
        "duration": "%DURATION%",
        "method": "%REQ(:METHOD)%",
        "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
        "protocol": "%PROTOCOL%",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "requested_server_name": "%REQUESTED_SERVER_NAME%",
        "response_code": "%RESPONSE_CODE%",
        "response_code_details": "%RESPONSE_CODE_DETAILS%",
        "response_flags": "%RESPONSE_FLAGS%",
        "route_name": "%ROUTE_NAME%",
        "start_time": "%START_TIME%",
        "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
        "upstream_host": "%UPSTREAM_HOST%",
        "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
        "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
        "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
        "user_agent": "%REQ(USER-AGENT)%",
        "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
    })
}

fn check_labels(value: &Value) -> Result<(), String> {
    match value {
        Value::String(text) => check_format(text),
        Value::Object(fields) => fields.values().try_for_each(check_labels),
        Value::Array(items) => items.iter().try_for_each(check_labels),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// Whether Envoy knows every operator. It refuses a listener with one that it does not know, and
/// with it all that the listener serves.
pub(super) fn check_format(format: &str) -> Result<(), String> {
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        let after = &rest[at + 1..];
        if let Some(next) = after.strip_prefix('%') {
            rest = next;
            continue;
        }
        rest = check_operator(after)?;
    }
    Ok(())
}

/// Checks the operator behind a `%`. What follows its end is given back.
fn check_operator(text: &str) -> Result<&str, String> {
    let length = text.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
    let (name, rest) = text.split_at(length.unwrap_or(text.len()));
    let knows = |list: &str| list.split_whitespace().any(|it| it == name);
    let (argument, rest) = match rest.strip_prefix('(') {
        Some(inner) => {
            let end = inner.find(if name == EXPRESSION { ")%" } else { ")" });
            let end = end.ok_or_else(|| format!("the argument of `%{name}(` has no end"))?;
            (Some(&inner[..end]), &inner[end + 1..])
        }
        None => (None, rest),
    };
    let known = match argument {
        None => knows(PLAIN),
        Some(expression) if name == EXPRESSION => {
            super::cel::check_expression(expression)?;
            true
        }
        Some(_) => knows(OPTIONAL) || knows(REQUIRED),
    };
    if !known {
        return Err(match argument {
            None => format!("`%{name}%` is no operator of Envoy's formats"),
            Some(_) => format!("`%{name}(…)%` is no operator of Envoy's formats"),
        });
    }
    // A number after the operator limits its length.
    let rest = match rest.strip_prefix(':') {
        Some(limit) => limit.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    rest.strip_prefix('%').ok_or_else(|| format!("`%{name}` has no `%` at its end"))
}

/// The names of all operators, for a test that asks Envoy.
#[cfg(test)]
pub(super) fn operators() -> BTreeSet<String> {
    let argument = |name: &str| match name {
        "COMMON_DURATION" => "DS_RX_BEG:DS_TX_END:ms",
        "METADATA" => "CLUSTER:a:b",
        "CEL" => "request.path",
        _ => "a",
    };
    let plain = PLAIN.split_whitespace().map(|it| format!("%{it}%"));
    let with = OPTIONAL.split_whitespace().chain(REQUIRED.split_whitespace()).chain([EXPRESSION]);
    plain.chain(with.map(|it| format!("%{it}({})%", argument(it)))).collect()
}
