//! TLS settings of clients.

use super::{Check, Path};
use crate::{
    codes,
    istio::traffic_policy::{ClientTlsMode, ClientTlsSettings},
};

pub(super) fn check(check: &mut Check<'_>, path: &Path<'_>, tls: &ClientTlsSettings) {
    let mutual = tls.mode == ClientTlsMode::Mutual;
    let own_certificates = mutual || tls.mode == ClientTlsMode::Simple;
    let has_names = !tls.subject_alt_names.is_empty();
    if tls.insecure_skip_verify == Some(true) && own_certificates {
        let verifies = [
            ("caCertificates", !tls.ca_certificates.is_empty()),
            ("subjectAltNames", has_names),
            ("credentialName", !mutual && !tls.credential_name.is_empty()),
        ];
        for (name, _) in verifies.into_iter().filter(|(_, is_set)| *is_set) {
            let message = format!("`{name}` contradicts `insecureSkipVerify`");
            check.report(&codes::DR_TLS, &path.field(name), message, "");
        }
    }
    let files = [
        ("clientCertificate", &tls.client_certificate),
        ("privateKey", &tls.private_key),
        ("caCertificates", &tls.ca_certificates),
        ("caCrl", &tls.ca_crl),
    ];
    if own_certificates && !tls.credential_name.is_empty() {
        for (name, _) in files.into_iter().filter(|(_, file)| !file.is_empty()) {
            let message = format!("`{name}` contradicts `credentialName`");
            check.report(&codes::DR_TLS, &path.field(name), message, "keep one of them");
        }
    } else if mutual {
        for (name, file) in &files[..2] {
            if file.is_empty() {
                let message = format!("the mode MUTUAL needs `{name}`");
                let hint = "set it, or `credentialName`";
                check.report(&codes::DR_TLS, &path.field(name), message, hint);
            }
        }
    }
}
