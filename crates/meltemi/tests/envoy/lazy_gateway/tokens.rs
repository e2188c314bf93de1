//! Requests with tokens keep their route through the gateway, whoever looks at these.

use serde_json::json;
use testkit::jwt::TokenIssuer;

use super::{Detoured, DetouredSettings, from, taken};
use crate::shop::{eventually, require, send};

#[tokio::test]
async fn a_token_leads_nobody_past_the_gateway() {
    let issuer = TokenIssuer::new("https://issuer.example").unwrap();
    let tokens = |namespace: &str, selector: &str| {
        format!(
            "---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{name: tokens, namespace: {namespace}}}
spec: {{{selector} jwtRules: [{{issuer: {}, jwks: '{}'}}]}}
",
            issuer.name,
            issuer.jwks()
        )
    };
    let everybody = tokens("istio-system", "");
    let settings = DetouredSettings { yaml: &everybody, ..DetouredSettings::default() };
    let mesh = Detoured::start_with(settings).await;
    let token = issuer.token(&json!({"sub": "anna"})).unwrap();
    let with =
        |token: &str| mesh.request("web").header("authorization", &format!("Bearer {token}"));
    for (index, token) in [token.as_str(), "nonsense"].into_iter().enumerate() {
        let answer = send(&with(token)).await;
        let said = (answer.status.as_u16(), answer.backend().map(str::to_owned));
        assert_eq!(said, from("web-v1"), "there is no destination that asks for tokens: {token}");
        assert_eq!(taken(&mesh.gateway).await, 1 + index as u64);
    }
    // A policy that names the gateway holds at it.
    let own = tokens("mesh", "selector: {matchLabels: {app: lazy-gateway}},");
    mesh.shop.mesh.write("tokens.yaml", &own).unwrap();
    eventually(async || {
        let status = send(&with("nonsense")).await.status.as_u16();
        require(status == 401, format!("{status}: no token is looked at"))
    })
    .await;
    let before = taken(&mesh.gateway).await;
    let answer = send(&with(&token)).await;
    assert_eq!((answer.status.as_u16(), answer.backend()), (200, Some("web-v1")));
    assert_eq!(taken(&mesh.gateway).await, before + 1);
}
