//! An engine behind `ssh://`: every connection is one `ssh … docker system dial-stdio`.

use std::fmt;
use std::process::Stdio;

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use hyper_util::rt::TokioIo;
use tokio::process::{Child, Command};

/// Where `ssh` is to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// User; absent = as the SSH configuration says.
    pub user: Option<String>,
    /// Host name, address, or a name of the SSH configuration.
    pub host: String,
    /// Port; absent = as the SSH configuration says.
    pub port: Option<u16>,
    /// Path of the engine's socket on the other side; absent = its default.
    pub socket: Option<String>,
}

impl Destination {
    /// Reads `[user@]host[:port][/path]`.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (authority, path) = match text.split_once('/') {
            Some((a, p)) => (
                a,
                Some(p).filter(|p| !p.is_empty()).map(|p| format!("/{p}")),
            ),
            None => (text, None),
        };
        let (user, host) = match authority.rsplit_once('@') {
            Some((u, h)) => (Some(u), h),
            None => (None, authority),
        };
        if user.is_some_and(|u| u.contains(':')) {
            return Err("holds a password, which ssh does not take");
        }
        let (host, port) = match host.rsplit_once(':') {
            Some((h, p)) if !h.contains(':') || h.ends_with(']') => {
                (h, Some(p.parse().map_err(|_| "has an invalid port")?))
            }
            _ => (host, None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        // A leading dash would be taken for an option by ssh.
        if host.is_empty() || host.starts_with('-') || user.is_some_and(|u| u.starts_with('-')) {
            return Err("has no valid host");
        }
        Ok(Self {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
            socket: path,
        })
    }

    fn command(&self) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args(["-o", "ConnectTimeout=20", "-T"]);
        if let Some(user) = &self.user {
            ssh.args(["-l", user]);
        }
        if let Some(port) = self.port {
            ssh.args(["-p", &port.to_string()]);
        }
        ssh.args(["--", &self.host, "docker"]);
        if let Some(socket) = &self.socket {
            ssh.arg(format!("--host=unix://{socket}"));
        }
        ssh.args(["system", "dial-stdio"]);
        ssh.stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        ssh.kill_on_drop(true);
        ssh
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ssh://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        f.write_str(&self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(self.socket.as_deref().unwrap_or_default())
    }
}

/// A client whose every request goes through an `ssh` process of its own.
pub(super) fn open(destination: &Destination, timeout_s: u64) -> Result<Docker, Error> {
    let destination = destination.clone();
    Docker::connect_with_custom_transport(
        move |request: BollardRequest| {
            let child = destination.command().spawn();
            async move { exchange(child?, request).await }
        },
        Some("http://ssh"),
        timeout_s,
        API_DEFAULT_VERSION,
    )
}

async fn exchange(
    mut child: Child,
    request: BollardRequest,
) -> Result<hyper::Response<hyper::body::Incoming>, Error> {
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(std::io::Error::other("ssh has no pipes").into());
    };
    let request = relative(request)?;
    let io = TokioIo::new(tokio::io::join(stdout, stdin));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
    // The process lives as long as its connection, upgraded ones included.
    let connection = tokio::spawn(async move {
        let _ = connection.with_upgrades().await;
    });
    let answer = sender.send_request(request).await;
    match answer {
        Ok(answer) => {
            tokio::spawn(async move {
                let _ = connection.await;
                let _ = child.wait().await;
            });
            Ok(answer)
        }
        Err(e) => {
            connection.abort();
            Err(said_by_ssh(child).await.unwrap_or_else(|| e.into()))
        }
    }
}

/// The request with a path only, as an origin server wants it.
fn relative(mut request: BollardRequest) -> Result<BollardRequest, Error> {
    let path = request.uri().path_and_query().map_or("/", |p| p.as_str());
    *request.uri_mut() = path.parse()?;
    request
        .headers_mut()
        .entry(hyper::header::HOST)
        .or_insert(hyper::header::HeaderValue::from_static("docker"));
    Ok(request)
}

/// What `ssh` printed before it gave up.
async fn said_by_ssh(mut child: Child) -> Option<Error> {
    use tokio::io::AsyncReadExt;
    let mut stderr = child.stderr.take()?;
    let _ = child.start_kill();
    let mut said = Vec::new();
    let read = stderr.read_to_end(&mut said);
    tokio::time::timeout(std::time::Duration::from_secs(1), read)
        .await
        .ok()?
        .ok()?;
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    (!said.is_empty()).then(|| std::io::Error::other(said).into())
}
