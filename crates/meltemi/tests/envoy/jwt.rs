//! Tokens: checked, copied into headers, asked for by policies and by routes.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use testkit::{
    EnvoyProcess,
    http::{Behaviour, Request},
    jwt::TokenIssuer,
    mesh::ProxySettings,
    ports,
};

use crate::shop::{Shop, backend, eventually, require, send};

const HTTP: u16 = 7081;

/// A gateway before `web`, with RequestAuthentication and routes of the test's choice.
struct Gate {
    shop: Shop,
    envoy: EnvoyProcess,
    at: std::net::SocketAddr,
}

impl Gate {
    async fn start(yaml: &str, routes: &str) -> Self {
        let at = ports::loopback_socket(HTTP);
        let address = at.ip();
        let yaml = format!(
            "---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gate, namespace: shop}}
spec:
  selector: {{app: gate}}
  servers:
  - {{bind: {address}, port: {{number: {HTTP}, name: http, protocol: HTTP}}, hosts: ['*']}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: gate, namespace: shop}}
spec:
  hosts: ['*']
  gateways: [gate]
  http:
{routes}  - route: [{{destination: {{host: web}}}}]
---
{yaml}"
        );
        let shop = Shop::start(&["v1"], &yaml).await;
        let envoy = shop.mesh.proxy(&ProxySettings::gateway("gate.shop")).await.unwrap();
        shop.wait_listening(at).await;
        Self { shop, envoy, at }
    }

    fn get(&self, path: &str) -> Request {
        Request::get(self.at, "web", path)
    }

    fn with(&self, token: &str) -> Request {
        self.get("/").header("authorization", &format!("Bearer {token}"))
    }
}

/// A RequestAuthentication with these items of `jwtRules`.
fn tokens(rules: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\n\
         metadata: {{name: tokens, namespace: shop}}\n\
         spec:\n  selector: {{matchLabels: {{app: gate}}}}\n  jwtRules:\n{rules}"
    )
}

fn rule(issuer: &TokenIssuer, fields: &str) -> String {
    format!("  - {{issuer: {}, jwks: '{}'{fields}}}\n", issuer.name, issuer.jwks())
}

fn policy(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
         metadata: {{name: {name}, namespace: shop}}\n\
         spec: {{selector: {{matchLabels: {{app: gate}}}}, {spec}}}\n"
    )
}

fn in_seconds(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap() + seconds
}

async fn status(request: &Request) -> u16 {
    send(request).await.status.as_u16()
}

#[tokio::test]
async fn a_token_that_is_there_must_be_valid() {
    let issuer = TokenIssuer::new("https://issuer.example").unwrap();
    let forger = TokenIssuer::new("https://issuer.example").unwrap();
    let gate = Gate::start(&tokens(&rule(&issuer, ", audiences: [shop]")), "").await;
    let good = json!({"sub": "anna", "aud": "shop", "exp": in_seconds(600)});
    let with = |claims: &Value| gate.with(&issuer.token(claims).unwrap());
    assert_eq!(status(&with(&good)).await, 200);
    assert_eq!(status(&gate.get("/")).await, 200, "a request without a token goes on");
    assert_eq!(status(&gate.with(&forger.token(&good).unwrap())).await, 401, "a wrong signature");
    assert_eq!(status(&gate.with("nonsense")).await, 401);
    let bad = [
        json!({"sub": "anna", "aud": "shop", "exp": in_seconds(-600)}),
        json!({"sub": "anna", "aud": "shop", "nbf": in_seconds(600)}),
        json!({"sub": "anna", "aud": "other"}),
        json!({"sub": "anna", "aud": "shop", "iss": "https://other.example"}),
    ];
    for claims in &bad {
        let said = status(&with(claims)).await;
        assert!(matches!(said, 401 | 403), "{claims}: {said}");
    }
}

#[tokio::test]
async fn claims_become_headers_and_the_token_goes_where_it_is_told_to() {
    let issuer = TokenIssuer::new("https://issuer.example").unwrap();
    let fields = ", fromHeaders: [{name: x-token, prefix: 'Token '}], fromParams: [token], \
                  fromCookies: [session], outputPayloadToHeader: x-payload, \
                  outputClaimToHeaders: [{header: x-user, claim: sub}, {header: x-team, claim: org.team}], \
                  forwardOriginalToken: true";
    let gate = Gate::start(&tokens(&rule(&issuer, fields)), "").await;
    let token = issuer.token(&json!({"sub": "anna", "org": {"team": "blue"}})).unwrap();
    let requests = [
        gate.get("/").header("x-token", &format!("Token {token}")),
        gate.get(&format!("/?token={token}")),
        gate.get("/").header("cookie", &format!("session={token}")),
    ];
    for request in &requests {
        let echo = send(request).await.echo().unwrap();
        assert_eq!(echo.headers["x-user"], "anna", "{request:?}");
        assert_eq!(echo.headers["x-team"], "blue");
        assert!(echo.headers.contains_key("x-payload"));
    }
    let echo = send(&requests[0]).await.echo().unwrap();
    assert_eq!(echo.headers["x-token"], format!("Token {token}"), "it is forwarded");
}

#[tokio::test]
async fn policies_ask_for_claims() {
    let issuer = TokenIssuer::new("https://issuer.example").unwrap();
    let gate = Gate::start(&tokens(&rule(&issuer, "")), "").await;
    let anna = json!({"sub": "anna", "aud": ["shop", "web"], "azp": "app", "scope": "read write",
        "groups": ["admin", "dev"], "org": {"team": "blue"}});
    let anna = gate.with(&issuer.token(&anna).unwrap());
    let berta = gate.with(
        &issuer
            .token(&json!({"sub": "berta", "aud": "other", "azp": "tool", "groups": "guest"}))
            .unwrap(),
    );
    let cases = [
        ("token", "from: [{source: {requestPrincipals: ['https://issuer.example/anna']}}]"),
        ("subject", "from: [{source: {requestPrincipals: ['*/anna']}}]"),
        ("not-token", "from: [{source: {notRequestPrincipals: ['*/berta']}}]"),
        ("principal", "when: [{key: request.auth.principal, values: ['*/anna']}]"),
        ("audience", "when: [{key: request.auth.audiences, values: [web]}]"),
        ("presenter", "when: [{key: request.auth.presenter, values: [app]}]"),
        ("claim", "when: [{key: 'request.auth.claims[groups]', values: [admin]}]"),
        ("nested", "when: [{key: 'request.auth.claims[org][team]', values: ['bl*']}]"),
        ("scope", "when: [{key: 'request.auth.claims[scope]', values: [write]}]"),
        ("not-principal", "when: [{key: request.auth.principal, notValues: ['*/berta']}]"),
        ("not-audience", "when: [{key: request.auth.audiences, notValues: [other]}]"),
        ("not-presenter", "when: [{key: request.auth.presenter, notValues: [tool]}]"),
        ("not-claim", "when: [{key: 'request.auth.claims[groups]', notValues: [guest]}]"),
    ];
    for (name, rule) in &cases {
        gate.shop
            .mesh
            .write("policy.yaml", &policy(name, &format!("rules: [{{{rule}}}]")))
            .unwrap();
        eventually(async || {
            let dump = gate.envoy.config_dump().await?.to_string();
            require(dump.contains(&format!("policy[{name}]")), "not there yet")
        })
        .await;
        eventually(async || gate.shop.mesh.expect_synced(2).await).await;
        assert_eq!(status(&anna).await, 200, "{name}");
        assert_eq!(status(&berta).await, 403, "{name}");
    }
    gate.shop
        .mesh
        .write(
            "policy.yaml",
            &policy("all", "rules: [{from: [{source: {requestPrincipals: ['*']}}]}]"),
        )
        .unwrap();
    eventually(async || require(status(&berta).await == 200, "not yet")).await;
    assert_eq!(status(&gate.get("/")).await, 403, "a token is demanded");
}

#[tokio::test]
async fn routes_depend_on_claims() {
    let issuer = TokenIssuer::new("https://issuer.example").unwrap();
    let routes = "
  - match: [{headers: {'@request.auth.claims.org.team': {exact: blue}}}]
    directResponse: {status: 299}
  - match: [{headers: {'@request.auth.claims[groups]': {exact: admin}}}]
    directResponse: {status: 298}
";
    let gate = Gate::start(&tokens(&rule(&issuer, "")), routes.trim_start_matches('\n')).await;
    let with = |claims: Value| gate.with(&issuer.token(&claims).unwrap());
    assert_eq!(status(&with(json!({"org": {"team": "blue"}}))).await, 299);
    assert_eq!(status(&with(json!({"groups": ["dev", "admin"]}))).await, 298);
    assert_eq!(status(&with(json!({"groups": ["dev"]}))).await, 200);
    assert_eq!(status(&gate.get("/")).await, 200);
}

#[tokio::test]
async fn issuers_beside_each_other_are_independent() {
    let first = TokenIssuer::new("https://first.example").unwrap();
    let second = TokenIssuer::new("https://second.example").unwrap();
    let rules = rule(&first, "") + &rule(&second, "");
    let gate = Gate::start(&tokens(&rules), "").await;
    for issuer in [&first, &second] {
        let token = issuer.token(&json!({"sub": "anna"})).unwrap();
        assert_eq!(status(&gate.with(&token)).await, 200, "{}", issuer.name);
    }
    let forged = TokenIssuer::new("https://first.example").unwrap();
    let token = forged.token(&json!({"sub": "anna"})).unwrap();
    assert_eq!(status(&gate.with(&token)).await, 401);
}

#[tokio::test]
async fn keys_are_fetched_and_an_issuer_without_keys_has_no_valid_tokens() {
    let fetched = TokenIssuer::new("https://fetched.example").unwrap();
    let lost = TokenIssuer::new("https://lost.example").unwrap();
    let inline = TokenIssuer::new("https://inline.example").unwrap();
    let keys = backend("keys").await;
    keys.set_behaviour(Behaviour { body: Some(fetched.jwks().into()), ..Behaviour::answer() });
    let nobody = ports::loopback_socket(7099);
    let rules = format!(
        "{}  - {{issuer: {}, jwksUri: 'http://{}/keys'}}\n  - {{issuer: {}, jwksUri: 'http://{nobody}/keys'}}\n",
        rule(&inline, ""),
        fetched.name,
        keys.address(),
        lost.name
    );
    let gate = Gate::start("", "").await;
    gate.shop.mesh.write("tokens.yaml", &tokens(&rules)).unwrap();
    let token = |issuer: &TokenIssuer| issuer.token(&json!({"sub": "anna"})).unwrap();
    eventually(async || {
        let dump = gate.envoy.config_dump().await?.to_string();
        require(dump.contains("fetched.example"), "the policy is not there")?;
        let said = status(&gate.with(&token(&fetched))).await;
        require(said == 200, format!("{said}"))
    })
    .await;
    assert_eq!(status(&gate.with(&token(&inline))).await, 200);
    assert_eq!(status(&gate.with(&token(&lost))).await, 401);
    assert_eq!(status(&gate.get("/")).await, 200);
}
