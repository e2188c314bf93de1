//! Kubernetes Secrets as Envoy's: certificates and keys of gateways, and whom they believe.
//!
//! - What cannot be used is not compiled: an Envoy keeps a Secret that it has refused, and refuses
//!   every listener that asks for it from then on.
//! - No message holds a byte of a value.
//! - Not here: who may ask for a Secret (`push`), and the secrets of a proxy's own identity.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use api::k8s::secret::Secret as KubernetesSecret;
use envoy::{
    Resource,
    config::core::v3::{DataSource, data_source::Specifier},
    extensions::transport_sockets::tls::v3::{
        CertificateValidationContext, Secret, TlsCertificate, secret,
    },
    type_url,
};
use model::{Diagnostic, Kind, Namespace, ObjectKey, Shared};
use rustls::{
    InconsistentKeys,
    crypto::ring::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use snapshot::Reader;
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use crate::{
    Compiled, codes,
    sds::{AUTHORITIES_SUFFIX, KUBERNETES},
};

#[cfg(test)]
mod tests;

/// What names of Secrets begin with where the Gateway API names them.
const KUBERNETES_GATEWAY: &str = "kubernetes-gateway://";
/// The keys of a Secret in which each thing is looked for, in this order.
const CERTIFICATES: [(&str, &str); 2] = [("cert", "key"), ("tls.crt", "tls.key")];
const AUTHORITIES: [(&str, &str); 2] = [("cacert", "crl"), ("ca.crt", "ca.crl")];

/// One Secret under the name that a proxy asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecretInput {
    /// Such as `kubernetes://shop-cert-cacert`.
    pub name: Arc<str>,
    pub key: ObjectKey,
    pub content: Shared<Arc<KubernetesSecret>>,
}

/// What a Secret is to Envoy.
#[derive(Clone, Debug)]
pub struct CompiledSecret {
    pub compiled: Arc<Compiled>,
    /// What is to be said from this time on.
    pub expiry: (SystemTime, Diagnostic),
}

/// The Secret behind a name. Names lead to objects of the asking proxy's namespace alone.
pub fn select_secret(
    name: &Arc<str>,
    namespace: &Namespace,
    reader: &Reader<'_>,
) -> Result<SecretInput, Box<Diagnostic>> {
    let missing = |key: &ObjectKey, why: String| {
        let hint = "put the Secret into the namespace of the gateway";
        Box::new(codes::SECRET_MISSING.diagnostic(why).object(key.clone()).hint(hint))
    };
    let key = object_key(name, namespace);
    if key.namespace != *namespace {
        let why = format!("`{name}` is asked for by a proxy of the namespace `{namespace}`");
        return Err(missing(&key, why));
    }
    let find = |key: &ObjectKey| Some((key.clone(), reader.secret(key)?.clone()));
    let found = find(&key).or_else(|| {
        // The authorities may stand beside the certificate.
        let bare = key.name.as_str().strip_suffix(AUTHORITIES_SUFFIX)?;
        find(&ObjectKey::new(Kind::Secret, namespace.as_str(), bare))
    });
    match found {
        Some((key, content)) => Ok(SecretInput { name: name.clone(), key, content }),
        None => Err(missing(&key, format!("the Secret `{}` does not exist", key.name))),
    }
}

/// `kubernetes://name`, `kubernetes://namespace/name`.
fn object_key(name: &str, own: &Namespace) -> ObjectKey {
    let path = name.strip_prefix(KUBERNETES).or_else(|| name.strip_prefix(KUBERNETES_GATEWAY));
    let path = path.unwrap_or(name);
    match path.split_once('/') {
        Some((namespace, name)) => ObjectKey::new(Kind::Secret, namespace, name),
        None => ObjectKey::new(Kind::Secret, own.as_str(), path),
    }
}

/// Whether a name stands for a Secret of Kubernetes.
pub fn is_kubernetes(name: &str) -> bool {
    name.starts_with(KUBERNETES) || name.starts_with(KUBERNETES_GATEWAY)
}

/// Makes Envoy's secret, or says why that cannot be done.
pub fn compile_secret(input: &SecretInput) -> Result<CompiledSecret, Box<Diagnostic>> {
    let compiled = match input.name.ends_with(AUTHORITIES_SUFFIX) {
        true => authorities(&input.content),
        false => certificate(&input.content),
    };
    let (kind, not_after) = compiled.map_err(|why| {
        let hint = "the Secret that was last usable goes on being served";
        Box::new(codes::SECRET_UNUSABLE.diagnostic(why).object(input.key.clone()).hint(hint))
    })?;
    let secret = Secret { name: input.name.to_string(), r#type: Some(kind) };
    let resource = Resource::from_message(input.name.clone(), type_url::SECRET, &secret);
    let compiled = Compiled { origins: vec![input.key.clone()], ..Compiled::new(resource) };
    let expired = codes::SECRET_EXPIRED
        .diagnostic("the certificate has expired, and is served nevertheless")
        .object(input.key.clone())
        .hint("put a new certificate into the Secret: it is used at once");
    Ok(CompiledSecret { compiled: Arc::new(compiled), expiry: (not_after, expired) })
}

/// A secret, and when the first of its certificates expires.
type Made = (secret::Type, SystemTime);

fn certificate(content: &KubernetesSecret) -> Result<Made, String> {
    let pair = CERTIFICATES.iter().find_map(|(certificate, key)| {
        Some(((certificate, value(content, certificate)?), (key, value(content, key)?)))
    });
    let Some(((chain_name, chain), (key_name, key))) = pair else {
        return Err("it has neither `tls.crt` and `tls.key` nor `cert` and `key`".to_owned());
    };
    let certificates = parse_certificates(chain_name, chain)?;
    let parsed = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| format!("`{key_name}` is not a private key in PEM"))?;
    let signing = any_supported_type(&parsed)
        .map_err(|_| format!("`{key_name}` is neither RSA of at least 2048 bits nor ECDSA"))?;
    let not_after = expiry(&certificates[..1]);
    match CertifiedKey::new(certificates, signing).keys_match() {
        Ok(()) => (),
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            return Err(format!("`{key_name}` is not the key of `{chain_name}`"));
        }
        Err(_) => return Err(format!("`{chain_name}` cannot be read as a certificate")),
    }
    let certificate = TlsCertificate {
        certificate_chain: Some(inline(chain)),
        private_key: Some(inline(key)),
        ..TlsCertificate::default()
    };
    Ok((secret::Type::TlsCertificate(certificate), not_after))
}

fn authorities(content: &KubernetesSecret) -> Result<Made, String> {
    let found = AUTHORITIES
        .iter()
        .find_map(|(name, revoked)| Some((name, value(content, name)?, value(content, revoked))));
    let Some((name, pem, revoked)) = found else {
        return Err("it has neither `ca.crt` nor `cacert`".to_owned());
    };
    let certificates = parse_certificates(name, pem)?;
    let context = CertificateValidationContext {
        trusted_ca: Some(inline(pem)),
        crl: revoked.map(inline),
        ..CertificateValidationContext::default()
    };
    Ok((secret::Type::ValidationContext(context), expiry(&certificates)))
}

/// What is written in `stringData` wins, as in Kubernetes.
fn value<'s>(content: &'s KubernetesSecret, name: &str) -> Option<&'s [u8]> {
    let text = content.string_data.get(name).map(String::as_bytes);
    let value = text.or_else(|| content.data.get(name).map(|bytes| bytes.0.as_slice()));
    value.filter(|value| !value.is_empty())
}

/// At least one.
fn parse_certificates(name: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|_| format!("`{name}` is not PEM"))?;
    if all.is_empty() {
        return Err(format!("`{name}` holds no certificate in PEM"));
    }
    match all.iter().all(|one| X509Certificate::from_der(one).is_ok()) {
        true => Ok(all),
        false => Err(format!("`{name}` holds something that is no certificate")),
    }
}

fn expiry(certificates: &[CertificateDer<'_>]) -> SystemTime {
    let ends = certificates.iter().filter_map(|der| {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        u64::try_from(certificate.validity().not_after.timestamp()).ok()
    });
    SystemTime::UNIX_EPOCH + Duration::from_secs(ends.min().unwrap_or_default())
}

fn inline(value: &[u8]) -> DataSource {
    let specifier = Specifier::InlineBytes(value.to_vec());
    DataSource { specifier: Some(specifier), ..DataSource::default() }
}
