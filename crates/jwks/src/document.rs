//! Reads what issuers answer: their description, and their keys.

use serde_json::Value;

use crate::FetchError;

/// Where an issuer's description (OpenID Connect Discovery) says that its keys are.
pub(crate) fn parse_discovery(text: &[u8]) -> Result<String, FetchError> {
    let read: Value = serde_json::from_slice(text).map_err(FetchError::NotJson)?;
    match read["jwks_uri"].as_str() {
        Some(uri) if !uri.is_empty() => Ok(uri.to_owned()),
        _ => Err(FetchError::Unusable { why: "it names no `jwks_uri`" }),
    }
}

/// A set with at least one key, as text.
pub(crate) fn parse_keys(text: &[u8]) -> Result<String, FetchError> {
    let read: Value = serde_json::from_slice(text).map_err(FetchError::NotJson)?;
    let keys = read["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !keys.iter().any(|key| key["kty"].is_string()) {
        return Err(FetchError::Unusable { why: "it holds no keys" });
    }
    // Equal sets are equal texts, however they were written.
    Ok(read.to_string())
}

#[cfg(test)]
mod tests {
    use super::{parse_discovery, parse_keys};

    #[test]
    fn a_set_without_keys_is_refused() {
        for text in
            ["", "{}", "[]", r#"{"keys":[]}"#, r#"{"keys":{}}"#, r#"{"keys":[{}]}"#, "<html>"]
        {
            assert!(parse_keys(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn equal_sets_are_equal_texts() {
        let one = parse_keys(br#"{"keys": [{"kty": "RSA", "n": "1"}]}"#).unwrap();
        let other = parse_keys(br#"{"keys":[{"n":"1","kty":"RSA"}]}"#).unwrap();
        assert_eq!(one, other);
    }

    #[test]
    fn a_description_names_the_address_of_the_keys() {
        let read = parse_discovery(br#"{"issuer": "x", "jwks_uri": "https://x/keys"}"#);
        assert_eq!(read.unwrap(), "https://x/keys");
        assert!(parse_discovery(br#"{"issuer": "x"}"#).is_err());
    }
}
