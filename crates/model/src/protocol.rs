//! What is spoken on a service's port.

/// Protocol of a port, as declared by `appProtocol`, the port's name, or `protocol` (ServiceEntry).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Http,
    Http2,
    Grpc,
    GrpcWeb,
    HttpProxy,
    Https,
    Tls,
    Tcp,
    Mongo,
    Redis,
    Mysql,
    Udp,
    /// Not declared: detected from the first bytes of a connection.
    Unsupported,
}

impl Protocol {
    /// Plain HTTP of some version.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Http2 | Self::Grpc | Self::GrpcWeb | Self::HttpProxy)
    }

    /// HTTP/2 for certain, so that upstream connections may speak it without asking.
    pub fn is_http2(self) -> bool {
        matches!(self, Self::Http2 | Self::Grpc | Self::GrpcWeb)
    }

    /// TLS that ends at the application.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Tls)
    }

    /// Handled as a byte stream.
    pub fn is_tcp(self) -> bool {
        matches!(
            self,
            Self::Tcp | Self::Https | Self::Tls | Self::Mongo | Self::Redis | Self::Mysql
        )
    }

    /// Must be detected from the first bytes.
    pub fn is_unsupported(self) -> bool {
        self == Self::Unsupported
    }

    /// Reads a protocol name as Istio's `protocol` fields have it, in any case.
    pub fn parse(text: &str) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "http" => Self::Http,
            "http2" => Self::Http2,
            "grpc" => Self::Grpc,
            "grpc-web" => Self::GrpcWeb,
            "http_proxy" => Self::HttpProxy,
            "https" => Self::Https,
            "tls" => Self::Tls,
            "tcp" => Self::Tcp,
            "mongo" => Self::Mongo,
            "redis" => Self::Redis,
            "mysql" => Self::Mysql,
            "udp" => Self::Udp,
            _ => Self::Unsupported,
        }
    }

    /// Reads the protocol out of a port's name: `http` or `http-anything`.
    pub fn parse_port_name(name: &str) -> Self {
        let lower = name.to_ascii_lowercase();
        if lower == "grpc-web" || lower.starts_with("grpc-web-") {
            return Self::GrpcWeb;
        }
        Self::parse(lower.split_once('-').map_or(lower.as_str(), |(prefix, _)| prefix))
    }
}
