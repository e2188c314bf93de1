//! `identity token`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use identity::TokenSigner;
use serde_json::json;

use super::{bad, issue::parse_identity};
use crate::{
    input::parse_duration,
    output::{Exit, Failure, Screen},
};

/// Sign a token of a service account, for tests and demos: what Kubernetes does in a cluster. The
/// key is made when its file is not there; `--jwks` is written for those who check the token.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  meltemi identity token --key issuer.key --jwks issuer.jwks --issuer https://issuer.test --identity shop/cart
  meltemi identity token --key issuer.key --issuer https://issuer.test --identity shop/cart --lifetime 10m

Exit codes: 0 done, 1 not signed, 64 wrong usage, 65 a file is wrong")]
pub(crate) struct Token {
    /// Private key of the issuer (PEM): RSA of 2048 bits or more, or ECDSA P-256.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// File for the public half of the key, as a JSON Web Key Set.
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// The issuer (`iss`), as the server's `--token-issuer`.
    #[arg(long)]
    issuer: String,
    /// Who the token is for (`aud`); may be given several times.
    #[arg(long, default_value = "istio-ca")]
    audience: Vec<String>,
    /// Whose token it is: NAMESPACE/SERVICE-ACCOUNT.
    #[arg(long, value_name = "IDENTITY")]
    identity: String,
    /// How long it is valid.
    #[arg(long, default_value = "1h", value_parser = parse_duration)]
    lifetime: Duration,
}

impl Token {
    pub(crate) fn run(self, screen: &mut Screen<'_>) -> anyhow::Result<Exit> {
        let Self { key, jwks, issuer, audience, identity, lifetime } = self;
        let identity = parse_identity(&identity, "cluster.local", screen)?;
        let signer = open(&key)?;
        if let Some(path) = jwks {
            let text = format!("{:#}\n", signer.key_set());
            fs::write(&path, text)
                .with_context(|| format!("failed to write `{}`", path.display()))?;
        }
        let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).map(|it| it.as_secs());
        let now = SystemTime::now();
        let (namespace, account) = (&identity.namespace, &identity.service_account);
        let claims = json!({
            "iss": issuer,
            "aud": audience,
            "sub": format!("system:serviceaccount:{namespace}:{account}"),
            "iat": seconds(now)?,
            "exp": seconds(now + lifetime)?,
        });
        // Standard output is the token and nothing else, for `$(…)`.
        screen.line(signer.sign(&claims)?.expose())?;
        Ok(Exit::Done)
    }
}

fn open(path: &Path) -> anyhow::Result<TokenSigner> {
    match fs::read(path) {
        Ok(pem) => {
            let parsed = TokenSigner::parse(&pem).map_err(|error| {
                let message = format!("`{}` cannot be used: {error}", path.display());
                Failure::new(Exit::BadInput, message)
            });
            Ok(parsed?)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (signer, pem) = TokenSigner::generate()?;
            pem.write(path).map_err(|error| bad(Exit::BadInput, &error))?;
            Ok(signer)
        }
        Err(error) => {
            let message = format!("`{}` cannot be read: {error}", path.display());
            Err(Failure::new(Exit::BadInput, message).into())
        }
    }
}
