//! Gateway: its servers and their TLS settings.

use model::Protocol;

use super::{Check, Path, names, service_entry::is_http};
use crate::{
    codes,
    istio::gateway::{Gateway, Port, Server, ServerTlsMode, ServerTlsSettings, TlsProtocol},
    tls::CIPHER_SUITES,
};

pub(super) fn check(check: &mut Check<'_>, path: &Path<'_>, gateway: &Gateway) {
    let name = check.object.key.name.as_str();
    if !names::is_label(name) {
        let metadata = Path::root("metadata");
        let message = format!("`{name}` is not a valid name of a gateway");
        let hint = "use up to 63 letters, digits and dashes";
        check.report(&codes::NAME, &metadata.field("name"), message, hint);
    }
    let list = path.field("servers");
    check.required(!gateway.servers.is_empty(), &list, "at least one server");
    for (index, server) in gateway.servers.iter().enumerate() {
        let at = list.index(index);
        self::server(check, &at, server);
        let name = |server: &Server| server.port.as_ref().map(|port| port.name.clone());
        let before = &gateway.servers[..index];
        if server.port.is_some() && before.iter().any(|other| name(other) == name(server)) {
            let message = "the names of the ports must be unique";
            let path = at.field("port");
            check.report(&codes::DUPLICATE, &path.field("name"), message, "");
        }
    }
}

fn server(check: &mut Check<'_>, path: &Path<'_>, server: &Server) {
    let hosts = path.field("hosts");
    check.required(!server.hosts.is_empty(), &hosts, "at least one host");
    for (index, host) in server.hosts.iter().enumerate() {
        self::host(check, &hosts.index(index), host);
    }
    let socket = server.bind.strip_prefix("unix://");
    match &server.port {
        Some(port) => self::port(check, &path.field("port"), port, socket.is_some()),
        None => check.required(false, &path.field("port"), "the port"),
    }
    let bind = path.field("bind");
    match socket {
        Some(socket) => {
            if let Err(reason) = names::check_socket(socket) {
                check.report(&codes::ADDRESS, &bind, reason, "");
            }
        }
        None if !server.bind.is_empty() => check.ip(&bind, &server.bind),
        None => (),
    }
    check.unsupported(!server.default_endpoint.is_empty(), path, "defaultEndpoint");
    if let Some(settings) = &server.tls {
        tls(check, &path.field("tls"), settings);
    }
    if let Some(port) = &server.port {
        protocol_and_tls(check, path, port, server.tls.as_ref());
    }
}

/// `namespace/host`, where the namespace may be `*` or `.`, or only the host.
fn host(check: &mut Check<'_>, path: &Path<'_>, text: &str) {
    let (namespace, host) = text.split_once('/').unwrap_or(("*", text));
    if !matches!(namespace, "*" | "." | "~") && !names::is_label(namespace) {
        let message = format!("`{namespace}` is not a namespace");
        check.report(&codes::GW_HOST, path, message, "use a namespace, `*` or `.`");
    }
    if names::is_ip(host) {
        return;
    }
    if host != "*" && !host.contains('.') {
        let message = format!("`{host}` is a short name");
        let hint = "write the full name, such as `shop.example.com`";
        check.report(&codes::GW_HOST, path, message, hint);
    } else if let Err(reason) = names::check_wildcard_host(host) {
        check.report(&codes::GW_HOST, path, format!("the host `{host}` {reason}"), "");
    } else if names::is_partial_wildcard(host) {
        let message = format!("the wildcard of `{host}` stands for a part of a label");
        check.report(&codes::GW_HOST, path, message, "use `*.` and a domain");
    }
}

fn port(check: &mut Check<'_>, path: &Path<'_>, port: &Port, on_socket: bool) {
    if Protocol::parse(&port.protocol) == Protocol::Unsupported {
        let message = format!("the protocol `{}` is not known", port.protocol);
        let hint = "use HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TLS, TCP, MONGO, REDIS or MYSQL";
        check.report(&codes::PROTOCOL, &path.field("protocol"), message, hint);
    }
    if !on_socket {
        check.port(&path.field("number"), port.number);
    } else if port.number != 0 {
        let message = "a server on a socket has the port 0";
        check.report(&codes::PORT_RANGE, &path.field("number"), message, "");
    }
    if port.target_port > 0 {
        let message = "`targetPort` has no meaning for a gateway";
        check.report(&codes::EXCLUSIVE, &path.field("targetPort"), message, "leave it out");
    }
    check.required(!port.name.is_empty(), &path.field("name"), "the name of the port");
}

fn protocol_and_tls(
    check: &mut Check<'_>,
    path: &Path<'_>,
    port: &Port,
    tls: Option<&ServerTlsSettings>,
) {
    let protocol = Protocol::parse(&port.protocol);
    if protocol == Protocol::Unsupported {
        return;
    }
    let is_tls = matches!(protocol, Protocol::Https | Protocol::Tls);
    let at = path.field("tls");
    match tls {
        None if is_tls => {
            let message = format!("the protocol {} needs `tls`", port.protocol);
            check.report(&codes::GW_TLS, &at, message, "");
        }
        Some(tls) if !is_tls => {
            let passes =
                matches!(tls.mode, ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough);
            let files = [&tls.ca_certificates, &tls.private_key, &tls.server_certificate];
            if !is_http(protocol) {
                let message = format!("the protocol {} cannot have `tls`", port.protocol);
                check.report(&codes::GW_TLS, &at, message, "use TLS or HTTPS");
            } else if !passes || files.iter().any(|file| !file.is_empty()) {
                let message = "a port with plain HTTP can only have `httpsRedirect`";
                check.report(&codes::GW_TLS, &at, message, "use HTTPS for encryption");
            }
        }
        Some(_) | None => (),
    }
    if tls.is_some_and(|tls| tls.https_redirect) && !is_http(protocol) {
        let message = "`httpsRedirect` has no effect without HTTP";
        check.report(&codes::GW_TLS_WARNING, &at.field("httpsRedirect"), message, "");
    }
}

pub(super) fn tls(check: &mut Check<'_>, path: &Path<'_>, tls: &ServerTlsSettings) {
    ciphers(check, path, tls);
    let has_credential = !tls.credential_name.is_empty() || !tls.credential_names.is_empty();
    // A Secret brings its own list.
    check.unsupported(has_credential && !tls.ca_crl.is_empty(), path, "caCrl");
    let has_files = has_credential || !tls.tls_certificates.is_empty();
    let credential =
        if tls.credential_names.is_empty() { "credentialName" } else { "credentialNames" };
    let fields = [
        ("serverCertificate", !tls.server_certificate.is_empty()),
        ("privateKey", !tls.private_key.is_empty()),
        ("caCertificates", !tls.ca_certificates.is_empty()),
        (credential, has_credential),
        ("caCrl", !tls.ca_crl.is_empty()),
    ];
    let needed = match tls.mode {
        ServerTlsMode::IstioMutual => {
            for (name, _) in fields[..4].iter().filter(|(_, is_set)| *is_set) {
                let message = format!("the mode ISTIO_MUTUAL cannot have `{name}`");
                check.report(&codes::GW_TLS, &path.field(name), message, "leave it out");
            }
            return;
        }
        ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough => {
            for (name, _) in fields.iter().filter(|(_, is_set)| *is_set) {
                let message = format!("`{name}` has no effect when TLS is passed through");
                check.report(&codes::GW_TLS_WARNING, &path.field(name), message, "");
            }
            0
        }
        ServerTlsMode::Simple if has_files => return,
        ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual if has_files => return,
        ServerTlsMode::Simple => 2,
        ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual => 3,
    };
    for (name, _) in fields[..needed].iter().filter(|(_, is_set)| !*is_set) {
        let message = format!("this TLS mode needs `{name}`");
        check.report(&codes::GW_TLS, &path.field(name), message, "set it, or `credentialName`");
    }
    if tls.mode == ServerTlsMode::Simple && !tls.ca_crl.is_empty() {
        let message = "the mode SIMPLE cannot have `caCrl`";
        check.report(&codes::GW_TLS, &path.field("caCrl"), message, "");
    }
}

fn ciphers(check: &mut Check<'_>, path: &Path<'_>, tls: &ServerTlsSettings) {
    let is_old = matches!(tls.min_protocol_version, TlsProtocol::Tlsv1_0 | TlsProtocol::Tlsv1_1);
    if is_old && tls.cipher_suites.is_empty() {
        let message = "versions below TLS 1.2 need `cipherSuites` that work with them";
        check.report(&codes::GW_TLS_WARNING, &path.field("minProtocolVersion"), message, "");
    }
    let list = path.field("cipherSuites");
    for (index, suite) in tls.cipher_suites.iter().enumerate() {
        let is_operator = !suite.starts_with(|c: char| c.is_alphanumeric());
        let at = list.index(index);
        if !is_operator && suite != "ALL" && !CIPHER_SUITES.contains(&suite.as_str()) {
            let message = format!("the cipher suite `{suite}` is not known and is left out");
            check.report(&codes::GW_TLS_WARNING, &at, message, "");
        } else if tls.cipher_suites[..index].contains(suite) {
            let message = format!("the cipher suite `{suite}` is already in the list");
            check.report(&codes::GW_TLS_WARNING, &at, message, "");
        }
    }
}
