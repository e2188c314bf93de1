//! Keys that nobody needs to see, out of what is shown.

use serde_json::Value;

/// What is shown instead.
const HIDDEN: &str = "[redacted]";

/// Takes private keys and passwords out of a resource.
pub(crate) fn redact(mut value: Value) -> Value {
    hide(&mut value);
    value
}

fn hide(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match name.as_str() {
                    "private_key" | "password" => hide_source(field),
                    _ => hide(field),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(hide),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => (),
    }
}

/// A data source that names a file says nothing secret.
fn hide_source(source: &mut Value) {
    for name in ["inline_string", "inline_bytes"] {
        if source.get(name).is_some() {
            *source = serde_json::json!({ "inline_string": HIDDEN });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_hidden_and_their_files_are_not() {
        let shown = redact(json!({"tls_certificates": [
            {"certificate_chain": {"inline_string": "A"}, "private_key": {"inline_bytes": "c2VjcmV0"}},
            {"private_key": {"filename": "/etc/key.pem"}, "password": {"inline_string": "p"}},
        ]}));
        let text = shown.to_string();
        assert!(!text.contains("c2VjcmV0") && !text.contains("\"p\""), "{text}");
        assert!(text.contains("/etc/key.pem") && text.contains("\"A\""), "{text}");
    }
}
