//! The folder by which a proxy proves who it is to the control plane, and knows it.
//!
//! Envoy reads certificates that its bootstrap names once, at its start. Those that it gets as
//! secrets out of a file it watches, and what the secret names as well: so the folder says twice
//! where everything is, and can be renewed under a running proxy.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};

use super::absolute;

const TYPE: &str = "@type";
/// Names of the secrets; each has a file of its own, as Envoy demands.
const CERTIFICATE: &str = "certificate";
const AUTHORITIES: &str = "authorities";

/// Writes the files that tell Envoy of a certificate, its key and the authorities in `folder`,
/// under the names that `identity issue` gives them.
pub(crate) fn write_secrets(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let file = |name: &str| absolute(&folder.join(name)).map(|path| json!({"filename": path}));
    let certificate = json!({
        "certificate_chain": file("cert-chain.pem")?,
        "private_key": file("key.pem")?,
    });
    let authorities = json!({"trusted_ca": file("root-cert.pem")?});
    let secrets = [
        (CERTIFICATE, "tls_certificate", certificate),
        (AUTHORITIES, "validation_context", authorities),
    ];
    let written = secrets.map(|(name, field, content)| {
        let resource = json!({
            TYPE: "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            "name": name,
            field: content,
        });
        let path = path(folder, name);
        std::fs::write(&path, json!({"resources": [resource]}).to_string())
            .with_context(|| format!("failed to write `{}`", path.display()))?;
        Ok(path)
    });
    written.into_iter().collect()
}

/// Adds the secrets of a folder to the TLS settings of a cluster, whose server must show one of
/// the names.
pub(super) fn use_secrets(folder: &Path, names: Value, tls: &mut Value) -> anyhow::Result<()> {
    let secret = |name: &str| -> anyhow::Result<Value> {
        let path = absolute(&path(folder, name))?;
        let source = json!({"path_config_source": {"path": path}, "resource_api_version": "V3"});
        Ok(json!({"name": name, "sds_config": source}))
    };
    tls["tls_certificate_sds_secret_configs"] = json!([secret(CERTIFICATE)?]);
    tls["combined_validation_context"] = json!({
        "default_validation_context": {"match_typed_subject_alt_names": names},
        "validation_context_sds_secret_config": secret(AUTHORITIES)?,
    });
    Ok(())
}

fn path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("sds-{name}.json"))
}
