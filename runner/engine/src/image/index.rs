//! The manifests of an index.
//!
//! Engines say the digest of an index and its platforms, not the manifest of each. So the
//! index itself is read here, from this host. Its digest is known, so it does not matter by
//! which way it comes; where it cannot be had (only the engine reaches the registry, or only
//! the engine trusts it), the platforms stay without their manifests, which the index decides
//! all the same.

use std::path::Path;
use std::time::Duration;

use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use oci_client::manifest::{IMAGE_MANIFEST_LIST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use prodmirror_model::lock::{Digest, Platform};
use serde::Deserialize;

use crate::docker::RegistryLogin;

/// How long it may take: it is only an addition, but a busy host must not change the lock.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where Docker keeps the authorities of registries.
const CERTS: &str = "/etc/docker/certs.d";

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    digest: String,
    platform: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    os: String,
    architecture: String,
    variant: Option<String>,
}

/// The manifests of an index by platform; none when it cannot be read from here.
pub(super) async fn manifests(
    repository: &str,
    digest: &Digest,
    login: Option<&RegistryLogin>,
) -> Vec<(Platform, Digest)> {
    let read = read(repository, digest, login);
    match tokio::time::timeout(PATIENCE, read).await {
        Ok(Some(body)) if Digest::of(&body) == *digest => entries(&body),
        _ => Vec::new(),
    }
}

async fn read(repository: &str, digest: &Digest, login: Option<&RegistryLogin>) -> Option<Vec<u8>> {
    let reference: Reference = format!("{repository}@{digest}").parse().ok()?;
    let registry = reference.resolve_registry().to_owned();
    let (clients, auth) = clients(&registry, login);
    let accepted = [OCI_IMAGE_INDEX_MEDIA_TYPE, IMAGE_MANIFEST_LIST_MEDIA_TYPE];
    for client in clients {
        if let Ok((body, _)) = client.pull_manifest_raw(&reference, &auth, &accepted).await {
            return Some(body.to_vec());
        }
    }
    None
}

/// Clients for a registry, the likeliest way to speak with it first, and the login.
pub(crate) fn clients(
    registry: &str,
    login: Option<&RegistryLogin>,
) -> (impl Iterator<Item = Client> + Send + use<>, RegistryAuth) {
    let auth = match login {
        None => RegistryAuth::Anonymous,
        Some(login) => match (&login.password, &login.identity_token) {
            (Some(password), _) => {
                RegistryAuth::Basic(login.user.clone(), password.expose().to_owned())
            }
            (None, Some(token)) => RegistryAuth::Bearer(token.expose().to_owned()),
            (None, None) => RegistryAuth::Anonymous,
        },
    };
    // The HTTP client takes the process's provider and has none of its own.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let authorities = authorities(Path::new(CERTS), registry);
    // An engine speaks plain HTTP with registries on its own host only, which mostly have no
    // TLS: a client for it reads every authority of this host first, so it comes second there.
    let protocols = match is_loopback(registry) {
        true => vec![ClientProtocol::Http, ClientProtocol::Https],
        false => vec![ClientProtocol::Https],
    };
    let clients = protocols.into_iter().filter_map(move |protocol| {
        let config = ClientConfig {
            protocol,
            extra_root_certificates: authorities.clone(),
            ..ClientConfig::default()
        };
        Client::try_from(config).ok()
    });
    (clients, auth)
}

fn authorities(certs: &Path, registry: &str) -> Vec<Certificate> {
    let Ok(files) = std::fs::read_dir(certs.join(registry)) else {
        return Vec::new();
    };
    files
        .filter_map(|f| Some(f.ok()?.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "crt"))
        .filter_map(|p| std::fs::read(p).ok())
        .map(|data| Certificate {
            encoding: CertificateEncoding::Pem,
            data,
        })
        .collect()
}

fn is_loopback(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    let host = host.trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|a| a.is_loopback())
}

fn entries(body: &[u8]) -> Vec<(Platform, Digest)> {
    let Ok(index) = serde_json::from_slice::<Index>(body) else {
        return Vec::new();
    };
    let read = index.manifests.into_iter().filter_map(|e| {
        let named = e.platform.filter(|p| p.os != "unknown")?;
        let platform = Platform::new(&named.os, &named.architecture, named.variant.as_deref());
        Some((platform, Digest::parse(&e.digest)?))
    });
    read.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attestations_are_no_platforms() {
        let digest = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
        let index = format!(
            r#"{{"manifests":[
                {{"digest":"{digest}","platform":{{"os":"linux","architecture":"arm64","variant":"v8"}}}},
                {{"digest":"{digest}","platform":{{"os":"unknown","architecture":"unknown"}}}},
                {{"digest":"{digest}"}}]}}"#
        );
        let found = entries(index.as_bytes());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0.to_string(), "linux/arm64");
    }

    #[test]
    fn only_this_host_is_asked_without_tls() {
        for here in [
            "localhost:5000",
            "127.0.0.1:5000",
            "[::1]:5000",
            "localhost",
        ] {
            assert!(is_loopback(here), "{here}");
        }
        for elsewhere in ["10.0.0.1:5000", "r.example", "localhost.example:5000"] {
            assert!(!is_loopback(elsewhere), "{elsewhere}");
        }
    }
}
