//! Who a workload is: its SPIFFE identity.

use std::{fmt, str::FromStr, sync::Arc};

use crate::Namespace;

/// `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`, as Istio names workloads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    pub trust_domain: Arc<str>,
    pub namespace: Namespace,
    pub service_account: Arc<str>,
}

/// Why a text is not the identity of a workload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`")]
pub struct IdentityParseError(String);

impl fmt::Display for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trust_domain, namespace, service_account } = self;
        write!(out, "spiffe://{trust_domain}/ns/{namespace}/sa/{service_account}")
    }
}

impl FromStr for Identity {
    type Err = IdentityParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || IdentityParseError(text.to_owned());
        let path = text.strip_prefix("spiffe://").ok_or_else(error)?;
        let parts: Vec<&str> = path.split('/').collect();
        match parts.as_slice() {
            [domain, "ns", namespace, "sa", account]
                if [domain, namespace, account].into_iter().all(|part| is_segment(part)) =>
            {
                Ok(Self {
                    trust_domain: (*domain).into(),
                    namespace: (*namespace).into(),
                    service_account: (*account).into(),
                })
            }
            _ => Err(error()),
        }
    }
}

/// The characters of SPIFFE: none of them can end a segment or stand for another one.
fn is_segment(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !text.is_empty() && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::Identity;

    #[test]
    fn an_identity_is_read_as_it_is_written() {
        let text = "spiffe://cluster.local/ns/shop/sa/cart";
        assert_eq!(text.parse::<Identity>().unwrap().to_string(), text);
    }

    #[test]
    fn other_forms_are_no_identities_of_workloads() {
        let others = [
            "",
            "cluster.local/ns/shop/sa/cart",
            "spiffe://cluster.local/ns/shop/sa/",
            "spiffe://cluster.local/ns/shop/sa/cart/x",
            "spiffe:///ns/shop/sa/cart",
            "spiffe://cluster.local/ns/sh%6Fp/sa/cart",
            "spiffe://cluster.local/sa/cart/ns/shop",
        ];
        for text in others {
            assert!(text.parse::<Identity>().is_err(), "{text}");
        }
    }
}
