//! Which host a class means by what a caller wrote, and what else could be written for what nothing
//! defines.

use std::{cmp::Reverse, net::IpAddr};

use model::{Hostname, Service, Shared};

use super::{Visible, http_ports, visible::Arranged};
use crate::{
    route_config::OPEN_PORT,
    virtual_host::{in_brackets, short_names},
};

/// A host as a caller wrote it, on a port.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    pub host: &'a str,
    pub port: u16,
    /// The caller's, which completes short names.
    pub dns_domain: &'a str,
}

impl Written<'_> {
    fn serves(self, service: &Service) -> bool {
        service.port(self.port).is_some()
    }

    /// Names by which callers on the port may call a service, or a host of a rule; as in virtual hosts, also
    /// with the dot of the root.
    fn names_of<'a>(
        self,
        host: &Hostname,
        service: Option<&'a Service>,
    ) -> impl Iterator<Item = String> + use<'a> {
        let addresses = service.map(|it| it.addresses_of(self.port)).unwrap_or_default();
        let own = host.as_str().trim_start_matches('*').to_owned();
        let short = short_names(host.as_str(), self.dns_domain);
        let rooted = format!("{own}.");
        let own_bracketed = bracketed(&own);
        let addresses = addresses.iter().flat_map(|it| [Some(it.to_string()), bracketed(it)]);
        [own, rooted].into_iter().chain(short).chain(own_bracketed).chain(addresses.flatten())
    }
}

impl Visible {
    /// The hosts that a class may mean among all that it may see, the likeliest first; none for what
    /// nothing defines. That there are several does not make all of them answer: a rule for the
    /// narrowest may be for other ports or protocols.
    pub fn find_hosts(&self, written: Written<'_>) -> Vec<Hostname> {
        let host = clean_host(written.host);
        if host.is_empty() {
            return Vec::new();
        }
        let names = full_names(&host, written.dns_domain);
        let serving = |host: &Hostname| self.scope.service(host).filter(|it| written.serves(it));
        let exact = names.iter().find_map(serving);
        // A pod of a service without an address: `web-0.web.shop`.
        let pods = || names.iter().filter_map(|name| name.as_str().split_once('.'));
        let headless = |host: &str| serving(&host.into()).filter(|it| it.is_headless());
        let of_pod = || pods().find_map(|(_, rest)| headless(rest));
        let found = exact.or_else(of_pod);
        let mut hosts: Vec<Hostname> = found.iter().map(|it| it.hostname().clone()).collect();
        if found.is_some_and(|it| http_ports(it).any(|port| port == written.port)) {
            return hosts;
        }
        let is_address = host.parse::<IpAddr>().is_ok();
        hosts.extend(is_address.then(|| self.find_address(&host, written)).flatten());
        // An address is short for nothing.
        let names = if is_address { &names[..1] } else { &names[..] };
        hosts.extend(self.find_wildcards(names, written));
        hosts
    }

    /// The service with this host, if it has the port.
    pub fn find_service(&self, host: &str, port: u16) -> Option<Hostname> {
        let service = self.scope.service(&host.into())?;
        service.port(port).map(|_| service.hostname().clone())
    }

    fn find_address(&self, address: &str, written: Written<'_>) -> Option<Hostname> {
        let at = |service: &&Shared<Service>| {
            written.serves(service)
                && service.addresses_of(written.port).iter().any(|it| **it == *address)
        };
        self.scope.services.iter().find(at).map(|it| it.hostname().clone())
    }

    /// Names with a wildcard, and those that only rules know: the narrowest first, down to the first
    /// that a service has.
    fn find_wildcards(&self, names: &[Hostname], written: Written<'_>) -> Vec<Hostname> {
        let wild = self.wildcard_services.iter().map(|place| &self.scope.services[*place]);
        let wild = wild.filter(|it| written.serves(it));
        let listeners = self.scope.listeners.iter().zip(&self.listeners);
        let here = listeners
            .filter(|(it, _)| it.port.as_ref().is_none_or(|port| port.number == written.port));
        let ruled = here.flat_map(|(listener, places)| {
            let exact = names.iter().filter_map(|name| places.rules.get_key_value(name));
            let exact = exact.flat_map(|(host, rules)| rules.iter().map(move |it| (*it, host)));
            let wild = places.wildcard_rules.iter().flat_map(|rule| {
                let hosts = listener.rules[*rule].hosts.iter();
                hosts.filter(|it| it.is_wildcard()).map(move |host| (*rule, host))
            });
            let all = exact.chain(wild);
            let free = all.filter(|(rule, host)| places.has_host(*rule, host, written.port));
            free.map(|(_, host)| (host, false))
        });
        let patterns = wild.map(|it| (it.hostname(), true)).chain(ruled);
        let mut covering: Vec<_> =
            patterns.filter(|(host, _)| names.iter().any(|name| host.covers(name))).collect();
        covering.sort_by_key(|(host, _)| Reverse(host.as_str().len()));
        let last = covering.iter().position(|(_, is_service)| *is_service);
        covering.truncate(last.map_or(covering.len(), |last| last + 1));
        covering.into_iter().map(|(host, _)| host.clone()).collect()
    }

    /// The domain by which a host that nothing defines is answered: as wide as it can be without a
    /// name of anything that the class may see.
    pub fn unknown_domain(&self, written: Written<'_>) -> String {
        let host = without_port(written.host);
        let longest = self.endings().longest(host, written.dns_domain);
        if longest + 1 >= host.len() || !host.is_ascii() {
            return host.to_owned();
        }
        let start = host.len() - longest - 1;
        // Whole labels are easier to read.
        match host[..=start].rfind('.') {
            Some(dot) if dot > 0 => format!("*{}", &host[dot..]),
            _ => format!("*{}", &host[start..]),
        }
    }

    /// Whether a domain from [`Visible::unknown_domain`] still is for nothing that the class may see.
    pub fn is_unknown(&self, domain: Written<'_>) -> bool {
        match domain.host.strip_prefix('*') {
            Some(suffix) => {
                !self.known_names(domain).any(|name| name.ends_with(suffix))
                    && self.find_wildcards(&[Hostname::new(domain.host)], domain).is_empty()
            }
            None => self.find_hosts(domain).is_empty(),
        }
    }

    /// Each form in which a caller may write something that the class may see.
    fn known_names<'a>(&'a self, written: Written<'a>) -> impl Iterator<Item = String> + 'a {
        let listeners = self.scope.listeners.iter();
        let rules = listeners.flat_map(|it| &it.rules).flat_map(|it| it.hosts.iter());
        let services = self.scope.services.iter().map(|it| (it.hostname(), Some(&**it)));
        let hosts = services.chain(rules.map(|host| (host, None)));
        hosts.flat_map(move |(host, service)| written.names_of(host, service))
    }
}

impl Arranged {
    /// Whether a host that only a rule knows is called by that rule on a port: on 80, and where the
    /// rule is about a service.
    fn has_host(&self, rule: usize, host: &Hostname, port: u16) -> bool {
        let is_served = self.wildcard_ports.get(host).is_some_and(|ports| ports.contains(&port));
        host.as_str() != "*"
            && !is_served
            && (port == OPEN_PORT || self.rule_ports[rule].contains(&port))
    }
}

/// As Envoy reads it where it looks past ports. An address keeps its brackets.
pub(crate) fn without_port(host: &str) -> &str {
    let port = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    match host.rsplit_once(':') {
        Some((name, text)) if port(text) && (name.ends_with(']') || !name.contains(':')) => name,
        _ => host,
    }
}

/// An IPv6 address as a Host has it.
pub(super) fn bracketed(host: &str) -> Option<String> {
    host.contains(':').then(|| in_brackets(host))
}

/// A host that a caller wrote, as it is defined, if it is: in small letters, without a port, brackets and
/// the dot of the root.
pub fn clean_host(host: &str) -> String {
    let host = without_port(host).trim_matches(['[', ']']).trim_end_matches('.');
    host.to_ascii_lowercase()
}

/// What a name may be short for, as resolvers try it: the name itself, then with each suffix of the
/// proxy's domain.
pub(super) fn full_names(host: &str, dns_domain: &str) -> Vec<Hostname> {
    let mut suffixes = vec![dns_domain];
    while let Some((_, rest)) = suffixes.last().and_then(|it| it.split_once('.')) {
        suffixes.push(rest);
    }
    let short = suffixes.into_iter().filter(|it| !it.is_empty());
    let short = short.map(|it| Hostname::new(&format!("{host}.{it}")));
    std::iter::once(Hostname::new(host)).chain(short).collect()
}

/// Other names that a host may be written by; of what has none, those that it may be a short form of.
pub(super) fn names_like(host: &Hostname, dns_domain: &str) -> Vec<Hostname> {
    let shorter = short_names(host.as_str(), dns_domain);
    match shorter.is_empty() {
        true => full_names(host.as_str(), dns_domain).split_off(1),
        false => shorter.iter().map(|name| Hostname::new(name)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use model::Proxy;
    use proptest::prelude::*;

    use super::*;
    use crate::{Client, fixture, scope::endings::common_suffix};

    /// Services inside and outside of the caller's namespace, with addresses, and rules with hosts of their own.
    static SEEN: LazyLock<(Client, Visible)> = LazyLock::new(|| {
        let service = |name: &str, namespace: &str, address: &str| {
            format!(
                "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
                 spec: {{clusterIP: {address}, ports: [{{name: http, port: 80}}]}}\n---\n"
            )
        };
        let services = [
            service("a", "shop", "10.0.0.1"),
            service("ab", "shop", "10.0.1.12"),
            service("b", "a", "10.1.0.1"),
            service("ba", "svc", "None"),
            service("bb", "svc", "'fd00:2::1'"),
        ];
        let rest = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside, namespace: shop}
spec:
  hosts: ['*.b.a', b.ab, ab.local]
  ports: [{name: http, number: 80, protocol: HTTP}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ruled, namespace: shop}
spec:
  hosts: [aa.b, '*.ba']
  http: [{route: [{destination: {host: a}}]}]
";
        let snapshot = fixture::snapshot(&(services.concat() + rest));
        fixture::visible(&Proxy { loads_on_demand: true, ..fixture::proxy("shop") }, &snapshot)
    });

    /// What a caller may write: some of a name that there is behind something else.
    fn written() -> impl Strategy<Value = String> {
        let (client, visible) = &*SEEN;
        let anything = Written { host: "", port: 80, dns_domain: &client.dns_domain };
        let names: Vec<String> = visible.known_names(anything).collect();
        let ends = (prop::sample::select(names), any::<prop::sample::Index>(), "[ab.]{0,3}");
        ends.prop_map(|(name, cut, before)| format!("{before}{}", &name[cut.index(name.len())..]))
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn the_name_with_the_most_in_common_is_found_without_a_look_at_all(host in written()) {
            let (client, visible) = &*SEEN;
            let written = Written { host: &host, port: 80, dns_domain: &client.dns_domain };
            let names = visible.known_names(written);
            let expected = names.map(|name| common_suffix(&name, &host)).max();
            let found = visible.endings().longest(&host, &client.dns_domain);
            // More is harmless: the domain is narrower than it could be.
            prop_assert!(Some(found) >= expected, "{} of {:?}", found, expected);
            if visible.find_hosts(written).is_empty() {
                let domain = visible.unknown_domain(written);
                let name = without_port(&host);
                let covers = Hostname::new(&domain).covers(&Hostname::new(name)) || domain == name;
                prop_assert!(covers, "{}", domain);
                prop_assert!(visible.is_unknown(Written { host: &domain, ..written }), "{}", domain);
            }
        }
    }

    #[test]
    fn ports_are_looked_past_as_envoy_does() {
        let cases = [
            ("web", "web"),
            ("web.shop:8080", "web.shop"),
            ("[::1]:80", "[::1]"),
            ("::1", "::1"),
            ("web:", "web:"),
            ("web:http", "web:http"),
        ];
        for (written, expected) in cases {
            assert_eq!(without_port(written), expected, "{written}");
        }
    }

    #[test]
    fn short_names_are_tried_as_a_resolver_does() {
        let tried = full_names("web", "shop.svc.cluster.local");
        let expected = [
            "web",
            "web.shop.svc.cluster.local",
            "web.svc.cluster.local",
            "web.cluster.local",
            "web.local",
        ];
        assert_eq!(tried.iter().map(Hostname::as_str).collect::<Vec<_>>(), expected);
    }
}
