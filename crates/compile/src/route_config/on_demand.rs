//! Virtual hosts as resources of their own, for proxies that ask for them one by one (VHDS).
//!
//! - A resource is called `ROUTE/HOST:PORT`. Proxies ask for `ROUTE/` and what a caller wrote as its
//!   Host, so that a question and its answer have different names: [`answer`] joins them.
//! - The virtual host within has the same name. Envoy would add one of another name, and never find it
//!   again when it goes.
//! - A host that nothing defines is answered too, by a host for as many such names as can be told
//!   from all that is defined: Envoy never forgets what it has asked for, and callers may write
//!   anything. An asterisk in a domain is more than itself: a name with one has the domain of all like it,
//!   or [`answer_nothing`].

use std::sync::Arc;

use envoy::{
    Resource, Rope,
    config::route::v3::{DirectResponseAction, Route, VirtualHost, route::Action},
    type_url,
};
use prost::Message;

use super::RouteInput;
use crate::{
    Compiled, CompiledVirtualHost, RouteParts, filters::on_demand::lift_wait, route::every_path,
    scope::without_port, virtual_host,
};

/// Envoy counts an empty first answer as none: there is always this host, which nobody calls.
const SEED: &str = "meltemi.invalid";

/// All hosts of a configuration. Those that it had `before` as they are now, `made` finds by their names.
pub fn host_resources(
    route: &RouteParts,
    before: Option<&RouteParts>,
    made: impl Fn(&str) -> Option<Arc<Compiled>>,
) -> Vec<Arc<Compiled>> {
    let before = before.map_or(&[][..], |route| &route.hosts);
    let was_there = |host: &Arc<CompiledVirtualHost>| {
        let found = before.binary_search_by(|it| it.name.cmp(&host.name));
        found.is_ok_and(|place| Arc::ptr_eq(&before[place], host))
    };
    let hosts = route.hosts.iter().map(|host| {
        let name = resource_name(&route.name, &host.name);
        let made = was_there(host).then(|| made(&name)).flatten();
        made.unwrap_or_else(|| Arc::new(host_resource(name, host)))
    });
    let mut resources: Vec<_> = hosts.collect();
    let seed = made(&resource_name(&route.name, SEED));
    resources.push(seed.unwrap_or_else(|| Arc::new(seed_of(&route.name))));
    resources
}

fn host_resource(name: String, host: &CompiledVirtualHost) -> Compiled {
    // Of a field that comes twice, the last holds.
    let named = VirtualHost { name: name.clone(), ..VirtualHost::default() };
    let message = virtual_host::message_bytes(&host.bytes);
    let body: Rope = [message, named.encode_to_vec().into()].into_iter().collect();
    let resource = Resource::new(name, type_url::VIRTUAL_HOST, body);
    let mut clusters = host.clusters.clone();
    clusters.sort();
    clusters.dedup();
    Compiled {
        clusters,
        origins: host.origins.clone(),
        diagnostics: host.diagnostics.clone(),
        ..Compiled::new(resource)
    }
}

fn seed_of(route: &str) -> Compiled {
    let refusal = DirectResponseAction { status: 404, ..DirectResponseAction::default() };
    let only = Route {
        r#match: Some(every_path()),
        action: Some(Action::DirectResponse(refusal)),
        ..Route::default()
    };
    compile(
        route,
        VirtualHost {
            name: SEED.to_owned(),
            domains: vec![SEED.to_owned()],
            routes: vec![only],
            ..VirtualHost::default()
        },
    )
}

fn compile(route: &str, host: VirtualHost) -> Compiled {
    let name = resource_name(route, &host.name);
    let host = VirtualHost { name: name.clone(), ..host };
    Compiled::new(Resource::from_message(name, type_url::VIRTUAL_HOST, &host))
}

fn resource_name(route: &str, host: &str) -> String {
    format!("{route}/{host}")
}

/// What happens to requests for a domain that nothing defines. `None` where Envoy answers by itself.
pub fn unknown_host(route: &RouteInput, domain: &str) -> Option<Compiled> {
    let mut host = route.last_host(domain)?;
    host.name = domain.to_owned();
    host.routes.iter_mut().for_each(lift_wait);
    Some(Compiled { clusters: route.last_clusters(), ..compile(&route.name, host) })
}

/// An earlier form of a virtual host, for the domains that the host has now: what it has no more may be another's,
/// and Envoy refuses two hosts with one domain. `None` if these are the same.
pub fn with_domains_of(earlier: &Compiled, now: &Compiled) -> Option<Compiled> {
    let decode = |it: &Compiled| VirtualHost::decode(it.resource.decode_bytes()).ok();
    let (earlier_host, now) = (decode(earlier)?, decode(now)?);
    if earlier_host.domains == now.domains {
        return None;
    }
    let host = VirtualHost { domains: now.domains, ..earlier_host };
    let name = earlier.resource.name().clone();
    let resource = Resource::from_message(name, type_url::VIRTUAL_HOST, &host);
    Some(Compiled { resource, ..earlier.clone() })
}

/// The domain that is for requests to one host alone, as a caller wrote it.
pub fn own_domain<'a>(route: &RouteInput, written: &'a str) -> &'a str {
    match route.matches_ports {
        true => written,
        false => without_port(written),
    }
}

/// The resource that answers a question for a host as a caller wrote it, if one of the
/// configuration's hosts or of the unknown `domains` does.
pub fn answer<'a>(
    route: &RouteParts,
    domains: impl Iterator<Item = &'a Arc<str>>,
    written: &str,
) -> Option<String> {
    let written = match route.ignores_ports {
        true => without_port(written),
        false => written,
    };
    let known = route.hosts.iter().flat_map(|host| host.domains.iter().map(|it| (it, &host.name)));
    let unknown = domains.map(|domain| (domain, domain));
    let fitting =
        known.chain(unknown).filter_map(|(domain, name)| Some((fit(domain, written)?, name)));
    fitting.max_by_key(|(fit, _)| *fit).map(|(_, name)| resource_name(&route.name, name))
}

/// The resource that answers for no host at all: Envoy says 404.
pub fn answer_nothing(route: &str) -> String {
    resource_name(route, SEED)
}

/// Whether an answer is [`answer_nothing`].
pub fn answers_nothing(answer: &str) -> bool {
    answer.rsplit_once('/').is_some_and(|(_, host)| host == SEED)
}

/// Whether one of the configuration's hosts is for something that a domain is for. An answer for
/// unknown hosts must not stand in its way, nor have its domain.
pub fn is_answered(route: &RouteParts, domain: &str) -> bool {
    let mut known = route.hosts.iter().flat_map(|host| host.domains.iter());
    match domain.strip_prefix('*') {
        Some(suffix) => known.any(|it| match it.strip_prefix('*') {
            Some(rest) => rest.ends_with(suffix) || suffix.ends_with(rest) && !rest.is_empty(),
            None => it.ends_with(suffix),
        }),
        None => known.any(|it| &**it != "*" && fit(it, domain).is_some()),
    }
}

/// How well a domain fits, as Envoy orders it: exact, then the longest that ends with the rest, then
/// the longest that begins with it, then all.
fn fit(domain: &str, host: &str) -> Option<(u8, usize)> {
    if domain == "*" {
        return Some((0, 0));
    }
    if let Some(rest) = domain.strip_prefix('*') {
        return (host.len() > rest.len() && host.ends_with(rest)).then_some((2, rest.len()));
    }
    if let Some(rest) = domain.strip_suffix('*') {
        return (host.len() > rest.len() && host.starts_with(rest)).then_some((1, rest.len()));
    }
    domain.eq_ignore_ascii_case(host).then_some((3, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_form_leaves_the_domains_that_are_another_hosts_now() {
        let made = |domains: &[&str], status| {
            let answer = DirectResponseAction { status, ..DirectResponseAction::default() };
            let action = Some(Action::DirectResponse(answer));
            compile(
                "on-demand-80",
                VirtualHost {
                    name: "x".to_owned(),
                    domains: domains.iter().map(ToString::to_string).collect(),
                    routes: vec![Route { action, ..Route::default() }],
                    ..VirtualHost::default()
                },
            )
        };
        let (earlier, now) = (made(&["x", "x.shop"], 200), made(&["x.shop"], 503));
        let kept = with_domains_of(&earlier, &now).expect("its domains are others");
        assert_eq!(kept.resource, made(&["x.shop"], 200).resource);
        assert!(with_domains_of(&earlier, &made(&["x", "x.shop"], 503)).is_none());
    }

    #[test]
    fn domains_fit_as_they_do_in_envoy() {
        let cases = [
            ("*", "web", Some((0, 0))),
            ("web", "web", Some((3, 0))),
            ("web", "web.shop", None),
            ("*.shop", "web.shop", Some((2, 5))),
            ("*.shop", ".shop", None),
            ("web.*", "web.shop", Some((1, 4))),
            ("web.*", "web.", None),
        ];
        for (domain, host, expected) in cases {
            assert_eq!(fit(domain, host), expected, "{domain} {host}");
        }
    }
}
