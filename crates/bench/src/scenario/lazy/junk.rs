//! Callers that write anything as their Host, among calls that mean something: does memory stay flat?

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use testkit::http::{Client, Request};
use tokio::{task::JoinSet, time};

use super::{Context, ON_DEMAND, World, call, callers, calls::called, mix};
use crate::{
    proc,
    report::{Case, Unit},
    statistics::{from_count, median},
};

/// Of so many requests one means something.
const REAL: u64 = 10;
/// At a time.
const SENDERS: u64 = 8;
/// Envoy answers junk by itself.
const JUNK_TIMEOUT: Duration = Duration::from_secs(30);
const SAMPLES: u32 = 120;
const SAMPLE: Duration = Duration::from_millis(50);
/// Memory that may be added between the second and the last quarter, in MB.
const SLACK: f64 = 4.0;

/// When it is enough.
#[derive(Clone, Copy, Debug)]
enum Until {
    Requests(u64),
    Time(Duration),
}

/// 100,000 requests.
pub(in crate::scenario) async fn run(context: &Context) -> Result<Vec<Case>> {
    Ok(vec![measure(context, Until::Requests(context.pick(100_000, 500))).await?])
}

/// For so long.
pub(crate) async fn soak(context: &Context, duration: Duration) -> Result<Case> {
    measure(context, Until::Time(duration)).await
}

/// What the senders share.
#[derive(Debug)]
struct Sent {
    begin: Instant,
    until: Until,
    requests: AtomicU64,
    real: AtomicU64,
    failed: AtomicU64,
    /// Junk without any answer.
    unanswered: AtomicU64,
}

impl Sent {
    /// From 0 to 1.
    fn progress(&self) -> f64 {
        match self.until {
            Until::Requests(count) => number(&self.requests) / from_count(count.max(1)),
            Until::Time(time) => self.begin.elapsed().as_secs_f64() / time.as_secs_f64(),
        }
    }
}

fn number(count: &AtomicU64) -> f64 {
    from_count(count.load(Ordering::Relaxed))
}

async fn measure(context: &Context, until: Until) -> Result<Case> {
    let world = World::start(context, callers(ON_DEMAND, 1)).await?;
    let caller = &world.callers[0];
    let sidecar = world.sidecar(caller).await?;
    let services = called(&world);
    world.call_each(caller, services.iter().copied()).await?;
    let questions = world.server.questions().await?;
    let real: Arc<[Request]> = services.iter().map(|it| world.request(caller, *it)).collect();
    let sent = Arc::new(Sent {
        begin: Instant::now(),
        until,
        requests: AtomicU64::default(),
        real: AtomicU64::default(),
        failed: AtomicU64::default(),
        unanswered: AtomicU64::default(),
    });
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        senders.spawn(send(Arc::clone(&sent), Arc::clone(&real), sender));
    }
    let envoy = sidecar.envoy.id().to_string();
    let (mut of_envoy, mut of_server) = (Vec::new(), Vec::new());
    let mut due = 0;
    loop {
        tokio::select! {
            () = time::sleep(SAMPLE) => (),
            ended = senders.join_next() => match ended {
                Some(_) => continue,
                None => break,
            },
        }
        let progress = sent.progress();
        if progress >= f64::from(due) / f64::from(SAMPLES) {
            of_envoy.push(from_count(proc::resident(&envoy)?.now) / 1e3);
            of_server.push(from_count(world.server.resident()?.now) / 1e3);
            due += 1;
            if due % 10 == 0 {
                let memory = of_envoy.last().copied().unwrap_or_default();
                let done = progress * 100.0;
                context.progress.say(format_args!("{done:.0} %, the Envoy has {memory:.0} MB"));
            }
        }
    }
    let seconds = sent.begin.elapsed().as_secs_f64();
    let mut case = Case::new("one Envoy");
    case.add("requests", number(&sent.requests), Unit::Count);
    case.add("requests a second", number(&sent.requests) / seconds, Unit::Count);
    case.add("real calls", number(&sent.real), Unit::Count);
    case.add("real calls that failed", number(&sent.failed), Unit::Count);
    limit(&mut case, 0.0);
    case.add("junk without an answer", number(&sent.unanswered), Unit::Count);
    let asked = world.server.questions().await? - questions;
    case.add("questions", from_count(asked), Unit::Count);
    add_growth("Envoy", &of_envoy, &mut case);
    add_growth("server", &of_server, &mut case);
    Ok(case)
}

/// The figure that was added last must not exceed this.
fn limit(case: &mut Case, limit: f64) {
    if let Some(figure) = case.figures.last_mut() {
        figure.limit = Some(limit);
    }
}

/// The second quarter against the last one: what a start needs counts for nothing.
fn add_growth(name: &str, samples: &[f64], case: &mut Case) {
    let quarter = samples.len() / 4;
    let of = |from: usize, to: usize| median(samples[from * quarter..to * quarter].to_vec());
    let (early, late) = (of(1, 2), of(3, 4));
    case.add(&format!("{name} memory, second quarter"), early, Unit::Megabytes);
    case.add(&format!("{name} memory, last quarter"), late, Unit::Megabytes);
    case.add(&format!("{name} memory more"), late - early, Unit::Megabytes);
    limit(case, SLACK.max(early * 0.05));
}

/// Sends until it is enough.
async fn send(sent: Arc<Sent>, real: Arc<[Request]>, sender: u64) {
    let client = Client::keep_alive();
    let mut number = sender << 40;
    while sent.progress() < 1.0 {
        number += 1;
        sent.requests.fetch_add(1, Ordering::Relaxed);
        let template = &real[mix(number) as usize % real.len()];
        if number.is_multiple_of(REAL) {
            sent.real.fetch_add(1, Ordering::Relaxed);
            let failed = u64::from(call(&client, template).await.is_err());
            sent.failed.fetch_add(failed, Ordering::Relaxed);
        } else {
            let request = Request { host: junk(number), ..template.clone() };
            let answer = client.send(&request.timeout(JUNK_TIMEOUT)).await;
            sent.unanswered.fetch_add(u64::from(answer.is_err()), Ordering::Relaxed);
        }
    }
}

/// What somebody may write as a Host: names of all forms, addresses, ports, and bytes that only
/// HTTP permits. None is a service.
fn junk(number: u64) -> String {
    let random = mix(number);
    let (word, [a, b, c, d, ..]) = (format!("{random:x}"), random.to_be_bytes());
    match random % 13 {
        0 => format!("www.{word}.com"),
        1 => format!("{word}.ns-{}.svc.cluster.local:8080", a % 10),
        2 => word,
        3 => format!("{a}.{b}.{c}.{d}"),
        4 => format!("{a}.{b}.{c}.{d}:{}", u16::from_be_bytes([c, d])),
        5 => format!("[2001:db8::{a:x}:{b:x}{c:02x}]:8080"),
        6 => format!("{}.org", word.repeat(60)),
        // As close to services as it can be without being one.
        7 => format!("svc-{word}.ns-{}.example", a % 10),
        8 => format!("SVC-{a}-{word}.NS-1.Example.:80"),
        9 => format!("caf\u{e9}-{word}.\u{4f8b}"),
        10 => format!("{word}:99999"),
        11 => format!("*.-{word}-..net"),
        _ => format!("{word}~!$&'()+,;=%41.net"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn junk_is_of_all_kinds_and_never_twice() {
        let all: BTreeSet<String> = (0..2_000).map(junk).collect();
        assert!(all.len() > 1_990, "only short addresses may come twice: {}", all.len());
        let has = |fits: fn(&&String) -> bool| all.iter().filter(fits).count() > 50;
        assert!(
            has(|it| !it.is_ascii()) && has(|it| it.len() > 500) && has(|it| it.starts_with('['))
        );
        assert!(all.iter().all(|it| http_accepts(it)), "a client can send all of it");
    }

    fn http_accepts(host: &str) -> bool {
        host.bytes().all(|byte| byte >= 0x20 && byte != 0x7f)
    }
}
