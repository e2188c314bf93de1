//! Texts that are never shown: private keys and bearer tokens.
//!
//! - `Debug` says that something is there and nothing else; there is no `Display`.
//! - The memory is overwritten when the last clone goes.

use std::{fmt, path::Path, sync::Arc};

use zeroize::Zeroizing;

use crate::{
    FileError,
    files::{self, Readers},
};

/// A private key as PEM (PKCS#8).
#[derive(Clone)]
pub struct PrivateKeyPem(Arc<Zeroizing<String>>);

impl PrivateKeyPem {
    /// Takes the text over.
    pub fn new(pem: String) -> Self {
        Self(Arc::new(Zeroizing::new(pem)))
    }

    /// The text. Whoever calls this says where it goes: to a proxy that has proven who it is, or
    /// into a file that only its owner can read.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Writes it into a file with mode 0600, in one step.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        files::write(path, self.expose().as_bytes(), Readers::Owner)
    }
}

impl fmt::Debug for PrivateKeyPem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("PrivateKeyPem(hidden)")
    }
}

/// A bearer token as its caller sent it, without `Bearer `.
#[derive(Clone)]
pub struct Token(Arc<Zeroizing<String>>);

impl Token {
    /// Takes the text over.
    pub fn new(token: String) -> Self {
        Self(Arc::new(Zeroizing::new(token)))
    }

    /// The text, to check it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Token(hidden)")
    }
}
