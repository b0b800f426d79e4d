//! Loopback addresses that stand for names of production, each with its real ports.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use prodmirror_engine::reach::{Forwards, Named, Reach, Why, Wish};
use prodmirror_model::source::io_reason;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The addresses are 127.77.x.y: nobody else's, as far as that can be.
const FIRST: [u8; 2] = [127, 77];

/// What is known beforehand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hosts {
    /// The project, by which its lines are found again.
    pub project: String,
    /// Where the lines are written.
    pub file: PathBuf,
    /// The ports of each service.
    pub ports: BTreeMap<String, BTreeSet<u16>>,
    /// Services that stand in for hosts outside of the mirror.
    pub stand_ins: BTreeSet<String>,
}

/// A line for the file of hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The address.
    pub address: Ipv4Addr,
    /// Names of production that lead there.
    pub names: Vec<String>,
    /// Whether it stands in for a host that is really elsewhere.
    pub is_stand_in: bool,
}

impl Hosts {
    /// Listens for every name at its real ports; the lines of those that can be reached.
    pub async fn open(&self, reach: &Reach, forwards: &mut Forwards) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut taken = BTreeSet::new();
        for named in reach.named() {
            let Some(line) = self.line(&named, &mut taken) else {
                continue;
            };
            let mut open = 0;
            for port in self.ports_of(&named) {
                let wish = Wish {
                    service: line.names[0].clone(),
                    target: port,
                    at: IpAddr::V4(line.address),
                    port: Some(port),
                    exact: true,
                    why: Why::Name,
                };
                let way = reach.way(&wish.service, port);
                match forwards.add(&wish, None, way).await {
                    Ok(_) => open += 1,
                    Err(e) => forwards.skip(format!(
                        "{}:{port} is not at {}: {}",
                        wish.service,
                        line.address,
                        reason(&e, port, line.address)
                    )),
                }
            }
            if open > 0 {
                lines.push(line);
            }
        }
        lines.sort_by_key(|l| l.is_stand_in);
        lines
    }

    /// The line of some names, at an address that none has yet; none for what has no port.
    fn line(&self, named: &Named, taken: &mut BTreeSet<Ipv4Addr>) -> Option<Line> {
        if self.ports_of(named).is_empty() {
            return None;
        }
        let is_stand_in = named.services.iter().all(|s| self.stand_ins.contains(s));
        let mut names = named.names.clone();
        // What is called so on every machine stays what it is.
        names.retain(|n| n != "localhost");
        if is_stand_in && names.len() > 1 {
            // Programs know the host, not what stands in for it.
            names.retain(|n| !named.services.iter().any(|s| n.contains(s.as_str())));
        }
        let first = names.first()?;
        let mut address = address(&self.project, first);
        while !taken.insert(address) {
            address = next(address);
        }
        Some(Line {
            address,
            names,
            is_stand_in,
        })
    }

    fn ports_of(&self, named: &Named) -> BTreeSet<u16> {
        let all = named.services.iter().filter_map(|s| self.ports.get(s));
        all.flatten().copied().collect()
    }

    /// Writes the lines down.
    ///
    /// # Errors
    /// Why they cannot be written.
    pub fn write(&self, lines: &[Line]) -> Result<(), String> {
        let cannot = |e: std::io::Error| {
            let file = self.file.display();
            format!("cannot write {file}: {}", io_reason(&e))
        };
        if let Some(dir) = self.file.parent() {
            std::fs::create_dir_all(dir).map_err(cannot)?;
        }
        std::fs::write(&self.file, self.text(lines)).map_err(cannot)
    }

    /// The lines as the file of hosts has them.
    pub fn text(&self, lines: &[Line]) -> String {
        let mut text = format!("# prodmirror {} begin\n", self.project);
        let mut said = false;
        for line in lines {
            if line.is_stand_in && !said {
                said = true;
                text.push_str(
                    "# Stand-ins of hosts outside. Whoever takes the mark of a line away does not reach the real one any more.\n",
                );
            }
            let mark = if line.is_stand_in { "#" } else { "" };
            let names = line.names.join(" ");
            text.push_str(&format!("{mark}{:<15} {names}\n", line.address));
        }
        text.push_str(&format!("# prodmirror {} end\n", self.project));
        text
    }
}

/// The address of a name: always the same one, whatever else the project has.
fn address(project: &str, name: &str) -> Ipv4Addr {
    let digest = Sha256::digest(format!("{project}\n{name}"));
    // Not the first and last of a range, which some take for its own and its broadcast.
    let last = 1 + digest[1] % 254;
    Ipv4Addr::new(FIRST[0], FIRST[1], digest[0], last)
}

fn next(address: Ipv4Addr) -> Ipv4Addr {
    let [a, b, third, last] = address.octets();
    match last {
        254.. => Ipv4Addr::new(a, b, third.wrapping_add(1), 1),
        last => Ipv4Addr::new(a, b, third, last + 1),
    }
}

/// Why a port cannot be listened at, and what to do.
fn reason(e: &std::io::Error, port: u16, address: Ipv4Addr) -> String {
    match e.kind() {
        ErrorKind::AddrNotAvailable => format!(
            "this system has no such address; `sudo ifconfig lo0 alias {address}` adds it on macOS"
        ),
        ErrorKind::PermissionDenied => format!(
            "programs may not listen at port {port} here; on Linux, \
             `sudo sysctl net.ipv4.ip_unprivileged_port_start={port}` allows it until the next boot"
        ),
        ErrorKind::AddrInUse => {
            format!(
                "another program listens at port {port} of that address, or of all of this machine"
            )
        }
        _ => io_reason(e).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Hosts {
        let ports = [("db", 5432), ("web", 80), ("stub-pay", 443)];
        Hosts {
            project: "shop".into(),
            file: PathBuf::new(),
            ports: ports
                .map(|(s, p)| (s.to_owned(), BTreeSet::from([p])))
                .into(),
            stand_ins: BTreeSet::from(["stub-pay".to_owned()]),
        }
    }

    fn named(names: &[&str], services: &[&str]) -> Named {
        let owned = |list: &[&str]| list.iter().map(|t| (*t).to_owned()).collect();
        Named {
            names: owned(names),
            services: owned(services),
        }
    }

    #[test]
    fn an_address_depends_on_project_and_name_alone() {
        let hosts = hosts();
        let mut taken = BTreeSet::new();
        let first = hosts.line(&named(&["db", "orders-db"], &["db"]), &mut taken);
        let first = first.unwrap();
        assert_eq!(first.address.octets()[..2], FIRST);
        assert_eq!(first.address, address("shop", "db"));
        assert_ne!(first.address, address("other", "db"));
        // The same again is another one: two names never share an address.
        let again = hosts.line(&named(&["db"], &["db"]), &mut taken).unwrap();
        assert_eq!(again.address, next(first.address));
        assert_eq!(
            next(Ipv4Addr::new(127, 77, 255, 254)).to_string(),
            "127.77.0.1"
        );
    }

    #[test]
    fn lines_are_found_again_and_stand_ins_are_marked() {
        let hosts = hosts();
        let mut taken = BTreeSet::new();
        let all = [
            named(&["db", "orders-db"], &["db"]),
            named(
                &["stub-pay", "api.pay.example", "shop-stub-pay-1"],
                &["stub-pay"],
            ),
            named(&["worker"], &["worker"]),
            named(&["localhost"], &["web"]),
        ];
        let lines: Vec<Line> = all
            .iter()
            .filter_map(|n| hosts.line(n, &mut taken))
            .collect();
        let (db, pay) = (lines[0].address.to_string(), lines[1].address);
        assert_eq!(
            hosts.text(&lines),
            format!(
                "# prodmirror shop begin\n{db:<15} db orders-db\n\
                 # Stand-ins of hosts outside. Whoever takes the mark of a line away does not reach the real one any more.\n\
                 #{pay:<15} api.pay.example\n# prodmirror shop end\n"
            )
        );
    }
}
