//! Chooses the route of a virtual host, and reads off what the route does.

use envoy::{
    config::route::v3::{
        Route, RouteAction, RouteMatch, VirtualHost, route::Action, route_action::ClusterSpecifier,
        route_match::PathSpecifier,
    },
    types::v3::FractionalPercent,
};

use crate::{
    Answer, ClusterChoice, Fidelity, NearMiss, Stage, Tls, WalkError, WeightedName,
    effect::{effects, owner, percent},
};

use super::{Walker, matcher, quoted, redirect};

/// More than any number of agreeing characters counts.
const PATH_MET: usize = 1 << 16;

/// Why a route does not match, and how near it came.
struct Mismatch {
    met: usize,
    text: String,
}

impl Walker<'_> {
    pub(super) fn find_route(&mut self, virtual_host: &VirtualHost) {
        let default = RouteMatch::default();
        let mut nearest: Option<(usize, NearMiss)> = None;
        for (index, route) in virtual_host.routes.iter().enumerate() {
            let label = route_label(index, route);
            let Some(mismatch) = self.mismatch(route.r#match.as_ref().unwrap_or(&default)) else {
                return self.take_route(virtual_host, index, route);
            };
            self.pass_over(Stage::Route, format!("{label}: {}", mismatch.text));
            if nearest.as_ref().is_none_or(|(met, _)| mismatch.met > *met) {
                let near = NearMiss { stage: Stage::Route, name: label, reason: mismatch.text };
                nearest = Some((mismatch.met, near));
            }
        }
        self.outcome.nearest = nearest.map(|(_, near)| near);
        let text = format!("none of {} routes matches", virtual_host.routes.len());
        self.outcome.fail(Stage::Route, WalkError::NoRoute, text);
    }

    fn take_route(&mut self, virtual_host: &VirtualHost, index: usize, route: &Route) {
        self.outcome.route.clone_from(&route.name);
        self.outcome.route_position = Some((index, virtual_host.routes.len()));
        self.outcome.route_owner = owner(route.metadata.as_ref()).map(str::to_owned);
        self.choose(Stage::Route, format!("{} matches", route_label(index, route)));
        self.read_action(route);
        if self.fidelity == Fidelity::Full {
            self.outcome.effects = effects(virtual_host, route);
        }
    }

    fn read_action(&mut self, route: &Route) {
        match &route.action {
            Some(Action::Route(action)) => self.read_cluster(action),
            Some(Action::Redirect(redirect)) => {
                let wanted = route.r#match.clone().unwrap_or_default();
                let answer = redirect::redirect(self.call, &wanted, redirect);
                if let Answer::Redirect { status, location } = &answer {
                    let text = format!("the proxy answers {status} to `{location}`");
                    self.choose(Stage::Route, text);
                }
                self.outcome.answer = Some(answer);
            }
            Some(Action::DirectResponse(response)) => {
                let status = response.status;
                self.choose(Stage::Route, format!("the proxy answers {status} itself"));
                self.outcome.answer = Some(Answer::Direct { status });
            }
            Some(Action::FilterAction(_)) => {
                self.note(Stage::Route, "a filter decides what happens to the call");
            }
            Some(Action::NonForwardingAction(_)) => {
                self.note(Stage::Route, "the route is for servers, not for proxies");
            }
            None => self.note(Stage::Route, "the route has no action"),
        }
    }

    fn read_cluster(&mut self, action: &RouteAction) {
        let choice = match &action.cluster_specifier {
            Some(ClusterSpecifier::Cluster(name)) => ClusterChoice::Single(name.clone()),
            Some(ClusterSpecifier::ClusterHeader(header)) => {
                self.note(Stage::Cluster, format!("the header `{header}` names the cluster"));
                match (self.fidelity, self.header(header)) {
                    (Fidelity::Full, Some(name)) => ClusterChoice::Single(name),
                    (Fidelity::Full, None) | (Fidelity::Simulation, _) => ClusterChoice::None,
                }
            }
            Some(ClusterSpecifier::WeightedClusters(list)) => {
                let entries = list.clusters.iter().map(|entry| WeightedName {
                    name: entry.name.clone(),
                    weight: entry.weight.unwrap_or(0),
                });
                ClusterChoice::Weighted(entries.collect())
            }
            Some(
                ClusterSpecifier::ClusterSpecifierPlugin(_)
                | ClusterSpecifier::InlineClusterSpecifierPlugin(_),
            ) => {
                self.note(Stage::Cluster, "a plugin names the cluster");
                ClusterChoice::None
            }
            None => ClusterChoice::None,
        };
        match &choice {
            ClusterChoice::Single(name) => {
                self.choose(Stage::Cluster, format!("the route sends it to `{name}`"));
            }
            ClusterChoice::Weighted(list) => {
                let shares = list.iter().map(|entry| format!("`{}` {}", entry.name, entry.weight));
                let shares = shares.collect::<Vec<_>>().join(", ");
                self.choose(Stage::Cluster, format!("the route shares it out: {shares}"));
            }
            ClusterChoice::None => (),
        }
        self.outcome.cluster = choice;
    }

    /// Why the route does not match; `None`: it does.
    fn mismatch(&mut self, wanted: &RouteMatch) -> Option<Mismatch> {
        if let Some(text) = self.path_mismatch(wanted) {
            // Of routes for other paths the one that agrees for longest is the nearest.
            let met = matcher::common_prefix(wanted.path_specifier.as_ref(), self.call.path());
            return Some(Mismatch { met, text });
        }
        match self.fidelity {
            Fidelity::Simulation => None,
            Fidelity::Full => self.condition_mismatch(wanted),
        }
    }

    fn path_mismatch(&self, wanted: &RouteMatch) -> Option<String> {
        let full = self.fidelity == Fidelity::Full;
        let mut path = self.call.path().to_owned();
        if full {
            path.truncate(path.find(['?', '#']).unwrap_or(path.len()));
        }
        let fold = full && wanted.case_sensitive == Some(false);
        let same = |text: &str| if fold { text.to_ascii_lowercase() } else { text.to_owned() };
        let (matches, kind) = match &wanted.path_specifier {
            Some(PathSpecifier::Prefix(prefix)) => {
                (same(&path).starts_with(&same(prefix)), format!("prefix `{prefix}`"))
            }
            Some(PathSpecifier::PathSeparatedPrefix(prefix)) => {
                let (path, prefix) = (same(&path), same(prefix));
                let rest = path.strip_prefix(&prefix);
                let ends = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
                (ends, format!("prefix `{prefix}` before `/`"))
            }
            Some(PathSpecifier::Path(exact)) => {
                (same(&path) == same(exact), format!("path `{exact}`"))
            }
            Some(PathSpecifier::SafeRegex(pattern)) => match matcher::full_match(pattern, &path) {
                Ok(matches) => (matches, format!("regex `{}`", pattern.regex)),
                Err(problem) => return Some(problem),
            },
            Some(PathSpecifier::ConnectMatcher(_)) => {
                (full && self.call.method() == "CONNECT", "method CONNECT".to_owned())
            }
            Some(PathSpecifier::PathMatchPolicy(policy)) => {
                return Some(format!("path matching by `{}` is not followed", policy.name));
            }
            None => return Some("it has no path condition".to_owned()),
        };
        (!matches).then(|| format!("`{path}` does not match {kind}"))
    }

    /// Everything but the path.
    fn condition_mismatch(&mut self, wanted: &RouteMatch) -> Option<Mismatch> {
        let texts = self.unmet_conditions(wanted);
        if texts.is_empty() {
            self.note_unknown(wanted);
            return None;
        }
        // Whatever its conditions say, a route for this path is nearer than one for another.
        let all = wanted.headers.len() + wanted.query_parameters.len() + 3;
        let met = PATH_MET + all.saturating_sub(texts.len());
        Some(Mismatch { met, text: texts.join("; ") })
    }

    fn unmet_conditions(&self, wanted: &RouteMatch) -> Vec<String> {
        let mut texts = Vec::new();
        for header in &wanted.headers {
            let value = self.header(&header.name);
            if !matcher::header_matches(header, value.as_deref()) {
                texts.push(matcher::describe_header(header, value.as_deref()));
            }
        }
        let query = matcher::query_parameters(self.call.path());
        for parameter in &wanted.query_parameters {
            if !matcher::parameter_matches(parameter, &query) {
                texts.push(matcher::describe_parameter(parameter, &query));
            }
        }
        let content_type = self.header("content-type").unwrap_or_default();
        if wanted.grpc.is_some() && !content_type.starts_with("application/grpc") {
            texts.push("the call is not gRPC".to_owned());
        }
        if let Some(tls) = &wanted.tls_context {
            let has_certificate = self.call.tls == Tls::Mtls;
            let refuses = |expected: Option<bool>| expected.is_some_and(|it| it != has_certificate);
            if refuses(tls.presented) || refuses(tls.validated) {
                texts.push("the client certificate is not as asked".to_owned());
            }
        }
        if let Some(share) = fraction(wanted).filter(|share| share.numerator == 0) {
            texts.push(format!("the route is for {} of the requests", percent(share)));
        }
        texts
    }

    /// Conditions on what only a running proxy knows count as met.
    fn note_unknown(&mut self, wanted: &RouteMatch) {
        let share = fraction(wanted).map(percent).filter(|share| share != "100%");
        let unknown = [
            (share.is_some(), "a random number"),
            (!wanted.cookies.is_empty(), "cookies"),
            (!wanted.dynamic_metadata.is_empty(), "dynamic metadata"),
            (!wanted.filter_state.is_empty(), "filter state"),
        ];
        for (_, name) in unknown.into_iter().filter(|(used, _)| *used) {
            self.note(Stage::Route, format!("the route also looks at {name}, taken as met"));
        }
        if let Some(share) = share {
            let text = format!("only {share} of such requests take this route, the rest go on");
            self.note(Stage::Route, text);
        }
    }

    /// The header's values joined as Envoy joins them; names are compared without case.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        match name {
            ":path" => return Some(self.call.path().to_owned()),
            ":method" => return Some(self.call.method().to_owned()),
            ":authority" | "host" | "Host" => return Some(self.call.host().to_owned()),
            ":scheme" => {
                let scheme = if self.call.tls == Tls::Plaintext { "http" } else { "https" };
                return Some(scheme.to_owned());
            }
            _ => (),
        }
        let named = self.call.headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        let values: Vec<&str> = named.map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(","))
    }
}

/// The part of the requests that a route is for; `None`: all.
fn fraction(wanted: &RouteMatch) -> Option<&FractionalPercent> {
    wanted.runtime_fraction.as_ref()?.default_value.as_ref()
}

fn route_label(index: usize, route: &Route) -> String {
    if route.name.is_empty() { format!("route {index}") } else { quoted(&route.name) }
}
