//! Secret: certificates and keys of gateways.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{Bytes, is_default};

/// A Kubernetes Secret. Its values must not be printed, and `Debug` does not.
#[derive(Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Secret {
    #[serde(skip_serializing_if = "is_default")]
    pub type_: String,
    #[serde(skip_serializing_if = "is_default")]
    pub data: BTreeMap<String, Bytes>,
    #[serde(alias = "string_data", skip_serializing_if = "is_default")]
    pub string_data: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "is_default")]
    pub immutable: Option<bool>,
}

/// The names of the values alone.
impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { type_, data, string_data, immutable } = self;
        out.debug_struct("Secret")
            .field("type_", type_)
            .field("data", &data.keys())
            .field("string_data", &string_data.keys())
            .field("immutable", immutable)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn what_a_secret_holds_is_not_printed() {
        let json = r#"{"type": "Opaque", "data": {"tls.key": "aHVzaA=="},
                       "stringData": {"cacert": "hush"}}"#;
        let secret: Secret = serde_json::from_str(json).unwrap();
        let shown = format!("{secret:?} {secret:#?}");
        assert!(shown.contains("tls.key") && shown.contains("cacert"), "{shown}");
        for held in ["hush", "aHVzaA", "104"] {
            assert!(!shown.contains(held), "{shown}");
        }
    }
}
