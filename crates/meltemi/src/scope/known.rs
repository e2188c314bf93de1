//! Names that nobody knows: without a word, they would look like something that calls nobody.

use admin::ScopeKnown;

use crate::{
    client::{Server, encode},
    output::{Exit, Screen},
};

/// How a query about this ends: failed, with a line for people, where nothing by the name is known.
/// An empty target is everything.
pub(super) async fn exit_of_query(
    target: &str,
    server: &Server,
    screen: &Screen<'_>,
) -> anyhow::Result<Exit> {
    let is_known = target.is_empty() || say_unknown(target, server, screen).await?;
    Ok(if is_known { Exit::Done } else { Exit::Failed })
}

/// Whether the namespace or workload is known; where it is not, that is said.
pub(super) async fn say_unknown(
    target: &str,
    server: &Server,
    screen: &Screen<'_>,
) -> anyhow::Result<bool> {
    let path = format!("/debug/scope/known?target={}", encode(target));
    let ScopeKnown { namespace, workload } = server.get(&path, screen.catalogue()).await?;
    if workload {
        return Ok(true);
    }
    let (key, name) = match target.split_once('/') {
        Some(_) if namespace => ("scope-unknown-workload", target),
        Some((name, _)) => ("scope-unknown-namespace", name),
        None => ("scope-unknown-namespace", target),
    };
    eprintln!("{}", screen.text(key, &[("name", name.into())]));
    Ok(false)
}
