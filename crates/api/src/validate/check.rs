//! The findings of one object, and the checks that several kinds share.

use std::collections::BTreeMap;

use model::{Diagnostics, Labels, Protocol};

use super::{names, path::Path};
use crate::{
    Duration, Object,
    codes::{self, Code},
    istio::{LabelSelector, PolicyTargetReference, StringMatch, WorkloadSelector},
};

pub(super) struct Check<'a> {
    pub(super) object: &'a Object,
    diagnostics: Diagnostics,
}

impl<'a> Check<'a> {
    pub(super) fn new(object: &'a Object) -> Self {
        Self { object, diagnostics: Diagnostics::default() }
    }

    pub(super) fn finish(self) -> Diagnostics {
        self.diagnostics
    }

    pub(super) fn report(
        &mut self,
        code: &Code,
        path: &Path<'_>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let diagnostic = code.diagnostic(message).hint(hint).field(path.to_string());
        let diagnostic = diagnostic.object(self.object.key.clone());
        self.diagnostics.push(diagnostic.at(self.object.location.clone()));
    }

    /// The field `name` is known, but nothing is done with it.
    pub(super) fn unsupported(&mut self, is_set: bool, path: &Path<'_>, name: &str) {
        if is_set {
            let message = format!("the field `{name}` is not supported yet and has no effect");
            self.report(&codes::UNSUPPORTED_FIELD, &path.field(name), message, "");
        }
    }

    pub(super) fn deprecated(&mut self, is_set: bool, path: &Path<'_>, name: &str, instead: &str) {
        if is_set {
            let message = format!("the field `{name}` is deprecated");
            let hint = format!("use `{instead}`");
            self.report(&codes::DEPRECATED_FIELD, &path.field(name), message, hint);
        }
    }

    /// The kind is stored for a later release.
    pub(super) fn later(&mut self) {
        let message = "accepted and stored; applied by a later release";
        self.report(&codes::LATER_KIND, &Path::root(""), message, "");
    }

    pub(super) fn required(&mut self, is_set: bool, path: &Path<'_>, what: &str) {
        if !is_set {
            self.report(&codes::REQUIRED, path, format!("{what} must be set"), "");
        }
    }

    pub(super) fn port(&mut self, path: &Path<'_>, port: u32) {
        if !(1..=65535).contains(&port) {
            let message = format!("the port {port} is not in the range 1 to 65535");
            self.report(&codes::PORT_RANGE, path, message, "");
        }
    }

    pub(super) fn port_name(&mut self, path: &Path<'_>, name: &str) {
        if !names::is_label(name) {
            let message = format!("`{name}` is not a valid name of a port");
            let hint = "use up to 63 letters, digits and dashes";
            self.report(&codes::PORT_NAME, path, message, hint);
        }
    }

    /// An absent protocol is detected by the proxy.
    pub(super) fn protocol(&mut self, path: &Path<'_>, protocol: &str) {
        if !protocol.is_empty() && Protocol::parse(protocol) == Protocol::Unsupported {
            let message = format!("the protocol `{protocol}` is not known");
            let hint = "use HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TLS, TCP, MONGO, REDIS or MYSQL";
            self.report(&codes::PROTOCOL, path, message, hint);
        }
    }

    pub(super) fn duration(&mut self, path: &Path<'_>, duration: Option<Duration>) {
        const MILLISECOND: i64 = 1_000_000;
        let Some(duration) = duration else { return };
        if duration.as_nanos() < MILLISECOND {
            let message = format!("the duration {duration} is shorter than 1ms");
            self.report(&codes::DURATION, path, message, "leave it out for the default");
        } else if duration.as_nanos() % MILLISECOND != 0 {
            let message = format!("the duration {duration} is finer than milliseconds");
            self.report(&codes::DURATION, path, message, "");
        }
    }

    pub(super) fn percent(&mut self, path: &Path<'_>, percent: f64) {
        if !(0.0..=100.0).contains(&percent) {
            let message = format!("{percent} is not in the range 0 to 100");
            self.report(&codes::PERCENT, path, message, "");
        }
    }

    pub(super) fn not_negative(&mut self, path: &Path<'_>, number: i64) {
        if number < 0 {
            self.report(&codes::NEGATIVE, path, format!("{number} must not be negative"), "");
        }
    }

    pub(super) fn fqdn(&mut self, path: &Path<'_>, host: &str) {
        if let Err(reason) = names::check_fqdn(host) {
            self.report(&codes::HOST, path, format!("the host `{host}` {reason}"), "");
        }
    }

    pub(super) fn wildcard_host(&mut self, path: &Path<'_>, host: &str) -> bool {
        match names::check_wildcard_host(host) {
            Ok(()) => true,
            Err(reason) => {
                self.report(&codes::HOST, path, format!("the host `{host}` {reason}"), "");
                false
            }
        }
    }

    pub(super) fn ip(&mut self, path: &Path<'_>, address: &str) {
        if !names::is_ip(address) {
            let message = format!("`{address}` is not an IP address");
            self.report(&codes::ADDRESS, path, message, "");
        }
    }

    pub(super) fn subnets(&mut self, path: &Path<'_>, subnets: &[String]) {
        for (index, subnet) in subnets.iter().enumerate() {
            if !names::is_subnet(subnet) {
                let message = format!("`{subnet}` is not an IP address or a range of them");
                let hint = "write it as `10.0.0.0/8` or `2001:db8::/32`";
                self.report(&codes::ADDRESS, &path.index(index), message, hint);
            }
        }
    }

    pub(super) fn labels(&mut self, path: &Path<'_>, labels: &BTreeMap<String, String>) {
        for (key, value) in labels {
            self.label(path, key, value);
        }
    }

    pub(super) fn label(&mut self, path: &Path<'_>, key: &str, value: &str) {
        if !names::is_label_key(key) {
            let message = format!("`{key}` is not a valid key of a label");
            self.report(&codes::LABEL, &path.key(key), message, "");
        }
        if !names::is_label_value(value) {
            let message = format!("`{value}` is not a valid value of a label");
            self.report(&codes::LABEL, &path.key(key), message, "");
        }
    }

    pub(super) fn workload_labels(&mut self, path: &Path<'_>, labels: &Labels) {
        labels.iter().for_each(|(key, value)| self.label(path, key, value));
    }

    /// `workloadSelector` of the older kinds.
    pub(super) fn workload_selector(
        &mut self,
        path: &Path<'_>,
        selector: Option<&WorkloadSelector>,
    ) {
        if let Some(selector) = selector {
            self.selector_labels(&path.field("labels"), &selector.labels);
        }
    }

    /// `selector` of the newer kinds.
    pub(super) fn label_selector(&mut self, path: &Path<'_>, selector: Option<&LabelSelector>) {
        if let Some(selector) = selector {
            self.selector_labels(&path.field("matchLabels"), &selector.match_labels);
        }
    }

    fn selector_labels(&mut self, path: &Path<'_>, labels: &BTreeMap<String, String>) {
        for (key, value) in labels {
            if key.is_empty() {
                self.report(&codes::SELECTOR, path, "a selector has an empty key", "");
            }
            if key.contains('*') || value.contains('*') {
                let message = format!("wildcards are not possible in selectors: `{key}={value}`");
                self.report(&codes::SELECTOR, &path.key(key), message, "");
            }
        }
        if labels.is_empty() {
            let message = "the selector has no labels and selects every workload";
            self.report(&codes::SELECTOR_EMPTY, path, message, "leave the selector out");
        }
    }

    /// A policy applies by a selector or to targets, not both.
    pub(super) fn targets(
        &mut self,
        path: &Path<'_>,
        selector: Option<&LabelSelector>,
        target: Option<&PolicyTargetReference>,
        targets: &[PolicyTargetReference],
    ) {
        self.label_selector(&path.field("selector"), selector);
        let given = [selector.is_some(), target.is_some(), !targets.is_empty()];
        if given.iter().filter(|is_set| **is_set).count() > 1 {
            let message = "only one of `selector`, `targetRef` and `targetRefs` may be set";
            self.report(&codes::EXCLUSIVE, path, message, "");
        }
        if let Some(target) = target {
            self.target(&path.field("targetRef"), target);
        }
        let list = path.field("targetRefs");
        for (index, target) in targets.iter().enumerate() {
            self.target(&list.index(index), target);
        }
    }

    fn target(&mut self, path: &Path<'_>, target: &PolicyTargetReference) {
        self.required(!target.name.is_empty(), &path.field("name"), "the name of the target");
        if !target.namespace.is_empty() {
            let message = "a policy cannot be attached to an object of another namespace";
            let hint = "leave the namespace out";
            self.report(&codes::AUTH_TARGET, &path.field("namespace"), message, hint);
        }
        let is_known = matches!(
            (target.group.as_str(), target.kind.as_str()),
            ("" | "core", "Service")
                | ("networking.istio.io", "ServiceEntry")
                | ("gateway.networking.k8s.io", "Gateway" | "GatewayClass")
        );
        if !is_known {
            let message = format!(
                "a policy cannot be attached to `{}` of the group `{}`",
                target.kind, target.group
            );
            let hint = "attach it to a Service, a ServiceEntry or a Gateway of the Gateway API";
            self.report(&codes::AUTH_TARGET, path, message, hint);
        }
    }

    pub(super) fn regex(&mut self, path: &Path<'_>, pattern: &str) {
        const LONGEST: usize = 1024;
        if pattern.is_empty() {
            return self.report(&codes::REGEX, path, "the regular expression is empty", "");
        }
        if pattern.len() > LONGEST {
            let message = format!("the regular expression is longer than {LONGEST} letters");
            return self.report(&codes::REGEX, path, message, "");
        }
        if let Err(error) = regex::Regex::new(pattern) {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim();
            let reason = reason.strip_prefix("error: ").unwrap_or(reason);
            let message = format!("`{pattern}` is not a valid regular expression: {reason}");
            self.report(&codes::REGEX, path, message, "the syntax is RE2's");
        }
    }

    pub(super) fn string_match(&mut self, path: &Path<'_>, text: Option<&StringMatch>) {
        match text {
            Some(StringMatch::Prefix(prefix)) if prefix.is_empty() => {
                let path = path.field("prefix");
                self.report(&codes::REQUIRED, &path, "a prefix must not be empty", "");
            }
            Some(StringMatch::Regex(pattern)) => self.regex(&path.field("regex"), pattern),
            Some(StringMatch::Unset | StringMatch::Exact(_) | StringMatch::Prefix(_)) | None => (),
        }
    }

    /// `exportTo`; ServiceEntries may also be hidden from everybody.
    pub(super) fn export_to(&mut self, path: &Path<'_>, export_to: &[String], may_hide: bool) {
        let own = self.object.key.namespace.clone();
        let mut seen: Vec<&str> = Vec::with_capacity(export_to.len());
        for (index, entry) in export_to.iter().enumerate() {
            let at = path.index(index);
            let key = if entry == "." { own.as_str() } else { entry.as_str() };
            if seen.contains(&key) {
                let message = format!("`{entry}` is already in the list");
                self.report(&codes::EXPORT_TO, &at, message, "");
                continue;
            }
            let is_valid = match key {
                "*" => true,
                "~" => may_hide,
                namespace => names::is_label(namespace),
            };
            if !is_valid {
                let message = format!("`{entry}` is not a namespace");
                self.report(&codes::EXPORT_TO, &at, message, "use `.`, `*` or a namespace");
            }
            seen.push(key);
        }
        let (everybody, nobody) = (seen.contains(&"*"), seen.contains(&"~"));
        if export_to.len() > 1 && (everybody || (nobody && may_hide)) {
            let message = "`*` and `~` cannot be combined with other values";
            self.report(&codes::EXPORT_TO, path, message, "");
        }
    }
}
