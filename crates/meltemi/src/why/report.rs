//! The way of a call, with the objects behind each part: what `why` prints.

use admin::{ProxyConfig, ResourceStatus};
use serde::Serialize;
use verify::{
    Answer, Call, ClusterChoice, Effect, EndpointView, NearMiss, Outcome, Resources, StepVerdict,
    Upstream, WalkError, owner,
};

/// The way.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WhyReport {
    pub(crate) proxy: String,
    /// `SYNCED`, `STALE` or `NACK`.
    pub(crate) state: String,
    /// Where the call goes to, as the proxy sees it.
    pub(crate) call: String,
    pub(crate) listener: Option<Part>,
    pub(crate) filter_chain: Option<Part>,
    pub(crate) route: Option<RoutePart>,
    pub(crate) clusters: Vec<ClusterPart>,
    /// What the proxy answers by itself.
    pub(crate) answer: Option<String>,
    pub(crate) effects: Vec<Effect>,
    /// Why the call goes nowhere.
    pub(crate) error: Option<String>,
    pub(crate) nearest: Option<Nearest>,
    /// Where what was acknowledged is not what should be there.
    pub(crate) notes: Vec<String>,
    /// Every choice, in order.
    pub(crate) steps: Vec<StepLine>,
}

/// A named part of a resource.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) origins: Vec<Origin>,
}

/// The route that took the call.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RoutePart {
    /// Empty where the routes are part of the listener.
    pub(crate) config: String,
    pub(crate) virtual_host: String,
    pub(crate) name: String,
    /// From 1.
    pub(crate) number: Option<usize>,
    pub(crate) of: Option<usize>,
    pub(crate) origins: Vec<Origin>,
}

/// A cluster that gets the call, or a part of such calls.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClusterPart {
    pub(crate) name: String,
    /// In percent; of one cluster, all.
    pub(crate) share: String,
    /// `endpoints`, `original destination`, `dynamic`, `missing` or `no assignment`.
    pub(crate) kind: &'static str,
    pub(crate) endpoints: Vec<EndpointLine>,
    pub(crate) origins: Vec<Origin>,
}

/// One address.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointLine {
    pub(crate) address: String,
    pub(crate) health: &'static str,
    pub(crate) weight: u32,
    pub(crate) priority: u32,
    pub(crate) locality: String,
}

/// An object, and where it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Origin {
    pub(crate) object: String,
    pub(crate) location: Option<String>,
}

/// What came nearest.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Nearest {
    pub(crate) stage: String,
    pub(crate) name: String,
    pub(crate) reason: String,
}

/// One choice.
#[derive(Debug, Serialize)]
pub(crate) struct StepLine {
    pub(crate) stage: String,
    pub(crate) verdict: &'static str,
    pub(crate) text: String,
}

impl WhyReport {
    pub(crate) fn new(
        config: &ProxyConfig,
        resources: &Resources,
        call: &Call,
        outcome: Outcome,
    ) -> Self {
        let dump = Dump { config, resources };
        let part = |kind: &str, name: &str, own: Option<&str>| {
            (!name.is_empty() || own.is_some())
                .then(|| Part { name: name.to_owned(), origins: dump.origins(kind, name, own) })
        };
        let chain_owner = outcome.filter_chain_owner.as_deref();
        let has_chain = !outcome.listener.is_empty() && outcome.error.is_none();
        Self {
            proxy: config.status.proxy.clone(),
            state: config.status.state.clone(),
            call: describe(call),
            listener: part("listener", &outcome.listener, None),
            filter_chain: part("", &outcome.filter_chain, chain_owner)
                .or_else(|| has_chain.then(|| Part { name: String::new(), origins: Vec::new() })),
            route: dump.route(&outcome),
            clusters: dump.clusters(&outcome),
            answer: outcome.answer.as_ref().map(answer_text),
            notes: dump.notes(&outcome),
            error: outcome.error.map(|error| {
                let failed = outcome.steps.iter().rfind(|it| it.verdict == StepVerdict::Failed);
                failed.map_or_else(|| error.to_string(), |step| step.text.clone())
            }),
            nearest: outcome.nearest.map(nearest),
            effects: outcome.effects,
            steps: outcome.steps.into_iter().map(step).collect(),
        }
    }
}

/// How the type of virtual hosts that were loaded one by one is called.
const ON_DEMAND: &str = "virtualhost";

/// What the proxy holds, with what is known of it.
struct Dump<'a> {
    config: &'a ProxyConfig,
    resources: &'a Resources,
}

impl Dump<'_> {
    fn resource(&self, kind: &str, name: &str) -> Option<&ResourceStatus> {
        self.config.resources.iter().find(|it| it.kind == kind && it.name == name)
    }

    /// The object that is named by the part itself, else those of the whole resource.
    fn origins(&self, kind: &str, name: &str, owner: Option<&str>) -> Vec<Origin> {
        match owner.and_then(object_of) {
            Some(object) => vec![self.origin(object)],
            None => {
                let origins = self.resource(kind, name).map(|it| it.origins.clone());
                origins.unwrap_or_default().into_iter().map(|it| self.origin(it)).collect()
            }
        }
    }

    fn origin(&self, object: String) -> Origin {
        let location = self.config.sources.get(&object).cloned();
        Origin { object, location }
    }

    fn route(&self, outcome: &Outcome) -> Option<RoutePart> {
        if outcome.route_config.is_empty() && outcome.virtual_host.is_empty() {
            return None;
        }
        let of_part = outcome.route_owner.as_deref().or(outcome.virtual_host_owner.as_deref());
        // The objects of a whole table say nothing about one of its routes; those of a virtual host
        // that was loaded by itself do.
        let origins = self.origins(ON_DEMAND, &outcome.virtual_host, of_part);
        Some(RoutePart {
            config: outcome.route_config.clone(),
            virtual_host: outcome.virtual_host.clone(),
            name: outcome.route.clone(),
            number: outcome.route_position.map(|(index, _)| index + 1),
            of: outcome.route_position.map(|(_, count)| count),
            origins,
        })
    }

    fn clusters(&self, outcome: &Outcome) -> Vec<ClusterPart> {
        let shares: Vec<(String, u64)> = match &outcome.cluster {
            ClusterChoice::None => Vec::new(),
            ClusterChoice::Single(name) => vec![(name.clone(), 1)],
            ClusterChoice::Weighted(list) => {
                list.iter().map(|it| (it.name.clone(), it.weight.into())).collect()
            }
        };
        let total: u64 = shares.iter().map(|(_, weight)| weight).sum();
        let parts = shares.into_iter().map(|(name, weight)| {
            let upstream = outcome.upstreams.iter().find(|it| upstream_name(it) == name);
            let (kind, endpoints) = upstream.map_or(("missing", Vec::new()), upstream_parts);
            let metadata = self.resources.clusters.get(&name).and_then(|it| it.metadata.as_ref());
            let mut origins = self.origins("cluster", &name, None);
            if let Some(object) = owner(metadata).and_then(object_of)
                && !origins.iter().any(|it| it.object == object)
            {
                origins.push(self.origin(object));
            }
            for origin in self.origins("endpoint", &name, None) {
                if !origins.contains(&origin) {
                    origins.push(origin);
                }
            }
            ClusterPart { share: percent(weight, total), name, kind, endpoints, origins }
        });
        parts.collect()
    }

    /// Where the proxy holds something else than it should.
    fn notes(&self, outcome: &Outcome) -> Vec<String> {
        let clusters = outcome.cluster.names().into_iter();
        let used = [("listener", outcome.listener.as_str()), ("route", &outcome.route_config)];
        let used = used.into_iter().chain([(ON_DEMAND, outcome.virtual_host.as_str())]);
        let used = used.chain(clusters.clone().map(|name| ("cluster", name)));
        let used = used.chain(clusters.map(|name| ("endpoint", name)));
        let mut notes = self.config.status.held_back.clone();
        let routes = self.resources.routes.get(&outcome.route_config);
        if outcome.error == Some(WalkError::NoVirtualHost)
            && routes.is_some_and(|it| it.vhds.is_some())
        {
            notes.push(format!(
                "route `{}` is loaded on demand: what the proxy does not hold yet comes with the first call",
                outcome.route_config
            ));
        }
        for (kind, name) in used {
            let Some(resource) = self.resource(kind, name) else { continue };
            if let Some(reason) = &resource.refused {
                notes.push(format!(
                    "the proxy refused a newer version of {kind} `{name}`: {reason}"
                ));
            } else if resource.sent.is_some() {
                notes.push(format!("a newer version of {kind} `{name}` is on its way"));
            }
        }
        notes
    }
}

fn describe(call: &Call) -> String {
    let scheme = match (call.protocol, call.tls) {
        (verify::Protocol::Tcp, verify::Tls::Plaintext) => "tcp",
        (verify::Protocol::Tcp, verify::Tls::Tls | verify::Tls::Mtls) => "tls",
        (_, verify::Tls::Plaintext) => "http",
        (_, verify::Tls::Tls | verify::Tls::Mtls) => "https",
    };
    let host = if call.host().is_empty() { call.address() } else { call.host() };
    let at = match call.address.as_str() {
        "" => format!("port {}", call.port),
        address => format!("{address}:{}", call.port),
    };
    match call.protocol {
        verify::Protocol::Tcp => format!("{scheme}://{host} at {at}"),
        verify::Protocol::Http | verify::Protocol::Http2 => {
            format!("{} {scheme}://{host}{} at {at}", call.method(), call.path())
        }
    }
}

fn answer_text(answer: &Answer) -> String {
    match answer {
        Answer::Direct { status } => format!("{status}, without asking anybody"),
        Answer::Redirect { status, location } => format!("{status} to {location}"),
    }
}

fn nearest(near: NearMiss) -> Nearest {
    Nearest { stage: near.stage.to_string(), name: near.name, reason: near.reason }
}

fn step(step: verify::Step) -> StepLine {
    let verdict = match step.verdict {
        StepVerdict::Chosen => "chosen",
        StepVerdict::PassedOver => "passed over",
        StepVerdict::Failed => "failed",
        StepVerdict::Note => "note",
    };
    StepLine { stage: step.stage.to_string(), verdict, text: step.text }
}

fn upstream_name(upstream: &Upstream) -> &str {
    match upstream {
        Upstream::Missing { cluster }
        | Upstream::OriginalDestination { cluster }
        | Upstream::Dynamic { cluster }
        | Upstream::NoAssignment { cluster, .. }
        | Upstream::Endpoints { cluster, .. } => cluster,
    }
}

fn upstream_parts(upstream: &Upstream) -> (&'static str, Vec<EndpointLine>) {
    match upstream {
        Upstream::Missing { .. } => ("missing", Vec::new()),
        Upstream::OriginalDestination { .. } => ("original destination", Vec::new()),
        Upstream::Dynamic { .. } => ("dynamic", Vec::new()),
        Upstream::NoAssignment { .. } => ("no assignment", Vec::new()),
        Upstream::Endpoints { endpoints, .. } => {
            ("endpoints", endpoints.iter().map(endpoint_line).collect())
        }
    }
}

fn endpoint_line(view: &EndpointView) -> EndpointLine {
    EndpointLine {
        address: view.address.clone(),
        // What no health check has looked at counts as healthy.
        health: if view.health == "UNKNOWN" { "HEALTHY" } else { view.health },
        weight: view.weight,
        priority: view.priority,
        locality: view.locality.clone(),
    }
}

fn percent(weight: u64, total: u64) -> String {
    match (weight * 1000).checked_div(total) {
        None => "0%".to_owned(),
        Some(tenths) if tenths % 10 == 0 => format!("{}%", tenths / 10),
        Some(tenths) => format!("{}.{}%", tenths / 10, tenths % 10),
    }
}

/// `VirtualService shop/cart` of `/apis/networking.istio.io/v1/namespaces/shop/virtual-service/cart`.
fn object_of(path: &str) -> Option<String> {
    let mut parts = path.rsplit('/');
    let (name, kind, namespace) = (parts.next()?, parts.next()?, parts.next()?);
    let kind: String = kind
        .split('-')
        .map(|word| {
            let mut letters = word.chars();
            let first = letters.next().map(|it| it.to_ascii_uppercase());
            first.into_iter().chain(letters).collect::<String>()
        })
        .collect();
    Some(format!("{kind} {namespace}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_named_as_objects_are() {
        let path = "/apis/networking.istio.io/v1/namespaces/shop/virtual-service/cart";
        assert_eq!(object_of(path).unwrap(), "VirtualService shop/cart");
        assert_eq!(object_of("cart"), None);
    }

    #[test]
    fn shares_are_percentages() {
        assert_eq!(percent(90, 100), "90%");
        assert_eq!(percent(1, 3), "33.3%");
        assert_eq!(percent(0, 0), "0%");
    }
}
