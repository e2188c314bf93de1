use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use model::Identity;
use tokio::{sync::watch, time};

use super::{Issuer, OwnCertificate, OwnSecrets, OwnView};
use crate::ResourceKind;

/// Numbers its certificates.
struct FakeIssuer {
    issued: AtomicU64,
    fails: AtomicBool,
    life: Duration,
    changed: watch::Sender<u64>,
}

impl FakeIssuer {
    fn new(life: Duration) -> Arc<Self> {
        let (issued, fails, changed) =
            (AtomicU64::new(0), AtomicBool::new(false), watch::channel(0).0);
        Arc::new(Self { issued, fails, life, changed })
    }
}

impl Issuer for FakeIssuer {
    fn issue(&self, identity: &Identity) -> Result<OwnCertificate, String> {
        if self.fails.load(Ordering::SeqCst) {
            return Err("there is no key".to_owned());
        }
        let number = self.issued.fetch_add(1, Ordering::SeqCst);
        Ok(OwnCertificate {
            chain_pem: format!("{identity} {number}").into(),
            key_pem: "key".into(),
            renew_at: SystemTime::now() + self.life,
        })
    }

    fn roots(&self) -> Arc<str> {
        format!("roots {}", *self.changed.borrow()).into()
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const PATIENCE: Duration = Duration::from_secs(10);

fn identity(account: &str) -> Identity {
    format!("spiffe://cluster.local/ns/shop/sa/{account}").parse().unwrap()
}

/// Certificate and roots, as a stream sees them.
fn seen(view: &OwnView) -> (String, String) {
    let view = view.borrow();
    let body = |name: &str| {
        let compiled = view.get(ResourceKind::Secret, name).expect("it is there");
        String::from_utf8_lossy(&compiled.resource.decode_bytes()).into_owned()
    };
    (body("default"), body("ROOTCA"))
}

async fn changes(view: &mut OwnView) {
    time::timeout(PATIENCE, view.changed()).await.expect("in time").expect("the issuer is there");
}

#[tokio::test]
async fn streams_of_an_identity_share_its_certificate() {
    let issuer = FakeIssuer::new(DAY);
    let own = OwnSecrets::new(issuer.clone());
    let (cart, pay) = (identity("cart"), identity("pay"));
    let ((_one, first), (_two, second)) = tokio::join!(own.lease(&cart), own.lease(&cart));
    assert_eq!(seen(&first), seen(&second));
    let (_three, third) = own.lease(&pay).await;
    assert!(seen(&third).0.contains("sa/pay"), "{:?}", seen(&third));
    assert_eq!(issuer.issued.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_certificate_is_renewed_when_its_time_has_come() {
    let own = OwnSecrets::new(FakeIssuer::new(Duration::from_millis(10)));
    let (_lease, mut view) = own.lease(&identity("cart")).await;
    let (first, roots) = seen(&view);
    changes(&mut view).await;
    assert_ne!(seen(&view).0, first);
    assert_eq!(seen(&view).1, roots);
}

#[tokio::test]
async fn a_change_of_the_authority_makes_all_secrets_anew() {
    let issuer = FakeIssuer::new(DAY);
    let own = OwnSecrets::new(issuer.clone());
    let (_lease, mut view) = own.lease(&identity("cart")).await;
    issuer.changed.send(1).unwrap();
    changes(&mut view).await;
    let (certificate, roots) = seen(&view);
    assert!(certificate.contains("cart 1") && roots.contains("roots 1"), "{certificate} {roots}");
}

#[tokio::test]
async fn a_renewal_that_fails_leaves_what_there_was() {
    let issuer = FakeIssuer::new(Duration::from_millis(200));
    let own = OwnSecrets::new(issuer.clone());
    let (_lease, view) = own.lease(&identity("cart")).await;
    issuer.fails.store(true, Ordering::SeqCst);
    let before = seen(&view);
    time::sleep(Duration::from_millis(500)).await;
    assert_eq!(seen(&view), before);
}

#[tokio::test]
async fn who_cannot_have_a_certificate_sees_none() {
    let issuer = FakeIssuer::new(DAY);
    issuer.fails.store(true, Ordering::SeqCst);
    let (_lease, view) = OwnSecrets::new(issuer).lease(&identity("cart")).await;
    assert!(view.borrow().table(ResourceKind::Secret).is_empty());
}

#[tokio::test]
async fn nothing_is_renewed_for_nobody() {
    let issuer = FakeIssuer::new(DAY);
    let own = OwnSecrets::new(issuer.clone());
    drop(own.lease(&identity("cart")).await);
    time::timeout(PATIENCE, issuer.changed.closed()).await.expect("the renewing task ends");
    let (_lease, view) = own.lease(&identity("cart")).await;
    assert!(seen(&view).0.contains("cart 1"), "{:?}", seen(&view));
}
