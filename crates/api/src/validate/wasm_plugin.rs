//! WasmPlugin.

use super::{Check, Path, authorization};
use crate::{
    codes,
    istio::wasm_plugin::{EnvValueSource, VmConfig, WasmPlugin},
};

pub(super) fn check(check: &mut Check<'_>, path: &Path<'_>, plugin: &WasmPlugin) {
    check.later();
    let (one, many) = (plugin.target_ref.as_ref(), &plugin.target_refs);
    check.targets(path, plugin.selector.as_ref(), one, many);
    url(check, &path.field("url"), &plugin.url);
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let sha = &plugin.sha256;
    if !sha.is_empty() && (sha.len() != 64 || !sha.bytes().all(is_hex)) {
        let message = format!("`{sha}` is not a SHA-256 in small hexadecimal letters");
        check.report(&codes::WASM_FIELD, &path.field("sha256"), message, "");
    }
    let names = [
        ("imagePullSecret", &plugin.image_pull_secret, 253),
        ("pluginName", &plugin.plugin_name, 256),
    ];
    for (name, text, longest) in names {
        let length = text.as_ref().map_or(1, String::len);
        if length == 0 || length > longest {
            let message = format!("`{name}` must have 1 to {longest} letters");
            check.report(&codes::WASM_FIELD, &path.field(name), message, "");
        }
    }
    if let Some(config) = &plugin.vm_config {
        vm_config(check, &path.field("vmConfig"), config);
    }
    let list = path.field("match");
    for (index, selector) in plugin.match_.iter().enumerate() {
        let at = list.index(index);
        let ports = at.field("ports");
        for (index, port) in selector.ports.iter().enumerate() {
            let at = ports.index(index);
            check.port(&at.field("number"), port.number);
        }
    }
}

/// An address without a scheme is an image.
fn url(check: &mut Check<'_>, path: &Path<'_>, url: &str) {
    if url.is_empty() {
        return check.report(&codes::WASM_URL, path, "the address of the plugin must be set", "");
    }
    let is_odd = |c: char| c.is_whitespace() || matches!(c, '#' | '%' | '$' | '\\');
    let is_valid = match url.contains("://") {
        true => {
            let known = ["http", "https", "oci", "file"];
            authorization::scheme(url).is_some_and(|scheme| known.contains(&scheme))
        }
        false => !url.contains(is_odd),
    };
    if !is_valid {
        let message = format!("`{url}` is not the address of a plugin");
        let hint = "it begins with `oci://`, `https://`, `http://` or `file://`";
        check.report(&codes::WASM_URL, path, message, hint);
    }
}

fn vm_config(check: &mut Check<'_>, path: &Path<'_>, config: &VmConfig) {
    let list = path.field("env");
    for (index, variable) in config.env.iter().enumerate() {
        let at = list.index(index);
        let name = at.field("name");
        if variable.name.is_empty() || variable.name.len() > 256 {
            let message = "the name of a variable must have 1 to 256 letters";
            check.report(&codes::WASM_ENV, &name, message, "");
        } else if config.env[..index].iter().any(|other| other.name == variable.name) {
            let message = format!("there is already a variable `{}`", variable.name);
            check.report(&codes::DUPLICATE, &name, message, "");
        }
        if variable.value_from == EnvValueSource::Host && !variable.value.is_empty() {
            let message = "a variable taken from the host has no `value`";
            check.report(&codes::WASM_ENV, &at.field("value"), message, "");
        }
    }
}
