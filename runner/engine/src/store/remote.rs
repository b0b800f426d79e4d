//! Snapshots in registries.

use bytes::Bytes;
use oci_client::Reference;
use oci_client::client::Client;
use oci_client::manifest::OciDescriptor;
use oci_client::secrets::RegistryAuth;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::lock::Digest;

use super::artifact::{Artifact, Descriptor, OCI_MANIFEST, checked};
use crate::docker::RegistryLogin;
use crate::image::registry_clients;

/// How often a request is tried that was cut off.
const ATTEMPTS: u32 = 3;

/// A repository of a registry.
pub struct Remote {
    client: Client,
    auth: RegistryAuth,
    reference: Reference,
    shown: String,
}

impl Remote {
    /// The repository of a reference; nothing is asked yet but how it speaks.
    ///
    /// # Errors
    /// It is no reference, or its registry cannot be reached.
    pub async fn open(reference: &str, login: Option<&RegistryLogin>) -> Result<Self, Problem> {
        let parsed: Reference = reference.parse().map_err(|e| {
            let message = format!("`{reference}` names no repository: {e}");
            Problem::new(ProblemKind::InvalidValue, message)
                .help("write HOST/REPOSITORY:TAG or HOST/REPOSITORY@sha256:…")
        })?;
        let (clients, auth) = registry_clients(parsed.resolve_registry(), login);
        let mut why = String::from("no client could be made");
        for client in clients {
            client
                .store_auth_if_needed(parsed.resolve_registry(), &auth)
                .await;
            // A blob that nobody has: any answer says that it speaks.
            let nothing = Digest::of(b"");
            match client.blob_exists(&parsed, nothing.as_str()).await {
                Ok(_) => {
                    return Ok(Self {
                        client,
                        auth,
                        reference: parsed,
                        shown: reference.to_owned(),
                    });
                }
                Err(e) => why = e.to_string(),
            }
        }
        let message = format!("the registry of `{reference}` cannot be asked: {why}");
        Err(Problem::new(ProblemKind::Start, message)
            .help("see whether it answers, and log in to it: `docker login`"))
    }

    /// Sends a blob, if it is not there already; says whether it was sent.
    ///
    /// # Errors
    /// The registry's.
    pub async fn send(&self, digest: &Digest, bytes: &Bytes) -> Result<bool, Problem> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match self
                .client
                .blob_exists(&self.reference, digest.as_str())
                .await
            {
                Ok(true) => return Ok(false),
                Ok(false) => {}
                Err(e) => return Err(self.failed(&e)),
            }
            let sent = self
                .client
                .push_blob(&self.reference, bytes.clone(), digest.as_str());
            match sent.await {
                Ok(_) => return Ok(true),
                Err(e) => last = Some(e),
            }
        }
        Err(last.map_or_else(|| self.failed(&"it takes nothing"), |e| self.failed(&e)))
    }

    /// Sends the artifact's manifest: then it is there.
    ///
    /// # Errors
    /// The registry's.
    pub async fn finish(&self, artifact: &Artifact) -> Result<Digest, Problem> {
        let (bytes, digest) = artifact.bytes();
        let kind = reqwest::header::HeaderValue::from_static(OCI_MANIFEST);
        let put = self
            .client
            .push_manifest_raw(&self.reference, bytes, kind)
            .await;
        put.map_err(|e| self.failed(&e))?;
        Ok(digest)
    }

    /// The artifact that the reference names, with its digest.
    ///
    /// # Errors
    /// There is none, or it is no snapshot.
    pub async fn artifact(&self) -> Result<(Artifact, Digest), Problem> {
        let pulled = self
            .client
            .pull_manifest_raw(&self.reference, &self.auth, &[OCI_MANIFEST])
            .await;
        let (bytes, _) = pulled.map_err(|e| self.failed(&e))?;
        let digest = Digest::of(&bytes);
        if let Some(wanted) = self.reference.digest().filter(|d| *d != digest.as_str()) {
            let why = format!("the registry gave {digest} for {wanted}");
            return Err(self.failed(&why));
        }
        Ok((Artifact::read(&bytes, &self.shown)?, digest))
    }

    /// A blob, compared with its digest.
    ///
    /// # Errors
    /// The registry's, or it is damaged.
    pub async fn blob(&self, wanted: &Descriptor) -> Result<Bytes, Problem> {
        let descriptor = OciDescriptor {
            media_type: wanted.media_type.clone(),
            digest: wanted.digest.clone(),
            size: i64::try_from(wanted.size).unwrap_or_default(),
            ..OciDescriptor::default()
        };
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let mut bytes = Vec::new();
            let pulled = self
                .client
                .pull_blob(&self.reference, &descriptor, &mut bytes)
                .await;
            match pulled {
                Ok(()) => {
                    checked(&bytes, wanted, &self.shown)?;
                    return Ok(Bytes::from(bytes));
                }
                Err(e) => last = Some(e),
            }
        }
        Err(last.map_or_else(|| self.failed(&"it gives nothing"), |e| self.failed(&e)))
    }

    fn failed(&self, e: &dyn std::fmt::Display) -> Problem {
        let message = format!("the registry of `{}` refused: {e}", self.shown);
        Problem::new(ProblemKind::Start, message)
    }
}
