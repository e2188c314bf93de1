//! Starts that are refused.

use std::path::Path;

use source::{Source, SourceError, channel};
use source_directory::{DirectorySettings, DirectorySource};
use tokio_util::sync::CancellationToken;

use crate::rig::{directory, namespace, settings};

async fn refusal(settings: DirectorySettings) -> String {
    let (sender, mut events) = channel(4);
    let source = DirectorySource::new(settings);
    let error = source.run(sender, CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, SourceError::Failed { .. }));
    assert!(events.recv().await.is_none(), "nothing may be said before the start has succeeded");
    error.to_string()
}

#[tokio::test]
async fn a_missing_directory_is_refused_with_a_hint() {
    let error = refusal(settings(Path::new("no/such/directory"))).await;
    assert_eq!(
        error,
        "failed to read `no/such/directory` (check that the path exists and that this process may read it)"
    );
}

#[tokio::test]
async fn a_directory_without_configuration_is_refused_with_a_hint() {
    let root = directory(&[("readme.md", "x")]);
    let error = refusal(settings(root.path())).await;
    assert!(error.contains("holds no file that ends in .yaml"), "{error}");
}

#[tokio::test]
async fn a_directory_as_mesh_configuration_is_refused() {
    let root = directory(&[("a.yaml", &namespace("a", "1"))]);
    let mut settings = settings(root.path());
    settings.mesh_config = Some(root.path().to_owned());
    let error = refusal(settings).await;
    assert!(error.contains("name the file that holds the MeshConfig"), "{error}");
}
