//! Keys that nobody needs to see, out of what is shown.

use serde_json::{Value, json};

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
            *source = json!({ "inline_string": HIDDEN });
        }
    }
}

/// What may be said of a Kubernetes Secret: its name, and the names of its values. Annotations may
/// hold a copy of all of it.
pub(crate) fn outline_secret(secret: &Value) -> Value {
    let mut outline = json!({ "metadata": {} });
    for name in ["apiVersion", "kind", "type"] {
        outline[name] = secret[name].clone();
    }
    for name in ["name", "namespace"] {
        outline["metadata"][name] = secret["metadata"][name].clone();
    }
    for name in ["data", "stringData"] {
        let Some(values) = secret[name].as_object() else { continue };
        let hidden = values.keys().map(|key| (key.clone(), HIDDEN.into()));
        outline[name] = Value::Object(hidden.collect());
    }
    outline
}

/// A value that is there, without what it is.
pub(crate) fn hide_value(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        _ => HIDDEN.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_a_secret_the_names_are_left() {
        let secret = json!({
            "kind": "Secret",
            "metadata": {"name": "a", "annotations": {"last-applied": "hush"}},
            "data": {"tls.key": "hush"},
            "stringData": {"token": "hush"},
        });
        let outline = outline_secret(&secret).to_string();
        assert!(!outline.contains("hush"), "{outline}");
        assert!(outline.contains("tls.key") && outline.contains("token"), "{outline}");
    }

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
