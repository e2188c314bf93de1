//! `egress[].hosts` of a Sidecar: what it lets in, and what it keeps out again.

use model::{Hostname, Namespace, Service};
use snapshot::VirtualServiceRecord;

/// The hosts of an egress listener. What is excluded is so whatever else lets it in.
#[derive(Debug, Default)]
pub(super) struct Imports {
    included: Vec<Import>,
    excluded: Vec<Import>,
}

/// One entry, `namespace/host`, without the `~` that excludes it.
#[derive(Debug)]
struct Import {
    /// `None` is any namespace.
    namespace: Option<Namespace>,
    host: Hostname,
}

impl Imports {
    /// Reads the entries of a Sidecar in the namespace `own`.
    pub(super) fn parse(hosts: &[String], own: &Namespace) -> Self {
        let mut imports = Self::default();
        for text in hosts {
            let (list, text) = match text.strip_prefix('~') {
                Some(rest) => (&mut imports.excluded, rest),
                None => (&mut imports.included, text.as_str()),
            };
            list.extend(Import::parse(text, own));
        }
        imports
    }

    pub(super) fn has_service(&self, service: &Service) -> bool {
        let fits = |import: &Import| {
            import.reaches(service.namespace()) && import.host.covers(service.hostname())
        };
        self.included.iter().any(fits) && !self.excluded.iter().any(fits)
    }

    /// One host that is let in and not kept out is enough.
    pub(super) fn has_rule(&self, rule: &VirtualServiceRecord) -> bool {
        let here = |list: &[Import], fits: &dyn Fn(&Hostname) -> bool| {
            list.iter().any(|import| import.reaches(rule.namespace()) && fits(&import.host))
        };
        rule.hosts.iter().any(|host| {
            here(&self.included, &|import| import.overlaps(host))
                && !here(&self.excluded, &|import| import.covers(host))
        })
    }
}

impl Import {
    /// No namespace, as in `~/host`, is any.
    fn parse(text: &str, own: &Namespace) -> Option<Self> {
        let (namespace, host) = text.split_once('/')?;
        let namespace = match namespace {
            "*" | "" => None,
            "." => Some(own.clone()),
            name => Some(name.into()),
        };
        Some(Self { namespace, host: Hostname::new(host) })
    }

    fn reaches(&self, namespace: &Namespace) -> bool {
        self.namespace.as_ref().is_none_or(|it| it == namespace)
    }
}
