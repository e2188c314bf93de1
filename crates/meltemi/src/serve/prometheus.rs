//! Asks a Prometheus who calls whom, again and again: one question for all workloads.
//!
//! - An answer is bounded in size and time. One that fails, or is empty, is no word that nobody calls:
//!   the sensor is silent then, and nothing that it knows is forgotten.
//! - Not here: what is asked, and what an answer means (`scope`).

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use admin::MetricsSource;
use anyhow::{Context, bail};
use api::slime::lazyload::PrometheusSettings;
use hyper::{StatusCode, header::HeaderValue};
use jwks::HttpsClient;
use prometheus_client::{
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};
use runtime::Tally;
use scope::{
    ScopeEnded, ScopeHandle, ScopeSettings, Sensor, parse_measured, query_address, usual_query,
};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::places::NewestPlaces;

const INTERVAL: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_secs(20);
/// A few hundred bytes for each of a hundred thousand series.
const MOST_BYTES: usize = 32 << 20;
/// Prometheus needs two samples within the time that it looks back.
const SHORTEST_RANGE: u64 = 120;
/// Calls that the keeper takes up at once; others come in between.
const TOGETHER: usize = 2_000;

/// What is asked, and of whom.
#[derive(Clone, Debug)]
pub(super) struct PrometheusSensor {
    url: String,
    interval: Duration,
    timeout: Duration,
    query: String,
    token: Option<PathBuf>,
    client: HttpsClient,
    status: Arc<Mutex<MetricsSource>>,
    metrics: Metrics,
}

#[derive(Clone, Debug, Default)]
struct Metrics {
    queries: Family<[(&'static str, &'static str); 1], Tally>,
    series: Gauge,
    unknown: Gauge,
}

/// How a question ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Answered,
    Empty,
    Failed,
}

impl Outcome {
    const ALL: [Self; 3] = [Self::Answered, Self::Empty, Self::Failed];

    fn label(self) -> [(&'static str, &'static str); 1] {
        let name = match self {
            Self::Answered => "answered",
            Self::Empty => "empty",
            Self::Failed => "failed",
        };
        [("outcome", name)]
    }
}

impl PrometheusSensor {
    /// `None` where no Prometheus is named. Registers what is counted.
    pub(super) fn new(
        settings: Option<&PrometheusSettings>,
        learning: &ScopeSettings,
        registry: &mut Registry,
    ) -> Option<Self> {
        let settings = settings.filter(|settings| !settings.url.is_empty())?;
        let time = |written: Option<api::Duration>, usual: Duration| {
            written.map_or(usual, |it| it.to_std()).max(Duration::from_secs(1))
        };
        // Asked less often than that, it would be taken for silent in between.
        let longest = Duration::from_secs((learning.silence / 2).max(1));
        let wanted = time(settings.interval, INTERVAL);
        if wanted > longest {
            tracing::warn!(
                wanted = wanted.as_secs(),
                used = longest.as_secs(),
                "Prometheus is asked more often than `lazyload.prometheus.interval` says: a sensor \
                 that does not work for `scope.silence` is silent"
            );
        }
        let metrics = Metrics::default();
        for outcome in Outcome::ALL {
            drop(metrics.queries.get_or_create(&outcome.label()));
        }
        registry.register("queries", "Questions to Prometheus", metrics.queries.clone());
        registry.register("series", "Series of the last answer", metrics.series.clone());
        let unknown = "Series of the last answer that name no caller, or no service";
        registry.register("unknown_series", unknown, metrics.unknown.clone());
        let source = MetricsSource { url: settings.url.clone(), ..MetricsSource::default() };
        Some(Self {
            url: settings.url.clone(),
            interval: wanted.min(longest),
            timeout: time(settings.timeout, TIMEOUT),
            query: settings.query.clone().unwrap_or_else(usual_query),
            token: settings.bearer_token_file.clone().map(PathBuf::from),
            client: HttpsClient::default().with_most_bytes(MOST_BYTES),
            status: Arc::new(Mutex::new(source)),
            metrics,
        })
    }

    /// How the last questions ended.
    pub(super) fn status(&self) -> Arc<Mutex<MetricsSource>> {
        self.status.clone()
    }

    /// Asks until the shutdown.
    pub(super) async fn run(
        self,
        mesh: NewestPlaces,
        scope: ScopeHandle,
        shutdown: CancellationToken,
    ) {
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut was = Outcome::Answered;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => (),
            }
            let asking = tokio::select! {
                () = shutdown.cancelled() => return,
                asking = self.ask(&mesh, &scope) => asking,
            };
            let (outcome, error) = match asking {
                Ok(outcome) => (outcome, None),
                Err(error) => (Outcome::Failed, Some(format!("{error:#}"))),
            };
            self.note(outcome, error.clone());
            // Only the first of several failures is told.
            if outcome != was {
                match (outcome, error) {
                    (Outcome::Answered, _) => tracing::info!("Prometheus says who calls whom"),
                    (Outcome::Empty, _) => tracing::warn!(
                        "Prometheus knows no calls; is istio_requests_total scraped? Nothing that \
                         it told is forgotten until it answers"
                    ),
                    (Outcome::Failed, error) => tracing::warn!(
                        error = error.unwrap_or_default(),
                        "Prometheus does not say who calls whom; nothing that it told is forgotten \
                         until it answers"
                    ),
                }
            }
            was = outcome;
        }
    }

    /// Asks once, and has learned what comes.
    async fn ask(&self, mesh: &NewestPlaces, scope: &ScopeHandle) -> anyhow::Result<Outcome> {
        let Some(places) = mesh.get() else { bail!("the mesh has not been read yet") };
        let range = (2 * self.interval.as_secs()).max(SHORTEST_RANGE);
        let address = query_address(&self.url, &self.query, range);
        let token = self.token().await?;
        let answer = self.client.get(&address, token.as_ref());
        let answer = timeout(self.timeout, answer).await;
        let answer = answer.with_context(|| format!("no answer in {:?}", self.timeout))?;
        let (status, body) = answer.context("it cannot be asked")?;
        #[expect(clippy::cast_precision_loss, reason = "both are some minutes")]
        let share = self.interval.as_secs() as f64 / range as f64;
        let parsed = tokio::task::spawn_blocking(move || parse_measured(&body, share, &*places));
        let measured = match (parsed.await.context("the answer cannot be read")?, status) {
            (Ok(measured), _) => measured,
            (Err(error @ scope::AnswerError::Form(_)), StatusCode::OK) => return Err(error.into()),
            (Err(scope::AnswerError::Form(_)), status) => bail!("it answers {status}"),
            (Err(error), _) => return Err(error.into()),
        };
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.series.set(gauge(measured.series));
        self.metrics.unknown.set(gauge(measured.unknown));
        self.lock().series = measured.series;
        if measured.series == 0 {
            return Ok(Outcome::Empty);
        }
        // A series that nobody can place says nothing about the mesh, but that somebody measures.
        scope.works(Sensor::Metrics);
        for calls in measured.calls.chunks(TOGETHER) {
            let learned = scope.learn(calls.to_vec(), Sensor::Metrics).await;
            learned.map_err(|ScopeEnded| anyhow::anyhow!("the process is ending"))?;
        }
        Ok(Outcome::Answered)
    }

    /// Read anew each time, as whoever issues it renews it.
    async fn token(&self) -> anyhow::Result<Option<HeaderValue>> {
        let Some(path) = &self.token else { return Ok(None) };
        let text = tokio::fs::read_to_string(path).await;
        let text = text.with_context(|| format!("`{}` cannot be read", path.display()))?;
        let mut value = HeaderValue::from_str(&format!("Bearer {}", text.trim()))
            .with_context(|| format!("`{}` holds no token", path.display()))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    fn note(&self, outcome: Outcome, error: Option<String>) {
        self.metrics.queries.get_or_create(&outcome.label()).inc();
        let mut status = self.lock();
        match outcome {
            Outcome::Answered => {
                status.answered = Some(SystemTime::now());
                status.problem = None;
            }
            Outcome::Empty => status.problem = Some("it knows no calls".to_owned()),
            Outcome::Failed => status.problem = error,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, MetricsSource> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
