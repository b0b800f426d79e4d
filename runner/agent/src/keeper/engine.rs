//! The few requests to the engine that removal needs, over its socket.

use std::fmt;
use std::io;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// How long the engine may take for one request; stopping a container may be slow.
const ANSWER: Duration = Duration::from_secs(30);

/// The engine behind a socket.
#[derive(Debug, Clone)]
pub struct Engine {
    socket: String,
}

/// Kinds of objects, in the order of removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A container.
    Container,
    /// A network.
    Network,
    /// A volume.
    Volume,
}

impl Kind {
    /// All kinds: networks and volumes are free only once their containers are gone.
    pub const ORDER: [Self; 3] = [Self::Container, Self::Network, Self::Volume];

    fn path(self) -> &'static str {
        match self {
            Self::Container => "containers",
            Self::Network => "networks",
            Self::Volume => "volumes",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path().trim_end_matches('s'))
    }
}

impl Engine {
    /// The engine behind the socket at a path.
    pub fn new(socket: &str) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    /// Sends one request; gives the status and the body.
    async fn send(&self, method: Method, path: &str) -> io::Result<(StatusCode, Bytes)> {
        let exchange = async {
            let stream = UnixStream::connect(&self.socket).await?;
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream))
                    .await
                    .map_err(io::Error::other)?;
            tokio::spawn(connection);
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("host", "engine")
                .body(Empty::<Bytes>::new())
                .map_err(io::Error::other)?;
            let response = sender
                .send_request(request)
                .await
                .map_err(io::Error::other)?;
            let status = response.status();
            let body = response
                .into_body()
                .collect()
                .await
                .map_err(io::Error::other)?;
            Ok((status, body.to_bytes()))
        };
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the engine does not answer");
        timeout(ANSWER, exchange).await.map_err(late)?
    }

    /// Asks whether the engine is there.
    pub async fn ping(&self) -> io::Result<()> {
        match self.send(Method::GET, "/_ping").await? {
            (StatusCode::OK, _) => Ok(()),
            (status, _) => Err(io::Error::other(format!("ping: {status}"))),
        }
    }

    /// The objects of a kind that carry `label`, as the engine describes them.
    pub async fn list(&self, kind: Kind, label: &str) -> io::Result<Vec<Value>> {
        let filters = serde_json::json!({ "label": [label] }).to_string();
        let list = match kind {
            Kind::Container => "/containers/json?all=1&",
            Kind::Network => "/networks?",
            Kind::Volume => "/volumes?",
        };
        let path = format!("{list}filters={}", percent_encode(&filters));
        let (status, body) = self.send(Method::GET, &path).await?;
        if !status.is_success() {
            return Err(io::Error::other(format!(
                "listing {}: {status}",
                kind.path()
            )));
        }
        let listed: Value = serde_json::from_slice(&body)?;
        let listed = match kind {
            Kind::Volume => listed.get("Volumes").cloned().unwrap_or_default(),
            _ => listed,
        };
        match listed {
            Value::Array(items) => Ok(items),
            // The engine writes an empty list of volumes as null.
            _ => Ok(Vec::new()),
        }
    }

    /// Removes an object; one that is gone already is no error.
    pub async fn remove(&self, kind: Kind, id: &str) -> io::Result<()> {
        let options = if kind == Kind::Container {
            "?force=1&v=1"
        } else {
            ""
        };
        let path = format!("/{}/{}{options}", kind.path(), percent_encode(id));
        let (status, body) = self.send(Method::DELETE, &path).await?;
        if status.is_success() || status == StatusCode::NOT_FOUND {
            return Ok(());
        }
        let why = String::from_utf8_lossy(&body).into_owned();
        Err(io::Error::other(format!("{status}: {}", why.trim())))
    }
}

fn percent_encode(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    text.bytes()
        .map(|byte| match plain(&byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}
