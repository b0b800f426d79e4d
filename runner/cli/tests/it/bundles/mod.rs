//! A failing run leaves a bundle, and `repro` runs it again in a directory that has nothing.

mod again;
mod at;
mod at_once;
mod company;
mod data;
mod fetched;
mod images;
mod kinds;
mod left;
mod searched;
mod signed;
mod untrusted;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::project::{Project, Said};
use crate::rig::clean_within;

/// How long a run may take on a machine that does other things as well.
const RUN: Duration = Duration::from_secs(300);

impl Project {
    /// Runs the program to its end on the engine.
    fn plays(&self, args: &[&str], env: &[(&str, &str)]) -> Said {
        self.start(args, env).end(RUN)
    }

    /// The bundles of the only run, by name.
    fn bundles(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.run_dir()).unwrap();
        let mut found: Vec<PathBuf> = files
            .map(|e| e.unwrap().path())
            .filter(|p| p.extension().is_some_and(|e| e == "bundle"))
            .collect();
        found.sort();
        found
    }

    /// The only bundle of the only run, as an argument.
    pub fn bundle(&self) -> String {
        let all = self.bundles();
        assert_eq!(all.len(), 1, "{all:?}");
        all[0].to_string_lossy().into_owned()
    }

    /// The runs that `repro` did here; nothing of them is left on the engine.
    #[track_caller]
    fn reproduced(&self) -> usize {
        let below = |dir: &Path| -> Vec<PathBuf> {
            let entries = std::fs::read_dir(dir).into_iter().flatten();
            entries.map(|e| e.unwrap().path()).collect()
        };
        let mut dirs = below(&self.path().join(".prodmirror/repro"));
        let mut count = 0;
        while let Some(dir) = dirs.pop() {
            if dir.ends_with(".prodmirror/runs") {
                for run in below(&dir) {
                    count += 1;
                    let id = run.file_name().unwrap().to_string_lossy().into_owned();
                    clean_within(&id, Duration::ZERO);
                }
            } else if dir.is_dir() {
                dirs.extend(below(&dir));
            }
        }
        count
    }
}

/// The entries of a bundle.
pub fn entries(bundle: &str) -> BTreeMap<String, Vec<u8>> {
    let file = std::fs::File::open(bundle).unwrap();
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let mut all = BTreeMap::new();
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        all.insert(name, bytes);
    }
    all
}

/// The manifest of a bundle.
fn manifest(bundle: &str) -> Value {
    serde_json::from_slice(&entries(bundle)["bundle.json"]).unwrap()
}

/// Writes a bundle as somebody else would who changed it: each entry is what the manifest says.
pub fn write(to: &Path, mut entries: BTreeMap<String, Vec<u8>>) {
    let mut manifest: Value = serde_json::from_slice(&entries["bundle.json"]).unwrap();
    entries.remove("bundle.json");
    let facts = |bytes: &Vec<u8>| {
        let digest: String = Sha256::digest(bytes)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        json!({ "digest": format!("sha256:{digest}"), "size": bytes.len() })
    };
    let files = entries
        .iter()
        .map(|(name, bytes)| (name.clone(), facts(bytes)));
    manifest["files"] = Value::Object(files.collect());
    let file = std::fs::File::create(to).unwrap();
    let packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    let mut tar = tar::Builder::new(packed);
    let mut append = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, bytes).unwrap();
    };
    append("bundle.json", manifest.to_string().as_bytes());
    for (name, bytes) in &entries {
        append(name, bytes);
    }
    tar.into_inner().unwrap().finish().unwrap();
}
