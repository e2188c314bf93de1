//! An existing root and intermediate in the layout of Istio's `cacerts` Secret → a bundle's files.
//!
//! - `ca-cert.pem`, `ca-key.pem`, `cert-chain.pem` (may be missing), `root-cert.pem`; or, as
//!   cert-manager writes them, `tls.crt`, `tls.key`, `ca.crt`. The first form wins.
//! - Kubernetes mounts Secrets with mode 0644 into a container of one user: here, unlike in a
//!   directory of ours, a key that others may read is used, and the log says so.
//! - `ca-crl.pem` is not used: what it revokes stays valid until it expires. The log says so.

use std::path::Path;

use crate::{
    AuthorityError,
    bundle::BundleInput,
    files::{self, FileError},
};

/// Reads the files.
pub(crate) fn read_cacerts(directory: &Path) -> Result<BundleInput, AuthorityError> {
    let file = |name: &str| files::read(&directory.join(name));
    let is_there = |name: &str| directory.join(name).exists();
    if !is_there("ca-cert.pem") && is_there("tls.crt") {
        return Ok(BundleInput {
            roots: vec![file("ca.crt")?],
            chain: vec![file("tls.crt")?],
            key: file("tls.key")?,
        });
    }
    let mut chain = vec![file("ca-cert.pem")?];
    chain.extend(files::read_if_there(&directory.join("cert-chain.pem"))?);
    Ok(BundleInput { roots: vec![file("root-cert.pem")?], chain, key: file("ca-key.pem")? })
}

/// What a person should know of the files besides errors.
pub(crate) fn remarks(directory: &Path) -> Result<Vec<String>, FileError> {
    let mut remarks = Vec::new();
    if directory.join("ca-crl.pem").exists() {
        let path = directory.join("ca-crl.pem");
        remarks.push(format!(
            "`{}` is not used: what it revokes stays valid until it expires",
            path.display()
        ));
    }
    for name in ["ca-key.pem", "tls.key"] {
        let path = directory.join(name);
        if path.exists() && files::mode(&path)? & 0o077 != 0 {
            remarks.push(format!(
                "others can read the private key `{}`: mount it with `defaultMode: 0400`",
                path.display()
            ));
        }
    }
    Ok(remarks)
}
