//! Images of the engine: asking, importing, pulling, removing.

use std::collections::{BTreeMap, BTreeSet};

use bollard::auth::DockerCredentials;
use bollard::query_parameters as query;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use prodmirror_model::lock::{Digest, Platform};
use prodmirror_model::secret::Secret;

use super::progress::reports;
use super::{Engine, EngineError};

/// What the engine knows of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageFacts {
    /// Id (`sha256:…`).
    pub id: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// `repository:tag`, every name that it has.
    pub tags: Vec<String>,
    /// `repository@sha256:…`, one for each repository it was pulled from or pushed to.
    pub digests: Vec<String>,
    /// What it was built for.
    pub platform: Option<Platform>,
    /// The user that its processes run as; empty = root.
    pub user: String,
}

/// What a registry has under a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// Digest of the manifest, or of the index over several.
    pub digest: Digest,
    /// Whether it is an index.
    pub is_index: bool,
    /// The platforms that it has.
    pub platforms: Vec<Platform>,
}

/// What an image is configured to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// Platform, `os/arch[/variant]`.
    pub platform: String,
    /// User, as name or number; empty = root.
    pub user: String,
    /// Environment, `NAME=value`.
    pub env: Vec<String>,
    /// Ports that it exposes, of TCP and others.
    pub ports: BTreeSet<u16>,
    /// Ports of TCP that it exposes.
    pub tcp: BTreeSet<u16>,
    /// Whether it has a health check.
    pub health: bool,
    /// What its command is handed to; empty = the command is run itself.
    pub entrypoint: Vec<String>,
    /// Its command.
    pub command: Vec<String>,
    /// The words of its health check, the first of which says what they are.
    pub check: Vec<String>,
}

/// How to log in to a registry.
#[derive(Debug, Clone, Default)]
pub struct RegistryLogin {
    /// The registry, as Docker's configuration names it.
    pub server: String,
    /// User.
    pub user: String,
    /// Password.
    pub password: Option<Secret>,
    /// In place of user and password.
    pub identity_token: Option<Secret>,
}

/// One message about a layer that is pulled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PullProgress {
    /// The layer; absent for messages about the image.
    pub layer: Option<String>,
    /// What happens: `Downloading`, `Extracting`, `Pull complete`…
    pub status: String,
    /// Bytes done and bytes of all.
    pub bytes: Option<(u64, u64)>,
}

impl Engine {
    /// What is known of an image; nothing when the engine does not have it.
    pub async fn image(&self, name: &str) -> Result<Option<ImageFacts>, EngineError> {
        match self
            .client()
            .inspect_image(name)
            .await
            .map_err(EngineError::from)
        {
            Ok(found) => Ok(Some(ImageFacts {
                platform: platform(
                    found.os.as_deref(),
                    found.architecture.as_deref(),
                    found.variant.as_deref(),
                ),
                id: found.id.unwrap_or_default(),
                user: found
                    .config
                    .as_ref()
                    .and_then(|c| c.user.clone())
                    .unwrap_or_default(),
                labels: found
                    .config
                    .and_then(|c| c.labels)
                    .unwrap_or_default()
                    .into_iter()
                    .collect(),
                tags: found.repo_tags.unwrap_or_default(),
                digests: found.repo_digests.unwrap_or_default(),
            })),
            Err(e) if e.is_missing() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// What a registry has under a reference, without pulling it. The engine, not this host,
    /// talks to the registry; a tag beside a digest is left out.
    pub async fn distribution(
        &self,
        reference: &str,
        login: Option<&RegistryLogin>,
    ) -> Result<Distribution, EngineError> {
        let found = self
            .client()
            .inspect_registry_image(reference, login.map(credentials))
            .await?;
        let digest = found.descriptor.digest.unwrap_or_default();
        let digest = Digest::parse(&digest)
            .ok_or_else(|| EngineError::Garbled(format!("`{digest}` is not a digest")))?;
        let mut platforms: Vec<Platform> = found
            .platforms
            .iter()
            .filter_map(|p| {
                platform(
                    p.os.as_deref(),
                    p.architecture.as_deref(),
                    p.variant.as_deref(),
                )
            })
            .collect();
        platforms.sort();
        platforms.dedup();
        Ok(Distribution {
            digest,
            is_index: found.descriptor.media_type.is_some_and(|t| is_index(&t)),
            platforms,
        })
    }

    /// What an image is configured to be.
    ///
    /// # Errors
    /// 404 = the engine does not have it.
    pub async fn image_config(&self, name: &str) -> Result<ImageConfig, EngineError> {
        let found = self.client().inspect_image(name).await?;
        let parts = [found.os, found.architecture, found.variant];
        let parts: Vec<String> = parts
            .into_iter()
            .flatten()
            .filter(|p| !p.is_empty())
            .collect();
        let config = found.config.unwrap_or_default();
        let test = config.healthcheck.and_then(|h| h.test).unwrap_or_default();
        let ports = config.exposed_ports.unwrap_or_default();
        Ok(ImageConfig {
            platform: parts.join("/"),
            user: config.user.unwrap_or_default(),
            env: config.env.unwrap_or_default(),
            ports: ports
                .iter()
                .filter_map(|p| p.split('/').next()?.parse().ok())
                .collect(),
            tcp: ports
                .iter()
                .filter_map(|p| match p.split_once('/') {
                    Some((port, "tcp")) => port.parse().ok(),
                    Some(_) => None,
                    None => p.parse().ok(),
                })
                .collect(),
            health: test.first().is_some_and(|t| t != "NONE"),
            entrypoint: config.entrypoint.unwrap_or_default(),
            command: config.cmd.unwrap_or_default(),
            check: test,
        })
    }

    /// Makes an image of one layer from a stream of a root file system's tar archive.
    /// `changes` are Dockerfile instructions such as `LABEL a=b`.
    pub async fn import_root(
        &self,
        name: &str,
        changes: Vec<String>,
        tar: impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static,
    ) -> Result<(), EngineError> {
        let (repository, tag) = split_tag(name);
        let options = query::CreateImageOptionsBuilder::default()
            .from_src("-")
            .repo(repository)
            .tag(tag.unwrap_or("latest"))
            .changes(changes)
            .build();
        let body = bollard::body_try_stream(tar);
        let mut answer = std::pin::pin!(reports(self.client().create_image(
            Some(options),
            Some(body),
            None
        )));
        while let Some(step) = answer.next().await {
            if let Some(error) = step?.error_detail {
                return Err(refused(error.message));
            }
        }
        Ok(())
    }

    /// Pulls an image: `repository:tag` or `repository@sha256:…`; `latest` when neither is
    /// given. The engine, not this host, talks to the registry.
    pub async fn pull_image(
        &self,
        reference: &str,
        platform: Option<&str>,
        login: Option<&RegistryLogin>,
        mut on_progress: impl FnMut(PullProgress),
    ) -> Result<(), EngineError> {
        let mut options = query::CreateImageOptionsBuilder::default();
        options = match split_tag(reference) {
            (_, None) if reference.contains('@') => options.from_image(reference),
            (repository, tag) => options.from_image(repository).tag(tag.unwrap_or("latest")),
        };
        if let Some(platform) = platform {
            options = options.platform(platform);
        }
        let login = login.map(credentials);
        let asked = self
            .client()
            .create_image(Some(options.build()), None, login);
        let mut answer = std::pin::pin!(reports(asked));
        while let Some(step) = answer.next().await {
            let step = step?;
            if let Some(error) = step.error_detail {
                return Err(refused(error.message));
            }
            let known = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok());
            on_progress(PullProgress {
                layer: step.id,
                status: step.status.unwrap_or_default(),
                bytes: step
                    .progress_detail
                    .and_then(|d| Some((known(d.current)?, known(d.total)?))),
            });
        }
        Ok(())
    }

    /// Images as one tar archive, as `docker save` makes it.
    pub fn save_images(
        &self,
        names: &[&str],
    ) -> impl Stream<Item = Result<Bytes, EngineError>> + use<> {
        let all = self.client().export_images(names);
        all.map(|b| b.map_err(EngineError::from))
    }

    /// Takes images from a tar archive, as `docker load` does.
    ///
    /// # Errors
    /// The archive is none, or the engine's.
    pub async fn load_images(
        &self,
        tar: impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static,
    ) -> Result<(), EngineError> {
        let options = query::ImportImageOptionsBuilder::default()
            .quiet(true)
            .build();
        let body = bollard::body_try_stream(tar);
        let mut answer = std::pin::pin!(reports(self.client().import_image(options, body, None)));
        while let Some(step) = answer.next().await {
            if let Some(error) = step?.error_detail {
                return Err(refused(error.message));
            }
        }
        Ok(())
    }

    /// Takes a name from an image, and removes it when that was its last one.
    ///
    /// # Errors
    /// 404 = there is none, 409 = a container uses it.
    pub async fn remove_image(&self, name: &str) -> Result<(), EngineError> {
        let none = None::<query::RemoveImageOptions>;
        self.client().remove_image(name, none, None).await?;
        Ok(())
    }

    /// Removes an image that has no name any more, unless a container or another image uses it.
    pub async fn remove_nameless_image(&self, id: &str) -> Result<(), EngineError> {
        if self.image(id).await?.is_none_or(|i| !i.tags.is_empty()) {
            return Ok(());
        }
        let none = None::<query::RemoveImageOptions>;
        match self
            .client()
            .remove_image(id, none, None)
            .await
            .map_err(EngineError::from)
        {
            Ok(_) => Ok(()),
            Err(e) if e.is_missing() || e.is_conflict() => Ok(()),
            Err(e) => Err(e),
        }
    }
}

/// A platform; the attestations beside images in an index have none.
fn platform(os: Option<&str>, arch: Option<&str>, variant: Option<&str>) -> Option<Platform> {
    let named = |part: Option<&str>| part.is_some_and(|p| !p.is_empty() && p != "unknown");
    (named(os) && named(arch))
        .then(|| Platform::new(os.unwrap_or_default(), arch.unwrap_or_default(), variant))
}

fn is_index(media_type: &str) -> bool {
    matches!(
        media_type,
        "application/vnd.oci.image.index.v1+json"
            | "application/vnd.docker.distribution.manifest.list.v2+json"
    )
}

pub(super) fn refused(message: Option<String>) -> EngineError {
    EngineError::Answered {
        status: 500,
        message: message.unwrap_or_default().trim().to_owned(),
    }
}

fn credentials(login: &RegistryLogin) -> DockerCredentials {
    DockerCredentials {
        username: (!login.user.is_empty()).then(|| login.user.clone()),
        password: login.password.as_ref().map(|s| s.expose().to_owned()),
        identitytoken: login.identity_token.as_ref().map(|s| s.expose().to_owned()),
        serveraddress: Some(login.server.clone()),
        ..DockerCredentials::default()
    }
}

/// `repository:tag` in its parts; a port (`host:5000/name`) and a digest are no tags.
pub(crate) fn split_tag(name: &str) -> (&str, Option<&str>) {
    if name.contains('@') {
        return (name, None);
    }
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (name, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_told_from_ports_and_digests() {
        assert_eq!(split_tag("redis:7"), ("redis", Some("7")));
        assert_eq!(split_tag("host:5000/redis"), ("host:5000/redis", None));
        assert_eq!(
            split_tag("host:5000/redis:7"),
            ("host:5000/redis", Some("7"))
        );
        assert_eq!(split_tag("redis@sha256:aa"), ("redis@sha256:aa", None));
        assert_eq!(split_tag("redis:7@sha256:aa"), ("redis:7@sha256:aa", None));
    }
}
