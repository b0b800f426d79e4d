//! What a server's certificate says, for expectations: read from its DER.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

/// A certificate as a field of a result; what cannot be read in it is null.
pub(super) fn document(der: &[u8]) -> Json {
    let mut map = Map::new();
    let read = Fields::read(der).unwrap_or_default();
    map.insert("subject".into(), read.subject.into());
    map.insert("issuer".into(), read.issuer.into());
    map.insert("not_before".into(), read.not_before.into());
    map.insert("not_after".into(), read.not_after.into());
    map.insert("names".into(), read.names.into());
    map.insert("sha256".into(), hex(&Sha256::digest(der)).into());
    Json::Object(map)
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, b| {
        use std::fmt::Write;
        let _ = write!(text, "{b:02x}");
        text
    })
}

#[derive(Debug, Default)]
struct Fields {
    subject: Option<String>,
    issuer: Option<String>,
    not_before: Option<String>,
    not_after: Option<String>,
    names: Vec<String>,
}

/// One value of DER: its tag and its content.
#[derive(Debug, Clone, Copy)]
struct Value<'a> {
    tag: u8,
    content: &'a [u8],
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const BOOLEAN: u8 = 0x01;
/// `[0]`: the version of a certificate.
const VERSION: u8 = 0xa0;
/// `[3]`: its extensions.
const EXTENSIONS: u8 = 0xa3;
/// 2.5.29.17: the names that the certificate is for.
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];

/// Values that stand one after the other.
struct Values<'a>(&'a [u8]);

impl<'a> Iterator for Values<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            if bytes.is_empty() || bytes.len() > 4 {
                return None;
            }
            let length = bytes.iter().fold(0_usize, |n, b| n << 8 | usize::from(*b));
            (length, rest)
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(Value { tag, content })
    }
}

impl<'a> Value<'a> {
    fn inside(self) -> Values<'a> {
        Values(self.content)
    }

    fn is(self, tag: u8) -> Option<Self> {
        (self.tag == tag).then_some(self)
    }
}

impl Fields {
    fn read(der: &[u8]) -> Option<Self> {
        let certificate = Values(der).next()?.is(SEQUENCE)?;
        let body = certificate.inside().next()?.is(SEQUENCE)?;
        let mut values = body.inside().filter(|v| v.tag != VERSION);
        values.next()?.is(INTEGER)?;
        values.next()?.is(SEQUENCE)?;
        let issuer = name(values.next()?.is(SEQUENCE)?);
        let mut validity = values.next()?.is(SEQUENCE)?.inside();
        let subject = name(values.next()?.is(SEQUENCE)?);
        let extensions = values.find(|v| v.tag == EXTENSIONS);
        Some(Self {
            subject: Some(subject),
            issuer: Some(issuer),
            not_before: validity.next().and_then(time),
            not_after: validity.next().and_then(time),
            names: extensions.map(alternative_names).unwrap_or_default(),
        })
    }
}

/// `CN=gateway, O=shop`.
fn name(value: Value<'_>) -> String {
    let parts = value.inside().flat_map(Value::inside).filter_map(|part| {
        let mut pair = part.inside();
        let key = pair.next()?.is(OID)?;
        let text = pair.next()?;
        let key = match key.content {
            [0x55, 0x04, 0x03] => "CN".to_owned(),
            [0x55, 0x04, 0x05] => "serialNumber".to_owned(),
            [0x55, 0x04, 0x06] => "C".to_owned(),
            [0x55, 0x04, 0x07] => "L".to_owned(),
            [0x55, 0x04, 0x08] => "ST".to_owned(),
            [0x55, 0x04, 0x0a] => "O".to_owned(),
            [0x55, 0x04, 0x0b] => "OU".to_owned(),
            other => dotted(other),
        };
        Some(format!("{key}={}", String::from_utf8_lossy(text.content)))
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// An object identifier with dots.
fn dotted(oid: &[u8]) -> String {
    let mut numbers = Vec::new();
    let mut number = 0_u64;
    for b in oid {
        number = number << 7 | u64::from(b & 0x7f);
        if b & 0x80 == 0 {
            if numbers.is_empty() {
                let first = (number / 40).min(2);
                numbers.push(first);
                number -= first * 40;
            }
            numbers.push(number);
            number = 0;
        }
    }
    let texts: Vec<String> = numbers.iter().map(u64::to_string).collect();
    texts.join(".")
}

/// A time as RFC 3339 has it.
fn time(value: Value<'_>) -> Option<String> {
    let text = std::str::from_utf8(value.content).ok()?;
    let text = if value.tag == UTC_TIME {
        // Two digits of a year: from 1950 to 2049.
        let century = if text.get(..2)?.parse::<u8>().ok()? < 50 {
            "20"
        } else {
            "19"
        };
        format!("{century}{text}")
    } else {
        text.to_owned()
    };
    let at = DateTime::strptime("%Y%m%d%H%M%S", text.strip_suffix('Z')?).ok()?;
    let at = at.to_zoned(TimeZone::UTC).ok()?;
    Some(at.timestamp().to_string())
}

/// Host names and addresses.
fn alternative_names(extensions: Value<'_>) -> Vec<String> {
    let found = extensions
        .inside()
        .flat_map(Value::inside)
        .find_map(|extension| {
            let mut parts = extension.inside().filter(|v| v.tag != BOOLEAN);
            let id = parts.next()?.is(OID)?;
            let value = parts.next()?.is(OCTETS)?;
            (id.content == ALTERNATIVE_NAMES).then_some(value)
        });
    let Some(names) = found.and_then(|v| v.inside().next()) else {
        return Vec::new();
    };
    names
        .inside()
        .filter_map(|name| match name.tag {
            // rfc822Name, dNSName, uniformResourceIdentifier
            0x81 | 0x82 | 0x86 => Some(String::from_utf8_lossy(name.content).into_owned()),
            0x87 => address(name.content),
            _ => None,
        })
        .collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(four).to_string());
    }
    let sixteen = <[u8; 16]>::try_from(bytes).ok()?;
    Some(std::net::Ipv6Addr::from(sixteen).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_read() {
        let mut params =
            rcgen::CertificateParams::new(vec!["gateway".into(), "10.1.2.3".into()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in [
            (rcgen::DnType::CommonName, "gateway"),
            (rcgen::DnType::OrganizationName, "shop ü"),
            (rcgen::DnType::CustomDnType(vec![2, 5, 4, 12]), "title"),
        ] {
            params.distinguished_name.push(kind, value);
        }
        params.not_before = rcgen::date_time_ymd(2024, 2, 29);
        params.not_after = rcgen::date_time_ymd(2051, 1, 2);
        let key = rcgen::KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap();
        let read = document(der.der());
        assert_eq!(read["subject"], "CN=gateway, O=shop ü, 2.5.4.12=title");
        assert_eq!(read["issuer"], read["subject"]);
        assert_eq!(read["not_before"], "2024-02-29T00:00:00Z");
        assert_eq!(read["not_after"], "2051-01-02T00:00:00Z");
        assert_eq!(read["names"], serde_json::json!(["gateway", "10.1.2.3"]));
        assert_eq!(read["sha256"].as_str().unwrap().len(), 64);
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["a".into()]).unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        for cut in 0..der.len() {
            document(&der[..cut]);
            let mut bent = der.clone();
            bent[cut] ^= 0xff;
            document(&bent);
        }
        assert_eq!(document(b"")["subject"], Json::Null);
    }
}
