use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use api::istio::mesh_config::MeshConfig;
use model::{Locality, Proxy};
use serde_json::json;
use snapshot::{Features, Index, Mesh, Reader};
use tokio::sync::watch;
use xds::{Code, PeerInfo};

use super::{Access, Authentication, Authenticator, Caller, Proof, Unproven};

/// Believes every certificate, and the token `good`.
struct FakeAuthenticator;

fn proof(identity: &str) -> Proof {
    let expires = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    Proof { identity: identity.parse().unwrap(), expires }
}

impl Authenticator for FakeAuthenticator {
    fn authenticate<'a>(&'a self, peer: &'a PeerInfo) -> Authentication<'a> {
        let token = peer.authorization.as_ref().map(|it| it.as_bytes());
        let outcome = match token {
            None if peer.certificates.is_empty() => Ok(None),
            None | Some(b"Bearer good") => {
                Ok(Some(proof("spiffe://cluster.local/ns/shop/sa/cart")))
            }
            Some(_) => Err("the token is not accepted".to_owned()),
        };
        Box::pin(async move { outcome })
    }

    fn changed(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }
}

fn peer(address: &str, tls: bool) -> PeerInfo {
    let address: SocketAddr = address.parse().unwrap();
    PeerInfo { address, tls, certificates: Arc::default(), authorization: None }
}

fn with_token(peer: PeerInfo, token: &'static str) -> PeerInfo {
    let token = http::HeaderValue::from_static(token);
    PeerInfo { authorization: Some(token), ..peer }
}

/// Who is let in: what is proven, or the reason why not.
async fn admit(unproven: Unproven, peer: PeerInfo) -> String {
    let access =
        Access { authenticator: Some(Arc::new(FakeAuthenticator)), issuer: None, unproven };
    match access.admit(&peer).await {
        Ok(Caller { proof: None, .. }) => "nobody".to_owned(),
        Ok(caller @ Caller { proof: Some(_), .. }) => match caller.holder() {
            Some(identity) => format!("{identity} with secrets"),
            None => "somebody without secrets".to_owned(),
        },
        Err(status) => {
            assert_eq!(status.code, Code::Unauthenticated);
            status.message.into_owned()
        }
    }
}

const HERE: [&str; 3] = ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"];
const ELSEWHERE: [&str; 3] = ["10.0.0.1:1", "[fe80::1]:1", "[::ffff:10.0.0.1]:1"];

#[tokio::test]
async fn who_proves_nothing_is_served_where_the_settings_say_so() {
    for (unproven, here, elsewhere) in [
        (Unproven::Loopback, true, false),
        (Unproven::Anyone, true, true),
        (Unproven::Nobody, false, false),
    ] {
        for (addresses, served) in [(HERE, here), (ELSEWHERE, elsewhere)] {
            for address in addresses {
                for tls in [false, true] {
                    let outcome = admit(unproven, peer(address, tls)).await;
                    let expected = if served { "nobody" } else { "nothing proves" };
                    assert!(outcome.starts_with(expected), "{unproven:?} {address}: {outcome}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_token_is_taken_where_nobody_can_read_it() {
    let cart = "spiffe://cluster.local/ns/shop/sa/cart with secrets";
    for (address, tls, outcome) in [
        ("127.0.0.1:1", false, cart),
        ("10.0.0.1:1", true, cart),
        ("10.0.0.1:1", false, "a token came over plain text"),
    ] {
        for unproven in [Unproven::Loopback, Unproven::Anyone, Unproven::Nobody] {
            let found = admit(unproven, with_token(peer(address, tls), "Bearer good")).await;
            assert!(found.starts_with(outcome), "{found}");
        }
    }
}

#[tokio::test]
async fn a_proof_that_is_not_believed_is_worse_than_none() {
    for unproven in [Unproven::Loopback, Unproven::Anyone] {
        let bad = with_token(peer("127.0.0.1:1", false), "Bearer bad");
        assert_eq!(admit(unproven, bad).await, "the token is not accepted");
    }
}

fn mesh(aliases: &[&str]) -> Mesh {
    let aliases = aliases.iter().map(|it| (*it).to_owned()).collect();
    let config = MeshConfig { trust_domain_aliases: aliases, ..MeshConfig::default() };
    let index = Index::new(Arc::new(config), Features::default(), "cluster.local");
    (**Reader::new(&index.snapshot()).mesh()).clone()
}

/// Why a stream with this proof may not claim to be this proxy; empty if it may.
fn refusal(identity: &str, namespace: &str, account: &str, aliases: &[&str]) -> String {
    let metadata = json!({ "NAMESPACE": namespace, "SERVICE_ACCOUNT": account });
    let metadata = metadata.as_object().cloned().unwrap();
    let id = "sidecar~10.0.0.1~cart-1.claimed~claimed.svc.cluster.local";
    let proxy = Proxy::parse(id, metadata, Locality::default()).unwrap();
    let caller = Caller { proof: Some(proof(identity)), is_private: true };
    match caller.may_be(&proxy, &mesh(aliases)) {
        Ok(()) => String::new(),
        Err(status) => {
            assert_eq!(status.code, Code::PermissionDenied);
            status.message.into_owned()
        }
    }
}

#[test]
fn a_stream_claims_a_workload_of_its_own() {
    const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";
    assert_eq!(refusal(CART, "shop", "cart", &[]), "");
    assert_eq!(refusal(CART, "shop", "", &[]), "");
    assert_eq!(
        refusal(CART, "pay", "cart", &[]),
        format!("the stream has proven `{CART}`, and claims the namespace `pay`")
    );
    assert_eq!(
        refusal(CART, "shop", "admin", &[]),
        format!("the stream has proven `{CART}`, and claims the service account `admin`")
    );
    // Without the metadata, the node id says the namespace.
    assert!(refusal(CART, "", "", &[]).ends_with("claims the namespace `claimed`"));
}

#[test]
fn the_trust_domain_is_ours_or_an_alias() {
    const OTHER: &str = "spiffe://other.example/ns/shop/sa/cart";
    let refused = refusal(OTHER, "shop", "cart", &["another.example"]);
    assert!(refused.ends_with("claims a place in the trust domain `cluster.local`"), "{refused}");
    assert_eq!(refusal(OTHER, "shop", "cart", &["other.example"]), "");
}
