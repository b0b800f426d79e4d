//! A snapshot as an OCI artifact (OCI Image Manifest 1.1, "Guidelines for Artifact Usage"): its
//! manifest is the config, the parts of its content are the layers. A file of one is an OCI image
//! layout in a tar archive; a registry has the same blobs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::lock::Digest;
use prodmirror_model::snapshot::{MANIFEST_VERSION, Manifest};
use prodmirror_model::source::io_reason;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Media type of the artifact's manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const ARTIFACT: &str = "application/vnd.prodmirror.snapshot.v1";
const CONFIG: &str = "application/vnd.prodmirror.snapshot.manifest.v1+json";
const PART: &str = "application/vnd.prodmirror.snapshot.part.v1+gzip";
/// The most that a manifest may have.
const LARGEST_MANIFEST: u64 = 64 << 20;
/// The most that a part may have.
const LARGEST_PART: u64 = 256 << 20;

/// Where a blob is, and what it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Media type.
    pub media_type: String,
    /// Digest.
    pub digest: String,
    /// Bytes.
    pub size: u64,
}

/// The artifact's manifest.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    schema_version: u32,
    media_type: String,
    artifact_type: String,
    /// The snapshot's manifest.
    pub config: Descriptor,
    /// The parts of its content, in their order.
    pub layers: Vec<Descriptor>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl Artifact {
    /// The artifact of a snapshot without parts, and its config.
    pub fn of(manifest: &Manifest) -> (Self, Bytes) {
        let config = Bytes::from(serde_json::to_vec(manifest).unwrap_or_default());
        let annotations = [
            ("org.opencontainers.image.title", manifest.name.clone()),
            (
                "org.opencontainers.image.created",
                manifest.created.to_string(),
            ),
        ];
        let artifact = Self {
            schema_version: 2,
            media_type: OCI_MANIFEST.to_owned(),
            artifact_type: ARTIFACT.to_owned(),
            config: descriptor(CONFIG, &config),
            layers: Vec::new(),
            annotations: annotations.map(|(k, v)| (k.to_owned(), v)).into(),
        };
        (artifact, config)
    }

    /// Adds a part.
    pub fn add(&mut self, digest: &Digest, bytes: &[u8]) {
        self.layers.push(Descriptor {
            media_type: PART.to_owned(),
            digest: digest.to_string(),
            size: bytes.len() as u64,
        });
    }

    /// Its bytes and their digest.
    pub fn bytes(&self) -> (Bytes, Digest) {
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        let digest = Digest::of(&bytes);
        (Bytes::from(bytes), digest)
    }

    /// Reads one.
    ///
    /// # Errors
    /// It is none of a snapshot.
    pub fn read(bytes: &[u8], from: &str) -> Result<Self, Problem> {
        let read: Self = serde_json::from_slice(bytes)
            .map_err(|e| wrong(from, &format!("its OCI manifest cannot be read: {e}")))?;
        if read.artifact_type != ARTIFACT || read.config.media_type != CONFIG {
            return Err(wrong(from, "it is no snapshot of prodmirror"));
        }
        if read
            .layers
            .iter()
            .any(|l| l.media_type != PART || l.size > LARGEST_PART)
        {
            return Err(wrong(from, "a part of it is of another kind"));
        }
        Ok(read)
    }
}

/// Reads the config of an artifact.
///
/// # Errors
/// It is no manifest, or one of another version.
pub fn config(bytes: &[u8], from: &str) -> Result<Manifest, Problem> {
    let manifest: Manifest = serde_json::from_slice(bytes)
        .map_err(|e| wrong(from, &format!("its manifest cannot be read: {e}")))?;
    match manifest.version {
        MANIFEST_VERSION => Ok(manifest),
        other => Err(wrong(
            from,
            &format!(
                "its manifest is of version {other}, and this program reads {MANIFEST_VERSION}"
            ),
        )),
    }
}

/// Compares bytes with what they are called by.
///
/// # Errors
/// They are others.
pub fn checked(bytes: &[u8], wanted: &Descriptor, from: &str) -> Result<(), Problem> {
    let digest = Digest::of(bytes);
    if digest.as_str() == wanted.digest && bytes.len() as u64 == wanted.size {
        return Ok(());
    }
    let what = match wanted.media_type.as_str() {
        CONFIG => "its manifest was changed",
        OCI_MANIFEST => "its list of parts was changed",
        _ => "a part of it is damaged",
    };
    Err(wrong(
        from,
        &format!("{what}: it is {digest}, and should be {}", wanted.digest),
    ))
}

fn descriptor(kind: &str, bytes: &[u8]) -> Descriptor {
    Descriptor {
        media_type: kind.to_owned(),
        digest: Digest::of(bytes).to_string(),
        size: bytes.len() as u64,
    }
}

/// Something is wrong with what is brought here.
pub fn wrong(from: &str, why: &str) -> Problem {
    Problem::new(
        ProblemKind::InvalidValue,
        format!("{from} cannot be brought here: {why}"),
    )
    .help("it may be truncated, damaged or edited: bring it here again")
}

/// A file that a snapshot is written to. It has its name once it is whole.
pub struct FileOut {
    tar: tar::Builder<BufWriter<File>>,
    path: PathBuf,
    part: PathBuf,
    done: bool,
}

impl FileOut {
    /// Begins one.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut part = path.as_os_str().to_owned();
        part.push(format!(".part{}", std::process::id()));
        let part = PathBuf::from(part);
        let file = File::create(&part)?;
        Ok(Self {
            tar: tar::Builder::new(BufWriter::with_capacity(1 << 20, file)),
            path: path.to_owned(),
            part,
            done: false,
        })
    }

    fn entry(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        self.tar.append_data(&mut header, name, bytes)
    }

    /// Adds a blob.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn blob(&mut self, digest: &Digest, bytes: &[u8]) -> io::Result<()> {
        let name = format!("blobs/{}", digest.as_str().replace(':', "/"));
        self.entry(&name, bytes)
    }

    /// Ends it with the artifact's manifest.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(mut self, artifact: &Artifact, config: &[u8], name: &str) -> io::Result<()> {
        self.blob(&Digest::of(config), config)?;
        let (bytes, digest) = artifact.bytes();
        self.blob(&digest, &bytes)?;
        let index = json!({
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [{
                "mediaType": OCI_MANIFEST, "digest": digest, "size": bytes.len(),
                "artifactType": ARTIFACT,
                "annotations": {"org.opencontainers.image.ref.name": name},
            }],
        });
        self.entry("index.json", index.to_string().as_bytes())?;
        self.entry("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        self.tar.finish()?;
        self.tar.get_mut().flush()?;
        self.tar.get_ref().get_ref().sync_all()?;
        std::fs::rename(&self.part, &self.path)?;
        self.done = true;
        Ok(())
    }
}

impl Drop for FileOut {
    fn drop(&mut self) {
        if !self.done {
            let _ = std::fs::remove_file(&self.part);
        }
    }
}

/// A file that a snapshot is read from.
pub struct FileIn {
    file: File,
    shown: String,
    entries: BTreeMap<String, (u64, u64)>,
}

impl FileIn {
    /// Opens one.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub fn open(path: &Path, shown: &str) -> Result<Self, Problem> {
        let unreadable = |e: &io::Error| {
            let message = format!("cannot read {shown}: {}", io_reason(e));
            Problem::new(ProblemKind::MissingFile, message)
        };
        let file = File::open(path).map_err(|e| unreadable(&e))?;
        let length = file.metadata().map_err(|e| unreadable(&e))?.len();
        let mut archive = tar::Archive::new(&file);
        let mut entries = BTreeMap::new();
        let read = archive.entries_with_seek();
        let read = read.map_err(|e| wrong(shown, &e.to_string()))?;
        for entry in read {
            let entry = entry.map_err(|e| wrong(shown, &format!("it is no whole archive: {e}")))?;
            let name = entry.path().map_err(|e| wrong(shown, &e.to_string()))?;
            let name = name.to_string_lossy().into_owned();
            let (at, size) = (entry.raw_file_position(), entry.size());
            if at.saturating_add(size) > length {
                return Err(wrong(shown, &format!("it ends in the middle of `{name}`")));
            }
            entries.insert(name, (at, size));
        }
        Ok(Self {
            file,
            shown: shown.to_owned(),
            entries,
        })
    }

    fn entry(&mut self, name: &str, most: u64) -> Result<Bytes, Problem> {
        let found = self.entries.get(name).copied();
        let (at, size) = found
            .filter(|(_, size)| *size <= most)
            .ok_or_else(|| wrong(&self.shown, &format!("it has no `{name}`")))?;
        let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
        let read = self
            .file
            .seek(SeekFrom::Start(at))
            .and_then(|_| self.file.read_exact(&mut bytes));
        read.map_err(|e| wrong(&self.shown, &e.to_string()))?;
        Ok(Bytes::from(bytes))
    }

    /// The artifact in it, with its digest.
    ///
    /// # Errors
    /// There is none.
    pub fn artifact(&mut self) -> Result<(Artifact, Digest), Problem> {
        #[derive(Deserialize)]
        struct Index {
            manifests: Vec<Descriptor>,
        }
        let index = self.entry("index.json", LARGEST_MANIFEST)?;
        let index: Index = serde_json::from_slice(&index)
            .map_err(|e| wrong(&self.shown, &format!("its index cannot be read: {e}")))?;
        let [one] = &index.manifests[..] else {
            return Err(wrong(&self.shown, "it does not hold one snapshot"));
        };
        let bytes = self.blob(one)?;
        let artifact = Artifact::read(&bytes, &self.shown)?;
        Ok((artifact, Digest::of(&bytes)))
    }

    /// A blob, compared with its digest.
    ///
    /// # Errors
    /// It is not there, or damaged.
    pub fn blob(&mut self, wanted: &Descriptor) -> Result<Bytes, Problem> {
        let name = format!("blobs/{}", wanted.digest.replace(':', "/"));
        let bytes = self.entry(&name, LARGEST_MANIFEST.max(LARGEST_PART))?;
        checked(&bytes, wanted, &self.shown)?;
        Ok(bytes)
    }
}
