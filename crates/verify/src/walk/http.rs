//! The HTTP part of a walk: route configuration, virtual host, and the call of the route matcher.

use std::borrow::Cow;

use envoy::{
    config::route::v3::{RouteConfiguration, VirtualHost, virtual_host::TlsRequirementType},
    extensions::filters::network::http_connection_manager::v3::{
        HttpConnectionManager,
        http_connection_manager::{RouteSpecifier, StripPortMode},
    },
};

use crate::{Answer, Fidelity, Mode, NearMiss, Protocol, Stage, Tls, WalkError, effect::owner};

use super::{Walker, connection::Connection, quoted};

/// How well a domain fits a host: exact, then the longest suffix, then the longest prefix, then `*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum DomainFit {
    Any,
    Prefix(usize),
    Suffix(usize),
    Exact,
}

impl<'a> Walker<'a> {
    pub(super) fn walk_http(&mut self, manager: &HttpConnectionManager, connection: &Connection) {
        let problem = match (self.call.tls, self.call.protocol) {
            (Tls::Tls | Tls::Mtls, _) if !connection.ends_tls(self.fidelity) => {
                Some("the HTTP manager gets TLS that the chain did not end")
            }
            (_, Protocol::Tcp) => Some("the HTTP manager gets bytes that are not HTTP"),
            (_, Protocol::Http | Protocol::Http2) => None,
        };
        if let Some(text) = problem {
            return self.outcome.fail(Stage::Http, WalkError::Protocol, text);
        }
        let configuration = match &manager.route_specifier {
            Some(RouteSpecifier::RouteConfig(configuration)) => {
                self.choose(Stage::Http, "the routes are part of the listener");
                Some(configuration)
            }
            Some(RouteSpecifier::Rds(rds)) => self.routes_by_name(&rds.route_config_name),
            Some(RouteSpecifier::ScopedRoutes(_)) => {
                self.note(Stage::Http, "scoped routes are not followed");
                None
            }
            None => None,
        };
        let Some(configuration) = configuration else {
            let text = "there is no route configuration";
            return self.outcome.fail(Stage::VirtualHost, WalkError::NoVirtualHost, text);
        };
        let host = self.host(manager, configuration);
        let Some(virtual_host) = self.find_virtual_host(configuration, &host) else { return };
        self.outcome.virtual_host_owner = owner(virtual_host.metadata.as_ref()).map(str::to_owned);
        if self.redirects_to_tls(virtual_host) {
            let location = format!("https://{}{}", self.call.host(), self.call.path());
            self.outcome.answer = Some(Answer::Redirect { status: 301, location });
            let text = "the virtual host redirects plaintext to HTTPS";
            return self.outcome.fail(Stage::VirtualHost, WalkError::TlsRedirect, text);
        }
        self.find_route(virtual_host);
    }

    fn find_virtual_host<'v>(
        &mut self,
        configuration: &'v RouteConfiguration,
        host: &str,
    ) -> Option<&'v VirtualHost> {
        let Some((virtual_host, domain)) = virtual_host(configuration, host) else {
            let count = configuration.virtual_hosts.len();
            let text = format!("none of {count} virtual hosts has a domain for `{host}`");
            self.outcome.nearest = nearest_host(configuration, host);
            self.outcome.fail(Stage::VirtualHost, WalkError::NoVirtualHost, text);
            return None;
        };
        self.outcome.virtual_host.clone_from(&virtual_host.name);
        if domain == "*" {
            // The host that was meant may be one that is spelt a little differently.
            self.outcome.nearest = nearest_host(configuration, host);
        }
        let name = quoted(&virtual_host.name);
        self.choose(Stage::VirtualHost, format!("{name} has the domain `{domain}` for `{host}`"));
        Some(virtual_host)
    }

    fn routes_by_name(&mut self, name: &str) -> Option<&'a RouteConfiguration> {
        name.clone_into(&mut self.outcome.route_config);
        let found = self.resources.routes.get(name);
        match found {
            Some(_) => self.choose(Stage::Http, format!("the routes are `{name}`")),
            None => self.note(Stage::Http, format!("the routes `{name}` were not sent")),
        }
        found
    }

    /// The host as domains are compared with it.
    fn host(&self, manager: &HttpConnectionManager, routes: &RouteConfiguration) -> String {
        let mut host = Cow::Borrowed(self.call.host());
        if self.fidelity == Fidelity::Full {
            if !routes.vhost_header.is_empty() {
                host = Cow::Owned(self.header(&routes.vhost_header).unwrap_or_default());
            }
            host = Cow::Owned(host.to_ascii_lowercase());
            let strip_any = manager.strip_port_mode == Some(StripPortMode::StripAnyHostPort(true));
            let own_port = format!(":{}", self.call.port);
            if strip_any || (manager.strip_matching_host_port && host.ends_with(&own_port)) {
                host = Cow::Owned(without_port(&host).to_owned());
            }
            if manager.strip_trailing_host_dot {
                host = Cow::Owned(host.strip_suffix('.').unwrap_or(&host).to_owned());
            }
        }
        if routes.ignore_port_in_host_matching {
            return without_port(&host).to_owned();
        }
        host.into_owned()
    }

    fn redirects_to_tls(&self, virtual_host: &VirtualHost) -> bool {
        let external = self.fidelity == Fidelity::Full && self.call.mode == Mode::Gateway;
        let required = match TlsRequirementType::try_from(virtual_host.require_tls) {
            Ok(TlsRequirementType::All) => true,
            Ok(TlsRequirementType::ExternalOnly) => external,
            Ok(TlsRequirementType::None) | Err(_) => false,
        };
        required && self.call.tls == Tls::Plaintext
    }
}

/// The virtual host for `host`, and the domain that fits it best.
fn virtual_host<'r>(
    configuration: &'r RouteConfiguration,
    host: &str,
) -> Option<(&'r VirtualHost, &'r str)> {
    let mut best: Option<(DomainFit, &VirtualHost, &str)> = None;
    for virtual_host in &configuration.virtual_hosts {
        for domain in &virtual_host.domains {
            let Some(fit) = domain_fit(domain, host) else { continue };
            // Of equally good ones the first counts.
            if best.is_none_or(|(other, _, _)| fit > other) {
                best = Some((fit, virtual_host, domain));
            }
        }
    }
    best.map(|(_, virtual_host, domain)| (virtual_host, domain))
}

/// A wildcard stands for at least one character.
fn domain_fit(domain: &str, host: &str) -> Option<DomainFit> {
    if domain == "*" {
        return Some(DomainFit::Any);
    }
    if domain.eq_ignore_ascii_case(host) {
        return Some(DomainFit::Exact);
    }
    let longer = host.len() >= domain.len();
    let (domain, host) = (domain.to_ascii_lowercase(), host.to_ascii_lowercase());
    if let Some(suffix) = domain.strip_prefix('*') {
        return (longer && host.ends_with(suffix)).then_some(DomainFit::Suffix(suffix.len()));
    }
    let prefix = domain.strip_suffix('*')?;
    (longer && host.starts_with(prefix)).then_some(DomainFit::Prefix(prefix.len()))
}

/// The virtual host with the domain that is spelt most like `host`; none when nothing is near.
fn nearest_host(configuration: &RouteConfiguration, host: &str) -> Option<NearMiss> {
    let own = without_port(host);
    let domains = configuration
        .virtual_hosts
        .iter()
        .flat_map(|virtual_host| {
            virtual_host.domains.iter().map(move |domain| (virtual_host, domain))
        })
        .filter(|(_, domain)| *domain != "*");
    let rated = domains
        .map(|(virtual_host, domain)| (distance(own, without_port(domain)), virtual_host, domain));
    let (far, virtual_host, domain) = rated.min_by_key(|(far, _, _)| *far)?;
    (far <= own.len().div_ceil(3)).then(|| NearMiss {
        stage: Stage::VirtualHost,
        name: quoted(&virtual_host.name),
        reason: format!("its domain is `{domain}`, and the call is for `{host}`"),
    })
}

/// How many letters must be added, taken away or changed to make one text of the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, own) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, other) in right.iter().enumerate() {
            let changed = diagonal + usize::from(own != *other);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

/// The port of a host, if it has one.
pub(super) fn port_of(host: &str) -> Option<&str> {
    host.strip_prefix(without_port(host))?.strip_prefix(':')
}

/// The host without `:port`; IPv6 addresses stand in brackets.
pub(super) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|byte| byte.is_ascii_digit())
                && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        Some(_) | None => host,
    }
}
