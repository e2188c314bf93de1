//! The way of a call, for people: one part per paragraph, the objects behind it to its right.

use std::io;

use super::report::{ClusterPart, Origin, RoutePart, WhyReport};
use crate::output::{Role, Screen};

/// More addresses of one cluster than this are counted.
const MOST_ENDPOINTS: usize = 10;

/// More objects behind one part than this are counted.
const MOST_ORIGINS: usize = 4;

pub(crate) fn print(report: &WhyReport, screen: &mut Screen<'_>) -> io::Result<()> {
    screen.line(&format!("call      {}", report.call))?;
    if let Some(listener) = &report.listener {
        screen.line(&format!("listener  {}", listener.name))?;
    }
    if let Some(chain) = &report.filter_chain {
        let name = if chain.name.is_empty() { "(no name)" } else { &chain.name };
        screen.line(&format!("chain     {name}"))?;
        made_by(&chain.origins, screen)?;
    }
    if let Some(route) = &report.route {
        print_route(route, report, screen)?;
    }
    for effect in &report.effects {
        screen.line(&format!("  {:<26}{}", effect.field, effect.value))?;
    }
    if let Some(answer) = &report.answer {
        screen.line(&format!("answer    {answer}"))?;
    }
    for cluster in &report.clusters {
        print_cluster(cluster, screen)?;
    }
    if let Some(error) = &report.error {
        screen.mark(Role::Error, error)?;
    }
    if let Some(near) = &report.nearest {
        screen.mark(
            Role::Notice,
            &format!("nearest: {} {}: {}", near.stage, near.name, near.reason),
        )?;
    }
    for note in &report.notes {
        screen.mark(Role::Warning, note)?;
    }
    screen.line(&format!("state     {} is {}", report.proxy, report.state))
}

fn print_route(route: &RoutePart, report: &WhyReport, screen: &mut Screen<'_>) -> io::Result<()> {
    let config = if route.config.is_empty() { "(in the listener)" } else { &route.config };
    let mut parts = vec![config.to_owned()];
    if !route.virtual_host.is_empty() {
        parts.push(route.virtual_host.clone());
    }
    if let (Some(number), Some(of)) = (route.number, route.of) {
        let name = if route.name.is_empty() { "(no name)" } else { &route.name };
        parts.push(format!("{name} (#{number} of {of})"));
    }
    screen.line(&format!("route     {}", parts.join(" › ")))?;
    let passed =
        report.steps.iter().filter(|step| step.stage == "route" && step.verdict == "passed over");
    for step in passed {
        screen.line(&format!("  tried   {}", step.text))?;
    }
    made_by(&route.origins, screen)
}

fn print_cluster(cluster: &ClusterPart, screen: &mut Screen<'_>) -> io::Result<()> {
    screen.line(&format!("cluster   {}  {}", cluster.name, cluster.share))?;
    match cluster.kind {
        "endpoints" if cluster.endpoints.is_empty() => {
            screen.mark(Role::Error, "it has no endpoints: calls get a 503")?;
        }
        "missing" => {
            screen.mark(Role::Error, "the proxy does not have it: calls get a 503 or a reset")?;
        }
        "no assignment" => screen.mark(Role::Error, "its endpoints have not come yet")?,
        "original destination" => {
            screen.line("          the address that the caller asked for")?;
        }
        "dynamic" => screen.line("          resolved by DNS when a call comes")?,
        _ => (),
    }
    for endpoint in cluster.endpoints.iter().take(MOST_ENDPOINTS) {
        let mut line = format!("          {:<22} {}", endpoint.address, endpoint.health);
        if endpoint.priority > 0 {
            line.push_str(&format!(" priority {}", endpoint.priority));
        }
        if endpoint.weight > 1 {
            line.push_str(&format!(" weight {}", endpoint.weight));
        }
        if !endpoint.locality.is_empty() {
            line.push_str(&format!(" {}", endpoint.locality));
        }
        screen.line(&line)?;
    }
    let more = cluster.endpoints.len().saturating_sub(MOST_ENDPOINTS);
    if more > 0 {
        screen.line(&format!("          and {more} more"))?;
    }
    made_by(&cluster.origins, screen)
}

fn made_by(origins: &[Origin], screen: &mut Screen<'_>) -> io::Result<()> {
    for origin in origins.iter().take(MOST_ORIGINS) {
        let at = origin.location.as_deref().unwrap_or("(no longer there)");
        screen.line(&format!("  made by {}  {at}", origin.object))?;
    }
    let more = origins.len().saturating_sub(MOST_ORIGINS);
    match more {
        0 => Ok(()),
        more => screen.line(&format!("  and {more} more objects")),
    }
}
