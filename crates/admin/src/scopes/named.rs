//! Which host people mean by what they wrote.
//!
//! - A name is completed as for a caller of the workload's namespace; ports and the dot of the root
//!   are looked past.

use std::net::IpAddr;

use compile::clean_host;
use model::{Hostname, Namespace};
use scope::{MeshPlaces, Places, complete_host, full_host};
use snapshot::Snapshot;

use crate::{ApiError, Reason};

/// How to write what may be pinned.
const FORMS: &str = "write the host of a service, such as `pay.bank.svc.cluster.local`, or a wildcard, \
    such as `*.example.com`; whole namespaces are for a ServiceFence";

/// A host that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) host: Hostname,
    /// Whether anything defines it.
    pub(super) is_defined: bool,
}

/// What is meant by `written`; what nothing defines is taken by its full name.
pub(super) fn resolve(written: &str, namespace: &Namespace, places: &MeshPlaces) -> Named {
    let host = Hostname::new(&clean_host(written.trim()));
    let found = complete_host(written.trim(), namespace, places);
    if let Some(host) = found.or_else(|| places.has(&host).then(|| host.clone())) {
        return Named { host, is_defined: true };
    }
    Named { host: full_host(host.as_str(), places), is_defined: false }
}

/// The same for what is to be pinned: an error where that cannot be the host of anything.
pub(super) fn resolve_pinned(
    written: &str,
    namespace: &Namespace,
    places: &MeshPlaces,
) -> Result<Named, ApiError> {
    let named = resolve(written, namespace, places);
    let name = named.host.as_str();
    let own = name.strip_prefix("*.").unwrap_or(name);
    if !is_host(own) {
        let message = format!("`{written}` is no host");
        return Err(ApiError::new(Reason::BadRequest, message).hint(FORMS));
    }
    if own != name {
        let is_defined = named.is_defined || covers_any(&named.host, &places.snapshot);
        return Ok(Named { is_defined, ..named });
    }
    if named.is_defined {
        return Ok(named);
    }
    if own.parse::<IpAddr>().is_ok() {
        let message = format!("no service has the address `{own}`");
        return Err(ApiError::new(Reason::BadRequest, message).hint(FORMS));
    }
    // A resolver would complete it: nobody could ever call it by this name alone.
    if !own.contains('.') {
        let message = format!("nothing is called `{own}` in the namespace {namespace}");
        let hint = match near(own, namespace, &places.snapshot) {
            Some(host) => format!("did you mean `{host}`?"),
            None => {
                format!(
                    "write its full name to pin what is not there yet, such as `{own}.bank.svc.cluster.local`"
                )
            }
        };
        return Err(ApiError::new(Reason::BadRequest, message).hint(hint));
    }
    Ok(named)
}

/// Whether a wildcard is above something: it brings that.
fn covers_any(host: &Hostname, snapshot: &Snapshot) -> bool {
    let rules = snapshot.virtual_services().filter(|rule| rule.binds_to_mesh());
    snapshot.services().any(|it| host.covers(it.hostname()))
        || rules.flat_map(|rule| rule.hosts.iter()).any(|it| host.covers(it))
}

/// A service whose name is nearly this one; none for a wildcard.
pub(super) fn near(name: &str, namespace: &Namespace, snapshot: &Snapshot) -> Option<Hostname> {
    if name.starts_with('*') {
        return None;
    }
    let hosts: Vec<&str> = snapshot.services().map(|it| it.hostname().as_str()).collect();
    let domain = format!(".svc.{}", snapshot.mesh().domain);
    // As callers nearby and elsewhere would write it.
    for suffix in [format!(".{namespace}{domain}"), domain, String::new()] {
        let short = hosts.iter().filter_map(|host| host.strip_suffix(suffix.as_str()));
        let own = name.strip_suffix(suffix.as_str());
        if let Some(found) = api::nearest(own.unwrap_or(name), short) {
            return Some(Hostname::new(&format!("{found}{suffix}")));
        }
        // In long names that end alike, much may differ.
        if own.is_some() {
            return None;
        }
    }
    None
}

fn is_host(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.len() <= 253 && (name.split('.').all(is_label) || name.parse::<IpAddr>().is_ok())
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::fixture::mesh;

    const MORE: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: wild, namespace: shop}
spec:
  hosts: ['*.example.com', legacy]
  location: MESH_EXTERNAL
  ports: [{number: 80, name: http, protocol: HTTP}]
---
apiVersion: v1
kind: Service
metadata: {name: fixed, namespace: shop}
spec: {clusterIP: 10.9.9.9, ports: [{port: 80, name: http}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: virtual, namespace: shop}
spec:
  hosts: [virtual.shop.internal, '*.ruled.internal']
  http: [{route: [{destination: {host: cart}}]}]
";

    #[track_caller]
    fn check(written: &[&str], expected: Expect) {
        let places = MeshPlaces::new(mesh(&[MORE]).snapshot());
        let mut text = String::new();
        for written in written {
            let said = match resolve_pinned(written, &"shop".into(), &places) {
                Ok(Named { host, is_defined: true }) => host.to_string(),
                Ok(Named { host, is_defined: false }) => {
                    let near = near(host.as_str(), &"shop".into(), &places.snapshot);
                    format!("{host}, which nothing defines; near: {near:?}")
                }
                Err(ApiError { message, hint, reason, .. }) => {
                    assert_eq!(reason, Reason::BadRequest);
                    format!("error: {message}; {}", hint.replace(FORMS, "FORMS"))
                }
            };
            text.push_str(&format!("{written} -> {said}\n"));
        }
        expected.assert_eq(&text);
    }

    #[test]
    fn a_name_is_that_of_the_service_that_a_caller_would_reach() {
        check(
            &[
                "cart",
                "Cart.shop:21080",
                "cart.shop.svc",
                "cart.shop.svc.cluster.local.",
                "pay.bank",
                "hidden.infra",
                "10.9.9.9:80",
                "legacy",
                "www.example.com",
                "*.example.com",
                "virtual.shop.internal",
                "a.ruled.internal",
            ],
            expect![[r#"
                cart -> cart.shop.svc.cluster.local
                Cart.shop:21080 -> cart.shop.svc.cluster.local
                cart.shop.svc -> cart.shop.svc.cluster.local
                cart.shop.svc.cluster.local. -> cart.shop.svc.cluster.local
                pay.bank -> pay.bank.svc.cluster.local
                hidden.infra -> hidden.infra.svc.cluster.local
                10.9.9.9:80 -> fixed.shop.svc.cluster.local
                legacy -> legacy
                www.example.com -> *.example.com
                *.example.com -> *.example.com
                virtual.shop.internal -> virtual.shop.internal
                a.ruled.internal -> *.ruled.internal
            "#]],
        );
    }

    #[test]
    fn what_is_not_there_yet_is_taken_by_its_full_name() {
        check(
            &[
                "new.shop.svc.cluster.local",
                "new.bank",
                "new.later.svc",
                "*.Example.org",
                "*.bank",
                "*.shop.svc.cluster.local",
                "*.shop.internal",
                "cart.shopp:80",
            ],
            expect![[r#"
                new.shop.svc.cluster.local -> new.shop.svc.cluster.local, which nothing defines; near: None
                new.bank -> new.bank.svc.cluster.local, which nothing defines; near: None
                new.later.svc -> new.later.svc.cluster.local, which nothing defines; near: None
                *.Example.org -> *.example.org, which nothing defines; near: None
                *.bank -> *.bank, which nothing defines; near: None
                *.shop.svc.cluster.local -> *.shop.svc.cluster.local
                *.shop.internal -> *.shop.internal
                cart.shopp:80 -> cart.shopp, which nothing defines; near: Some(Hostname("cart.shop.svc.cluster.local"))
            "#]],
        );
    }

    #[test]
    fn what_is_no_host_is_refused() {
        check(
            &["", "http://x", "bank/*", "*", "a b", "*.", "cart..shop", "web:http", "10.1.1.1"],
            expect![[r#"
                 -> error: `` is no host; FORMS
                http://x -> error: `http://x` is no host; FORMS
                bank/* -> error: `bank/*` is no host; FORMS
                * -> error: `*` is no host; FORMS
                a b -> error: `a b` is no host; FORMS
                *. -> error: `*.` is no host; FORMS
                cart..shop -> error: `cart..shop` is no host; FORMS
                web:http -> error: `web:http` is no host; FORMS
                10.1.1.1 -> error: no service has the address `10.1.1.1`; FORMS
            "#]],
        );
        check(
            &["carrt", "quite-another", "pai"],
            expect![[r#"
            carrt -> error: nothing is called `carrt` in the namespace shop; did you mean `cart.shop.svc.cluster.local`?
            quite-another -> error: nothing is called `quite-another` in the namespace shop; write its full name to pin what is not there yet, such as `quite-another.bank.svc.cluster.local`
            pai -> error: nothing is called `pai` in the namespace shop; write its full name to pin what is not there yet, such as `pai.bank.svc.cluster.local`
        "#]],
        );
    }
}
