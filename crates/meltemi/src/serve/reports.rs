//! `StreamAccessLogs`: what callers' proxies report of their calls, for learning.
//!
//! - A proxy reports for its own workload alone: who it is follows from the node of its stream, and
//!   that must not contradict what the stream has proven, as for configuration.
//! - Nothing is kept of a report but which services were called, and how often.

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use compile::telemetry::REPORT_LOG;
use envoy::service::accesslog::v3::StreamAccessLogsMessage;
use model::WorkloadKey;
use prost::Message;
use push::{Access, Caller, proxy_of};
use scope::{CallLog, ScopeHandle, Sensor, called_hosts};
use xds::{Code, PeerInfo, Sink, SinkMethod, SinkOpening, Status};

use super::places::NewestPlaces;

/// The service, to be mounted on the port of the ADS streams. Clones share their state.
#[derive(Clone)]
pub(super) struct ReportService(Arc<Inner>);

struct Inner {
    access: Access,
    mesh: NewestPlaces,
    scope: ScopeHandle,
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

impl ReportService {
    pub(super) fn new(access: Access, mesh: NewestPlaces, scope: ScopeHandle) -> Self {
        Self(Arc::new(Inner { access, mesh, scope }))
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
        let Some(places) = self.service.0.mesh.get() else { return Ok(()) };
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
