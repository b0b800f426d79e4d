//! Values that say localhost.

use crate::audit::{Found, Look, ports};
use crate::fidelity::Severity;
use crate::policy::externals::Mention;

/// Words in the names of variables whose value is no call.
const NO_CALL: [&str; 10] = [
    "NO_PROXY",
    "ALLOWED_HOSTS",
    "TRUSTED",
    "WHITELIST",
    "ALLOWLIST",
    "EXCLUDE",
    "DENY",
    "BLOCK",
    "SERVER_NAME",
    "HOSTNAME",
];
const LISTENS: [&str; 5] = ["LISTEN", "BIND", "BIND_ADDRESS", "LISTENER", "LISTENERS"];

/// Values that call localhost.
pub fn call(look: &Look<'_>, found: &mut Found) {
    each(look, |service, host, port, m| {
        let name = variable(&m.field);
        if name.is_some_and(|n| NO_CALL.iter().any(|w| n.contains(w)) || listens(&n)) {
            return;
        }
        let own = look
            .mirror
            .services
            .get(service)
            .map(ports::own)
            .unwrap_or_default();
        // A service that calls itself, or one of its own processes, is right.
        if port.is_some_and(|p| own.contains(&p)) {
            return;
        }
        let shown = port.map_or_else(|| host.to_owned(), |p| format!("{host}:{p}"));
        let other = port.and_then(|p| provider(look, service, p));
        let finding = found.service(
            service,
            m.field.clone(),
            &m.span,
            format!(
                "{} calls `{shown}`, which is this container itself",
                m.field
            ),
        );
        finding.key(shown);
        if let Some(other) = other {
            finding.fix(format!("did you mean `{other}`? It listens on that port"));
        }
        if m.field.starts_with("config ") || m.field.starts_with("file ") {
            // It may be another process of the same container.
            finding.severity(Severity::Medium);
        }
    });
}

/// Services that listen on loopback only.
pub fn listen(look: &Look<'_>, found: &mut Found) {
    each(look, |service, host, _, m| {
        if variable(&m.field).is_some_and(|n| listens(&n)) {
            found
                .service(
                    service,
                    m.field.clone(),
                    &m.span,
                    format!("{} makes the service listen on `{host}` only", m.field),
                )
                .key(host.to_owned());
        }
    });
}

fn each(look: &Look<'_>, mut f: impl FnMut(&str, &str, Option<u16>, &Mention)) {
    for named in look.hosts.iter().filter(|n| is_loopback(&n.host)) {
        for m in &named.found {
            let service = look.mirror.services.get(&m.service);
            let shared = service.is_none_or(|s| look.shares_network(&m.service, s));
            if !shared && m.field != "extra_hosts" {
                f(&m.service, &named.host, named.port, m);
            }
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let ip = host.parse::<std::net::IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || ip.is_ok_and(|ip| ip.is_loopback())
}

fn variable(field: &str) -> Option<String> {
    field
        .strip_prefix("environment.")
        .map(str::to_ascii_uppercase)
}

fn listens(name: &str) -> bool {
    name.split(['_', '.', '-']).any(|w| LISTENS.contains(&w))
}

/// Another service that listens on a port.
fn provider<'l>(look: &Look<'l>, service: &str, port: u16) -> Option<&'l str> {
    look.services().find_map(|(key, s)| {
        let mut known = ports::declared(s);
        known.extend(ports::well_known(s));
        (key != service && known.contains(&port)).then_some(key)
    })
}
