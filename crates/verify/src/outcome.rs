//! What became of a call: the chosen objects, the end, and the steps that led there.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Effect;

/// Why a call did not reach a cluster. The names are those of the corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WalkError {
    NoListener,
    NoFilterChain,
    MultipleFilterChain,
    /// Plaintext to a chain that ends TLS.
    #[serde(rename = "TLSError")]
    Tls,
    /// The chain demands the mesh's certificates and the caller has none, or the other way round.
    #[serde(rename = "MTLSError")]
    Mtls,
    /// An HTTP connection manager was sent what is not HTTP to it.
    #[serde(rename = "ProtocolError")]
    Protocol,
    NoVirtualHost,
    NoRoute,
    /// The virtual host redirects plaintext to HTTPS.
    #[serde(rename = "TLSRedirect")]
    TlsRedirect,
}

/// What a caller notices of a [`WalkError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorClass {
    /// The connection ends.
    Refused,
    /// 404.
    NotFound,
    /// 301.
    Redirected,
}

impl WalkError {
    pub fn class(self) -> ErrorClass {
        match self {
            Self::NoListener
            | Self::NoFilterChain
            | Self::MultipleFilterChain
            | Self::Tls
            | Self::Mtls
            | Self::Protocol => ErrorClass::Refused,
            Self::NoVirtualHost | Self::NoRoute => ErrorClass::NotFound,
            Self::TlsRedirect => ErrorClass::Redirected,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::NoListener => "NoListener",
            Self::NoFilterChain => "NoFilterChain",
            Self::MultipleFilterChain => "MultipleFilterChain",
            Self::Tls => "TLSError",
            Self::Mtls => "MTLSError",
            Self::Protocol => "ProtocolError",
            Self::NoVirtualHost => "NoVirtualHost",
            Self::NoRoute => "NoRoute",
            Self::TlsRedirect => "TLSRedirect",
        }
    }
}

impl fmt::Display for WalkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A cluster and its share of the calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightedName {
    pub name: String,
    pub weight: u32,
}

/// Where the call is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClusterChoice {
    /// Nowhere: an error, a redirect, a direct response, or a cluster chosen per request.
    #[default]
    None,
    Single(String),
    Weighted(Vec<WeightedName>),
}

impl ClusterChoice {
    /// The single cluster; empty for everything else, as the corpus counts it.
    pub fn single(&self) -> &str {
        match self {
            Self::Single(name) => name,
            Self::None | Self::Weighted(_) => "",
        }
    }

    /// All clusters that may get the call.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::None => Vec::new(),
            Self::Single(name) => vec![name],
            Self::Weighted(list) => list.iter().map(|entry| entry.name.as_str()).collect(),
        }
    }
}

/// An answer that the proxy gives by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Direct { status: u32 },
    Redirect { status: u32, location: String },
}

/// One address of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointView {
    /// `address:port`, or the path of a socket.
    pub address: String,
    /// Envoy's name of the health, such as `HEALTHY`; `UNKNOWN` counts as healthy.
    pub health: &'static str,
    pub weight: u32,
    /// 0 is tried first.
    pub priority: u32,
    /// `region/zone/subzone`, as far as known.
    pub locality: String,
}

/// What a cluster consists of, as far as the resources say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// No such cluster was sent: the call gets a 503 or a reset.
    Missing { cluster: String },
    /// The call goes on to its original destination.
    OriginalDestination { cluster: String },
    /// The addresses come at run time, from DNS by the host of the request.
    Dynamic { cluster: String },
    /// An EDS cluster that has no assignment: it warms until one comes.
    NoAssignment { cluster: String, service_name: String },
    /// The known addresses; DNS names where the cluster resolves them.
    Endpoints { cluster: String, endpoints: Vec<EndpointView> },
}

/// The part of the walk that a [`Step`] belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    Listener,
    Inspector,
    FilterChain,
    Tls,
    Http,
    VirtualHost,
    Route,
    Tcp,
    Cluster,
    Endpoint,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Listener => "listener",
            Self::Inspector => "inspector",
            Self::FilterChain => "filter chain",
            Self::Tls => "tls",
            Self::Http => "http",
            Self::VirtualHost => "virtual host",
            Self::Route => "route",
            Self::Tcp => "tcp",
            Self::Cluster => "cluster",
            Self::Endpoint => "endpoint",
        })
    }
}

/// How a [`Step`] went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepVerdict {
    /// Chosen; the walk goes on from here.
    Chosen,
    /// Tried, and why not.
    PassedOver,
    /// The call ends here.
    Failed,
    /// Something to know.
    Note,
}

/// One choice, told to a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub stage: Stage,
    pub verdict: StepVerdict,
    pub text: String,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.verdict {
            StepVerdict::Chosen => "+",
            StepVerdict::PassedOver => "-",
            StepVerdict::Failed => "!",
            StepVerdict::Note => " ",
        };
        write!(f, "{mark} {}: {}", self.stage, self.text)
    }
}

/// What came nearest to a match where nothing matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearMiss {
    pub stage: Stage,
    /// The listener, chain, virtual host or route.
    pub name: String,
    /// What differs.
    pub reason: String,
}

/// What became of a call. What was not reached is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub listener: String,
    pub filter_chain: String,
    /// Name of the RDS resource; empty where the route configuration is inline.
    pub route_config: String,
    pub virtual_host: String,
    pub route: String,
    /// Number of the route in its virtual host, from 0, and how many there are.
    pub route_position: Option<(usize, usize)>,
    /// Paths of the Istio objects (`istio.config`) behind the chain, the host and the route.
    pub filter_chain_owner: Option<String>,
    pub virtual_host_owner: Option<String>,
    pub route_owner: Option<String>,
    /// What the route does besides; filled by [`crate::Fidelity::Full`] only.
    pub effects: Vec<Effect>,
    pub cluster: ClusterChoice,
    /// What the proxy answers by itself.
    pub answer: Option<Answer>,
    /// The clusters' addresses; filled by [`crate::Fidelity::Full`] only.
    pub upstreams: Vec<Upstream>,
    pub error: Option<WalkError>,
    /// What nearly matched: where nothing did, or where only what takes everything did.
    pub nearest: Option<NearMiss>,
    pub steps: Vec<Step>,
}

impl Outcome {
    pub(crate) fn step(&mut self, stage: Stage, verdict: StepVerdict, text: impl Into<String>) {
        self.steps.push(Step { stage, verdict, text: text.into() });
    }

    pub(crate) fn fail(&mut self, stage: Stage, error: WalkError, text: impl Into<String>) {
        self.error = Some(error);
        self.step(stage, StepVerdict::Failed, format!("{error}: {}", text.into()));
    }
}
