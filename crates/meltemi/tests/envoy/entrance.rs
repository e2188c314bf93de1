//! A gateway before workloads that take mTLS only: TLS ends at it, and goes on with its identity.

use std::net::SocketAddr;

use testkit::{
    EnvoyProcess,
    certs::{CertificateAuthority, Leaf},
    http::{Client, Request, Response, TlsSettings},
    mesh::ProxySettings,
    ports,
};

use crate::{
    identity::{secret, tls_secret},
    mtls::{CALLER, HTTP, Pair, mode},
    shop::{eventually, require, send},
};

const HTTPS: u16 = 7443;
const PLAIN: u16 = 7083;
const HOST: &str = "shop.example";

/// `web` and its client as in `mtls`, and a gateway that proves to be `edge`.
struct Entrance {
    pair: Pair,
    gateway: EnvoyProcess,
    tls: SocketAddr,
    plain: SocketAddr,
    shown: Leaf,
}

impl Entrance {
    /// `tls` are the settings of the encrypted server. Its certificate is of `authority`, which is
    /// believed of callers too.
    async fn start(tls: &str, authority: &CertificateAuthority) -> Self {
        let ip = ports::loopback_address();
        let shown = authority.leaf(&[HOST]).unwrap();
        let yaml = format!(
            "{strict}---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: web, namespace: shop}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  rules: [{{from: [{{source: {{principals: [cluster.local/ns/shop/sa/edge]}}}}]}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge, namespace: shop}}
spec:
  selector: {{app: edge}}
  servers:
  - {{bind: {ip}, port: {{number: {HTTPS}, name: https, protocol: HTTPS}}, hosts: ['*'], tls: {{{tls}}}}}
  - {{bind: {ip}, port: {{number: {PLAIN}, name: http, protocol: HTTP}}, hosts: ['*']}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: at-edge, namespace: shop}}
spec:
  hosts: ['*']
  gateways: [edge]
  http: [{{route: [{{destination: {{host: web, port: {{number: {HTTP}}}}}}}]}}]
---
{certificate}---
{believed}",
            strict = mode("STRICT"),
            certificate = tls_secret("shop-cert", "shop", &shown),
            believed =
                secret("shop-cert-cacert", "shop", "Opaque", &[("ca.crt", &authority.pem)]),
        );
        let pair = Pair::start(&yaml).await;
        let proxy = ProxySettings::gateway("edge.shop").identity("edge");
        let gateway = pair.mesh.proxy(&proxy).await.unwrap();
        let (tls, plain) = (SocketAddr::new(ip, HTTPS), SocketAddr::new(ip, PLAIN));
        let entrance = Self { pair, gateway, tls, plain, shown };
        eventually(async || {
            let answer = Client::new().send(&Request::get(entrance.plain, HOST, "/")).await?;
            let log = entrance.gateway.log_tail();
            require(answer.status == 200, format!("{} {}\n{log}", answer.status, answer.text()))
        })
        .await;
        eventually(async || entrance.pair.mesh.expect_synced(3).await).await;
        entrance
    }

    async fn get(&self, identity: Option<&Leaf>) -> anyhow::Result<Response> {
        let tls = TlsSettings { identity: identity.cloned(), ..TlsSettings::new(HOST) };
        Client::new().send(&Request::get(self.tls, HOST, "/").tls(tls)).await
    }

    /// What `web` is told of its caller is the gateway, whoever came to that.
    async fn expect_passed(&self, identity: Option<&Leaf>) {
        let answer = self.get(identity).await.unwrap();
        assert_eq!(answer.peer_certificates[0], self.shown.certificate_der().unwrap());
        let echo = answer.echo().unwrap();
        assert_eq!(echo.backend, "web");
        let caller = &echo.headers[CALLER];
        assert!(caller.ends_with("URI=spiffe://cluster.local/ns/shop/sa/edge"), "{caller}");
    }

    /// No other way leads to `web`.
    async fn expect_closed_to_others(&self) {
        assert_eq!(send(&self.pair.request(HTTP)).await.status, 403, "another workload");
        assert!(self.pair.outside(HTTP, None).await.is_err(), "plain text");
        let stranger =
            TlsSettings { identity: Some(self.shown.clone()), ..TlsSettings::new("web") };
        assert!(self.pair.outside(HTTP, Some(stranger)).await.is_err(), "another authority");
    }
}

#[tokio::test]
async fn what_a_gateway_decrypts_goes_on_with_its_own_identity() {
    let authority = CertificateAuthority::new("authority").unwrap();
    let entrance = Entrance::start("mode: SIMPLE, credentialName: shop-cert", &authority).await;
    entrance.expect_passed(None).await;
    entrance.expect_closed_to_others().await;
    let seen = entrance.pair.http.requests();
    // Without the identity that the policy names, not even the gateway comes through.
    let policy = "---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: not-edge, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  action: DENY
  rules: [{from: [{source: {serviceAccounts: [edge]}}]}]
";
    entrance.pair.mesh.write("deny.yaml", policy).unwrap();
    eventually(async || {
        let status = entrance.get(None).await?.status;
        require(status == 403, format!("{status}"))
    })
    .await;
    assert!(entrance.pair.http.requests() >= seen);
}

#[tokio::test]
async fn a_gateway_that_asks_its_callers_goes_on_with_its_own_identity() {
    let authority = CertificateAuthority::new("authority").unwrap();
    let foreign = CertificateAuthority::new("foreign").unwrap();
    let entrance = Entrance::start("mode: MUTUAL, credentialName: shop-cert", &authority).await;
    let known = authority.leaf(&["client.example"]).unwrap();
    entrance.expect_passed(Some(&known)).await;
    assert!(entrance.get(None).await.is_err());
    let unknown = foreign.leaf(&["client.example"]).unwrap();
    assert!(entrance.get(Some(&unknown)).await.is_err());
    let expired = authority.expired_leaf(&["client.example"]).unwrap();
    assert!(entrance.get(Some(&expired)).await.is_err());
    entrance.expect_closed_to_others().await;
}
