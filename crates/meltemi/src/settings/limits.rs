//! The settings of how much the server takes on, and of its peers.

use std::{fmt, num::NonZeroU32, str::FromStr};

use serde::{Deserialize, Deserializer, de::Error};

use super::Resolver;
use crate::environment::Environment;

/// A number of bytes, as `512Mi` or `2GB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(|size: bytesize::ByteSize| Self(size.as_u64()))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        bytesize::ByteSize(self.0).fmt(out)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// As arguments, variables and in the file alike: the file has the names in camel case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, clap::Args)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct LimitArguments {
    /// Streams of proxies that may be open; 100000 unless set.
    #[arg(long, env = "MELTEMI_MAX_STREAMS")]
    pub(crate) max_streams: Option<u32>,
    /// Streams that may begin in a second; the rest are told when to come again. No limit unless set.
    #[arg(long, env = "MELTEMI_MAX_STREAMS_PER_SECOND")]
    pub(crate) max_streams_per_second: Option<NonZeroU32>,
    /// How old a connection may become, give or take a tenth, before its proxy is asked to connect
    /// again; no limit unless set.
    #[arg(long, env = "MELTEMI_MAX_CONNECTION_AGE")]
    pub(crate) max_connection_age: Option<api::Duration>,
    /// Memory that the process may take, such as `2Gi`; that of its cgroup unless set. From 85 %
    /// on new streams are refused, from 95 % on some are sent elsewhere.
    #[arg(long, env = "MELTEMI_MEMORY_LIMIT")]
    pub(crate) memory_limit: Option<Bytes>,
    /// Admin address (`host:port`) of another replica, or a name that stands for all of them; may be
    /// given several times. Streams in excess of a fair share are handed over bit by bit.
    #[arg(long = "peer", env = "MELTEMI_PEERS", value_delimiter = ',')]
    pub(crate) peers: Option<Vec<String>>,
    /// How many streams this replica should have in relation to its peers; 1 unless set.
    #[arg(long, env = "MELTEMI_WEIGHT")]
    pub(crate) weight: Option<NonZeroU32>,
}

/// How much the server takes on.
#[derive(Clone, Debug)]
pub(crate) struct LimitSettings {
    pub(crate) max_streams: u32,
    pub(crate) max_streams_per_second: Option<NonZeroU32>,
    pub(crate) max_connection_age: Option<api::Duration>,
    pub(crate) memory: Option<Bytes>,
    pub(crate) peers: Vec<String>,
    pub(crate) weight: NonZeroU32,
}

const MAX_STREAMS: u32 = 100_000;
/// istiod's switch: requests to open a stream, per second.
pub(crate) const RATE: &str = "PILOT_MAX_REQUESTS_PER_SECOND";

impl LimitSettings {
    pub(crate) fn resolve(
        given: LimitArguments,
        file: LimitArguments,
        resolver: &mut Resolver<'_>,
        environment: &Environment,
    ) -> Self {
        let istiods = environment.get(RATE).and_then(|rate| rate.parse::<f64>().ok());
        let istiods = istiods.and_then(|rate| NonZeroU32::new(rate.ceil() as u32));
        Self {
            max_streams: resolver.pick(
                "max_streams",
                given.max_streams,
                file.max_streams,
                MAX_STREAMS,
            ),
            max_streams_per_second: resolver.pick_optional(
                "max_streams_per_second",
                given.max_streams_per_second,
                file.max_streams_per_second,
                istiods,
            ),
            max_connection_age: resolver.pick_optional(
                "max_connection_age",
                given.max_connection_age,
                file.max_connection_age,
                None,
            ),
            memory: resolver.pick_optional(
                "memory_limit",
                given.memory_limit,
                file.memory_limit,
                runtime::memory_limit().map(Bytes),
            ),
            peers: resolver.pick("peers", given.peers, file.peers, Vec::new()),
            weight: resolver.pick("weight", given.weight, file.weight, NonZeroU32::MIN),
        }
    }

    /// Of the xDS server.
    pub(crate) fn xds(&self) -> xds::Settings {
        let settings = xds::Settings::default();
        xds::Settings {
            max_streams: self.max_streams as usize,
            max_streams_per_second: self.max_streams_per_second,
            max_connection_age: self.max_connection_age.map(api::Duration::to_std),
            ..settings
        }
    }
}
