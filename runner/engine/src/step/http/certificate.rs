//! Facts of a server's certificate.

use std::net::IpAddr;

use jiff::Timestamp;
use prodmirror_model::check::hex;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A certificate in DER as a field of a result; null where it cannot be read.
pub(super) fn document(der: &[u8]) -> Json {
    facts(der).unwrap_or(Json::Null)
}

fn facts(der: &[u8]) -> Option<Json> {
    let (_, c) = X509Certificate::from_der(der).ok()?;
    let date = |seconds: i64| Timestamp::from_second(seconds).ok().map(|t| t.to_string());
    let names = c.subject_alternative_name().ok().flatten();
    let names: Vec<String> = names
        .into_iter()
        .flat_map(|n| &n.value.general_names)
        .filter_map(name)
        .collect();
    Some(json!({
        "subject": c.subject().to_string(),
        "issuer": c.issuer().to_string(),
        "start_date": date(c.validity().not_before.timestamp()),
        "expire_date": date(c.validity().not_after.timestamp()),
        "serial_number": c.raw_serial_as_string(),
        "subject_alt_name": names,
        "sha256": hex(&Sha256::digest(der)),
    }))
}

fn name(n: &GeneralName<'_>) -> Option<String> {
    match n {
        GeneralName::DNSName(host) => Some(format!("DNS:{host}")),
        GeneralName::RFC822Name(mail) => Some(format!("email:{mail}")),
        GeneralName::URI(uri) => Some(format!("URI:{uri}")),
        GeneralName::IPAddress(bytes) => {
            let ip = <[u8; 4]>::try_from(*bytes)
                .map(IpAddr::from)
                .or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            ip.ok().map(|ip| format!("IP:{ip}"))
        }
        _ => None,
    }
}
