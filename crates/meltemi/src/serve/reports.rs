//! `StreamAccessLogs`: what callers' proxies report of their calls, for learning.
//!
//! - A proxy reports for its own workload alone: who it is follows from the node of its stream, and
//!   that must not contradict what the stream has proven, as for configuration.
//! - Nothing is kept of a report but which services were called, and how often.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::SystemTime,
};

use bytes::Bytes;
use compile::telemetry::REPORT_LOG;
use envoy::service::accesslog::v3::StreamAccessLogsMessage;
use model::{Hostname, Service, Shared, WorkloadKey};
use prost::Message;
use push::{Access, Caller, proxy_of};
use scope::{CallLog, Places, ScopeHandle, Sensor, called_hosts};
use snapshot::{Reader, Snapshot};
use tokio::sync::watch;
use xds::{Code, PeerInfo, Sink, SinkMethod, SinkOpening, Status};

/// The newest snapshot.
pub(super) type Snapshots = watch::Receiver<Option<Arc<Snapshot>>>;

/// The service, to be mounted on the port of the ADS streams. Clones share their state.
#[derive(Clone)]
pub(super) struct ReportService(Arc<Inner>);

struct Inner {
    access: Access,
    snapshots: Snapshots,
    scope: ScopeHandle,
    /// Of the snapshot that was last looked at.
    places: Mutex<Option<Arc<MeshPlaces>>>,
}

/// One stream.
struct Reports {
    service: ReportService,
    caller: Caller,
    /// Named by the first message.
    reporter: Option<Reporter>,
}

/// Whose proxy reports.
struct Reporter {
    workload: WorkloadKey,
    /// Our own configuration reports no calls of what the proxy was told of.
    log: CallLog,
}

/// The services of a snapshot.
struct MeshPlaces {
    snapshot: Arc<Snapshot>,
    /// Made when the first address is asked for.
    addresses: OnceLock<HashMap<IpAddr, Vec<Shared<Service>>>>,
}

impl ReportService {
    pub(super) fn new(access: Access, snapshots: Snapshots, scope: ScopeHandle) -> Self {
        Self(Arc::new(Inner { access, snapshots, scope, places: Mutex::default() }))
    }

    fn places(&self) -> Option<Arc<MeshPlaces>> {
        let snapshot = self.0.snapshots.borrow().clone()?;
        let mut known = self.0.places.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some(places) if places.snapshot.revision == snapshot.revision => Some(places.clone()),
            Some(_) | None => {
                let places = Arc::new(MeshPlaces { snapshot, addresses: OnceLock::new() });
                Some(known.insert(places).clone())
            }
        }
    }
}

impl SinkMethod for ReportService {
    fn path(&self) -> &'static str {
        "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs"
    }

    fn open(&self, peer: PeerInfo) -> SinkOpening<'_> {
        Box::pin(async move {
            let caller = self.0.access.admit(&peer).await?;
            let reports = Reports { service: self.clone(), caller, reporter: None };
            Ok(Box::new(reports) as Box<dyn Sink>)
        })
    }
}

impl Sink for Reports {
    fn take(&mut self, message: Bytes) -> Result<(), Status> {
        let unusable = |why: String| Status::new(Code::InvalidArgument, why);
        let message = StreamAccessLogsMessage::decode(message)
            .map_err(|_| unusable("it is no report of calls".to_owned()))?;
        if self.caller.proof.as_ref().is_some_and(|proof| proof.expires <= SystemTime::now()) {
            return Err(Status::new(Code::Unauthenticated, "the proof of this stream has ended"));
        }
        let Some(places) = self.service.places() else { return Ok(()) };
        let Reporter { workload, log } = match &self.reporter {
            Some(reporter) => reporter,
            None => {
                let identifier = message.identifier.as_ref();
                let node = identifier.and_then(|it| it.node.as_ref()).ok_or_else(|| {
                    unusable("the first report of a stream must carry its node".to_owned())
                })?;
                let proxy = proxy_of(node).map_err(unusable)?;
                self.caller.may_be(&proxy, places.snapshot.mesh())?;
                let log = match identifier.is_some_and(|it| it.log_name == REPORT_LOG) {
                    true => CallLog::Unknown,
                    false => CallLog::All,
                };
                self.reporter.insert(Reporter { workload: proxy.workload(), log })
            }
        };
        let scope = &self.service.0.scope;
        if *log == CallLog::All {
            // Also who reports nothing that is learned can see calls.
            scope.works(Sensor::AccessLog);
        }
        for (host, count) in called_hosts(&message, &workload.namespace, *log, &*places) {
            match log {
                CallLog::All => scope.observe(workload.clone(), host, Sensor::AccessLog, count),
                CallLog::Unknown => scope.glimpse(workload.clone(), host, Sensor::AccessLog, count),
            }
        }
        Ok(())
    }
}

impl Places for MeshPlaces {
    fn domain(&self) -> &str {
        &self.snapshot.mesh().domain
    }

    fn has(&self, host: &Hostname) -> bool {
        !Reader::new(&self.snapshot).services_named(host).is_empty()
    }

    /// The service of a virtual address, else one that has an endpoint there.
    fn at(&self, address: IpAddr, port: Option<u16>) -> Option<Hostname> {
        let addresses = self.addresses.get_or_init(|| {
            let mut addresses = HashMap::<IpAddr, Vec<Shared<Service>>>::new();
            for service in self.snapshot.services() {
                let of_ports = service.ports.iter().filter_map(|port| port.addresses.as_ref());
                let written = of_ports.chain([&service.addresses]).flat_map(|all| all.iter());
                let written = written.filter_map(|address| address.parse().ok());
                for address in written.chain(service.allocated.iter().copied()) {
                    addresses.entry(address).or_default().push(service.clone());
                }
            }
            addresses
        });
        let first = |services: &mut dyn Iterator<Item = &Shared<Service>>| {
            let serving = services.filter(|it| port.is_none_or(|port| it.port(port).is_some()));
            serving.map(|service| service.hostname()).min().cloned()
        };
        let own = addresses.get(&address).and_then(|services| first(&mut services.iter()));
        let reader = Reader::new(&self.snapshot);
        own.or_else(|| first(&mut reader.services_at(address).into_iter()))
    }
}
