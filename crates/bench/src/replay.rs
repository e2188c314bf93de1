//! A server that knows nothing and sends bytes that were recorded: the floor under every control
//! plane with the same transport.
//!
//! It answers the first request for each type with all that one stream was once sent of it, unless
//! the client has something already, over the gRPC stack of the control plane.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use envoy::{config::core::v3::Node, service::discovery::v3::Resource};
use prost::encoding::message;
use tokio::time;
use tokio_util::sync::CancellationToken;
use xds::{
    AdsService, AdsStream, Code, Metrics, Protocol, Request, Response, Server, Settings, Status,
    client::{AdsResource, ClientSettings, SyncedProxy},
};

use crate::client::{Kind, PerKind};

/// What one delta stream was sent, encoded as `resources` fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recording {
    resources: PerKind<Bytes>,
}

impl Recording {
    /// For tests: what is sent of each type.
    #[cfg(test)]
    pub(crate) fn new(resources: PerKind<Bytes>) -> Self {
        Self { resources }
    }

    /// How many bytes each stream is sent.
    pub(crate) fn len(&self) -> usize {
        self.resources.iter().map(Bytes::len).sum()
    }

    /// The file: for each type its length (8 bytes, big-endian) and its bytes.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let mut all = Vec::new();
        for resources in &self.resources {
            all.put_u64(resources.len() as u64);
            all.put_slice(resources);
        }
        fs::write(path, all).with_context(|| format!("failed to write {}", path.display()))
    }

    fn load(path: &Path) -> Result<Self> {
        let all = fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
        let mut all = Bytes::from(all);
        let mut recording = Self::default();
        for resources in &mut recording.resources {
            ensure!(all.len() >= 8, "the recording is cut off");
            let len = usize::try_from(u64::from_be_bytes(all.split_to(8)[..].try_into()?))?;
            ensure!(all.len() >= len, "the recording is cut off");
            *resources = all.split_to(len);
        }
        Ok(recording)
    }
}

/// How long a server may take for what is recorded.
const PATIENCE: Duration = Duration::from_secs(60);
/// When nothing has come for so long, that was all.
const QUIET: Duration = Duration::from_millis(500);

/// Records what one stream with this node is sent.
pub(crate) async fn record(server: SocketAddr, node: Node) -> Result<Recording> {
    let settings = ClientSettings::new(server, Protocol::Delta, node);
    let mut proxy = SyncedProxy::connect(settings).await?;
    proxy.forget_resources();
    let mut resources: PerKind<BytesMut> = Default::default();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let is_begun = Kind::ALWAYS.iter().all(|kind| !resources[*kind as usize].is_empty());
        let quiet = if is_begun { QUIET } else { PATIENCE };
        let response = match time::timeout(quiet, proxy.step()).await {
            Err(_) if is_begun => break,
            Err(_) => bail!("one stream is not in sync after {PATIENCE:?}"),
            Ok(response) => response?.context("the server ended the stream")?,
        };
        ensure!(Instant::now() < deadline, "the server still sends after {PATIENCE:?}");
        let Some(kind) = Kind::of(&response.type_url) else { continue };
        for AdsResource { name, aliases, version, resource } in response.resources {
            let resource = Resource { name, aliases, version, resource, ..Resource::default() };
            message::encode(2, &resource, &mut resources[kind as usize]);
        }
    }
    Ok(Recording { resources: resources.map(BytesMut::freeze) })
}

/// Serves a recording until the process ends.
pub(crate) async fn serve(recording: &Path, address: SocketAddr) -> Result<()> {
    let recording = Recording::load(recording)?;
    let listener = xds::listen(address)?;
    let server = Server::new(Settings::default(), Metrics::default());
    server.run(listener, recording, CancellationToken::new()).await;
    Ok(())
}

impl AdsService for Recording {
    async fn serve(&self, mut stream: AdsStream) -> Status {
        let mut answered: PerKind<bool> = Default::default();
        let mut nonce = 0;
        while let Some(request) = stream.requests.next().await {
            let request = match request {
                Ok(Request::Delta(request)) => request,
                Ok(Request::Sotw(_)) => return Status::new(Code::Unimplemented, "delta only"),
                Err(error) => return error.status(),
            };
            let Some(kind) = Kind::of(&request.type_url) else { continue };
            // Who comes back with versions has it all.
            let is_known = !request.initial_resource_versions.is_empty();
            if std::mem::replace(&mut answered[kind as usize], true) || is_known {
                continue;
            }
            nonce += 1;
            let response = Response {
                type_url: kind.type_url(),
                nonce,
                version: "",
                chunks: vec![self.resources[kind as usize].clone()],
                removed: Vec::new(),
            };
            if stream.responses.send(response).await.is_err() {
                break;
            }
        }
        Status::OK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_read_back() {
        let bytes = [&b"abc"[..], b"", b"d", b"efgh", b"i"].map(Bytes::from_static);
        let recording = Recording { resources: bytes };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recording");
        recording.save(&path).unwrap();
        assert_eq!(Recording::load(&path).unwrap(), recording);
        fs::write(&path, [0; 20]).unwrap();
        assert!(Recording::load(&path).is_err(), "cut off");
    }
}
