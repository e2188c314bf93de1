use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use tokio::{
    sync::watch,
    time::{self, Instant},
};
use xds::{Code, PeerInfo};

use super::{Belief, FIRST, SPREAD, moment};
use crate::{Authentication, Authenticator, caller::Proof};

/// Believes what it is told to.
struct FakeAuthenticator {
    outcome: Mutex<Result<Option<Proof>, String>>,
    changed: watch::Sender<u64>,
}

impl FakeAuthenticator {
    fn new() -> Arc<Self> {
        let outcome = Mutex::new(Ok(Some(proof("cart"))));
        Arc::new(Self { outcome, changed: watch::channel(0).0 })
    }

    fn change(&self, outcome: Result<Option<Proof>, String>) {
        *self.outcome.lock().unwrap() = outcome;
        self.changed.send_modify(|count| *count += 1);
    }
}

impl Authenticator for FakeAuthenticator {
    fn authenticate<'a>(&'a self, _: &'a PeerInfo) -> Authentication<'a> {
        let outcome = self.outcome.lock().unwrap().clone();
        Box::pin(async move { outcome })
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

fn proof(account: &str) -> Proof {
    let identity = format!("spiffe://cluster.local/ns/shop/sa/{account}").parse().unwrap();
    Proof { identity, expires: SystemTime::UNIX_EPOCH }
}

fn peer() -> PeerInfo {
    let address = "10.0.0.1:1".parse().unwrap();
    PeerInfo { address, tls: true, certificates: Arc::default(), authorization: None }
}

fn belief(authenticator: &Arc<FakeAuthenticator>, stream: u64) -> Belief {
    Belief::new(authenticator.clone(), stream).in_proof(proof("cart"))
}

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn a_stream_goes_on_while_its_proof_is_believed() {
    let authenticator = FakeAuthenticator::new();
    let (mut belief, peer) = (belief(&authenticator, 7), peer());
    for _ in 0..3 {
        authenticator.change(Ok(Some(proof("cart"))));
        assert!(time::timeout(LONG, belief.lost(&peer)).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_at_its_moment_and_says_why() {
    for (outcome, why) in [
        (Err("its root is unknown".to_owned()), "its root is unknown"),
        (Ok(None), "nothing proves it"),
        (Ok(Some(proof("pay"))), "it now proves `spiffe://cluster.local/ns/shop/sa/pay`"),
    ] {
        let authenticator = FakeAuthenticator::new();
        let (mut belief, peer) = (belief(&authenticator, 7), peer());
        let begun = Instant::now();
        authenticator.change(outcome);
        // Whoever waits does other things meanwhile, and waits again.
        assert!(time::timeout(FIRST / 2, belief.lost(&peer)).await.is_err());
        let status = belief.lost(&peer).await;
        assert!(begun.elapsed() >= moment(7) && begun.elapsed() < moment(8));
        assert_eq!(status.code, Code::Unauthenticated);
        assert!(status.message.contains(why), "{}", status.message);
    }
}

/// Also what changed between the look at a client and its first request counts.
#[tokio::test(start_paused = true)]
async fn what_changed_before_the_first_wait_is_noticed() {
    let authenticator = FakeAuthenticator::new();
    let early = Belief::new(authenticator.clone(), 1);
    authenticator.change(Ok(None));
    let mut belief = early.in_proof(proof("cart"));
    assert_eq!(belief.lost(&peer()).await.code, Code::Unauthenticated);
}

#[test]
fn streams_do_not_end_all_at_once() {
    let moments: Vec<Duration> = (0..64).map(moment).collect();
    assert!(moments.windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(moments[0], FIRST);
    assert!(moments[63] < FIRST + SPREAD);
    assert_eq!(moment(64), moments[0]);
}
