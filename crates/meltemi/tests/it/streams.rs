//! Who a stream has proven to be: what it may claim, what it is given, and what nobody is shown.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use envoy::{extensions::transport_sockets::tls::v3::Secret, type_url};
use identity::{Authority, AuthoritySettings, TokenSigner, parse_certificate};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::json;
use tempfile::TempDir;
use testkit::{
    certs::{CertificateAuthority, Leaf},
    mesh::{Mesh, MeshSettings},
};
use tokio::time;
use xds::{
    Code, Protocol,
    client::{AdsClient, ClientError, ClientSettings},
    tls::{self, Pem},
};

use crate::plane::{Plane, RULE, SHOP, live, node};

const PATIENCE: Duration = Duration::from_secs(20);
const ISSUER: &str = "https://issuer.example";

/// A mesh with an authority, which believes the tokens of one issuer.
pub(crate) struct Guarded {
    pub(crate) plane: Plane,
    signer: TokenSigner,
    _keys: TempDir,
}

/// What a stream shows and claims.
#[derive(Clone, Default)]
pub(crate) struct Claim<'c> {
    pub(crate) leaf: Option<&'c Leaf>,
    pub(crate) token: Option<String>,
    /// Encrypted, also without a certificate.
    pub(crate) tls: bool,
    /// Otherwise `sidecar~10.1.0.1~cart-1.shop~…`.
    pub(crate) id: Option<&'c str>,
    pub(crate) metadata: &'c [(&'c str, &'c str)],
    pub(crate) sotw: bool,
}

impl Guarded {
    pub(crate) async fn start(files: &[(&str, &str)]) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), files).await
    }

    /// Proxies connect to this address.
    pub(crate) async fn start_at(xds_ip: IpAddr, files: &[(&str, &str)]) -> Self {
        Self::start_in("cluster.local", xds_ip, files).await
    }

    async fn start_in(domain: &str, xds_ip: IpAddr, files: &[(&str, &str)]) -> Self {
        let keys = TempDir::new().unwrap();
        let (signer, _) = TokenSigner::generate().unwrap();
        let jwks = keys.path().join("jwks.json");
        fs::write(&jwks, signer.key_set().to_string()).unwrap();
        let environment =
            [("MELTEMI_JWKS", jwks.to_str().unwrap()), ("MELTEMI_TOKEN_ISSUER", ISSUER)];
        let settings = MeshSettings {
            environment: &environment,
            xds_ip,
            trust_domain: Some(domain),
            ..MeshSettings::new(env!("CARGO_BIN_EXE_meltemi"), files)
        };
        let plane = Plane { mesh: Mesh::start(&settings).await.unwrap() };
        Self { plane, signer, _keys: keys }
    }

    pub(crate) fn leaf(&self, namespace: &str, account: &str) -> Leaf {
        self.plane.mesh.identity_files(namespace, account).unwrap().leaf().unwrap()
    }

    /// A token that ends so many seconds from now.
    pub(crate) fn token(&self, account: &str, seconds: i64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let end = i64::try_from(now).unwrap() + seconds;
        let subject = format!("system:serviceaccount:shop:{account}");
        let claims = json!({ "iss": ISSUER, "aud": "istio-ca", "sub": subject, "exp": end });
        format!("Bearer {}", self.signer.sign(&claims).unwrap().expose())
    }

    fn settings(&self, claim: &Claim<'_>) -> ClientSettings {
        let id = claim.id.unwrap_or("sidecar~10.1.0.1~cart-1.shop~shop.svc.cluster.local");
        let protocol = if claim.sotw { Protocol::Sotw } else { Protocol::Delta };
        let address = self.plane.mesh.xds_address();
        let pem = |text: &str| Pem { place: "test".to_owned(), text: text.to_owned() };
        let tls = (claim.tls || claim.leaf.is_some()).then(|| {
            let roots = pem(&self.plane.mesh.authority().roots());
            let own = claim.leaf.map(|leaf| (pem(&leaf.certificate_pem), pem(&leaf.key_pem)));
            let own = own.as_ref().map(|(certificate, key)| (certificate, key));
            let config = tls::client_config(&roots, own).unwrap();
            (config, "localhost".try_into().unwrap())
        });
        ClientSettings {
            tls,
            authorization: claim.token.clone(),
            ..ClientSettings::new(address, protocol, node(id, claim.metadata))
        }
    }

    pub(crate) async fn open(&self, claim: &Claim<'_>) -> Result<AdsClient, ClientError> {
        AdsClient::connect_with(&self.settings(claim)).await
    }

    /// What a stream is sent of these secrets; the names of those that it is not, behind a `-`.
    pub(crate) async fn secrets(&self, claim: &Claim<'_>, names: &[&str]) -> Vec<String> {
        let mut client = self.open(claim).await.unwrap();
        let names = names.iter().map(|name| (*name).to_owned());
        client.subscribe(type_url::SECRET, names, BTreeMap::new()).await.unwrap();
        let response = time::timeout(PATIENCE, client.next_response()).await.unwrap();
        let response = response.unwrap().unwrap();
        let sent = response.resources.into_iter().map(|it| it.name);
        sent.chain(response.removed.into_iter().map(|name| format!("-{name}"))).collect()
    }

    /// How the server ends a stream that asks for listeners, if it does.
    pub(crate) async fn refusal(&self, claim: &Claim<'_>) -> Option<(Code, String)> {
        let end = async {
            let mut client = self.open(claim).await?;
            client.subscribe(type_url::LISTENER, [], BTreeMap::new()).await?;
            client.next_response().await
        };
        match time::timeout(PATIENCE, end).await.unwrap() {
            Ok(_) => None,
            Err(ClientError::Ended(status)) => Some((status.code, status.message.into_owned())),
            // The handshake has failed.
            Err(_) => Some((Code::Unavailable, String::new())),
        }
    }
}

pub(crate) const OWN: [&str; 2] = ["default", "ROOTCA"];
const NOTHING: [&str; 2] = ["-ROOTCA", "-default"];

#[tokio::test]
async fn each_stream_gets_the_secrets_of_what_it_has_proven() {
    let guarded = Guarded::start(&[("shop.yaml", SHOP)]).await;
    let leaf = guarded.leaf("shop", "cart");
    let by_certificate = Claim { leaf: Some(&leaf), ..Claim::default() };
    let by_token = Claim { token: Some(guarded.token("cart", 600)), ..Claim::default() };
    for claim in [&by_certificate, &by_token] {
        assert_eq!(guarded.secrets(claim, &OWN).await, ["ROOTCA", "default"]);
    }
    let sotw = Claim { sotw: true, ..by_certificate.clone() };
    assert_eq!(guarded.secrets(&sotw, &OWN).await, ["ROOTCA", "default"]);
    // Nobody, on this machine: served, but for secrets.
    assert_eq!(guarded.secrets(&Claim::default(), &OWN).await, NOTHING);
    assert_eq!(guarded.refusal(&Claim::default()).await, None);

    let mut client = guarded.open(&by_certificate).await.unwrap();
    client.subscribe(type_url::SECRET, ["default".to_owned()], BTreeMap::new()).await.unwrap();
    let response = client.next_response().await.unwrap().unwrap();
    let secret: Secret = response.resources[0].resource.as_ref().unwrap().unpack().unwrap();
    let debug = format!("{secret:?}");
    assert!(debug.contains("TlsCertificate"), "{debug}");
}

#[tokio::test]
async fn other_names_lead_to_nothing() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: cert, namespace: shop}\n\
                  stringData: {cacert: x, tls.crt: x, tls.key: x}\n";
    let guarded = Guarded::start(&[("secret.yaml", secret)]).await;
    let leaf = guarded.leaf("shop", "cart");
    let sidecar = Claim { leaf: Some(&leaf), ..Claim::default() };
    let router =
        Claim { id: Some("router~10.1.0.1~edge-1.shop~shop.svc.cluster.local"), ..sidecar.clone() };
    // No listener or cluster of theirs names it.
    let names = ["kubernetes://cert", "kubernetes://cert-cacert", "kubernetes://shop/cert"];
    let other = ["spiffe://cluster.local/ns/shop/sa/pay", "file-cert:/etc/passwd", "../default"];
    for claim in [&sidecar, &router] {
        for name in names.iter().chain(&other) {
            assert_eq!(guarded.secrets(claim, &[name]).await, [format!("-{name}")]);
        }
    }
}

#[tokio::test]
async fn a_stream_claims_no_workload_but_its_own() {
    let guarded = Guarded::start(&[("shop.yaml", SHOP)]).await;
    let (cart, pay) = (guarded.leaf("shop", "cart"), guarded.leaf("pay", "cart"));
    let cart = Claim { leaf: Some(&cart), ..Claim::default() };
    let account = |account| Claim { metadata: account, ..cart.clone() };
    assert_eq!(guarded.refusal(&cart).await, None);
    assert_eq!(guarded.refusal(&account(&[("SERVICE_ACCOUNT", "cart")])).await, None);
    let token = Claim { token: Some(guarded.token("cart", 600)), ..Claim::default() };
    for (claim, words) in [
        (Claim { leaf: Some(&pay), ..Claim::default() }, "claims the namespace `shop`"),
        (account(&[("SERVICE_ACCOUNT", "pay")]), "claims the service account `pay`"),
        (
            Claim { metadata: &[("SERVICE_ACCOUNT", "pay")], ..token },
            "claims the service account `pay`",
        ),
    ] {
        let (code, message) = guarded.refusal(&claim).await.expect("it is refused");
        assert_eq!(code, Code::PermissionDenied);
        assert!(message.contains("has proven `spiffe://") && message.ends_with(words), "{message}");
    }
}

#[tokio::test]
async fn a_proof_that_is_not_good_now_ends_the_stream() {
    let guarded = Guarded::start(&[("shop.yaml", SHOP)]).await;
    let foreign = CertificateAuthority::new("foreign").unwrap();
    let foreign = foreign.leaf(&["spiffe://cluster.local/ns/shop/sa/cart"]).unwrap();
    let refused = guarded.refusal(&Claim { leaf: Some(&foreign), ..Claim::default() }).await;
    assert_eq!(refused, Some((Code::Unavailable, String::new())));
    let (other, _) = TokenSigner::generate().unwrap();
    let claims = json!({ "iss": ISSUER, "aud": "istio-ca", "exp": 4e9,
                         "sub": "system:serviceaccount:shop:cart" });
    let foreign = format!("Bearer {}", other.sign(&claims).unwrap().expose());
    for token in [foreign, guarded.token("cart", -600), "Bearer x".to_owned()] {
        let claim = Claim { token: Some(token), ..Claim::default() };
        let (code, _) = guarded.refusal(&claim).await.expect("it is refused");
        assert_eq!(code, Code::Unauthenticated);
    }
}

#[tokio::test]
async fn a_stream_ends_with_what_proved_who_it_is() {
    let guarded = Guarded::start(&[("shop.yaml", SHOP)]).await;
    let claim = Claim { token: Some(guarded.token("cart", 2)), ..Claim::default() };
    let mut client = guarded.open(&claim).await.unwrap();
    client.subscribe(type_url::LISTENER, [], BTreeMap::new()).await.unwrap();
    client.next_response().await.unwrap().expect("listeners");
    let end = time::timeout(PATIENCE, client.next_response()).await.expect("it ends");
    match end {
        Err(ClientError::Ended(status)) => assert_eq!(status.code, Code::Unauthenticated),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_stream_ends_with_the_root_that_proved_it() {
    let guarded = Guarded::start(&[("shop.yaml", SHOP)]).await;
    let mesh = &guarded.plane.mesh;
    let directory = mesh.objects().parent().unwrap().join("identity");
    let rotate = async |step: &[&str]| {
        let directory = ["--directory", directory.to_str().unwrap()];
        let arguments = [&["identity", "rotate"], step, &directory].concat();
        guarded.plane.run(&arguments).await.expect(0);
        mesh.authority().refresh().unwrap();
    };
    let force = ["next", "--force", "--reason", "a test"];
    let open = async |claim: &Claim<'_>| -> Result<AdsClient, ClientError> {
        let mut client = guarded.open(claim).await?;
        client.subscribe(type_url::LISTENER, [], BTreeMap::new()).await?;
        client.next_response().await?.expect("listeners");
        Ok(client)
    };
    let old = guarded.leaf("shop", "cart");
    let mut by_old = open(&Claim { leaf: Some(&old), ..Claim::default() }).await.unwrap();
    let token = Claim { token: Some(guarded.token("cart", 600)), ..Claim::default() };
    let mut by_token = open(&token).await.unwrap();
    rotate(&["start"]).await;
    rotate(&force).await;
    let new = guarded.leaf("shop", "cart");
    let new = Claim { leaf: Some(&new), ..Claim::default() };
    // Until the control plane has looked at the directory, it does not know the new root.
    let opened = time::timeout(PATIENCE, async {
        loop {
            match open(&new).await {
                Ok(client) => break client,
                Err(_) => time::sleep(Duration::from_millis(50)).await,
            }
        }
    });
    let mut by_new = opened.await.unwrap();
    rotate(&force).await;
    match time::timeout(PATIENCE, by_old.next_response()).await.expect("it ends") {
        Err(ClientError::Ended(status)) => {
            assert_eq!(status.code, Code::Unauthenticated);
            assert!(status.message.contains("is believed no more"), "{}", status.message);
        }
        other => panic!("{other:?}"),
    }
    // The moments of streams that were opened soon after each other are near each other.
    for client in [&mut by_token, &mut by_new] {
        assert!(time::timeout(Duration::from_secs(1), client.next_response()).await.is_err());
    }
    let refused = guarded.refusal(&Claim { leaf: Some(&old), ..Claim::default() }).await;
    assert_eq!(refused, Some((Code::Unavailable, String::new())));
}

/// A certificate of the mesh's root for another trust domain.
fn leaf_of(guarded: &Guarded, domain: &str) -> Leaf {
    let directory = guarded.plane.mesh.objects().parent().unwrap().join("identity");
    let settings = AuthoritySettings::new(directory, domain, "Kubernetes");
    let identity = format!("spiffe://{domain}/ns/shop/sa/cart").parse().unwrap();
    let issued = Authority::open(settings).unwrap().issue(&identity).unwrap();
    Leaf {
        certificate_pem: issued.chain_pem.to_string(),
        key_pem: issued.key_pem.expose().to_owned(),
        ..guarded.leaf("shop", "cart")
    }
}

/// As in the policies, an alias is another name of the same mesh.
#[tokio::test]
async fn a_certificate_of_an_alias_proves_the_same_workload() {
    let config = |aliases: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\n\
             data:\n  mesh: |\n    trustDomain: new.example\n    trustDomainAliases: [{aliases}]\n"
        )
    };
    let files = [("shop.yaml", SHOP), ("mesh.yaml", &config("old.example"))];
    let guarded = Guarded::start_in("new.example", Ipv4Addr::LOCALHOST.into(), &files).await;
    let old = leaf_of(&guarded, "old.example");
    let old = Claim { leaf: Some(&old), ..Claim::default() };
    // What it gets is a certificate of the mesh's own domain.
    let mut client = guarded.open(&old).await.unwrap();
    client.subscribe(type_url::SECRET, ["default".to_owned()], BTreeMap::new()).await.unwrap();
    let response = client.next_response().await.unwrap().unwrap();
    let secret: Secret = response.resources[0].resource.as_ref().unwrap().unpack().unwrap();
    assert_eq!(shown_name(&secret), ["spiffe://new.example/ns/shop/sa/cart"]);
    let other = leaf_of(&guarded, "other.example");
    let refused = guarded.refusal(&Claim { leaf: Some(&other), ..Claim::default() }).await.unwrap();
    assert_eq!(refused.0, Code::Unauthenticated, "{}", refused.1);
    assert!(refused.1.contains("of the trust domain `other.example`"), "{}", refused.1);
    // Once it is no alias any more, what it has proven is nothing.
    guarded.plane.mesh.write("mesh.yaml", &config("")).unwrap();
    match time::timeout(PATIENCE, client.next_response()).await.expect("it ends") {
        Err(ClientError::Ended(status)) => assert_eq!(status.code, Code::Unauthenticated),
        other => panic!("{other:?}"),
    }
    assert!(guarded.refusal(&old).await.is_some());
}

/// The URIs in the certificate that a secret holds.
fn shown_name(secret: &Secret) -> Vec<String> {
    use envoy::{
        config::core::v3::data_source::Specifier,
        extensions::transport_sockets::tls::v3::secret::Type,
    };
    let Some(Type::TlsCertificate(certificate)) = &secret.r#type else { return Vec::new() };
    match certificate.certificate_chain.as_ref().unwrap().specifier.as_ref().unwrap() {
        Specifier::InlineBytes(pem) => {
            parse_certificate(&CertificateDer::from_pem_slice(pem).unwrap()).unwrap().uris
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn keys_are_shown_nowhere() {
    let authority = CertificateAuthority::new("authority").unwrap();
    let leaf = authority.leaf(&["web.example"]).unwrap();
    let block = |text: &str| text.trim().replace('\n', "\n    ");
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: cert, namespace: shop}}\n\
         type: kubernetes.io/tls\nstringData:\n  tls.crt: |\n    {}\n  tls.key: |\n    {}\n---\n\
         apiVersion: networking.istio.io/v1\nkind: Gateway\n\
         metadata: {{name: edge, namespace: shop}}\nspec:\n  servers:\n  \
         - {{port: {{number: 443, name: https, protocol: HTTPS}}, hosts: ['*'], \
         tls: {{mode: SIMPLE, credentialName: cert}}}}\n",
        block(&leaf.certificate_pem),
        block(&leaf.key_pem)
    );
    let files = [("shop.yaml", SHOP), ("rule.yaml", RULE), ("secret.yaml", &*secret)];
    let guarded = Guarded::start(&files).await;
    let own = guarded.leaf("shop", "edge");
    let claim = Claim {
        leaf: Some(&own),
        id: Some("router~10.1.0.1~edge-1.shop~shop.svc.cluster.local"),
        ..Claim::default()
    };
    let settings = guarded.settings(&claim);
    let mut client = AdsClient::connect_with(&settings).await.unwrap();
    let names = ["default", "ROOTCA", "kubernetes://cert"].map(str::to_owned);
    client.subscribe(type_url::SECRET, names, BTreeMap::new()).await.unwrap();
    let response = client.next_response().await.unwrap().unwrap();
    client.ack(&response).await.unwrap();
    // What the proxy has got are the keys that nobody else may see.
    let keys: Vec<String> = response
        .resources
        .iter()
        .filter_map(|it| key_of(&it.resource.as_ref()?.unpack().ok()?))
        .collect();
    assert_eq!(keys.len(), 2, "{response:?}");
    let plane = &guarded.plane;
    let table = plane.run(&["proxy", "config", "edge-1.shop", "secrets"]).await.expect(0);
    for words in ["kubernetes://cert", "Cert Chain", "ROOTCA", "true", "ACK"] {
        assert!(table.out.contains(words), "no {words} in\n{}", table.out);
    }
    let mut shown = format!("{}{}", table.out, plane.mesh.control_plane().log());
    for arguments in [
        &["proxy", "config", "edge-1.shop", "all", "-o", "json"][..],
        &["proxy", "config", "edge-1.shop", "secrets", "-o", "yaml"],
        &["proxy", "status", "-o", "wide"],
        &["proxy", "status", "-o", "json"],
        &["check", plane.mesh.objects().to_str().unwrap(), "-o", "json"],
    ] {
        let said = plane.run(arguments).await;
        shown += &(said.out + &said.err);
    }
    let other = authority.leaf(&["other.example"]).unwrap();
    let changed = secret.replace(&block(&leaf.key_pem), &block(&other.key_pem));
    let changed = changed.replace(&block(&leaf.certificate_pem), &block(&other.certificate_pem));
    let diff = plane.run_with(&["diff", "-f", "-", "-o", "json"], &changed).await;
    shown += &(diff.out + &diff.err);
    for path in [
        "/debug/config_dump?proxy=edge-1.shop",
        "/debug/configz?kind=Secret&namespace=shop&name=cert",
        "/debug/connections",
        "/debug/findings",
        "/debug/proxies",
        "/debug/sources",
    ] {
        shown += &plane.mesh.control_plane().get(path).await.unwrap().to_string();
    }
    shown += &plane.mesh.control_plane().metrics().await.unwrap();
    assert!(shown.contains("kubernetes://cert"), "the secret is shown at all");
    assert!(!shown.contains("PRIVATE KEY"), "a key is shown");
    for key in keys.iter().chain([&leaf.key_pem, &other.key_pem, &own.key_pem]) {
        for form in forms(key) {
            assert!(!shown.contains(&form), "a key is shown");
        }
    }
}

fn key_of(secret: &Secret) -> Option<String> {
    use envoy::{
        config::core::v3::data_source::Specifier,
        extensions::transport_sockets::tls::v3::secret::Type,
    };
    let Some(Type::TlsCertificate(certificate)) = &secret.r#type else { return None };
    match certificate.private_key.as_ref()?.specifier.as_ref()? {
        Specifier::InlineBytes(bytes) => String::from_utf8(bytes.clone()).ok(),
        other => panic!("{other:?}"),
    }
}

/// Parts of a key as it may appear: its lines, and all of it in base64.
fn forms(pem: &str) -> Vec<String> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let lines = pem.lines().filter(|line| !line.starts_with('-') && !line.is_empty());
    let encoded = STANDARD.encode(pem);
    // The end of a key differs from that of others, its beginning need not.
    lines.skip(1).map(str::to_owned).chain([encoded[encoded.len() / 2..].to_owned()]).collect()
}

#[tokio::test]
async fn a_live_stream_is_shown_with_its_identity() {
    let guarded = Guarded::start(&[("shop.yaml", SHOP)]).await;
    let leaf = guarded.leaf("shop", "cart");
    let claim = Claim { leaf: Some(&leaf), ..Claim::default() };
    let settings = guarded.settings(&claim);
    let mut proxy = xds::client::SyncedProxy::connect(settings).await.unwrap();
    proxy.sync_until_quiet(Duration::from_millis(100)).await.unwrap();
    let _live = live(proxy);
    let status = guarded.plane.run(&["proxy", "status", "-o", "wide"]).await.expect(0);
    assert!(status.out.contains("spiffe://cluster.local/ns/shop/sa/cart"), "{}", status.out);
}
