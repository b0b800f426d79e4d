//! The agent's image, in the form that engines load.

use std::io;

use prodmirror_agent::wire::PROGRAM_PATH;
use prodmirror_model::diag::{Problem, ProblemKind};
use serde_json::json;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use super::{image_tag, program};

const EXECUTABLE: u32 = 0o755;
const READABLE: u32 = 0o644;

/// An archive for `docker load` that holds the agent's image for an architecture: one
/// layer with the program. The same program gives the same bytes, so loading it twice, or
/// twice at once, changes nothing.
///
/// # Errors
/// [`ProblemKind::Unsupported`] when this tool was built without that program.
pub fn archive(arch: &str) -> Result<Vec<u8>, Problem> {
    let tag = image_tag(arch)?;
    pack(arch, &tag, &program(arch)?).map_err(|error| {
        Problem::new(
            ProblemKind::Start,
            format!("could not pack the agent's image: {error}"),
        )
    })
}

fn pack(arch: &str, tag: &str, program: &[u8]) -> io::Result<Vec<u8>> {
    let mut layer = Builder::new(Vec::with_capacity(program.len() + 4096));
    add(
        &mut layer,
        PROGRAM_PATH.trim_start_matches('/'),
        EXECUTABLE,
        program,
    )?;
    let layer = layer.into_inner()?;
    let layer_hash = hex(&layer);
    let config = json!({
        "architecture": arch,
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "Entrypoint": [PROGRAM_PATH],
            "Labels": {
                "dev.prodmirror.role": "agent",
                "org.opencontainers.image.title": "prodmirror-agent",
                "org.opencontainers.image.version": env!("CARGO_PKG_VERSION"),
            },
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer_hash}")] },
        "history": [{ "created": "1970-01-01T00:00:00Z", "created_by": "prodmirror" }],
    })
    .to_string();
    let config_name = format!("{}.json", hex(config.as_bytes()));
    let layer_name = format!("{layer_hash}/layer.tar");
    let manifest =
        json!([{ "Config": config_name, "RepoTags": [tag], "Layers": [layer_name] }]).to_string();
    let mut image = Builder::new(Vec::with_capacity(layer.len() + 8192));
    add(&mut image, &config_name, READABLE, config.as_bytes())?;
    add(&mut image, &layer_name, READABLE, &layer)?;
    add(&mut image, "manifest.json", READABLE, manifest.as_bytes())?;
    image.into_inner()
}

fn add(archive: &mut Builder<Vec<u8>>, path: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    archive.append_data(&mut header, path, bytes)
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_program_gives_the_same_image() {
        let one = pack("amd64", "prodmirror/agent:1", b"program").unwrap();
        assert_eq!(
            one,
            pack("amd64", "prodmirror/agent:1", b"program").unwrap()
        );
        assert_ne!(
            one,
            pack("amd64", "prodmirror/agent:1", b"Program").unwrap()
        );
    }
}
