//! Rules that forward: destinations, rewrites, timeouts, mirrors.

use api::istio::virtual_service::{Destination, HttpMirrorPolicy, HttpRewrite};
use envoy::{
    config::{
        core::v3::RuntimeFractionalPercent,
        route::v3::{
            Route, RouteAction, WeightedCluster,
            route::Action,
            route_action::{
                ClusterSpecifier, HostRewriteSpecifier, MaxStreamDuration, RequestMirrorPolicy,
            },
            weighted_cluster::{ClusterWeight, cluster_weight},
        },
    },
    types::matcher::v3::RegexMatchAndSubstitute,
};
use prost_types::Duration;
use snapshot::Mesh;

use super::{
    TranslatedRoutes, Translation, duration, filter,
    hash::hash_policy,
    header,
    matches::regex,
    retry::{Upstream, retry_policy},
};

impl Translation<'_> {
    /// Sets no action when no destination is left. `authority` comes from the rule's headers.
    pub(super) fn apply_destinations(
        &self,
        authority: Option<String>,
        route: &mut Route,
        out: &mut TranslatedRoutes,
    ) {
        let mut action = forward(self.http.timeout.map(duration));
        let rewritten = self.http.rewrite.as_ref().and_then(|it| apply_rewrite(it, &mut action));
        let authority = rewritten.or(authority);
        action.host_rewrite_specifier = authority.map(HostRewriteSpecifier::HostRewriteLiteral);
        let Some(upstream) = (match self.http.route.len() {
            1 => self.apply_single(route, &mut action, out),
            _ => self.apply_weighted(&mut action, out),
        }) else {
            return;
        };
        action.request_mirror_policies = self.mirrors(out);
        let retries = self.http.retries.as_ref();
        action.retry_policy = retry_policy(retries, self.context.mesh, upstream);
        route.action = Some(Action::Route(action));
    }

    fn apply_single(
        &self,
        route: &mut Route,
        action: &mut RouteAction,
        out: &mut TranslatedRoutes,
    ) -> Option<Upstream> {
        let share = self.http.route.first()?;
        let (cluster, upstream) = self.upstream(share.destination.as_ref()?, action, out);
        action.cluster_specifier = Some(ClusterSpecifier::Cluster(cluster));
        let authority = header::apply_to_route(share.headers.as_ref(), route);
        if let (Some(authority), None) = (authority, &action.host_rewrite_specifier) {
            action.host_rewrite_specifier =
                Some(HostRewriteSpecifier::HostRewriteLiteral(authority));
        }
        Some(upstream)
    }

    /// Shares without a weight get nothing. With several destinations the hosts are still chosen
    /// by hash where one asks for it, but a retry may go elsewhere.
    fn apply_weighted(
        &self,
        action: &mut RouteAction,
        out: &mut TranslatedRoutes,
    ) -> Option<Upstream> {
        let mut list = WeightedCluster::default();
        let mut all = Upstream::default();
        for share in self.http.route.iter().filter(|share| share.weight > 0) {
            let Some(destination) = &share.destination else { continue };
            let (name, upstream) = self.upstream(destination, action, out);
            all.grpc |= upstream.grpc;
            let weight = u32::try_from(share.weight).unwrap_or(0);
            let mut entry =
                ClusterWeight { name, weight: Some(weight), ..ClusterWeight::default() };
            let authority = header::apply_to_share(share.headers.as_ref(), &mut entry);
            entry.host_rewrite_specifier =
                authority.map(cluster_weight::HostRewriteSpecifier::HostRewriteLiteral);
            list.clusters.push(entry);
        }
        if list.clusters.is_empty() {
            return None;
        }
        action.cluster_specifier = Some(ClusterSpecifier::WeightedClusters(list));
        Some(all)
    }

    /// The cluster of a destination; adds its hash key to the action.
    fn upstream(
        &self,
        destination: &Destination,
        action: &mut RouteAction,
        out: &mut TranslatedRoutes,
    ) -> (String, Upstream) {
        let target = self.context.resolve(destination);
        let cluster = target.cluster();
        out.clusters.insert(cluster.as_str().into());
        let policy = target.consistent_hash.and_then(hash_policy);
        let hashed = target.consistent_hash.is_some();
        if let Some(policy) = policy
            && !action.hash_policy.contains(&policy)
        {
            action.hash_policy.push(policy);
        }
        let grpc = self.context.calls_grpc(target.protocol);
        (cluster, Upstream { grpc, hashed })
    }

    fn mirrors(&self, out: &mut TranslatedRoutes) -> Vec<RequestMirrorPolicy> {
        let http = self.http;
        let deprecated = http.mirror_percent.map(filter::whole_percents);
        let share = http.mirror_percentage.as_ref().map(filter::fraction).or(deprecated);
        let first = http.mirror.as_ref().map(|destination| (destination, share));
        let further = http.mirrors.iter().filter_map(|mirror: &HttpMirrorPolicy| {
            Some((mirror.destination.as_ref()?, mirror.percentage.as_ref().map(filter::fraction)))
        });
        let wanted = first.into_iter().chain(further).filter_map(|(destination, share)| {
            let share = share.unwrap_or_else(|| filter::whole_percents(100));
            (share.numerator > 0).then(|| (destination, filter::runtime(share)))
        });
        wanted.map(|(destination, share)| self.mirror(destination, share, out)).collect()
    }

    fn mirror(
        &self,
        destination: &Destination,
        share: RuntimeFractionalPercent,
        out: &mut TranslatedRoutes,
    ) -> RequestMirrorPolicy {
        let cluster = self.context.resolve(destination).cluster();
        out.clusters.insert(cluster.as_str().into());
        RequestMirrorPolicy {
            cluster,
            runtime_fraction: Some(share),
            trace_sampled: Some(false),
            disable_shadow_host_suffix_append: keeps_host(self.context.mesh),
            ..RequestMirrorPolicy::default()
        }
    }
}

/// Whether copies go out with the host of the original and not with `-shadow` behind it.
fn keeps_host(mesh: &Mesh) -> bool {
    mesh.features.flag("DISABLE_SHADOW_HOST_SUFFIX", true)
}

/// Gives back the authority to set.
fn apply_rewrite(rewrite: &HttpRewrite, action: &mut RouteAction) -> Option<String> {
    match &rewrite.uri_regex_rewrite {
        Some(pattern) => {
            action.regex_rewrite = Some(RegexMatchAndSubstitute {
                pattern: Some(regex(&pattern.match_)),
                substitution: pattern.rewrite.clone(),
            });
        }
        None => action.prefix_rewrite.clone_from(&rewrite.uri),
    }
    (!rewrite.authority.is_empty()).then(|| rewrite.authority.clone())
}

/// An action with a timeout for all requests or, without one, with the deadlines that gRPC callers
/// ask for.
///
/// Istio says both by `max_grpc_timeout`, which Envoy is about to drop. Its successor makes Envoy
/// ignore `timeout`, so with a timeout a deadline that is shorter ends a call at its caller only.
pub(crate) fn forward(timeout: Option<Duration>) -> RouteAction {
    let none = Duration::default();
    let timeout = timeout.unwrap_or(none);
    let deadlines = MaxStreamDuration {
        max_stream_duration: Some(none),
        grpc_timeout_header_max: Some(none),
        ..MaxStreamDuration::default()
    };
    RouteAction {
        timeout: Some(timeout),
        max_stream_duration: (timeout == none).then_some(deadlines),
        ..RouteAction::default()
    }
}
