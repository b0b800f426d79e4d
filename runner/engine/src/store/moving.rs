//! Contents out of the store and into it, as streams of bytes.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use futures_util::{Stream, StreamExt};
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::lock::Digest;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::Clones;
use super::archive::{self, scratch};
use crate::docker::{Attached, Engine, EngineError, NewContainer, NewVolume, OutputFrom};
use crate::live::label::{Role, Tags};

/// Bytes of a part before it is compressed.
pub const PART: usize = 32 << 20;
/// The most that a part may become when it is unpacked.
const LARGEST: u64 = 4 * PART as u64;
/// Parts that are compressed at once.
const AT_ONCE: usize = 2;
/// How long a helper may take to end when there is nothing more to read or write.
const ENDS_WITHIN: Duration = Duration::from_secs(300);

/// A part of a content, compressed with gzip.
#[derive(Debug, Clone)]
pub struct Part {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Its bytes.
    pub bytes: Bytes,
}

/// The parts of a sealed content, in their order. Nothing of it is kept when the stream ends.
///
/// # Errors
/// There is no such content, or the engine's; in the middle of the stream as well.
pub async fn parts(
    engine: &Engine,
    tags: &Tags,
    clones: &Arc<Clones>,
    content: &str,
) -> Result<impl Stream<Item = Result<Part, Problem>> + use<>, Problem> {
    let options = clones.give_content("packed", content).await?;
    let volume = NewVolume {
        name: tags.name("packed"),
        labels: tags.labels(Role::Volume),
        options,
    };
    let made = engine.create_volume(&volume).await;
    made.map_err(|e| e.problem("make a volume"))?;
    let body = json!({
        "Image": engine.load_agent().await?,
        "Cmd": ["pack", "/source"],
        "Labels": tags.labels(Role::Files),
        "AttachStdout": true,
        "AttachStderr": true,
        "HostConfig": {
            "NetworkMode": "none", "ReadonlyRootfs": true,
            "Binds": [format!("{}:/source:ro,nocopy", volume.name)],
            // Attributes of the class `trusted` are part of a content, and are shown only to
            // who may administer the system.
            "CapDrop": ["ALL"], "CapAdd": ["DAC_READ_SEARCH", "DAC_OVERRIDE", "SYS_ADMIN"],
            // What it writes is not for the engine's log.
            "LogConfig": {"Type": "none"},
        },
    });
    let (id, attached) = start(engine, tags, "pack", body, false).await?;
    let raw = chunks(engine.clone(), id, attached);
    let compressed = raw.map(|piece| async move {
        let piece = piece?;
        let packed = tokio::task::spawn_blocking(move || compress(&piece)).await;
        packed.map_err(|e| broken(&e.to_string()))
    });
    Ok(compressed.buffered(AT_ONCE))
}

/// The output of a helper in pieces of [`PART`]; fails when it does.
fn chunks(
    engine: Engine,
    id: String,
    attached: Attached,
) -> impl Stream<Item = Result<Bytes, Problem>> {
    struct State {
        engine: Engine,
        id: String,
        output: crate::docker::LogStream,
        open: BytesMut,
        said: Vec<u8>,
        ended: bool,
    }
    // Once it has ended and is removed, the id is empty.
    let state = State {
        engine,
        id,
        output: attached.output,
        open: BytesMut::with_capacity(PART),
        said: Vec::new(),
        ended: false,
    };
    futures_util::stream::try_unfold(state, |mut s| async move {
        while !s.ended && s.open.len() < PART {
            match s.output.next().await {
                None => s.ended = true,
                Some(Err(e)) => return Err(e.problem("read the data")),
                Some(Ok(piece)) if piece.from == OutputFrom::Stderr => {
                    s.said.extend_from_slice(&piece.bytes);
                }
                Some(Ok(piece)) => s.open.extend_from_slice(&piece.bytes),
            }
        }
        if s.ended && !s.id.is_empty() {
            let id = std::mem::take(&mut s.id);
            end(&s.engine, &id, &s.said, "read the data").await?;
        }
        if s.open.is_empty() {
            return Ok(None);
        }
        let length = s.open.len().min(PART);
        let piece = s.open.split_to(length).freeze();
        Ok(Some((piece, s)))
    })
}

fn compress(piece: &[u8]) -> Part {
    let mut packed = GzEncoder::new(Vec::with_capacity(piece.len() / 2), Compression::fast());
    // Writing to memory does not fail.
    let bytes = packed.write_all(piece).and_then(|()| packed.finish());
    let bytes = Bytes::from(bytes.unwrap_or_default());
    Part {
        digest: Digest::of(&bytes),
        bytes,
    }
}

/// Unpacks a part.
///
/// # Errors
/// It is damaged, or larger than any part is.
pub fn unpacked(bytes: &[u8]) -> Result<Vec<u8>, Problem> {
    let mut out = Vec::new();
    let read = GzDecoder::new(bytes)
        .take(LARGEST + 1)
        .read_to_end(&mut out);
    match read {
        Ok(_) if out.len() as u64 <= LARGEST => Ok(out),
        Ok(_) => Err(broken("a part of it is too large")),
        Err(e) => Err(broken(&e.to_string())),
    }
}

fn broken(why: &str) -> Problem {
    Problem::new(
        ProblemKind::InvalidValue,
        format!("the data cannot be unpacked: {why}"),
    )
}

/// A volume that parts are unpacked into.
pub struct Unpacking {
    engine: Engine,
    id: String,
    attached: Attached,
    /// Its name.
    pub volume: String,
}

impl Unpacking {
    /// Makes an empty one.
    ///
    /// # Errors
    /// The engine's.
    pub async fn start(engine: &Engine, tags: &Tags) -> Result<Self, Problem> {
        let volume = scratch(engine, tags).await?;
        let body = json!({
            "Image": engine.load_agent().await?,
            "Cmd": ["unpack", "/into"],
            "Labels": tags.labels(Role::Files),
            "OpenStdin": true,
            "StdinOnce": true,
            "AttachStdin": true,
            "AttachStdout": true,
            "AttachStderr": true,
            "HostConfig": {
                "NetworkMode": "none", "ReadonlyRootfs": true,
                "Binds": [format!("{volume}:/into:nocopy")],
                "CapDrop": ["ALL"],
                "CapAdd": ["MKNOD", "CHOWN", "FOWNER", "FSETID", "DAC_OVERRIDE", "SETFCAP"],
            },
        });
        let (id, attached) = start(engine, tags, "unpack", body, true).await?;
        Ok(Self {
            engine: engine.clone(),
            id,
            attached,
            volume,
        })
    }

    /// Adds bytes of the content.
    ///
    /// # Errors
    /// They cannot be written, with the reason that the helper gave.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        match self.attached.input.write_all(bytes).await {
            Ok(()) => Ok(()),
            Err(e) => {
                let message = format!("could not write the data: {e}");
                let said = Problem::new(ProblemKind::Start, message);
                Err(self.finish().await.err().unwrap_or(said))
            }
        }
    }

    /// Ends it; the volume then has all of the content.
    ///
    /// # Errors
    /// It ends in the middle, or could not be written.
    pub async fn finish(&mut self) -> Result<(), Problem> {
        let _ = self.attached.input.shutdown().await;
        let mut said = Vec::new();
        while let Some(Ok(piece)) = self.attached.output.next().await {
            said.extend_from_slice(&piece.bytes);
        }
        end(&self.engine, &self.id, &said, "unpack the data").await
    }
}

async fn start(
    engine: &Engine,
    tags: &Tags,
    name: &str,
    body: serde_json::Value,
    stdin: bool,
) -> Result<(String, Attached), Problem> {
    let doing = format!("start what is to {name} the data");
    let new = NewContainer {
        name: tags.name(name),
        body,
        platform: None,
    };
    let failed = |e: EngineError| e.problem(&doing);
    let id = engine.create_container(&new).await.map_err(failed)?.id;
    let attached = engine.attach(&id, stdin).await.map_err(failed)?;
    engine.start_container(&id).await.map_err(failed)?;
    Ok((id, attached))
}

/// Waits until a helper whose output ended is done, removes it, and says why it failed.
async fn end(engine: &Engine, id: &str, said: &[u8], doing: &str) -> Result<(), Problem> {
    let begun = std::time::Instant::now();
    let code = loop {
        match engine.inspect_container(id).await {
            Ok(state) if !state.running => break state.exit_code,
            Ok(_) if begun.elapsed() < ENDS_WITHIN => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(_) => break -1,
            Err(e) => return Err(e.problem(doing)),
        }
    };
    let removed = engine.remove_container(id).await;
    if code != 0 {
        let said = archive::reason(said);
        let message = format!("could not {doing}: {said}");
        return Err(Problem::new(ProblemKind::Start, message));
    }
    removed.map_err(|e| e.problem(doing))
}
