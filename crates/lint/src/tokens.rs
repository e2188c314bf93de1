//! RequestAuthentications: whom they cover, and whether anybody asks for the tokens.

use std::collections::BTreeSet;

use api::{
    Spec,
    istio::{
        authorization_policy::AuthorizationPolicy, request_authentication::RequestAuthentication,
    },
};
use model::{Kind, Namespace};

use crate::{authorization::asks_for_token, codes, facts::Facts, found::Found};

pub(crate) fn check(facts: &Facts<'_>, found: &mut Found) {
    let mut demanding: BTreeSet<&Namespace> = BTreeSet::new();
    for object in facts.objects(Kind::AuthorizationPolicy) {
        let Spec::AuthorizationPolicy(policy) = &object.spec else { continue };
        if demands(policy) {
            demanding.insert(&object.key.namespace);
        }
    }
    for object in facts.objects(Kind::RequestAuthentication) {
        let Spec::RequestAuthentication(policy) = &object.spec else { continue };
        let namespace = &object.key.namespace;
        let is_demanded = match namespace == facts.root {
            true => !demanding.is_empty(),
            false => demanding.contains(namespace) || demanding.contains(facts.root),
        };
        if policy.jwt_rules.is_empty() || is_demanded {
            continue;
        }
        let message = "a call without a token is let through: no AuthorizationPolicy asks for one";
        let hint = "add an AuthorizationPolicy with `requestPrincipals`";
        found.add(&codes::TOKENS_OPTIONAL, &object.key, "spec.jwtRules", message, hint);
    }
}

/// Tokens are also asked for by whoever decides in place of the mesh.
fn demands(policy: &AuthorizationPolicy) -> bool {
    policy.provider.is_some() || policy.rules.iter().any(|rule| asks_for_token(rule).is_some())
}

/// Whether tokens are validated for some of these workloads, or nobody can say.
pub(crate) fn is_covered(facts: &Facts<'_>, namespace: &Namespace, selected: &[usize]) -> bool {
    let places = [namespace, facts.root];
    let mut policies =
        places.into_iter().flat_map(|it| facts.reader.policies::<RequestAuthentication>(it));
    policies.any(|policy| {
        let is_attached = policy.spec.target_ref.is_some() || !policy.spec.target_refs.is_empty();
        let is_general = policy.selector.is_none();
        let own = || selected.iter().map(|at| &facts.instances[*at].labels);
        is_attached || is_general || selected.is_empty() || own().any(|it| policy.selects(it))
    }) || namespace == facts.root && facts.objects(Kind::RequestAuthentication).next().is_some()
}
