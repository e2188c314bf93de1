//! The table: what is measured, and what is to be reached. Data only; `scenario` does the work.

mod lazy;

pub(crate) use self::lazy::LAZY_ROWS;

/// What a row is to reach, or what istiod needed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// Part of the case's name; empty for all cases.
    pub(crate) case: &'static str,
    pub(crate) figure: &'static str,
    pub(crate) at_most: Option<f64>,
    /// Measured on the same kind of machine; see `docs/performance.md`.
    pub(crate) istiod: Option<f64>,
}

impl Target {
    pub(crate) const fn at_most(case: &'static str, figure: &'static str, limit: f64) -> Self {
        Self { case, figure, at_most: Some(limit), istiod: None }
    }

    pub(crate) const fn istiod(self, value: f64) -> Self {
        Self { istiod: Some(value), ..self }
    }

    /// An exponent: of a cost that does not depend on the size. Clocks are coarse, and what varies
    /// from run to run counts in full where nothing grows.
    const fn constant(figure: &'static str) -> Self {
        Self::at_most("exponents", figure, 0.25)
    }

    /// An exponent: of a cost that is proportional to the size.
    const fn linear(figure: &'static str) -> Self {
        Self::at_most("exponents", figure, 1.15)
    }

    /// No limit, only a comparison.
    const fn compared(case: &'static str, figure: &'static str, istiod: f64) -> Self {
        Self { case, figure, at_most: None, istiod: Some(istiod) }
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) id: RowId,
    pub(crate) title: &'static str,
    /// About how long it takes on two cores, for the remaining time.
    pub(crate) seconds: u32,
    pub(crate) targets: &'static [Target],
}

/// What `--only` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum RowId {
    Base,
    Cold,
    ColdLarge,
    Endpoint,
    Route,
    RouteSome,
    Churn,
    Reconnect,
    Check,
    Start,
    StartEntries,
    SlowReader,
    Memory,
    Many,
    GrowthServices,
    GrowthStreams,
    GrowthClasses,
    Simulated,
    LazyFirst,
    LazyGateway,
    LazyMany,
    LazyEnvoy,
    LazyConnect,
    LazyRestart,
    LazyJunk,
}

impl RowId {
    pub(crate) fn name(self) -> String {
        use clap::ValueEnum;
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

const fn row(id: RowId, title: &'static str, seconds: u32, targets: &'static [Target]) -> Row {
    Row { id, title, seconds, targets }
}

/// In the order in which they run: short ones first.
pub(crate) const ROWS: &[Row] = &[
    row(
        RowId::Base,
        "the README's table: 200 services × 10, both protocols",
        75,
        &[
            Target::compared("100 delta: cold", "last", 1_400.0),
            Target::compared("1000 delta: cold", "last", 15_000.0),
            Target::compared("1000 delta: cold", "server CPU", 29.1),
            Target::compared("1000 delta: endpoint", "last", 169.0),
            Target::compared("1000 delta: endpoint", "server CPU", 0.11),
            Target::compared("1000 delta: route", "last", 967.0),
            Target::compared("1000 delta: route", "server CPU", 1.5),
        ],
    ),
    row(
        RowId::Cold,
        "cold sync, 200 services × 10 endpoints, 1,000 streams",
        15,
        &[
            Target::at_most("", "CPU a stream", 1.0).istiod(29.0),
            Target::at_most("", "last", 1_500.0).istiod(15_000.0),
            Target::at_most("", "peak over idle", 100.0).istiod(884.0),
        ],
    ),
    row(
        RowId::ColdLarge,
        "cold sync, 2,000 services × 50 endpoints, against a server that only replays the bytes",
        150,
        &[
            Target::at_most("streams", "CPU against replay", 1.3),
            // Early is less than half of the time that the last one takes.
            Target::at_most("streams", "first against last", 0.5),
            Target::compared("100 streams", "CPU a stream", 900.0),
            Target::compared("100 streams", "last", 45_000.0),
        ],
    ),
    row(
        RowId::Endpoint,
        "one endpoint changes, all of 1,000 streams watch it",
        75,
        &[
            Target::at_most("", "last", 40.0),
            Target::at_most("", "half", 20.0),
            Target::at_most("", "server CPU", 0.06),
            Target::at_most("", "resources a stream", 1.0),
            Target::at_most("", "other responses", 0.0),
            Target::compared("200 services", "last", 169.0),
            Target::compared("200 services", "half", 145.0),
            Target::compared("200 services", "server CPU", 0.11),
        ],
    ),
    row(
        RowId::Route,
        "one VirtualService changes, all of 1,000 streams hold it",
        20,
        &[
            Target::at_most("", "last", 100.0).istiod(967.0),
            Target::at_most("", "server CPU", 0.15).istiod(1.5),
            Target::at_most("", "resources a stream", 1.0),
            Target::at_most("", "other responses", 0.0).istiod(2.0),
            Target::compared("", "half", 625.0),
        ],
    ),
    row(
        RowId::RouteSome,
        "one VirtualService changes, 10,000 streams, 5 % depend on it",
        60,
        &[
            Target::at_most("", "last", 100.0),
            Target::at_most("", "streams told in vain", 0.0),
            // The route configuration of the one class that depends on it.
            Target::at_most("", "compiled", 1.0),
        ],
    ),
    row(
        RowId::Churn,
        "500 endpoint changes a second for a minute, 2,000 services × 10, 1,000 streams",
        100,
        &[
            Target::at_most("", "lag p99", 200.0),
            Target::at_most("", "streams behind", 0.0),
            // Flat: the last third of the time against the one before.
            Target::at_most("", "CPU growth", 1.1),
            Target::at_most("", "memory growth", 1.1),
        ],
    ),
    row(
        RowId::Reconnect,
        "10,000 streams reconnect and nothing has changed",
        60,
        &[
            Target::at_most("", "resources sent", 0.0),
            Target::at_most("", "CPU a stream", 0.3).istiod(30.6),
        ],
    ),
    row(
        RowId::Check,
        "`meltemi check` of 2,000 services in 200 namespaces",
        15,
        &[Target::at_most("", "check", 2.0)],
    ),
    row(
        RowId::Start,
        "start with 2,000 services × 50 endpoints in 2,400 files",
        10,
        &[
            Target::at_most("", "first stream complete", 0.8).istiod(5.5),
            Target::at_most("", "peak", 200.0).istiod(655.0),
        ],
    ),
    row(
        RowId::StartEntries,
        "start with 30,000 ServiceEntries with selectors and 100,000 WorkloadEntries",
        40,
        &[
            Target::at_most("", "first stream complete", 3.0),
            Target::at_most("", "peak", 700.0),
            Target::at_most("", "one WorkloadEntry changes", 50.0),
            Target::compared("10 namespaces", "first stream complete", 377.0),
            Target::compared("10 namespaces", "peak", 2_800.0),
        ],
    ),
    row(
        RowId::SlowReader,
        "one stream that reads nothing for a minute among 1,000",
        110,
        &[
            Target::at_most("", "p99 against before", 1.1),
            Target::at_most("", "memory over its largest resource", 1.0),
        ],
    ),
    row(
        RowId::Memory,
        "idle memory of a delta stream, 1,000 services × 10, 10,000 streams",
        140,
        &[Target::at_most("", "memory a stream", 50.0)],
    ),
    row(
        RowId::Many,
        "20,000 streams, 1,000 services × 10, one plane",
        200,
        &[
            Target::at_most("", "peak", 2_000.0),
            Target::at_most("", "all connected", 60.0),
            Target::at_most("", "time-outs", 0.0),
        ],
    ),
    row(
        RowId::GrowthServices,
        "growth with 500, 1,000, 2,000 and 4,000 services, 100 streams",
        120,
        &[
            Target::linear("start"),
            Target::linear("idle memory"),
            Target::linear("cold CPU a stream"),
            Target::constant("endpoint CPU"),
            Target::constant("endpoint last"),
            // A route configuration holds the hosts of a port.
            Target::linear("route CPU"),
            Target::linear("reconnect CPU"),
        ],
    ),
    row(
        RowId::GrowthStreams,
        "growth with 250 to 4,000 streams, 200 services",
        75,
        &[
            Target::linear("cold CPU"),
            Target::linear("memory over idle"),
            Target::linear("endpoint CPU"),
            Target::linear("endpoint last"),
            Target::linear("route CPU"),
            Target::linear("reconnect CPU"),
        ],
    ),
    row(
        RowId::GrowthClasses,
        "growth with 20 to 160 namespaces with proxies, 1,000 services, 160 streams",
        60,
        &[
            Target::linear("cold CPU"),
            Target::linear("memory over idle"),
            Target::linear("route CPU"),
        ],
    ),
    row(
        RowId::Simulated,
        "100,000 streams in one process, without sockets, 1,000 services × 10",
        90,
        &[
            Target::at_most("", "streams not complete", 0.0),
            Target::at_most("", "endpoint: streams missed", 0.0),
            Target::at_most("", "endpoint: responses too many", 0.0),
            Target::at_most("", "endpoint: streams not complete", 0.0),
            Target::at_most("", "route: streams missed", 0.0),
            Target::at_most("", "route: responses too many", 0.0),
            Target::at_most("", "route: streams not complete", 0.0),
            Target::at_most("", "resources sent twice", 0.0),
            Target::at_most("", "resources sent to who comes back", 0.0),
            // Without the buffers of a connection, which the row `memory` has.
            Target::at_most("", "memory a stream", 50.0),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_row_is_in_the_table_once() {
        for id in RowId::value_variants() {
            let rows = ROWS.iter().chain(LAZY_ROWS).filter(|row| row.id == *id);
            assert_eq!(rows.count(), 1, "{}", id.name());
        }
    }

    #[test]
    fn the_whole_table_takes_twenty_five_minutes_at_most() {
        assert!(ROWS.iter().map(|row| row.seconds).sum::<u32>() <= 25 * 60);
    }
}
