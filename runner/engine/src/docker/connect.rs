//! Finding the engine and connecting to it, in the way of the Docker command line.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker};
use prodmirror_model::diag::{Problem, ProblemKind};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::chain;
use super::{Engine, EngineError, HostFacts, ssh};

/// Lowest engine API that has all that is needed (Docker Engine 20.10).
const OLDEST_API: (usize, usize) = (1, 41);
/// Seconds until a request without an answer is given up. Long, since stopping a service
/// with a long grace answers only at its end; shorter deadlines are set around requests.
const REQUEST_TIMEOUT_S: u64 = 600;
/// How long the first contact may take.
const CONTACT_TIMEOUT: Duration = Duration::from_secs(20);
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// The parts of the environment that say where the engine is. Handed in, never read here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EngineEnv {
    /// `DOCKER_HOST`.
    pub host: Option<String>,
    /// `DOCKER_CONTEXT`; weaker than `DOCKER_HOST`.
    pub context: Option<String>,
    /// Whether `DOCKER_TLS_VERIFY` is set to anything.
    pub tls_verify: bool,
    /// `DOCKER_CERT_PATH`.
    pub cert_path: Option<PathBuf>,
    /// `DOCKER_CONFIG`: directory of the command line's configuration.
    pub config_dir: Option<PathBuf>,
    /// Home directory.
    pub home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`, only to point out a rootless engine's socket.
    pub runtime_dir: Option<PathBuf>,
}

impl EngineEnv {
    /// Picks what is needed by name from an environment.
    pub fn from_vars<'a>(var: impl Fn(&str) -> Option<&'a str>) -> Self {
        let set = |name: &str| var(name).filter(|v| !v.is_empty());
        Self {
            host: set("DOCKER_HOST").map(str::to_owned),
            context: set("DOCKER_CONTEXT").map(str::to_owned),
            tls_verify: set("DOCKER_TLS_VERIFY").is_some(),
            cert_path: set("DOCKER_CERT_PATH").map(PathBuf::from),
            config_dir: set("DOCKER_CONFIG").map(PathBuf::from),
            home: set("HOME")
                .or_else(|| set("USERPROFILE"))
                .map(PathBuf::from),
            runtime_dir: set("XDG_RUNTIME_DIR").map(PathBuf::from),
        }
    }

    /// The directory of the Docker command line's configuration (`~/.docker`).
    pub fn docker_dir(&self) -> Option<PathBuf> {
        self.config_dir
            .clone()
            .or_else(|| self.home.as_ref().map(|h| h.join(".docker")))
    }
}

/// Where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A Unix socket.
    Unix(PathBuf),
    /// Plain TCP, `host:port`.
    Tcp(String),
    /// TLS over TCP, with the directory of `ca.pem`, `cert.pem` and `key.pem`.
    Tls(String, PathBuf),
    /// Through `ssh` and `docker system dial-stdio` on the other side.
    Ssh(ssh::Destination),
    /// A Windows named pipe.
    Pipe(String),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(p) => write!(f, "unix://{}", p.display()),
            Self::Tcp(a) | Self::Tls(a, _) => write!(f, "tcp://{a}"),
            Self::Ssh(d) => write!(f, "{d}"),
            Self::Pipe(p) => write!(f, "npipe://{p}"),
        }
    }
}

/// An endpoint with what named it, for messages.
struct Choice {
    endpoint: Endpoint,
    by: String,
}

impl Engine {
    /// Connects to the engine that the environment names, agrees on an API version and asks
    /// the engine about its host.
    ///
    /// # Errors
    /// [`ProblemKind::Engine`]: unreachable, permission denied, too old; or an invalid
    /// address, context or certificate directory.
    pub async fn connect(env: &EngineEnv) -> Result<Self, Problem> {
        let choice = choose(env)?;
        let explain = |e: EngineError| unreachable_problem(&choice, env, &e);
        let client = open(&choice.endpoint).map_err(explain)?;
        let asked = tokio::time::timeout(CONTACT_TIMEOUT, client.negotiate_version()).await;
        let client = match asked {
            Ok(Ok(client)) => client,
            Ok(Err(e)) => return Err(explain(e.into())),
            Err(_) => return Err(explain(EngineError::Timeout)),
        };
        let ClientVersion {
            major_version,
            minor_version,
        } = client.client_version();
        if (major_version, minor_version) < OLDEST_API {
            return Err(Problem::new(
                ProblemKind::Engine,
                format!(
                    "the engine at {} speaks API {major_version}.{minor_version}; \
                     at least {}.{} is needed",
                    choice.endpoint, OLDEST_API.0, OLDEST_API.1
                ),
            )
            .help("update it to Docker Engine 20.10 or later"));
        }
        let facts = HostFacts::ask(&client, &choice.endpoint)
            .await
            .map_err(explain)?;
        Ok(Self {
            client,
            facts: Arc::new(facts),
            endpoint: Arc::new(choice.endpoint),
        })
    }
}

/// The endpoint, in the command line's order: `DOCKER_HOST`, `DOCKER_CONTEXT`, the current
/// context of `config.json`, the default socket.
fn choose(env: &EngineEnv) -> Result<Choice, Problem> {
    if let Some(host) = &env.host {
        let certs = env.tls_verify.then(|| {
            env.cert_path
                .clone()
                .or_else(|| env.docker_dir())
                .unwrap_or_else(|| ".".into())
        });
        let endpoint = parse_host(host, certs, "DOCKER_HOST")?;
        return Ok(Choice {
            endpoint,
            by: "DOCKER_HOST".to_owned(),
        });
    }
    let (name, by) = match &env.context {
        Some(name) => (Some(name.clone()), "DOCKER_CONTEXT"),
        None => (current_context(env), "the current Docker context"),
    };
    match name.filter(|n| n != "default") {
        Some(name) => {
            let endpoint = context_endpoint(env, &name)?;
            Ok(Choice {
                endpoint,
                by: format!("{by} `{name}`"),
            })
        }
        None => Ok(Choice {
            endpoint: if cfg!(windows) {
                Endpoint::Pipe("//./pipe/docker_engine".to_owned())
            } else {
                Endpoint::Unix(DEFAULT_SOCKET.into())
            },
            by: "default".to_owned(),
        }),
    }
}

fn current_context(env: &EngineEnv) -> Option<String> {
    #[derive(Deserialize)]
    struct Config {
        #[serde(rename = "currentContext", default)]
        current: Option<String>,
    }
    let text = std::fs::read(env.docker_dir()?.join("config.json")).ok()?;
    serde_json::from_slice::<Config>(&text)
        .ok()?
        .current
        .filter(|c| !c.is_empty())
}

fn context_endpoint(env: &EngineEnv, name: &str) -> Result<Endpoint, Problem> {
    #[derive(Deserialize)]
    struct Meta {
        #[serde(rename = "Endpoints")]
        endpoints: Endpoints,
    }
    #[derive(Deserialize)]
    struct Endpoints {
        docker: DockerEndpoint,
    }
    #[derive(Deserialize)]
    struct DockerEndpoint {
        #[serde(rename = "Host", default)]
        host: String,
        #[serde(rename = "SkipTLSVerify", default)]
        skip_verify: bool,
    }
    let contexts = env.docker_dir().unwrap_or_default().join("contexts");
    let id: String = Sha256::digest(name.as_bytes())
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let path = contexts.join("meta").join(&id).join("meta.json");
    let bad = |why: String| {
        Problem::new(
            ProblemKind::Engine,
            format!("the Docker context `{name}` {why}"),
        )
        .help("`docker context ls` lists the contexts")
    };
    let text = std::fs::read(&path)
        .map_err(|e| bad(format!("cannot be read ({}: {e})", path.display())))?;
    let meta: Meta =
        serde_json::from_slice(&text).map_err(|e| bad(format!("cannot be understood: {e}")))?;
    let docker = meta.endpoints.docker;
    if docker.skip_verify {
        return Err(bad(
            "skips the verification of TLS, which is not supported".to_owned()
        ));
    }
    let certs = contexts.join("tls").join(&id).join("docker");
    let host = if docker.host.is_empty() {
        format!("unix://{DEFAULT_SOCKET}")
    } else {
        docker.host
    };
    parse_host(
        &host,
        certs.is_dir().then_some(certs),
        &format!("the Docker context `{name}`"),
    )
}

fn parse_host(host: &str, certs: Option<PathBuf>, by: &str) -> Result<Endpoint, Problem> {
    let host = host.trim();
    let (scheme, rest) = host.split_once("://").unwrap_or(("tcp", host));
    let bad = |why: &str| {
        Problem::new(ProblemKind::Engine, format!("{by} is `{host}`, which {why}")).help(
            "use unix:///path/to/docker.sock, tcp://host:port, ssh://user@host or npipe:////./pipe/name",
        )
    };
    match scheme {
        "unix" if rest.is_empty() => Ok(Endpoint::Unix(DEFAULT_SOCKET.into())),
        "unix" => Ok(Endpoint::Unix(rest.into())),
        "tcp" | "http" | "https" => {
            let tls = certs.is_some() || scheme == "https";
            let rest = rest.trim_end_matches('/');
            if rest.is_empty() || rest.contains('/') {
                return Err(bad("has no host, or has a path"));
            }
            let has_port = rest.rsplit_once(':').is_some_and(|(h, p)| {
                p.parse::<u16>().is_ok() && (!h.contains(':') || h.ends_with(']'))
            });
            let address = match (has_port, tls) {
                (true, _) => rest.to_owned(),
                (false, true) => format!("{rest}:2376"),
                (false, false) => format!("{rest}:2375"),
            };
            match (tls, certs) {
                (true, Some(certs)) => Ok(Endpoint::Tls(address, certs)),
                (true, None) => Err(bad("needs DOCKER_TLS_VERIFY and DOCKER_CERT_PATH")),
                (false, _) => Ok(Endpoint::Tcp(address)),
            }
        }
        "ssh" => ssh::Destination::parse(rest)
            .map(Endpoint::Ssh)
            .map_err(bad),
        "npipe" => Ok(Endpoint::Pipe(rest.to_owned())),
        _ => Err(bad("is of a kind that is not known")),
    }
}

fn open(endpoint: &Endpoint) -> Result<Docker, EngineError> {
    let docker = match endpoint {
        Endpoint::Unix(path) => {
            let path = path.to_str().ok_or_else(|| {
                EngineError::Lost(format!("{} is not valid UTF-8", path.display()))
            })?;
            Docker::connect_with_unix(path, REQUEST_TIMEOUT_S, API_DEFAULT_VERSION)
        }
        Endpoint::Tcp(address) => {
            Docker::connect_with_http(address, REQUEST_TIMEOUT_S, API_DEFAULT_VERSION)
        }
        Endpoint::Tls(address, certs) => open_tls(address, certs),
        Endpoint::Ssh(destination) => ssh::open(destination, REQUEST_TIMEOUT_S),
        #[cfg(windows)]
        Endpoint::Pipe(path) => {
            Docker::connect_with_named_pipe(path, REQUEST_TIMEOUT_S, API_DEFAULT_VERSION)
        }
        #[cfg(not(windows))]
        Endpoint::Pipe(path) => {
            return Err(EngineError::Lost(format!(
                "{path} is a named pipe of Windows"
            )));
        }
    };
    docker.map_err(EngineError::from)
}

fn open_tls(address: &str, certs: &Path) -> Result<Docker, bollard::errors::Error> {
    // The client library panics when no provider is installed; one that is there stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Docker::connect_with_ssl(
        address,
        &certs.join("key.pem"),
        &certs.join("cert.pem"),
        &certs.join("ca.pem"),
        REQUEST_TIMEOUT_S,
        API_DEFAULT_VERSION,
    )
}

/// The message of a connection that could not be made: what was tried, and what to do.
fn unreachable_problem(choice: &Choice, env: &EngineEnv, e: &EngineError) -> Problem {
    let words = e.to_string();
    let denied = words.contains("ermission denied");
    let message = if denied {
        format!(
            "permission denied at the engine's socket {} ({})",
            choice.endpoint, choice.by
        )
    } else {
        format!(
            "no container engine answers at {} ({}): {words}",
            choice.endpoint, choice.by
        )
    };
    let problem = Problem::new(ProblemKind::Engine, message);
    let other = other_socket(env).filter(|s| *s != choice.endpoint.to_string());
    match (&choice.endpoint, other) {
        (Endpoint::Unix(_), _) if denied => problem.help(
            "add yourself to the socket's group (`sudo usermod -aG docker $USER`, then log in again), \
             or run a rootless engine and set DOCKER_HOST",
        ),
        (Endpoint::Unix(_), Some(other)) => {
            problem.help(format!("there is a socket at {other}: set DOCKER_HOST={other}"))
        }
        (Endpoint::Unix(_), None) => {
            problem.help("install and start Docker, or set DOCKER_HOST to where it runs")
        }
        (Endpoint::Ssh(d), _) => problem.help(format!(
            "see whether `ssh {}` works without a question, and has the docker command there",
            d.host
        )),
        _ => problem.help("see whether the address is right and the engine listens there"),
    }
}

/// A socket of a rootless or desktop engine that exists though nothing points to it.
fn other_socket(env: &EngineEnv) -> Option<String> {
    let mut places = Vec::new();
    places.extend(env.runtime_dir.as_ref().map(|d| d.join("docker.sock")));
    if let Some(home) = &env.home {
        places.push(home.join(".docker/run/docker.sock"));
        places.push(home.join(".docker/desktop/docker.sock"));
    }
    places.push("/run/podman/podman.sock".into());
    places
        .into_iter()
        .find(|p| p.exists())
        .map(|p| format!("unix://{}", p.display()))
}

impl From<std::io::Error> for EngineError {
    fn from(e: std::io::Error) -> Self {
        Self::Lost(chain(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> String {
        parse_host(text, None, "DOCKER_HOST").map_or_else(|p| p.message, |e| e.to_string())
    }

    #[test]
    fn hosts_are_read_as_the_docker_cli_reads_them() {
        assert_eq!(host("unix:///run/x.sock"), "unix:///run/x.sock");
        assert_eq!(host("tcp://10.0.0.1:2375"), "tcp://10.0.0.1:2375");
        assert_eq!(host("10.0.0.1"), "tcp://10.0.0.1:2375");
        assert_eq!(host("tcp://[::1]:5000"), "tcp://[::1]:5000");
        assert_eq!(host("ssh://me@build:22"), "ssh://me@build:22");
        assert!(host("gopher://x").contains("not known"));
        assert!(host("ssh://").contains("host"));
        let tls = parse_host("tcp://h", Some("/certs".into()), "x").unwrap();
        assert_eq!(tls, Endpoint::Tls("h:2376".into(), "/certs".into()));
    }

    #[test]
    fn docker_host_beats_the_context_and_config_json_names_one() {
        let dir = tempfile::tempdir().unwrap();
        let id: String = Sha256::digest(b"far")
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        let meta = dir.path().join("contexts/meta").join(id);
        std::fs::create_dir_all(&meta).unwrap();
        std::fs::write(
            meta.join("meta.json"),
            r#"{"Name":"far","Endpoints":{"docker":{"Host":"tcp://far:2375","SkipTLSVerify":false}}}"#,
        )
        .unwrap();
        std::fs::write(
            dir.path().join("config.json"),
            r#"{"currentContext":"far"}"#,
        )
        .unwrap();
        let mut env = EngineEnv {
            config_dir: Some(dir.path().into()),
            ..EngineEnv::default()
        };
        assert_eq!(
            choose(&env).unwrap().endpoint,
            Endpoint::Tcp("far:2375".into())
        );
        env.context = Some("default".into());
        assert_eq!(
            choose(&env).unwrap().endpoint,
            Endpoint::Unix(DEFAULT_SOCKET.into())
        );
        env.context = Some("gone".into());
        assert!(choose(&env).err().unwrap().message.contains("`gone`"));
        env.host = Some("tcp://near:1".into());
        assert_eq!(
            choose(&env).unwrap().endpoint,
            Endpoint::Tcp("near:1".into())
        );
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_explained() {
        let env = EngineEnv {
            host: Some("tcp://127.0.0.1:1".into()),
            ..EngineEnv::default()
        };
        let p = Engine::connect(&env).await.unwrap_err();
        assert_eq!(p.kind, ProblemKind::Engine);
        assert!(p.message.contains("tcp://127.0.0.1:1 (DOCKER_HOST)"), "{p}");
        assert!(p.message.contains("refused"), "{p}");
        let env = EngineEnv {
            host: Some("unix:///no/such.sock".into()),
            ..EngineEnv::default()
        };
        assert!(
            Engine::connect(&env)
                .await
                .unwrap_err()
                .message
                .contains("/no/such.sock")
        );
    }
}
