//! Whether the connected proxies are ready for the next step of a rotation.
//!
//! - What counts is what a proxy has acknowledged, not what it was sent: each must believe every
//!   root of the directory, and before a root goes, its own certificate must be of the other one.
//! - A proxy that gets no identity from the control plane has nothing that could break.
//! - Not here: whether enough time has passed for those that are not connected (`rotate`).

use std::collections::BTreeSet;

use admin::{ProxyIdentity, ProxyIdentityList};
use identity::{DirectoryStatus, Phase, parse_certificate};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::{
    client::Server,
    output::{Exit, Failure, Screen},
};

/// Proxies that are named one by one.
const MOST_NAMED: usize = 10;

/// A failure that names the proxies that are behind, or says that nobody could be asked.
pub(super) async fn require_acknowledged(
    status: &DirectoryStatus,
    server: &Server,
    screen: &Screen<'_>,
) -> anyhow::Result<()> {
    let list: ProxyIdentityList = server
        .get("/debug/identities", screen.catalogue())
        .await
        .map_err(|error| match error.downcast::<Failure>() {
            Ok(failure) if failure.exit == Exit::Unreachable => {
                failure.hint(screen.text("identity-unasked-hint", &[])).into()
            }
            Ok(failure) => failure.into(),
            Err(error) => error,
        })?;
    let wanted = Wanted::new(status);
    let behind: Vec<&str> =
        list.items.iter().filter(|it| wanted.is_behind(it)).map(|it| it.proxy.as_str()).collect();
    if behind.is_empty() {
        return Ok(());
    }
    let mut names = behind[..behind.len().min(MOST_NAMED)].join(", ");
    if behind.len() > MOST_NAMED {
        names += ", …";
    }
    let words = [
        ("count", behind.len().into()),
        ("total", list.items.len().into()),
        ("names", names.into()),
    ];
    let hint = screen.text("identity-behind-hint", &[]);
    Err(Failure::new(Exit::TryAgain, screen.text("identity-behind", &words)).hint(hint).into())
}

/// What a proxy must have for the next step.
#[derive(Debug)]
struct Wanted {
    /// Fingerprints of all roots.
    roots: BTreeSet<String>,
    /// That of the intermediate that must have issued its certificate, if that matters.
    issuer: Option<String>,
}

impl Wanted {
    fn new(status: &DirectoryStatus) -> Self {
        let roots = status.roots.iter().map(|root| root.certificate.fingerprint.clone());
        let issuer = match status.phase {
            // The other root goes next.
            Phase::Issuing | Phase::Reverting => Some(status.intermediate.fingerprint.clone()),
            Phase::Steady | Phase::Trusting => None,
        };
        Self { roots: roots.collect(), issuer }
    }

    fn is_behind(&self, proxy: &ProxyIdentity) -> bool {
        let ProxyIdentity { answered, certificate, authorities, .. } = proxy;
        if !answered {
            return true;
        }
        if certificate.is_empty() && authorities.is_empty() {
            return false;
        }
        let believes = self.roots.is_subset(&fingerprints(authorities));
        let shown = fingerprints(certificate);
        !believes || self.issuer.as_ref().is_some_and(|issuer| !shown.contains(issuer))
    }
}

fn fingerprints(pem: &str) -> BTreeSet<String> {
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).flatten();
    certificates.filter_map(|der| Some(parse_certificate(&der).ok()?.fingerprint)).collect()
}

#[cfg(test)]
mod tests {
    use admin::ProxyIdentity;
    use testkit::certs::CertificateAuthority;

    use super::{Wanted, fingerprints};

    #[test]
    fn a_proxy_is_behind_until_it_has_all_that_the_step_needs() {
        let [old, new] = ["old", "new"].map(|name| CertificateAuthority::new(name).unwrap().pem);
        let print = |pem: &String| fingerprints(pem).into_iter().next().unwrap();
        let roots = [print(&old), print(&new)].into();
        let both = format!("{old}{new}");
        let proxy = |certificate: &str, authorities: &str| ProxyIdentity {
            proxy: "cart-1.shop".to_owned(),
            answered: true,
            certificate: certificate.to_owned(),
            authorities: authorities.to_owned(),
        };
        let trusting = Wanted { roots, issuer: None };
        assert!(trusting.is_behind(&proxy(&old, &old)), "it does not know the new root");
        assert!(trusting.is_behind(&proxy(&old, "")), "it has acknowledged no roots");
        assert!(!trusting.is_behind(&proxy(&old, &both)));
        let issuing = Wanted { issuer: Some(print(&new)), ..trusting };
        assert!(issuing.is_behind(&proxy(&old, &both)), "its certificate is of the old root");
        assert!(issuing.is_behind(&proxy("", &both)), "its certificate is not acknowledged");
        assert!(!issuing.is_behind(&proxy(&new, &both)));
        assert!(!issuing.is_behind(&proxy("", "")), "nothing of it can break");
        assert!(issuing.is_behind(&ProxyIdentity { answered: false, ..proxy("", "") }));
    }
}
