//! The short form of a published port: `ip:host:container/protocol`, with ranges.

use std::net::IpAddr;

use crate::source::Span;
use crate::yaml::{Mapping, Node, Value};

/// One published port.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Published {
    host_ip: String,
    target: u16,
    /// A port or a range of them; empty for any.
    published: String,
    protocol: String,
}

/// Takes the short form apart; a range of container ports gives several.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn parse(spec: &str) -> Result<Vec<Published>, String> {
    let parts: Vec<&str> = spec.split(':').collect();
    let (address, host, container) = match parts.as_slice() {
        [container] => (String::new(), "", *container),
        [host, container] => (String::new(), *host, *container),
        [address @ .., host, container] => (address.join(":"), *host, *container),
        [] => (String::new(), "", ""),
    };
    let host_ip = host_address(&address)?;
    let (container, protocol) = with_protocol(container);
    if container.is_empty() {
        return Err(format!("`{spec}` names no container port"));
    }
    let protocol = protocol.to_lowercase();
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(format!(
            "`{protocol}` is not a protocol; use tcp, udp or sctp"
        ));
    }
    let (first, last) = range(container)?;
    let hosts = match host {
        "" => None,
        host => Some(range(host)?),
    };
    if let Some((from, to)) = hosts
        && last != first
        && to - from != last - first
    {
        return Err(format!(
            "the ranges `{host}` and `{container}` differ in length"
        ));
    }
    let mut ports: Vec<Published> = (first..=last)
        .map(|target| Published {
            host_ip: host_ip.clone(),
            target,
            published: match hosts {
                None => String::new(),
                Some((from, to)) if first == last && from != to => format!("{from}-{to}"),
                Some((from, _)) => (u32::from(from) + u32::from(target - first)).to_string(),
            },
            protocol: protocol.clone(),
        })
        .collect();
    // Compose sorts them as texts.
    ports.sort_by_key(|p| p.target.to_string());
    Ok(ports)
}

fn with_protocol(container: &str) -> (&str, &str) {
    let mut parts = container.split('/');
    let port = parts.next().unwrap_or("");
    match parts.next() {
        Some(protocol) if !protocol.is_empty() => (port, protocol),
        _ => (port, "tcp"),
    }
}

fn host_address(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let inner = match text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        Some(inner) => inner,
        None if text.contains([':', '[', ']']) => {
            return Err(format!("`{text}` is not an address; put IPv6 in brackets"));
        }
        None => text,
    };
    if !inner.is_empty() && inner.parse::<IpAddr>().is_err() {
        return Err(format!("`{inner}` is not an IP address"));
    }
    Ok(inner.to_owned())
}

fn range(text: &str) -> Result<(u16, u16), String> {
    let invalid = || format!("`{text}` is not a port or a range of ports");
    let mut ends = text.split('-');
    let mut end = || -> Result<Option<u16>, String> {
        let Some(digits) = ends.next() else {
            return Ok(None);
        };
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(invalid());
        }
        digits.parse().map(Some).map_err(|_| invalid())
    };
    let first = end()?.ok_or_else(invalid)?;
    let last = end()?.unwrap_or(first);
    if last < first {
        return Err(invalid());
    }
    Ok((first, last))
}

impl Published {
    /// The long form, all of it at one place.
    pub fn into_node(self, span: &Span) -> Node {
        let mut map = Mapping::default();
        let text = |text: String| Node::str(text, span.clone());
        map.insert("mode", text("ingress".into()));
        if !self.host_ip.is_empty() {
            map.insert("host_ip", text(self.host_ip));
        }
        // Port 0 is no port at all.
        if self.target != 0 {
            map.insert("target", Node::int(self.target.into(), span.clone()));
        }
        if !self.published.is_empty() {
            map.insert("published", text(self.published));
        }
        map.insert("protocol", text(self.protocol));
        Node::new(Value::Map(map), span.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(spec: &str) -> Vec<String> {
        let ports = parse(spec).unwrap();
        ports
            .iter()
            .map(|p| format!("{}|{}|{}|{}", p.host_ip, p.published, p.target, p.protocol))
            .collect()
    }

    #[test]
    fn every_form() {
        for (spec, want) in [
            ("80", vec!["||80|tcp"]),
            ("8080:80/UDP", vec!["|8080|80|udp"]),
            ("127.0.0.1::80", vec!["127.0.0.1||80|tcp"]),
            ("[::1]:90:91", vec!["::1|90|91|tcp"]),
            ("9-10:99-100", vec!["|10|100|tcp", "|9|99|tcp"]),
            ("5000-5010:22", vec!["|5000-5010|22|tcp"]),
        ] {
            assert_eq!(short(spec), want, "{spec}");
        }
    }

    #[test]
    fn what_is_refused() {
        for spec in [
            "", "x", "1:", "70000", "9-8", "1-2:1-3", "a:1:2", "::1:1:2", "80/x", "+80",
        ] {
            assert!(parse(spec).is_err(), "{spec}");
        }
    }
}
