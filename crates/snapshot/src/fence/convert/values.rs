//! What is said about values that are read and mean nothing.

use api::slime::{lazyload::LazyloadSettings, service_fence::FenceHost};

use super::Conversion;

impl Conversion {
    pub(super) fn report_values(&mut self, settings: &LazyloadSettings) {
        self.report_labels(settings);
        for (index, host) in settings.stable_host.iter().enumerate() {
            let parsed = FenceHost::parse(host);
            if matches!(parsed, Ok(FenceHost::Host(name)) if !name.contains(['.', '*'])) {
                let message = format!("`{host}` is in no namespace: no service is called so");
                let hint = "write the full name, as `cart.shop.svc.cluster.local`";
                self.report(&format!("stableHost[{index}]"), message, hint);
            }
        }
        let wait = settings.expire_wait.map(|wait| wait.split());
        if wait.is_some_and(|(seconds, nanos)| seconds < 0 || nanos < 0) {
            self.report("expireWait", "a time cannot be negative", "write `0s` for no wait");
        }
        let Some(prometheus) = &settings.prometheus else { return };
        let url = &prometheus.url;
        if !(url.is_empty() || url.starts_with("http://") || url.starts_with("https://")) {
            let message = format!("`{url}` is no URL");
            let hint = "write `http://` or `https://`, the host and the port";
            self.report("prometheus.url", message, hint);
        }
    }

    fn report_labels(&mut self, settings: &LazyloadSettings) {
        let alias = &settings.fence_label_key_alias;
        let parts: Vec<&str> = alias.split(':').collect();
        let is_good = parts.len() <= 2 && parts.iter().all(|part| is_label_key(part));
        if !alias.is_empty() && !is_good {
            let message = format!("`{alias}` names no label");
            self.report("fenceLabelKeyAlias", message, "write the key of a label, or `key:alias`");
        }
        if let Some(key) = settings.service.as_ref().filter(|key| !is_label_key(key)) {
            let message = format!("`{key}` is no key of a label: no workload has it");
            self.report("service", message, "write a key such as `app`");
        }
    }
}

/// As Kubernetes has them: a name, and a domain with a slash before it if need be.
fn is_label_key(text: &str) -> bool {
    let name = text.rsplit_once('/').map_or(text, |(_, name)| name);
    let is_usual = |it: u8| it.is_ascii_alphanumeric() || b"-_.".contains(&it);
    !name.is_empty() && text.bytes().all(|it| is_usual(it) || it == b'/')
}
