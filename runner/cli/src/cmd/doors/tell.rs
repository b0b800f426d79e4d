//! What is open, for people.

use prodmirror_engine::reach::{Forward, Why};
use serde_json::{Value as Json, json};

use super::{Hosts, Listed};

/// Says what is open, and how to use it.
pub fn tell(listed: &Listed) -> String {
    let mut text = String::new();
    for f in &listed.forwards {
        text.push_str(&line(f));
    }
    if let Some(hosts) = &listed.hosts {
        text.push_str(&of_hosts(hosts, listed));
    }
    if let Some(proxy) = listed.proxy {
        let url = listed.example.as_deref().unwrap_or("http://SERVICE:PORT/");
        text.push_str(&format!(
            "production's names work by the proxy http://{proxy}:\n  \
               curl -x http://{proxy} {url}\n  \
               chromium --user-data-dir=\"$(mktemp -d)\" --proxy-pac-url=http://{proxy}/proxy.pac {url}\n  \
               Firefox and IDEs: http://{proxy}/proxy.pac as automatic proxy configuration\n"
        ));
    }
    for skipped in &listed.skipped {
        text.push_str(&format!("warning: {skipped}\n"));
    }
    text
}

/// Says where one port is.
pub fn line(f: &Forward) -> String {
    let note = note(f);
    format!("{}:{} is at {}{note}\n", f.service, f.target, f.address)
}

fn of_hosts(hosts: &Hosts, listed: &Listed) -> String {
    if listed.lines.is_empty() {
        return "no name of production has an address here: no service names a port, or none could be opened\n".to_owned();
    }
    let file = hosts.file.display();
    let project = &hosts.project;
    format!(
        "{}these lines are in {file}; /etc/hosts is yours:\n  \
           sudo sh -c 'cat {file} >> /etc/hosts'\n  \
           sudo sed -i '/^# prodmirror {project} begin/,/^# prodmirror {project} end/d' /etc/hosts   # takes them out again\n",
        hosts.text(&listed.lines)
    )
}

fn note(f: &Forward) -> &'static str {
    match f.why {
        Why::Debugger if f.is_other_port() => " (for a debugger; its own port is in use here)",
        Why::Debugger => " (for a debugger)",
        _ if f.is_other_port() => " (the declared port is in use here)",
        Why::Declared | Why::Asked | Why::Name => "",
    }
}

/// What is open, as `ports` shows it: the line for people, and the object for programs, with the
/// service that each is about.
pub fn rows(listed: &Listed) -> Vec<(Option<String>, String, Json)> {
    let mut rows = Vec::new();
    for f in &listed.forwards {
        let other = match f.declared {
            Some(d) if f.is_other_port() => format!("  (port {d} is in use here)"),
            _ if f.why == Why::Debugger => "  (for a debugger)".to_owned(),
            _ => String::new(),
        };
        let line = format!("{}:{} -> {}{other}\n", f.service, f.target, f.address);
        let json = serde_json::to_value(f).unwrap_or_default();
        rows.push((Some(f.service.clone()), line, json));
    }
    if let Some(proxy) = listed.proxy {
        let line = format!("production's names -> proxy http://{proxy}\n");
        rows.push((None, line, json!({ "why": "proxy", "address": proxy })));
    }
    rows
}
