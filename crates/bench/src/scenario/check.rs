//! `meltemi check` over a folder, from the start of the process to its end.

use std::{process::Stdio, time::Instant};

use anyhow::{Result, ensure};
use tokio::process::Command;

use super::{Context, plane::temporary_folder};
use crate::{
    mesh::CheckedMesh,
    proc,
    report::{Case, Unit},
    statistics::median,
};

pub(super) async fn run(context: &Context) -> Result<Vec<Case>> {
    let services = context.pick(2_000, 20);
    let mesh = CheckedMesh { services, namespaces: services / 10, rules: false, metrics: false };
    let rules = CheckedMesh { rules: true, ..mesh };
    let mut cases = Vec::new();
    for (name, mesh) in [
        ("policies", mesh),
        ("rules and policies", rules),
        ("rules, policies and metrics", CheckedMesh { metrics: true, ..rules }),
    ] {
        cases.push(measure(name, &mesh, context).await?);
    }
    Ok(cases)
}

async fn measure(name: &str, mesh: &CheckedMesh, context: &Context) -> Result<Case> {
    let parent = temporary_folder()?;
    let folder = mesh.write(parent.path())?;
    let (mut walls, mut cpus) = (Vec::new(), Vec::new());
    for _ in 0..context.pick(3, 1) {
        let (begin, before) = (Instant::now(), proc::cpu_with_children("self")?);
        let mut command = Command::new(&context.meltemi);
        command.arg("check").arg(&folder).args(["-o", "short", "--fail-on", "info"]);
        let output = command.stdin(Stdio::null()).output().await?;
        walls.push(begin.elapsed().as_secs_f64());
        cpus.push(proc::cpu_with_children("self")? - before);
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "the mesh is not without fault:\n{text}");
    }
    let mut case = Case::new(name);
    case.add("check", median(walls), Unit::Seconds);
    case.add("CPU", median(cpus), Unit::CpuSeconds);
    Ok(case)
}
