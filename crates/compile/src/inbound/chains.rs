//! The table of filter chains that a port has.
//!
//! A row is one chain. A further mode of mTLS is a further column: another list of rows.

use model::Protocol;

use crate::outbound::{ChainMatch, TransportProtocol};

/// One chain of a port.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChainRow {
    pub detects_http: Detects,
    pub speaks: Speaks,
}

/// Whether the first bytes decide.
#[derive(Clone, Copy, Debug)]
pub(super) enum Detects {
    PlainHttp,
    Nothing,
}

/// What the chain makes of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    Http,
    Tcp,
}

const HTTP: &[ChainRow] = &[ChainRow { detects_http: Detects::Nothing, speaks: Speaks::Http }];
const TCP: &[ChainRow] = &[ChainRow { detects_http: Detects::Nothing, speaks: Speaks::Tcp }];
const AUTO: &[ChainRow] = &[
    ChainRow { detects_http: Detects::PlainHttp, speaks: Speaks::Http },
    ChainRow { detects_http: Detects::Nothing, speaks: Speaks::Tcp },
];

/// The chains of a port in plaintext.
pub(super) fn rows(protocol: Protocol) -> &'static [ChainRow] {
    if protocol.is_http() {
        HTTP
    } else if protocol.is_tcp() {
        TCP
    } else {
        AUTO
    }
}

impl ChainRow {
    pub(super) fn matches(self, port: Option<u16>, http10: bool) -> ChainMatch {
        let matches = match self.detects_http {
            Detects::PlainHttp => ChainMatch::plain_http(http10),
            Detects::Nothing => ChainMatch {
                transport_protocol: TransportProtocol::RawBuffer,
                ..ChainMatch::default()
            },
        };
        ChainMatch { destination_port: port, ..matches }
    }
}
