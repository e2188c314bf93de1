//! Deriving what a batch has marked: policies and Secrets; filing fetched keys.

use api::{
    Spec,
    istio::{
        authorization_policy::AuthorizationPolicy, peer_authentication::PeerAuthentication,
        request_authentication::RequestAuthentication, telemetry::Telemetry,
    },
};
use model::{Kind, Namespace, ObjectKey, Shared};

use super::{Index, Marks, records::labels, services::created};
use crate::{KeySource, Policy, PolicyRecord, ReadKey};

impl Index {
    pub(super) fn derive_policies(&mut self, marks: &mut Marks) {
        for (kind, namespace) in std::mem::take(&mut marks.policies) {
            match kind {
                Kind::PeerAuthentication => {
                    let before = self.view.disables_mtls(&namespace);
                    self.derive_table::<PeerAuthentication>(&namespace);
                    if self.view.disables_mtls(&namespace) != before {
                        marks.changes.keys.insert(ReadKey::PlainText(namespace.clone()));
                    }
                }
                Kind::RequestAuthentication => {
                    self.derive_table::<RequestAuthentication>(&namespace);
                }
                Kind::AuthorizationPolicy => self.derive_table::<AuthorizationPolicy>(&namespace),
                _ => self.derive_table::<Telemetry>(&namespace),
            }
            marks.changes.keys.insert(ReadKey::Policies(kind, namespace));
        }
    }

    fn derive_table<S: Policy>(&mut self, namespace: &Namespace) {
        let first = ObjectKey::new(S::KIND, namespace.as_str(), "");
        let mut records: Vec<Shared<PolicyRecord<S>>> = self
            .view
            .objects
            .range(first..)
            .take_while(|(key, _)| key.kind == S::KIND && key.namespace == *namespace)
            .filter_map(|(key, object)| {
                let spec = S::of(&object.spec)?.clone();
                let selector = spec.selector().map(|it| labels(&it.match_labels));
                let record = PolicyRecord {
                    key: key.clone(),
                    created: created(&object.meta),
                    selector: selector.filter(|it| !it.is_empty()),
                    meta: object.meta.clone(),
                    spec,
                };
                Some(Shared::with_hash(record, object.hash))
            })
            .collect();
        records.sort_by_key(|record| (record.created, record.key.name.clone()));
        let table = S::table_mut(&mut self.view.policies);
        match records.is_empty() {
            true => {
                table.remove_mut(namespace);
            }
            false => table.insert_mut(namespace.clone(), records.into()),
        }
    }

    /// Keys that are fetched again and did not change touch nothing.
    pub(super) fn set_keys(&mut self, source: KeySource, keys: Option<String>, marks: &mut Marks) {
        let keys = keys.map(Shared::new);
        if self.view.key_sets.get(&source) == keys.as_ref() {
            return;
        }
        match keys {
            Some(keys) => self.view.key_sets.insert_mut(source.clone(), keys),
            None => {
                self.view.key_sets.remove_mut(&source);
            }
        }
        marks.changes.keys.insert(ReadKey::KeySet(source));
    }

    pub(super) fn derive_secrets(&mut self, marks: &mut Marks) {
        for key in std::mem::take(&mut marks.secrets) {
            match self.view.objects.get(&key) {
                Some(object) => {
                    let Spec::Secret(secret) = &object.spec else { continue };
                    let secret = Shared::with_hash(secret.clone(), object.hash);
                    self.view.secrets.insert_mut(key.clone(), secret);
                }
                None => {
                    self.view.secrets.remove_mut(&key);
                }
            }
            marks.changes.keys.insert(ReadKey::Secret(key));
        }
    }
}
