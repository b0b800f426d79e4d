//! Logins to registries, as the Docker command line keeps them: `config.json` and its
//! credential helpers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prodmirror_model::secret::Secret;
use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::docker::RegistryLogin;

/// The name under which Docker keeps the login of its own registry.
const HUB: &str = "https://index.docker.io/v1/";

/// The user name by which a helper says that the secret is an identity token.
const TOKEN_USER: &str = "<token>";

/// What is known of logins.
#[derive(Debug, Clone, Default)]
pub struct Logins {
    config: Config,
    /// Where helpers are looked for.
    path: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    auths: BTreeMap<String, Auth>,
    creds_store: String,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "lowercase", default)]
struct Auth {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// What a helper answers.
#[derive(Deserialize)]
struct Helped {
    #[serde(rename = "Username", default)]
    user: String,
    #[serde(rename = "Secret", default)]
    secret: String,
}

impl Logins {
    /// Reads `config.json` of a directory (`~/.docker`). A file that is not there, or that
    /// cannot be read, holds no logins. `path` is the `PATH` on which helpers are found.
    pub fn new(dir: Option<PathBuf>, path: Option<String>) -> Self {
        let config = dir
            .and_then(|d| std::fs::read(d.join("config.json")).ok())
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        Self { config, path }
    }

    /// The login for the registry of an image; nothing when there is none.
    pub async fn find(&self, reference: &str) -> Option<RegistryLogin> {
        let server = server(reference);
        let helper = self
            .config
            .cred_helpers
            .get(server)
            .or(Some(&self.config.creds_store))
            .filter(|h| !h.is_empty());
        if let Some(helper) = helper
            && let Some(login) = self.ask(helper, server).await
        {
            return Some(login);
        }
        self.kept(server)
    }

    /// Asks `docker-credential-<helper>`. A helper that is missing or knows nothing is no
    /// error: the registry decides whether a login is needed.
    async fn ask(&self, helper: &str, server: &str) -> Option<RegistryLogin> {
        let mut command = Command::new(format!("docker-credential-{helper}"));
        command
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        let mut child = command.spawn().ok()?;
        let mut stdin = child.stdin.take()?;
        stdin.write_all(server.as_bytes()).await.ok()?;
        drop(stdin);
        let output = child.wait_with_output().await.ok()?;
        if !output.status.success() {
            return None;
        }
        let helped: Helped = serde_json::from_slice(&output.stdout).ok()?;
        login(server, &helped.user, &helped.secret)
    }

    /// The login that the file itself holds. Its keys may be URLs.
    fn kept(&self, server: &str) -> Option<RegistryLogin> {
        let (_, auth) = self
            .config
            .auths
            .iter()
            .find(|(key, _)| *key == server || host(key) == host(server))?;
        let decoded = STANDARD
            .decode(auth.auth.trim())
            .ok()
            .and_then(|b| String::from_utf8(b).ok())
            .unwrap_or_default();
        let (user, password) = decoded
            .split_once(':')
            .unwrap_or((&auth.username, &auth.password));
        let login = login(server, user, password.trim_end_matches('\0'));
        let token = (!auth.identitytoken.is_empty()).then(|| Secret::new(&auth.identitytoken));
        match (token, login) {
            (Some(token), _) => Some(RegistryLogin {
                server: server.to_owned(),
                identity_token: Some(token),
                ..RegistryLogin::default()
            }),
            (None, login) => login,
        }
    }
}

fn login(server: &str, user: &str, secret: &str) -> Option<RegistryLogin> {
    if secret.is_empty() {
        return None;
    }
    let mut login = RegistryLogin {
        server: server.to_owned(),
        ..RegistryLogin::default()
    };
    if user == TOKEN_USER {
        login.identity_token = Some(Secret::new(secret));
    } else {
        user.clone_into(&mut login.user);
        login.password = Some(Secret::new(secret));
    }
    Some(login)
}

/// The registry of an image reference, by the name of its login. The first part is a host
/// when it could not be a repository's: a dot, a port, or `localhost`.
fn server(reference: &str) -> &str {
    match reference.split_once('/') {
        Some((first, _)) if first.contains('.') || first.contains(':') || first == "localhost" => {
            if matches!(first, "docker.io" | "index.docker.io") {
                HUB
            } else {
                first
            }
        }
        _ => HUB,
    }
}

/// The registry of an image reference, as `docker login` takes it.
pub(super) fn registry(reference: &str) -> &str {
    match server(reference) {
        HUB => "docker.io",
        server => server,
    }
}

fn host(server: &str) -> &str {
    let rest = server.split_once("://").map_or(server, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logins(config: &str) -> Logins {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), config).unwrap();
        Logins::new(Some(dir.path().to_owned()), None)
    }

    fn password(login: Option<RegistryLogin>) -> Option<(String, String)> {
        login.map(|l| (l.user, l.password.unwrap().expose().to_owned()))
    }

    #[test]
    fn the_registry_of_a_reference() {
        for (reference, want) in [
            ("redis:7", HUB),
            ("library/redis", HUB),
            ("docker.io/library/redis", HUB),
            ("r.example/a/b:1", "r.example"),
            ("localhost/a", "localhost"),
            ("host:5000/a@sha256:00", "host:5000"),
        ] {
            assert_eq!(server(reference), want, "{reference}");
        }
    }

    #[tokio::test]
    async fn logins_of_the_file_are_found_under_hosts_and_urls() {
        let auth = STANDARD.encode("ann:pa:ss");
        let logins = logins(&format!(
            r#"{{"auths":{{"r.example":{{"auth":"{auth}"}},"https://s.example/v1/":{{"auth":"{auth}"}},
                "t.example":{{"identitytoken":"tok"}},"{HUB}":{{"auth":"{auth}"}}}},"other":1}}"#
        ));
        let ann = Some(("ann".to_owned(), "pa:ss".to_owned()));
        for reference in ["r.example/a:1", "s.example/a:1", "redis"] {
            assert_eq!(password(logins.find(reference).await), ann, "{reference}");
        }
        let token = logins.find("t.example/a").await.unwrap();
        assert_eq!(token.identity_token.unwrap().expose(), "tok");
        assert!(logins.find("u.example/a").await.is_none());
        assert!(!format!("{logins:?}").contains(&auth));
    }

    #[tokio::test]
    async fn a_helper_is_asked_for_the_server() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let helper = dir.path().join("docker-credential-here");
        let script = "#!/bin/sh\nread server\n\
            [ \"$server\" = r.example ] || exit 1\n\
            echo \"{\\\"Username\\\":\\\"ann\\\",\\\"Secret\\\":\\\"s3cret\\\"}\"\n";
        std::fs::write(&helper, script).unwrap();
        std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
        let config = r#"{"credHelpers":{"r.example":"here","s.example":"here"}}"#;
        std::fs::write(dir.path().join("config.json"), config).unwrap();
        let path = format!("{}:/bin:/usr/bin", dir.path().display());
        let logins = Logins::new(Some(dir.path().to_owned()), Some(path));
        let ann = Some(("ann".to_owned(), "s3cret".to_owned()));
        assert_eq!(password(logins.find("r.example/a:1").await), ann);
        assert!(logins.find("s.example/a:1").await.is_none());
    }

    #[tokio::test]
    async fn a_missing_file_or_helper_is_no_login() {
        assert!(Logins::new(None, None).find("redis").await.is_none());
        let helped = logins(r#"{"credsStore":"not-installed-anywhere"}"#);
        assert!(helped.find("r.example/a").await.is_none());
        assert!(logins("not json").find("redis").await.is_none());
    }
}
