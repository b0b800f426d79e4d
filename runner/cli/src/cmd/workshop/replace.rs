//! `up --replace`: which services, and where the processes are that take their place.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};

use prodmirror_engine::agent::{PROGRAM_PATH, image_tag};
use prodmirror_engine::docker::Engine;
use prodmirror_engine::reach::is_listening;
use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::plan::Plan;
use prodmirror_model::plan::replace::{Carried, Player, Replacement, port_asked, refusal, replace};
use prodmirror_model::redact::Redactor;

use super::addresses::declared;
use super::carrier::Carrier;
use crate::cmd::Session;
use crate::exit::Exit;
use crate::open::Opened;

/// One `--replace`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wish {
    service: String,
    /// The service's port; absent = all.
    port: Option<u16>,
    /// `host:port` of the process.
    to: String,
}

/// What `--replace` made of a plan.
#[derive(Default)]
pub struct Replaced {
    replacements: Vec<Replacement>,
    /// The plan without it.
    original: Plan,
}

impl Replaced {
    /// Reads the wishes and puts them into the plan.
    pub async fn put(
        session: &Session,
        engine: &Engine,
        plan: &mut Plan,
        given: &[String],
    ) -> Result<Self, Exit> {
        if given.is_empty() {
            return Ok(Self::default());
        }
        let tell = |problems: Problems| {
            session.tell(&problems, &Redactor::new());
            Exit::Invalid
        };
        let wishes = given.iter().map(|text| read(text));
        let wishes: Vec<Wish> = wishes
            .collect::<Result<_, Problem>>()
            .map_err(|p| session.fail(p))?;
        let original = plan.clone();
        let services: BTreeSet<&str> = wishes.iter().map(|w| w.service.as_str()).collect();
        let refusals = services.iter().filter_map(|s| refusal(plan, s));
        let refusals = Problems(refusals.collect());
        if !refusals.0.is_empty() {
            return Err(tell(refusals));
        }
        let mut replacements = Vec::new();
        for service in services {
            let known = known(engine, plan, service).await;
            let wished: Vec<&Wish> = wishes.iter().filter(|w| w.service == service).collect();
            replacements.push(settle(service, &wished, known).map_err(|p| session.fail(p))?);
        }
        let image = image_tag(&engine.facts().arch).map_err(|p| session.fail(p))?;
        let player = Player {
            image: &image,
            program: PROGRAM_PATH,
        };
        replace(plan, &replacements, player).map_err(tell)?;
        Ok(Self {
            replacements,
            original,
        })
    }

    /// Where the report of the mirror is written: only one that differs on purpose needs it.
    pub fn report(&self, root: &Path) -> Option<PathBuf> {
        let dir = root.join(".prodmirror").join("up");
        let made = !self.replacements.is_empty() && std::fs::create_dir_all(&dir).is_ok();
        made.then(|| dir.join("fidelity.json"))
    }

    /// Starts what carries the connections, and says what is replaced.
    pub async fn carry(
        &self,
        session: &Session,
        opened: &Opened,
        engine: &Engine,
        run: &str,
    ) -> Result<Option<Carrier>, Problem> {
        if self.replacements.is_empty() {
            return Ok(None);
        }
        let of = (&self.original, run);
        let carrier = Carrier::start(session, opened, engine, of, true).await?;
        for replacement in &self.replacements {
            let service = &replacement.service;
            for (to, ports) in by_process(&replacement.ports) {
                let ports = ports.join(", ");
                session.note(&format!(
                    "{service}: replaced by a local process: port {ports} is at {to}\n"
                ));
                if !is_listening(to).await {
                    session.note(&format!(
                        "{service}: nothing listens on {to} yet; what needs {service} waits for it\n"
                    ));
                }
            }
            session.note(&format!(
                "{service}: `prodmirror env {service} -- COMMAND` runs it as production configures it\n"
            ));
        }
        Ok(Some(carrier))
    }
}

impl Replaced {
    /// Says which processes are not there, when the mirror did not start.
    pub async fn tell_missing(&self, session: &Session) {
        for replacement in &self.replacements {
            let service = &replacement.service;
            for to in by_process(&replacement.ports).into_keys() {
                if !is_listening(to).await {
                    session.note(&format!(
                        "{service}: nothing listens on {to}\n  help: start it meanwhile: `prodmirror env {service} -- COMMAND`\n"
                    ));
                }
            }
        }
    }
}

/// The ports of each process.
fn by_process(ports: &[Carried]) -> BTreeMap<&str, Vec<String>> {
    let mut all: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for carried in ports {
        let of = all.entry(carried.to.as_str()).or_default();
        of.push(carried.port.to_string());
    }
    all
}

/// What is known of a service's ports, and its image's health check.
struct Known {
    ports: BTreeSet<u16>,
    image_check: Vec<String>,
    /// Its image, when the engine does not have it.
    missing: Option<String>,
}

async fn known(engine: &Engine, plan: &Plan, service: &str) -> Known {
    let mut known = Known {
        ports: BTreeSet::new(),
        image_check: Vec::new(),
        missing: None,
    };
    let Some(container) = plan.containers.iter().find(|c| c.service == service) else {
        return known;
    };
    known.ports = declared(container);
    match engine.image_config(&container.image).await {
        Ok(config) => {
            known.ports.extend(config.ports);
            known.image_check = config.check;
        }
        Err(_) => known.missing = Some(container.image.clone()),
    }
    known
        .ports
        .extend(port_asked(&container.body, &known.image_check));
    known
}

/// All ports of a service with where they go.
fn settle(service: &str, wishes: &[&Wish], known: Known) -> Result<Replacement, Problem> {
    let mut ports: BTreeMap<u16, String> = BTreeMap::new();
    for wish in wishes {
        if let Some(port) = wish.port
            && let Some(other) = ports.insert(port, wish.to.clone())
            && other != wish.to
        {
            let what = format!(
                "`--replace`: port {port} of `{service}` is led to {other} and to {}",
                wish.to
            );
            return Err(Problem::new(ProblemKind::Conflict, what));
        }
    }
    let mut rest = wishes.iter().filter(|w| w.port.is_none());
    if let Some(all) = rest.next() {
        if rest.any(|w| w.to != all.to) {
            let what = format!("`--replace`: all ports of `{service}` are led to two addresses");
            return Err(Problem::new(ProblemKind::Conflict, what).help(format!(
                "say which port: `--replace {service}:PORT={}`",
                all.to
            )));
        }
        for port in &known.ports {
            ports.entry(*port).or_insert_with(|| all.to.clone());
        }
    }
    if ports.is_empty() {
        let what = format!(
            "`--replace {service}=…`: neither the spec nor the image of `{service}` names a TCP port"
        );
        let mut help = format!("name it: `--replace {service}:PORT=127.0.0.1:8000`");
        if let Some(image) = known.missing {
            help.push_str(&format!(
                "; the image {image} is not here, and may name some (`docker pull {image}`)"
            ));
        }
        return Err(Problem::new(ProblemKind::Missing, what).help(help));
    }
    Ok(Replacement {
        service: service.to_owned(),
        ports: ports
            .into_iter()
            .map(|(port, to)| Carried { port, to })
            .collect(),
        image_check: known.image_check,
    })
}

/// Reads `SERVICE[:PORT]=[SCHEME://]HOST:PORT`.
fn read(text: &str) -> Result<Wish, Problem> {
    let wrong = |why: &str| {
        let what = format!("`--replace {text}`: {why}");
        Problem::new(ProblemKind::InvalidValue, what)
            .help("for example orders=127.0.0.1:8000, or orders:8080=http://localhost:8000")
    };
    let (service, to) = text
        .split_once('=')
        .ok_or_else(|| wrong("it is not SERVICE=ADDRESS"))?;
    let (service, port) = match service.split_once(':') {
        Some((service, port)) => {
            let port = port.parse().ok().filter(|p: &u16| *p > 0);
            let port = port.ok_or_else(|| wrong("the service's port is none"))?;
            (service, Some(port))
        }
        None => (service, None),
    };
    if service.is_empty() {
        return Err(wrong("it names no service"));
    }
    let to = to.split_once("://").map_or(to, |(_, rest)| rest);
    let to = to.strip_suffix('/').unwrap_or(to);
    if to.contains('/') {
        return Err(wrong(
            "an address has no path: connections are carried, not requests",
        ));
    }
    let (host, number) = match to.rsplit_once(':') {
        Some((host, number)) => (host, number),
        None => ("", to),
    };
    let number: u16 = number
        .parse()
        .ok()
        .filter(|p| *p > 0)
        .ok_or_else(|| wrong("the address has no port"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let to = match host {
        "" => format!("127.0.0.1:{number}"),
        "localhost" => format!("localhost:{number}"),
        host => match host.parse::<IpAddr>() {
            // An address that can be bound is one of this machine.
            Ok(ip) if UdpSocket::bind((ip, 0)).is_ok() => SocketAddr::new(ip, number).to_string(),
            _ => {
                let what = format!("`--replace {text}`: {host} is no address of this machine");
                return Err(Problem::new(ProblemKind::Forbidden, what).help(
                    "a mirror reaches nothing outside but what `egress` of mirror.yaml declares",
                ));
            }
        },
    };
    Ok(Wish {
        service: service.to_owned(),
        port,
        to,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_this_machine() {
        let to = |text: &str| read(text).map(|w| (w.service, w.port, w.to));
        let is = |service: &str, port, to: &str| Ok((service.to_owned(), port, to.to_owned()));
        assert_eq!(
            to("a=http://127.0.0.1:8000/"),
            is("a", None, "127.0.0.1:8000")
        );
        assert_eq!(to("a:80=localhost:1"), is("a", Some(80), "localhost:1"));
        assert_eq!(to("a=8000"), is("a", None, "127.0.0.1:8000"));
        assert_eq!(to("a=:8000"), is("a", None, "127.0.0.1:8000"));
        for (text, why) in [
            ("a", "not SERVICE=ADDRESS"),
            ("=1", "names no service"),
            ("a=127.0.0.1", "has no port"),
            ("a=127.0.0.1:0", "has no port"),
            ("a:0=1", "port is none"),
            ("a=http://127.0.0.1:80/x", "no path"),
            ("a=203.0.113.7:80", "no address of this machine"),
            ("a=db.example:80", "no address of this machine"),
        ] {
            let problem = to(text).unwrap_err();
            assert!(problem.message.contains(why), "{text}: {}", problem.message);
        }
    }

    #[test]
    fn every_port_has_one_process() {
        let known = |ports: &[u16]| Known {
            ports: ports.iter().copied().collect(),
            image_check: Vec::new(),
            missing: None,
        };
        let wishes: Vec<Wish> = ["a=1000", "a:90=2000"].map(|t| read(t).unwrap()).to_vec();
        let wishes: Vec<&Wish> = wishes.iter().collect();
        let settled = settle("a", &wishes, known(&[80, 90])).unwrap();
        let said: Vec<String> = settled
            .ports
            .iter()
            .map(|c| format!("{}>{}", c.port, c.to))
            .collect();
        assert_eq!(said, ["80>127.0.0.1:1000", "90>127.0.0.1:2000"]);
        let none = settle("a", &wishes[..1], known(&[])).unwrap_err();
        assert!(
            none.message.contains("names a TCP port"),
            "{}",
            none.message
        );
        let two = [read("a=1").unwrap(), read("a=2").unwrap()];
        let two: Vec<&Wish> = two.iter().collect();
        assert!(settle("a", &two, known(&[80])).is_err());
    }
}
