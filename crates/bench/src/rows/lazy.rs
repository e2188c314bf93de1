//! The table of lazy loading (`--lazy`): real Envoys, 2,000 services × 50 endpoints.

use super::{Row, RowId, Target, row};

/// In the order in which they run.
pub(crate) const LAZY_ROWS: &[Row] = &[
    row(
        RowId::LazyFirst,
        "the first call to a service that the Envoy was not told of, beyond a warm call",
        60,
        &[
            Target::at_most("on demand", "beyond warm p50", 4.0),
            Target::at_most("on demand", "beyond warm p99", 15.0),
        ],
    ),
    row(
        RowId::LazyGateway,
        "for comparison: the same first calls through the gateway of mode `gateway`",
        60,
        &[],
    ),
    row(
        RowId::LazyMany,
        "10,000 first calls of random services, 20 Envoys, HTTP/1, HTTP/2 and gRPC",
        200,
        &[Target::at_most("", "failed", 0.0)],
    ),
    row(
        RowId::LazyEnvoy,
        "an Envoy that is told of the 5 services that it calls, against one with everything",
        60,
        &[
            Target::at_most("against everything", "memory", 0.15),
            Target::at_most("against everything", "start", 0.25),
        ],
    ),
    row(
        RowId::LazyConnect,
        "1,000 fenced streams connect, against as many that are sent everything",
        90,
        &[Target::at_most("against everything", "CPU", 0.1)],
    ),
    row(
        RowId::LazyRestart,
        "the control plane is killed: who waits again for what was called before",
        30,
        &[Target::at_most("new as well", "questions", 0.0)],
    ),
    row(
        RowId::LazyJunk,
        "100,000 requests with random Hosts, a tenth of them real calls",
        60,
        &[Target::at_most("", "real calls that failed", 0.0)],
    ),
];
