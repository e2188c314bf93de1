//! How long each stage of a push takes, with the push to look at where one was slow.
//!
//! A bucket of each histogram names the revision of the last push that fell into it, as an exemplar:
//! `meltemi events` and `/debug/pushes` say what that was.

use std::time::{Duration, SystemTime};

use prometheus_client::{
    metrics::{exemplar::HistogramWithExemplars, family::Family},
    registry::Registry,
};

/// Seconds.
const TIMES: [f64; 12] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0];

/// What happens to a push, one after the other. Each counts from the end of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// From when its first change was noticed until it was in a snapshot.
    Stored,
    /// Until all that depends on it was compiled.
    Compiled,
    /// Until streams were told.
    Told,
    /// Until a proxy had acknowledged all of it; once for each proxy.
    Acknowledged,
}

impl Stage {
    const ALL: [Self; 4] = [Self::Stored, Self::Compiled, Self::Told, Self::Acknowledged];

    fn label(self) -> [(&'static str, &'static str); 1] {
        let name = match self {
            Self::Stored => "stored",
            Self::Compiled => "compiled",
            Self::Told => "told",
            Self::Acknowledged => "acknowledged",
        };
        [("stage", name)]
    }
}

type StageTimes = HistogramWithExemplars<[(&'static str, u64); 1]>;

/// A histogram for each stage. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Stages(Family<[(&'static str, &'static str); 1], StageTimes>);

impl Default for Stages {
    fn default() -> Self {
        let family = Family::new_with_constructor((|| StageTimes::new(TIMES.into_iter())) as _);
        // Prometheus sees that one was added only where it has seen the number before.
        for stage in Stage::ALL {
            drop(family.get_or_create(&stage.label()));
        }
        Self(family)
    }
}

impl Stages {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "Time that pushes take from stage to stage";
        registry.register("meltemi_push_stage_seconds", help, self.0.clone());
    }

    pub(crate) fn observe(&self, stage: Stage, revision: u64, time: Duration) {
        let (example, at) = ([("revision", revision)], SystemTime::now());
        let times = self.0.get_or_create(&stage.label());
        times.observe(time.as_secs_f64(), Some(example), Some(at));
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn a_slow_bucket_names_the_push() {
        let (stages, mut registry) = (Stages::default(), Registry::default());
        stages.register(&mut registry);
        stages.observe(Stage::Compiled, 17, Duration::from_secs(2));
        stages.observe(Stage::Compiled, 18, Duration::from_millis(2));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let series = "meltemi_push_stage_seconds_bucket{le=\"3.0\",stage=\"compiled\"} 2 ";
        let line = text.lines().find(|line| line.starts_with(series)).expect(&text);
        assert!(line[series.len()..].starts_with("# {revision=\"17\"} 2.0 "), "{line}");
        assert!(text.contains("meltemi_push_stage_seconds_count{stage=\"told\"} 0"), "{text}");
    }
}
