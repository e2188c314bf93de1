//! AuthorizationPolicy: who may do what.

use serde::{Deserialize, Serialize};

use crate::{is_default, istio::LabelSelector, istio::PolicyTargetReference};

/// Access rules of the selected workloads.
/// No `rules` matches nothing, one empty rule matches everything.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AuthorizationPolicy {
    #[serde(skip_serializing_if = "is_default")]
    pub selector: Option<LabelSelector>,
    #[serde(alias = "target_ref", skip_serializing_if = "is_default")]
    pub target_ref: Option<PolicyTargetReference>,
    #[serde(alias = "target_refs", skip_serializing_if = "is_default")]
    pub target_refs: Vec<PolicyTargetReference>,
    #[serde(skip_serializing_if = "is_default")]
    pub rules: Vec<Rule>,
    #[serde(skip_serializing_if = "is_default")]
    pub action: Action,
    #[serde(skip_serializing_if = "is_default")]
    pub provider: Option<ExtensionProviderRef>,
}

/// A provider of the mesh configuration.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtensionProviderRef {
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
}

/// What a match leads to.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize,
)]
pub enum Action {
    #[default]
    #[serde(rename = "ALLOW")]
    Allow,
    #[serde(rename = "DENY")]
    Deny,
    #[serde(rename = "AUDIT")]
    Audit,
    #[serde(rename = "CUSTOM")]
    Custom,
}

/// Sources, operations and conditions that must all match.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    #[serde(skip_serializing_if = "is_default")]
    pub from: Vec<From>,
    #[serde(skip_serializing_if = "is_default")]
    pub to: Vec<To>,
    #[serde(skip_serializing_if = "is_default")]
    pub when: Vec<Condition>,
}

/// One alternative source.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct From {
    #[serde(skip_serializing_if = "is_default")]
    pub source: Option<Source>,
}

/// One alternative operation.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct To {
    #[serde(skip_serializing_if = "is_default")]
    pub operation: Option<Operation>,
}

/// Who calls. Fields are combined with AND, values of a field with OR.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Source {
    #[serde(skip_serializing_if = "is_default")]
    pub principals: Vec<String>,
    #[serde(alias = "not_principals", skip_serializing_if = "is_default")]
    pub not_principals: Vec<String>,
    #[serde(alias = "request_principals", skip_serializing_if = "is_default")]
    pub request_principals: Vec<String>,
    #[serde(alias = "not_request_principals", skip_serializing_if = "is_default")]
    pub not_request_principals: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub namespaces: Vec<String>,
    #[serde(alias = "not_namespaces", skip_serializing_if = "is_default")]
    pub not_namespaces: Vec<String>,
    #[serde(alias = "ip_blocks", skip_serializing_if = "is_default")]
    pub ip_blocks: Vec<String>,
    #[serde(alias = "not_ip_blocks", skip_serializing_if = "is_default")]
    pub not_ip_blocks: Vec<String>,
    #[serde(alias = "remote_ip_blocks", skip_serializing_if = "is_default")]
    pub remote_ip_blocks: Vec<String>,
    #[serde(alias = "not_remote_ip_blocks", skip_serializing_if = "is_default")]
    pub not_remote_ip_blocks: Vec<String>,
    #[serde(alias = "service_accounts", skip_serializing_if = "is_default")]
    pub service_accounts: Vec<String>,
    #[serde(alias = "not_service_accounts", skip_serializing_if = "is_default")]
    pub not_service_accounts: Vec<String>,
    #[serde(alias = "trust_domains", skip_serializing_if = "is_default")]
    pub trust_domains: Vec<String>,
    #[serde(alias = "not_trust_domains", skip_serializing_if = "is_default")]
    pub not_trust_domains: Vec<String>,
}

/// What is called.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Operation {
    #[serde(skip_serializing_if = "is_default")]
    pub hosts: Vec<String>,
    #[serde(alias = "not_hosts", skip_serializing_if = "is_default")]
    pub not_hosts: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub ports: Vec<String>,
    #[serde(alias = "not_ports", skip_serializing_if = "is_default")]
    pub not_ports: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub methods: Vec<String>,
    #[serde(alias = "not_methods", skip_serializing_if = "is_default")]
    pub not_methods: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub paths: Vec<String>,
    #[serde(alias = "not_paths", skip_serializing_if = "is_default")]
    pub not_paths: Vec<String>,
}

/// An attribute of the request.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    #[serde(skip_serializing_if = "is_default")]
    pub key: String,
    #[serde(skip_serializing_if = "is_default")]
    pub values: Vec<String>,
    #[serde(alias = "not_values", skip_serializing_if = "is_default")]
    pub not_values: Vec<String>,
}
