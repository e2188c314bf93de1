//! The settings of who proxies are and what they get for it.

use std::{fmt, path::PathBuf};

use clap::ValueEnum;
use push::Unproven;
use serde::Deserialize;

use super::Resolver;
use crate::environment::Environment;

/// Which proxies have to prove who they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum XdsAuthentication {
    /// All.
    Required,
    /// All but those on this machine, or in this pod.
    #[default]
    Loopback,
    /// None; who proves nothing gets no secrets.
    Optional,
}

impl XdsAuthentication {
    pub(crate) fn unproven(self) -> Unproven {
        match self {
            Self::Required => Unproven::Nobody,
            Self::Loopback => Unproven::Loopback,
            Self::Optional => Unproven::Anyone,
        }
    }
}

impl fmt::Display for XdsAuthentication {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Required => "required",
            Self::Loopback => "loopback",
            Self::Optional => "optional",
        })
    }
}

/// As arguments, variables and in the file alike: the file has the names in camel case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, clap::Args)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct IdentityArguments {
    /// Folder in which the built-in authority keeps roots and keys; with it (or `--cacerts`),
    /// proxies get identities.
    #[arg(long, env = "MELTEMI_IDENTITY_DIRECTORY")]
    pub(crate) identity_directory: Option<PathBuf>,
    /// Folder with an existing root and intermediate, in the layout of Istio's Secret `cacerts`.
    #[arg(long, env = "MELTEMI_CACERTS")]
    pub(crate) cacerts: Option<PathBuf>,
    /// Name of this cluster, whose intermediate signs; `Kubernetes` unless set.
    #[arg(long, env = "MELTEMI_CLUSTER_ID")]
    pub(crate) cluster_id: Option<String>,
    /// How long certificates of workloads live; 24h unless set.
    #[arg(long, env = "MELTEMI_CERTIFICATE_LIFETIME")]
    pub(crate) certificate_lifetime: Option<api::Duration>,
    /// Further name of the control plane in its own certificate; may be given several times.
    #[arg(long = "xds-server-name", env = "MELTEMI_XDS_SERVER_NAMES", value_delimiter = ',')]
    pub(crate) xds_server_names: Option<Vec<String>>,
    /// Which proxies must prove who they are: `loopback` spares those on this machine.
    #[arg(long, value_enum, env = "MELTEMI_XDS_AUTHENTICATION")]
    pub(crate) xds_authentication: Option<XdsAuthentication>,
    /// File with the keys (JWKS) of the issuer of proxies' bearer tokens.
    #[arg(long, env = "MELTEMI_JWKS")]
    pub(crate) jwks: Option<PathBuf>,
    /// Issuer (`iss`) of these tokens.
    #[arg(long, env = "MELTEMI_TOKEN_ISSUER")]
    pub(crate) token_issuer: Option<String>,
    /// Whom the tokens must be for (`aud`), one of several; `istio-ca` unless set.
    #[arg(long = "token-audience", env = "MELTEMI_TOKEN_AUDIENCES", value_delimiter = ',')]
    pub(crate) token_audiences: Option<Vec<String>>,
}

/// Whose tokens are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenSource {
    pub(crate) jwks: PathBuf,
    pub(crate) issuer: String,
    pub(crate) audiences: Vec<String>,
}

/// What the server does about identities.
#[derive(Clone, Debug)]
pub(crate) struct IdentitySettings {
    /// `None`: nobody has one.
    pub(crate) authority: Option<AuthorityPlace>,
    pub(crate) authentication: XdsAuthentication,
    pub(crate) server_names: Vec<String>,
    pub(crate) tokens: Option<TokenSource>,
}

/// Where the authority is, and what it signs.
#[derive(Clone, Debug)]
pub(crate) struct AuthorityPlace {
    /// Not used with `cacerts`.
    pub(crate) directory: PathBuf,
    pub(crate) cacerts: Option<PathBuf>,
    pub(crate) cluster: String,
    pub(crate) lifetime: api::Duration,
}

/// A day.
const LIFETIME: api::Duration = api::Duration::from_secs(24 * 60 * 60);
/// What Istio's agents ask their tokens for.
const AUDIENCE: &str = "istio-ca";
/// istiod's switch.
const XDS_AUTH: &str = "XDS_AUTH";

impl IdentitySettings {
    /// An error is the key of a message.
    pub(crate) fn resolve(
        given: IdentityArguments,
        file: IdentityArguments,
        resolver: &mut Resolver<'_>,
        environment: &Environment,
    ) -> Result<Self, &'static str> {
        let IdentityArguments { identity_directory, cacerts, cluster_id, .. } = given;
        let directory = resolver.pick_optional(
            "identity_directory",
            identity_directory,
            file.identity_directory,
            None,
        );
        let cacerts = resolver.pick_optional("cacerts", cacerts, file.cacerts, None);
        let cluster =
            resolver.pick("cluster_id", cluster_id, file.cluster_id, "Kubernetes".to_owned());
        let IdentityArguments { certificate_lifetime, xds_server_names, .. } = given;
        let lifetime = resolver.pick(
            "certificate_lifetime",
            certificate_lifetime,
            file.certificate_lifetime,
            LIFETIME,
        );
        let server_names =
            resolver.pick("xds_server_names", xds_server_names, file.xds_server_names, Vec::new());
        let is_off = environment.get(XDS_AUTH).is_some_and(|value| value == "false");
        let authentication = resolver.pick(
            "xds_authentication",
            given.xds_authentication,
            file.xds_authentication,
            if is_off { XdsAuthentication::Optional } else { XdsAuthentication::default() },
        );
        let jwks = resolver.pick_optional("jwks", given.jwks, file.jwks, None);
        let issuer =
            resolver.pick_optional("token_issuer", given.token_issuer, file.token_issuer, None);
        let audiences = resolver.pick(
            "token_audiences",
            given.token_audiences,
            file.token_audiences,
            vec![AUDIENCE.to_owned()],
        );
        let authority = match (directory, cacerts) {
            (None, None) => None,
            (directory, cacerts) => {
                let directory = directory.or_else(|| cacerts.clone()).unwrap_or_default();
                Some(AuthorityPlace { directory, cacerts, cluster, lifetime })
            }
        };
        let tokens = match (jwks, issuer) {
            (Some(jwks), Some(issuer)) => Some(TokenSource { jwks, issuer, audiences }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err("serve-half-tokens"),
        };
        if tokens.is_some() && authority.is_none() {
            return Err("serve-tokens-alone");
        }
        Ok(Self { authority, authentication, server_names, tokens })
    }
}
