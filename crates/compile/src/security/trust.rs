//! Trust domains that stand for each other.
//!
//! A mesh that changes its trust domain names the old one as an alias: who is allowed under one of
//! them is allowed under all.

use std::sync::Arc;

/// The trust domain that policies mean when they were written for any mesh.
const DEFAULT_DOMAIN: &str = "cluster.local";

/// The principals (`<trust domain>/ns/<namespace>/sa/<account>`) with every alias of their trust
/// domain. `domains` are the mesh's own and its aliases.
pub(super) fn with_aliases(principals: &[String], domains: &[Arc<str>]) -> Vec<String> {
    let mut out = Vec::with_capacity(principals.len());
    for principal in principals {
        match principal.split_once('/') {
            Some((domain, rest)) if rest.matches('/').count() == 3 && domain != "*" => {
                expand(principal, domain, rest, domains, &mut out);
            }
            // Without a trust domain of its own.
            _ => out.push(principal.clone()),
        }
    }
    out
}

fn expand(principal: &str, domain: &str, rest: &str, domains: &[Arc<str>], out: &mut Vec<String>) {
    let is_known = domain == DEFAULT_DOMAIN || domains.iter().any(|known| covers(domain, known));
    if !is_known {
        return out.push(principal.to_owned());
    }
    let first = out.len();
    for known in domains {
        // A wildcard stays as it is for the domains that it covers.
        let aliased = match domain.starts_with('*') && covers(domain, known) {
            true => principal.to_owned(),
            false => format!("{known}/{rest}"),
        };
        if !out[first..].contains(&aliased) {
            out.push(aliased);
        }
    }
}

/// Whether a trust domain, maybe with a wildcard in front, covers one of the mesh's.
fn covers(pattern: &str, domain: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(suffix) => domain.ends_with(suffix),
        None => pattern == domain,
    }
}

/// Trust domains with every alias of those that are the mesh's own.
pub(super) fn domains_with_aliases(written: &[String], domains: &[Arc<str>]) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(written.len());
    for domain in written {
        let own = domains.iter().any(|known| **known == **domain);
        let all = domains.iter().filter(|_| own).map(|known| known.to_string());
        for domain in all.chain((!own).then(|| domain.clone())) {
            if !out.contains(&domain) {
                out.push(domain);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{domains_with_aliases, with_aliases};

    #[track_caller]
    fn check(principal: &str, domains: &[&str], expected: &[&str]) {
        let domains: Vec<Arc<str>> = domains.iter().map(|it| Arc::from(*it)).collect();
        assert_eq!(with_aliases(&[principal.to_owned()], &domains), expected);
    }

    #[test]
    fn a_principal_of_the_mesh_is_one_of_each_alias() {
        check("td1/ns/a/sa/b", &["td2", "td1"], &["td2/ns/a/sa/b", "td1/ns/a/sa/b"]);
    }

    #[test]
    fn the_default_trust_domain_is_the_mesh() {
        check("cluster.local/ns/a/sa/b", &["td"], &["td/ns/a/sa/b"]);
    }

    #[test]
    fn a_foreign_trust_domain_stays() {
        check("other/ns/a/sa/b", &["td"], &["other/ns/a/sa/b"]);
    }

    #[test]
    fn a_wildcard_stays_for_what_it_covers() {
        let expected = ["*-td/ns/a/sa/b", "other/ns/a/sa/b"];
        check("*-td/ns/a/sa/b", &["old-td", "new-td", "other"], &expected);
    }

    #[test]
    fn texts_without_a_trust_domain_stay() {
        for text in ["*", "*/ns/a/sa/b", "sa/b", "td/ns/a/*"] {
            check(text, &["td", "td2"], &[text]);
        }
    }

    #[test]
    fn a_trust_domain_of_the_mesh_stands_for_all() {
        let domains: Vec<Arc<str>> = ["a", "b"].map(Arc::from).into();
        let written = ["b", "x", "a"].map(str::to_owned);
        assert_eq!(domains_with_aliases(&written, &domains), ["a", "b", "x"]);
    }
}
