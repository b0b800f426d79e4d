//! `up` for people: ports, names and debuggers of a mirror, and the stack of a bundle.

mod debug;
mod names;
mod ports;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::engine::IMAGE;
use super::project::{Project, Said};
use super::rig::has_engine;

const SITE: &str = include_str!("../record/site.py");

/// How long a command may take on a machine that does other things as well.
const LONG: Duration = Duration::from_secs(120);

/// A project whose mirror is removed with this.
struct Workshop(Project);

impl Workshop {
    /// A production of these services, under a name that no other test uses.
    fn of(services: &str, files: &[(&str, &str)]) -> Self {
        let compose = format!("services:\n{services}");
        let project = Project::with(&[("compose.yaml", &compose)]);
        for (name, text) in files {
            project.write(name, text.as_bytes());
        }
        let workshop = Self(project);
        workshop.mirror("");
        workshop
    }

    /// Writes the project file, with more in it.
    fn mirror(&self, more: &str) {
        let name = self.name();
        let text = format!("project: {name}\nproduction: [compose.yaml]\n{more}");
        self.0.write("mirror.yaml", text.as_bytes());
    }

    fn name(&self) -> String {
        let dir = self.0.path().file_name().unwrap().to_string_lossy();
        format!("ws-{}", dir.to_lowercase().replace('.', ""))
    }

    /// A site, PostgreSQL whose port only its image names, and a worker without any.
    fn shop(more: &str) -> Self {
        let services = format!(
            "  web:\n    image: {IMAGE}\n    init: true\n    command: [python3, /site.py]\n    ports: [\"18311:8000\", \"18312:5353/udp\"]\n    configs: [{{ source: site, target: /site.py }}]\n    networks: {{ default: {{ aliases: [shop.internal] }} }}\n    healthcheck: {{ test: [CMD, python3, -c, \"import http.client as h; c = h.HTTPConnection('web:8000'); c.request('GET', '/health'); assert c.getresponse().status == 200\"], interval: 1s, retries: 60 }}\n  db:\n    image: registry.shop.example/postgres:15\n    user: postgres\n    environment: {{ POSTGRES_PASSWORD: stand-in }}\n    healthcheck: {{ test: [CMD, pg_isready, -q, -h, 127.0.0.1], interval: 1s, retries: 60 }}\n  worker:\n    image: {IMAGE}\n    init: true\n    command: [sleep, infinity]\n{more}configs:\n  site: {{ file: ./site.py }}\n"
        );
        Self::of(&services, &[("site.py", SITE)])
    }

    fn plays(&self, args: &[&str]) -> Said {
        self.0.start(args, &[]).end(LONG)
    }

    /// As [`Self::plays`], while another command runs here.
    fn beside(&self, args: &[&str]) -> Said {
        beside(&self.0, args)
    }

    fn ports(&self) -> Vec<Value> {
        ports(&self.0)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.path().join(name)).unwrap()
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        self.plays(&["down"]);
    }
}

/// Runs the program in a project where another command may be running.
pub fn beside(project: &Project, args: &[&str]) -> Said {
    let host = std::env::var("DOCKER_HOST").ok();
    let env: Vec<(&str, &str)> = host.iter().map(|h| ("DOCKER_HOST", h.as_str())).collect();
    project.run_with(args, &env)
}

/// What `ports` says to programs.
pub fn ports(project: &Project) -> Vec<Value> {
    let said = beside(project, &["ports", "--format", "json"]);
    assert_eq!(said.code, 0, "{}", said.err);
    serde_json::from_str(&said.out).unwrap()
}

/// The address of the only port of this kind and service.
#[track_caller]
pub fn address(ports: &[Value], why: &str, service: &str) -> SocketAddr {
    let wanted = |p: &&Value| {
        p["why"] == why && p.get("service").is_none_or(|s| s.as_str() == Some(service))
    };
    let found: Vec<&Value> = ports.iter().filter(wanted).collect();
    assert_eq!(found.len(), 1, "{why} {service}: {ports:#?}");
    found[0]["address"].as_str().unwrap().parse().unwrap()
}

/// The run of the mirror that is up in a project.
pub fn run_of(project: &Project, name: &str) -> String {
    let said = beside(project, &["ps", "--format", "json"]);
    let all: Vec<Value> = serde_json::from_str(&said.out).unwrap();
    let found = all
        .iter()
        .find(|m| m["project"] == format!("{name}-mirror") && m["stack"] == "up");
    found.unwrap()["run"].as_str().unwrap().to_owned()
}

/// Where the open ports of a run are written down.
fn listed(run: &str) -> PathBuf {
    std::env::temp_dir().join(format!("prodmirror-ports-{run}.json"))
}

#[track_caller]
fn soon(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LONG, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn connect(at: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(at).unwrap();
    let limit = Some(Duration::from_secs(30));
    stream.set_read_timeout(limit).unwrap();
    stream
}

/// Asks as PostgreSQL's clients begin, whether it speaks TLS. It does not.
#[track_caller]
fn is_postgres(mut stream: TcpStream) {
    let asked = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
    stream.write_all(&asked).unwrap();
    let mut answer = [0];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"N");
}

/// The head of an answer of HTTP.
fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap().to_lowercase()
}
