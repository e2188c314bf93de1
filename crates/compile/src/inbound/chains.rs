//! The table of filter chains that a port has: by protocol, and by what PeerAuthentication says.
//!
//! A row is one chain. With `STRICT` there is no row for plain text, so that nothing else can let it
//! in: neither a missing certificate nor a missing identity provider.

use model::Protocol;

use crate::{
    outbound::{ChainMatch, TransportProtocol},
    peer::PeerMode,
    tls::{MESH_HTTP, MESH_PROTOCOLS, MESH_TCP},
};

/// One chain of a port.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChainRow {
    pub takes: Takes,
    pub speaks: Speaks,
}

/// Which connections a chain takes, and whether it ends their TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// TLS that offers one of these protocols, or any if there are none; it is ended.
    Ended(&'static [&'static str]),
    /// Other TLS, which the application ends itself.
    Foreign,
    /// Plain text that was found to be HTTP.
    PlainHttp,
    Plain,
}

/// What the chain makes of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    Http,
    Tcp,
}

/// Who ends the TLS of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PortTls {
    /// The mesh, by PeerAuthentication.
    Mesh(PeerMode),
    /// A listener of a Sidecar with a certificate of its own: for everyone, and for nothing else.
    Own,
}

const fn http(takes: Takes) -> ChainRow {
    ChainRow { takes, speaks: Speaks::Http }
}

const fn tcp(takes: Takes) -> ChainRow {
    ChainRow { takes, speaks: Speaks::Tcp }
}

use Takes::{Ended, Foreign, Plain, PlainHttp};

/// What clients outside of the mesh offer when they mean HTTP.
const WEB: [&str; 3] = ["http/1.0", "http/1.1", "h2"];

const HTTP_DISABLE: &[ChainRow] = &[http(Plain)];
const HTTP_PERMISSIVE: &[ChainRow] = &[http(Ended(&MESH_PROTOCOLS)), http(Plain)];
const HTTP_STRICT: &[ChainRow] = &[http(Ended(&[]))];
const TCP_DISABLE: &[ChainRow] = &[tcp(Plain)];
const TCP_PERMISSIVE: &[ChainRow] = &[tcp(Ended(&MESH_PROTOCOLS)), tcp(Foreign), tcp(Plain)];
const TCP_STRICT: &[ChainRow] = &[tcp(Ended(&[]))];
const AUTO_DISABLE: &[ChainRow] = &[http(PlainHttp), tcp(Plain)];
const AUTO_PERMISSIVE: &[ChainRow] =
    &[http(Ended(&MESH_HTTP)), http(PlainHttp), tcp(Ended(&MESH_TCP)), tcp(Plain), tcp(Foreign)];
const AUTO_STRICT: &[ChainRow] = &[http(Ended(&MESH_HTTP)), tcp(Ended(&[]))];
const AUTO_OWN: &[ChainRow] = &[http(Ended(&WEB)), tcp(Ended(&[]))];

/// The chains of a port.
pub(super) fn rows(protocol: Protocol, tls: PortTls) -> &'static [ChainRow] {
    use PeerMode::{Disable, Permissive, Strict};
    if protocol.is_http() {
        match tls {
            PortTls::Mesh(Disable) => HTTP_DISABLE,
            PortTls::Mesh(Permissive) => HTTP_PERMISSIVE,
            PortTls::Mesh(Strict) | PortTls::Own => HTTP_STRICT,
        }
    } else if protocol.is_tcp() {
        match tls {
            PortTls::Mesh(Disable) => TCP_DISABLE,
            PortTls::Mesh(Permissive) => TCP_PERMISSIVE,
            PortTls::Mesh(Strict) | PortTls::Own => TCP_STRICT,
        }
    } else {
        match tls {
            PortTls::Mesh(Disable) => AUTO_DISABLE,
            PortTls::Mesh(Permissive) => AUTO_PERMISSIVE,
            PortTls::Mesh(Strict) => AUTO_STRICT,
            PortTls::Own => AUTO_OWN,
        }
    }
}

impl ChainRow {
    pub(super) fn matches(self, port: Option<u16>, http10: bool) -> ChainMatch {
        let tls = |protocols| ChainMatch {
            transport_protocol: TransportProtocol::Tls,
            application_protocols: protocols,
            ..ChainMatch::default()
        };
        let matches = match self.takes {
            Takes::Ended(protocols) => tls(protocols),
            Takes::Foreign => tls(&[]),
            Takes::PlainHttp => ChainMatch::plain_http(http10),
            Takes::Plain => ChainMatch {
                transport_protocol: TransportProtocol::RawBuffer,
                ..ChainMatch::default()
            },
        };
        ChainMatch { destination_port: port, ..matches }
    }

    pub(super) fn ends_tls(self) -> bool {
        matches!(self.takes, Takes::Ended(_))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use expect_test::expect;
    use model::Protocol;

    use super::{PortTls, Speaks, Takes, rows};
    use crate::peer::PeerMode;

    #[test]
    fn the_table() {
        let modes = [
            PortTls::Mesh(PeerMode::Strict),
            PortTls::Mesh(PeerMode::Permissive),
            PortTls::Mesh(PeerMode::Disable),
            PortTls::Own,
        ];
        let mut out = String::new();
        for mode in modes {
            for protocol in [Protocol::Http, Protocol::Tcp, Protocol::Unsupported] {
                writeln!(out, "{mode:?} {protocol:?}").unwrap();
                for row in rows(protocol, mode) {
                    let takes = match row.takes {
                        Takes::Ended([]) => "tls, ended".to_owned(),
                        Takes::Ended(offered) => format!("tls {}, ended", offered.join(",")),
                        Takes::Foreign => "tls".to_owned(),
                        Takes::PlainHttp => "plain HTTP".to_owned(),
                        Takes::Plain => "plain".to_owned(),
                    };
                    writeln!(out, "  {takes} -> {:?}", row.speaks).unwrap();
                }
            }
        }
        expect![[r#"
            Mesh(Strict) Http
              tls, ended -> Http
            Mesh(Strict) Tcp
              tls, ended -> Tcp
            Mesh(Strict) Unsupported
              tls istio-http/1.0,istio-http/1.1,istio-h2, ended -> Http
              tls, ended -> Tcp
            Mesh(Permissive) Http
              tls istio,istio-peer-exchange,istio-http/1.0,istio-http/1.1,istio-h2, ended -> Http
              plain -> Http
            Mesh(Permissive) Tcp
              tls istio,istio-peer-exchange,istio-http/1.0,istio-http/1.1,istio-h2, ended -> Tcp
              tls -> Tcp
              plain -> Tcp
            Mesh(Permissive) Unsupported
              tls istio-http/1.0,istio-http/1.1,istio-h2, ended -> Http
              plain HTTP -> Http
              tls istio-peer-exchange,istio, ended -> Tcp
              plain -> Tcp
              tls -> Tcp
            Mesh(Disable) Http
              plain -> Http
            Mesh(Disable) Tcp
              plain -> Tcp
            Mesh(Disable) Unsupported
              plain HTTP -> Http
              plain -> Tcp
            Own Http
              tls, ended -> Http
            Own Tcp
              tls, ended -> Tcp
            Own Unsupported
              tls http/1.0,http/1.1,h2, ended -> Http
              tls, ended -> Tcp
        "#]]
        .assert_eq(&out);
    }

    #[test]
    fn strict_never_takes_plain_text_nor_passes_anything_unchecked() {
        let protocols = [Protocol::Http, Protocol::Grpc, Protocol::Tcp, Protocol::Unsupported];
        for protocol in protocols {
            for tls in [PortTls::Mesh(PeerMode::Strict), PortTls::Own] {
                assert!(rows(protocol, tls).iter().all(|row| row.ends_tls()));
            }
            let http = rows(protocol, PortTls::Mesh(PeerMode::Permissive));
            assert!(http.iter().any(|row| !row.ends_tls() && row.takes == Takes::Plain));
            assert!(
                !http.iter().any(|row| row.takes == Takes::Foreign && row.speaks == Speaks::Http)
            );
        }
    }
}
