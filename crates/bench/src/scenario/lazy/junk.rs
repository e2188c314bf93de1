//! Callers that write anything as their Host, among calls that mean something: does memory stay flat?

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use testkit::http::{Client, Request, junk_host, mix};
use tokio::{task::JoinSet, time};

use super::{Context, ON_DEMAND, World, call, callers, calls::called};
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
            let request = Request { host: junk_host(number), ..template.clone() };
            let answer = client.send(&request.timeout(JUNK_TIMEOUT)).await;
            sent.unanswered.fetch_add(u64::from(answer.is_err()), Ordering::Relaxed);
        }
    }
}
