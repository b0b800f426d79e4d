//! A mirror of `up` as a workshop: services as processes of this machine.

mod data;
mod env;
mod flag;
mod replace;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::project::{Project, Said};

const NGINX: &str = "registry.shop.example/nginx:1.22";
const PYTHON: &str = "registry.shop.example/python:3.11";
const POSTGRES: &str = "registry.shop.example/postgres:15";

/// A project whose mirror is removed with this.
pub struct Mirror {
    pub project: Project,
}

impl Mirror {
    /// A project with this production, called by a name of its own. `rest` is of `mirror.yaml`.
    pub fn of(compose: &str, rest: &str, files: &[(&str, &str)]) -> Self {
        let project = Project::with(&[("compose.yaml", compose)]);
        for (name, text) in files {
            project.write(name, text.as_bytes());
        }
        let dir = project.path().file_name().unwrap().to_string_lossy();
        let name = format!("work-{dir}").to_lowercase().replace('.', "");
        let mirror = format!("project: {name}\nproduction: [compose.yaml]\n{rest}");
        project.write("mirror.yaml", mirror.as_bytes());
        Self { project }
    }

    /// Runs the program to its end.
    pub fn run(&self, args: &[&str]) -> Said {
        let host = std::env::var("DOCKER_HOST").ok();
        let env = host.as_deref().map(|host| ("DOCKER_HOST", host));
        self.project.run_with(args, env.as_slice())
    }

    /// A file of the project.
    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.project.path().join(name)).unwrap_or_default()
    }

    /// Where a published port of a service is.
    pub fn port(&self, service: &str) -> SocketAddr {
        let said = self.run(&["ports", service]);
        let at = said.out.lines().find_map(|l| l.split(" -> ").nth(1));
        let at = at.unwrap_or_else(|| panic!("{}{}", said.out, said.err));
        at.split(' ').next().unwrap().parse().unwrap()
    }

    /// The process that carries connections: its identity, from the list of addresses.
    pub fn carrier(&self) -> i64 {
        let list: serde_json::Value =
            serde_json::from_str(&self.text(".prodmirror/addresses.json")).unwrap();
        list["pid"].as_i64().unwrap()
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.run(&["down"]);
    }
}

/// Whether a process is there.
pub fn lives(pid: i64) -> bool {
    let status = Command::new("kill").args(["-0", &pid.to_string()]).output();
    status.unwrap().status.success()
}

/// Waits until something is so.
#[track_caller]
pub fn until(what: &str, within: Duration, mut wanted: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !wanted() {
        assert!(begun.elapsed() < within, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Asks over HTTP; the answer as a text, or what went wrong.
pub fn get(at: SocketAddr, path: &str) -> String {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(at)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().unwrap_or_else(|e| e.to_string())
}

/// A process of this machine that answers every request with a text and the path; it ends with
/// this.
pub struct Local {
    pub at: SocketAddr,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Local {
    pub fn start(at: SocketAddr, says: &'static str) -> Self {
        let listener = TcpListener::bind(at).unwrap();
        let at = listener.local_addr().unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let ends = over.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                let _ = stream.map(|s| answer(s, says));
            }
        });
        Self {
            at,
            over,
            thread: Some(thread),
        }
    }
}

fn answer(mut stream: TcpStream, says: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut asked = [0; 4096];
    let n = stream.read(&mut asked)?;
    let asked = String::from_utf8_lossy(&asked[..n]).into_owned();
    let Some(path) = asked.split(' ').nth(1) else {
        // A check that only connects.
        return Ok(());
    };
    let body = format!("{says} {path}");
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

impl Drop for Local {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.at);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// An address of this machine at which nothing listens.
pub fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}
