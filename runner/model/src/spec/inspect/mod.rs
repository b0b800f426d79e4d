//! What `docker inspect` prints of a running host: containers, and of what they use the images,
//! networks and volumes.
//!
//! The engine merges what was asked for with what the image says, so an image's inspection is
//! subtracted again. What no inspection shows (the content of files, the values of secrets in
//! files) is supplied by `mirror.yaml`.

mod capture;
mod container;
mod draft;
mod field;
mod labels;
mod limits;
mod mounts;
mod network;
mod objects;
mod process;
mod reader;
mod replicas;
mod rest;
mod secret;
mod security;
mod state;
mod supply;
#[cfg(test)]
mod tests;

use super::{Format, Sources, Translation};
use crate::diag::Problems;
use crate::source::SourceFile;

/// The format.
pub static FORMAT: Format = Format {
    name: "inspect",
    title: "docker inspect",
    sniff,
    read,
};

/// Keys that only the engine's inspections have.
const MARKS: [&str; 7] = [
    "\"HostConfig\"",
    "\"NetworkSettings\"",
    "\"RepoDigests\"",
    "\"RootFS\"",
    "\"IPAM\"",
    "\"Mountpoint\"",
    "\"ContainerConfig\"",
];

fn sniff(file: &SourceFile) -> bool {
    let text = file.text.trim_start();
    let foreign = ["\"apiVersion\"", "\"containerDefinitions\""];
    text.starts_with(['[', '{'])
        && (text.trim_end() == "[]" || MARKS.iter().any(|m| text.contains(m)))
        && !foreign.iter().any(|f| text.contains(f))
}

fn read(sources: &Sources<'_>) -> Result<Translation, Problems> {
    let capture = capture::Capture::read(&sources.files)?;
    let containers = container::identify(&capture);
    reader::Reader::new(sources, &capture, &containers).translate()
}
