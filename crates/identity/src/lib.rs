//! The mesh's own authority: signing requests → certificates, and who a caller is.
//!
//! - [`Authority`] holds a root and an intermediate, made by itself or given as files, and signs
//!   for identities that were proven. Its roots can be replaced without a failed call.
//! - Keys are written with mode 0600 and are never shown: see [`PrivateKeyPem`].
//! - [`Authenticators`] tell who a caller is, by its certificate or token;
//!   [`CertificateService`] is how agents ask for certificates.
//! - Not here: what certificates are used for and how they get to proxies (`push`, `xds`).
#![warn(missing_docs)]

mod ambient;
mod authenticate;
mod authority;
mod bundle;
mod cacerts;
mod certificate;
mod directory;
mod files;
mod issuer;
mod jwks;
mod jwt;
mod key;
mod limit;
mod metrics;
mod request;
mod secret;
mod service;
mod state;
mod store;
mod token_signer;
mod wire;

pub use ambient::{Ambient, RandomnessError, SystemAmbient};
pub use authenticate::{
    AuthenticationError, Authenticators, Credential, JwksError, Proven, TokenSettings,
    TrustDomainAliases,
};
pub use authority::{
    Authority, AuthorityError, AuthoritySettings, AuthorityStatus, Chain, IssueError,
    WorkloadCertificate,
};
pub use bundle::BundleError;
pub use certificate::{CertificateFacts, NotACertificate, parse_certificate, render_time};
pub use directory::{AuthorityDirectory, DirectoryStatus, Intermediate, RootStatus};
pub use files::FileError;
pub use issuer::MintError;
pub use jwks::{KeySet, KeySetError, parse_key_set};
pub use jwt::{ClaimMapping, LONGEST_TOKEN, ServiceAccount, TokenError, TokenRules, verify_token};
pub use key::KeyError;
pub use limit::SigningLimits;
pub use metrics::Metrics;
pub use request::{LONGEST_REQUEST, RequestError, SigningRequest, parse_request};
pub use secret::{PrivateKeyPem, Token};
pub use service::CertificateService;
pub use state::{Haste, Phase, StateError, StepError};
pub use token_signer::TokenSigner;
pub use wire::{IstioCertificateRequest, IstioCertificateResponse};
