//! `proxy status` and `proxy config`: what connected proxies hold, as the control plane knows it.
//!
//! - A summary comes first, then what is not as it should be; long lists end there.
//! - Not here: why a request goes where it goes (`why`).

mod config;
mod status;
#[cfg(test)]
mod tests;
mod view;

pub(crate) use self::{config::Config, status::Status};

/// Whether `text` is what a user asked for: all of it, or a part between dots.
fn is_named(proxy: &admin::ProxyStatus, wanted: &str) -> bool {
    proxy.proxy == wanted
        || proxy.id == wanted
        || proxy.proxy.rsplit_once('.').is_some_and(|(name, _)| name == wanted)
}
