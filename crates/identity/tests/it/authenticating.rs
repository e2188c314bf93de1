//! Who is let in, and who is not.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use identity::{
    AuthenticationError, Authenticators, ClaimMapping, Credential, JwksError, Proven, Token,
    TokenError, TokenRules, TokenSettings, TokenSigner, WorkloadCertificate,
};
use model::Identity;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    ambient::{DAY, Fixture},
    handshake::certificates,
    issuing::cart,
};

/// When the clock of the tests begins.
const NOW: u64 = 1_800_000_000;

pub(crate) struct Gate {
    pub(crate) fixture: Fixture,
    pub(crate) signer: TokenSigner,
    pub(crate) jwks: PathBuf,
    /// Of the trust domain.
    aliases: watch::Sender<Arc<[Arc<str>]>>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        let fixture = Fixture::new();
        let (signer, _) = TokenSigner::generate().unwrap();
        let jwks = fixture.folder.path().join("jwks.json");
        fs::write(&jwks, signer.key_set().to_string()).unwrap();
        Self { fixture, signer, jwks, aliases: watch::Sender::new(Arc::from([])) }
    }

    fn settings(&self) -> TokenSettings {
        TokenSettings {
            rules: TokenRules {
                issuer: "https://issuer.test".to_owned(),
                audiences: vec!["istio-ca".to_owned()],
                claims: ClaimMapping::Subject,
            },
            jwks: self.jwks.clone(),
        }
    }

    pub(crate) fn open(&self) -> Authenticators {
        self.open_with(self.settings())
    }

    fn open_with(&self, settings: TokenSettings) -> Authenticators {
        let ambient = self.fixture.ambient.clone();
        let aliases = self.aliases.subscribe();
        let authority = self.fixture.open();
        Authenticators::open_with(authority, vec![settings], aliases, ambient).unwrap()
    }

    pub(crate) fn token(&self, change: impl FnOnce(&mut Value)) -> Credential {
        let mut claims = json!({
            "iss": "https://issuer.test", "aud": "istio-ca", "exp": NOW + 600,
            "sub": "system:serviceaccount:shop:cart",
        });
        change(&mut claims);
        Credential::Bearer(self.signer.sign(&claims).unwrap())
    }
}

pub(crate) fn shown(certificate: &WorkloadCertificate) -> Credential {
    Credential::ClientCertificate(certificates(&certificate.chain_pem).into())
}

fn name(result: Result<Proven, AuthenticationError>) -> Result<Identity, AuthenticationError> {
    result.map(|proven| proven.identity)
}

#[tokio::test]
async fn a_proof_ends_with_its_credential() {
    let gate = Gate::new();
    let authenticators = gate.open();
    let own = gate.fixture.open().issue(&cart()).unwrap();
    let by_certificate = authenticators.authenticate(&shown(&own)).await.unwrap();
    assert_eq!(by_certificate.expires, own.not_after);
    let by_token = authenticators.authenticate(&gate.token(|_| ())).await.unwrap();
    assert_eq!(by_token.expires, UNIX_EPOCH + Duration::from_secs(NOW + 600));
    let endless = authenticators.authenticate(&gate.token(|it| it["exp"] = json!(1e300))).await;
    assert!(endless.unwrap().expires > by_token.expires);
}

#[tokio::test]
async fn a_certificate_of_ours_is_believed_until_it_expires() {
    let gate = Gate::new();
    let authority = gate.fixture.open();
    let authenticators = gate.open();
    let own = authority.issue(&cart()).unwrap();
    assert_eq!(name(authenticators.authenticate(&shown(&own)).await), Ok(cart()));
    let foreign = Fixture::new().open().issue(&cart()).unwrap();
    let refused = authenticators.authenticate(&shown(&foreign)).await;
    assert!(matches!(refused, Err(AuthenticationError::Certificate(_))), "{refused:?}");
    let server = authority.server_certificate(&["a.test".to_owned()]).unwrap();
    let refused = authenticators.authenticate(&shown(&server)).await;
    assert_eq!(refused, Err(AuthenticationError::NotAWorkload));
    let nothing = Credential::ClientCertificate([].into());
    let refused = authenticators.authenticate(&nothing).await;
    assert_eq!(refused, Err(AuthenticationError::NoCredential));
    gate.fixture.ambient.pass(DAY + Duration::from_secs(1));
    let refused = authenticators.authenticate(&shown(&own)).await;
    assert!(matches!(refused, Err(AuthenticationError::Certificate(_))), "{refused:?}");
}

#[tokio::test]
async fn a_certificate_of_another_trust_domain_is_refused_though_the_root_is_ours() {
    let gate = Gate::new();
    let authority = gate.fixture.open();
    let mut settings = gate.fixture.settings();
    settings.trust_domain = "other.example".into();
    let other = gate.fixture.open_with(settings);
    assert_eq!(authority.roots(), other.roots());
    let foreign = "spiffe://other.example/ns/shop/sa/cart".parse().unwrap();
    let shown = shown(&other.issue(&foreign).unwrap());
    let authenticators = gate.open();
    let foreign = || Err(AuthenticationError::ForeignTrustDomain("other.example".into()));
    assert_eq!(authenticators.authenticate(&shown).await, foreign());
    // As long as it is another name of the mesh, it is the same workload.
    gate.aliases.send_replace(["old.example", "other.example"].map(Arc::from).into());
    assert_eq!(name(authenticators.authenticate(&shown).await), Ok(cart()));
    gate.aliases.send_replace(["old.example"].map(Arc::from).into());
    assert_eq!(authenticators.authenticate(&shown).await, foreign());
}

#[tokio::test]
async fn a_token_of_the_issuer_is_believed() {
    let gate = Gate::new();
    let authenticators = gate.open();
    for change in [
        |_: &mut Value| (),
        |claims: &mut Value| claims["aud"] = json!(["other", "istio-ca"]),
        |claims: &mut Value| claims["nbf"] = json!(NOW + 30),
        |claims: &mut Value| claims["exp"] = json!(NOW as f64 - 30.5),
    ] {
        let token = gate.token(change);
        assert_eq!(name(authenticators.authenticate(&token).await), Ok(cart()));
    }
}

#[tokio::test]
async fn a_token_that_is_wrong_in_one_thing_is_refused() {
    let gate = Gate::new();
    let authenticators = gate.open();
    type Change = fn(&mut Value);
    let cases: &[(Change, TokenError)] = &[
        (|it| it["iss"] = json!("https://other.test"), TokenError::Issuer),
        (|it| it["iss"] = Value::Null, TokenError::Issuer),
        (|it| it["aud"] = json!("other"), TokenError::Audience),
        (|it| it["aud"] = json!([]), TokenError::Audience),
        (|it| it["aud"] = Value::Null, TokenError::Audience),
        (|it| it["exp"] = json!(NOW - 61), TokenError::Expired),
        (|it| it["exp"] = Value::Null, TokenError::NoExpiry),
        (|it| it["exp"] = json!("4102444800"), TokenError::NoExpiry),
        (|it| it["nbf"] = json!(NOW + 90), TokenError::NotYet),
        (|it| it["nbf"] = json!("soon"), TokenError::NotYet),
        (|it| it["sub"] = json!("cart"), TokenError::NoServiceAccount),
        (|it| it["sub"] = json!("system:serviceaccount:shop"), TokenError::NoServiceAccount),
    ];
    for (change, expected) in cases {
        let refused = authenticators.authenticate(&gate.token(change)).await;
        assert_eq!(refused, Err(AuthenticationError::Token(*expected)));
    }
    for subject in ["a:b/sa/c", "a:", ":b", "a/b:c", "a:b:c", "..:b%2f", "a:b c"] {
        let token = gate.token(|it| it["sub"] = format!("system:serviceaccount:{subject}").into());
        let refused = authenticators.authenticate(&token).await;
        assert_eq!(refused, Err(AuthenticationError::BadServiceAccount), "{subject}");
    }
}

/// The bytes of a token as somebody else would send them.
fn forged(header: &Value, claims: &Value, signature: &str) -> Credential {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
    let encode = |value: &Value| BASE64.encode(value.to_string());
    let signature = BASE64.encode(signature);
    Credential::Bearer(Token::new(format!("{}.{}.{signature}", encode(header), encode(claims))))
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let gate = Gate::new();
    let authenticators = gate.open();
    let claims = json!({
        "iss": "https://issuer.test", "aud": "istio-ca", "exp": NOW + 600,
        "sub": "system:serviceaccount:shop:cart",
    });
    let by_header = [
        (json!({ "alg": "none" }), TokenError::Algorithm),
        (json!({ "alg": "HS256" }), TokenError::Algorithm),
        (json!({ "alg": "es256" }), TokenError::Algorithm),
        (json!({ "alg": "ES256" }), TokenError::Signature),
        (json!({ "alg": "RS256" }), TokenError::Signature),
        (json!({ "alg": "ES256", "kid": "other" }), TokenError::Signature),
        (json!({ "alg": "ES256", "crit": ["b64"] }), TokenError::Critical),
        (json!({}), TokenError::NotAToken),
        (json!([]), TokenError::NotAToken),
    ];
    for (header, expected) in by_header {
        for signature in ["", "a signature"] {
            let refused = authenticators.authenticate(&forged(&header, &claims, signature)).await;
            assert_eq!(refused, Err(AuthenticationError::Token(expected)), "{header}");
        }
    }
    let other = TokenSigner::generate().unwrap().0.sign(&claims).unwrap();
    let refused = authenticators.authenticate(&Credential::Bearer(other)).await;
    assert_eq!(refused, Err(AuthenticationError::Token(TokenError::Signature)));
    let Credential::Bearer(good) = gate.token(|_| ()) else { panic!("it is a token") };
    let good = good.expose();
    let long = "a".repeat(17 << 10);
    for (text, expected) in [
        (format!("{good}x"), TokenError::NotAToken),
        (format!("{good}="), TokenError::NotAToken),
        (format!("{good}.a"), TokenError::NotAToken),
        (good.replacen('.', "..", 1), TokenError::NotAToken),
        (good.rsplit_once('.').unwrap().0.to_owned(), TokenError::NotAToken),
        (String::new(), TokenError::NotAToken),
        (long, TokenError::TooLong),
    ] {
        let refused = authenticators.authenticate(&Credential::Bearer(Token::new(text))).await;
        assert_eq!(refused, Err(AuthenticationError::Token(expected)));
    }
}

#[tokio::test]
async fn rs256_as_openssl_signs_it() {
    let gate = Gate::new();
    fs::write(&gate.jwks, include_str!("../../testdata/rsa.jwks")).unwrap();
    let token = include_str!("../../testdata/rsa.jwt").trim();
    let authenticators = gate.open();
    let bearer = |text: &str| Credential::Bearer(Token::new(text.to_owned()));
    assert_eq!(name(authenticators.authenticate(&bearer(token)).await), Ok(cart()));
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = message.split_once('.').unwrap();
    let refused = authenticators.authenticate(&bearer(&format!("{header}.e30.{signature}"))).await;
    assert_eq!(refused, Err(AuthenticationError::Token(TokenError::Issuer)));
    // A letter in the middle: the last one has bits that mean nothing.
    let mut letters: Vec<char> = token.chars().collect();
    let middle = letters.len() - 100;
    letters[middle] = if letters[middle] == 'A' { 'B' } else { 'A' };
    let refused = authenticators.authenticate(&bearer(&letters.iter().collect::<String>())).await;
    assert_eq!(refused, Err(AuthenticationError::Token(TokenError::Signature)));
}

#[tokio::test]
async fn an_rsa_key_of_openssl_signs_tokens() {
    let gate = Gate::new();
    let Ok(made) = Command::new("openssl").args(["genrsa", "2048"]).output() else {
        println!("SKIPPED: there is no openssl to make an RSA key");
        return;
    };
    let signer = TokenSigner::parse(&made.stdout).unwrap();
    fs::write(&gate.jwks, signer.key_set().to_string()).unwrap();
    let gate = Gate { signer, ..gate };
    assert_eq!(name(gate.open().authenticate(&gate.token(|_| ())).await), Ok(cart()));
}

#[tokio::test]
async fn other_claims_can_name_the_service_account() {
    let gate = Gate::new();
    let path = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let mut settings = gate.settings();
    settings.rules.claims = ClaimMapping::Claims {
        namespace: path(&["kubernetes.io", "namespace"]),
        service_account: path(&["kubernetes.io", "serviceaccount", "name"]),
    };
    let authenticators = gate.open_with(settings);
    let token = gate.token(|claims| {
        claims["sub"] = json!("anything");
        claims["kubernetes.io"] =
            json!({ "namespace": "shop", "serviceaccount": { "name": "cart" } });
    });
    assert_eq!(name(authenticators.authenticate(&token).await), Ok(cart()));
    let refused = authenticators.authenticate(&gate.token(|_| ())).await;
    assert_eq!(refused, Err(AuthenticationError::Token(TokenError::NoServiceAccount)));
}

#[tokio::test]
async fn keys_are_read_again_and_the_last_good_ones_are_kept() {
    let gate = Gate::new();
    let authenticators = gate.open();
    let old = gate.token(|_| ());
    fs::write(&gate.jwks, "{").unwrap();
    authenticators.refresh();
    assert_eq!(name(authenticators.authenticate(&old).await), Ok(cart()));
    let (signer, _) = TokenSigner::generate().unwrap();
    fs::write(&gate.jwks, signer.key_set().to_string()).unwrap();
    authenticators.refresh();
    let refused = authenticators.authenticate(&old).await;
    assert_eq!(refused, Err(AuthenticationError::Token(TokenError::Signature)));
    let gate = Gate { signer, ..gate };
    assert_eq!(name(authenticators.authenticate(&gate.token(|_| ())).await), Ok(cart()));
}

#[tokio::test]
async fn one_good_credential_is_enough() {
    let gate = Gate::new();
    let authenticators = gate.open();
    let foreign = shown(&Fixture::new().open().issue(&cart()).unwrap());
    let both = [foreign.clone(), gate.token(|_| ())];
    assert_eq!(name(authenticators.authenticate_any(&both).await), Ok(cart()));
    let none = authenticators.authenticate_any(&[]).await;
    assert_eq!(none, Err(AuthenticationError::NoCredential));
    let refused = authenticators.authenticate_any(&[foreign]).await;
    assert!(matches!(refused, Err(AuthenticationError::Certificate(_))), "{refused:?}");
}

#[test]
fn settings_that_would_let_anybody_in_are_refused() {
    let gate = Gate::new();
    let open = |settings| Authenticators::open(gate.fixture.open(), vec![settings]);
    let mut settings = gate.settings();
    settings.rules.audiences.clear();
    assert!(matches!(open(settings), Err(JwksError::NoAudience { .. })));
    for keys in ["", "[]", "{\"keys\":[]}", "{\"keys\":[{\"kty\":\"oct\",\"k\":\"YQ\"}]}"] {
        fs::write(&gate.jwks, keys).unwrap();
        assert!(matches!(open(gate.settings()), Err(JwksError::KeySet { .. })), "{keys}");
    }
    fs::remove_file(&gate.jwks).unwrap();
    assert!(matches!(open(gate.settings()), Err(JwksError::File(_))));
}
