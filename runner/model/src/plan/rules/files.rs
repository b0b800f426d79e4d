//! The rule about mounts: files are copied, volumes are the stack's own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use crate::diag::{Problem, ProblemKind};
use crate::mirror::{Mount, MountKind, Sourced};
use crate::plan::body::mounts::bind_string;
use crate::plan::body::{FileKind, ServiceFile, service_files};
use crate::plan::deviations::{Deviation, Pair};
use crate::plan::draft::{Draft, Note};
use crate::plan::{FileContent, FilePlan, VolumePlan};
use crate::secret::Secret;

/// Secrets up to this size are read and kept in memory; larger ones are copied as files.
const SECRET_BYTES: u64 = 1024 * 1024;

/// Turns configuration files, secrets and files of the project into files that are put into
/// the container.
pub(in crate::plan) fn mounts(draft: &mut Draft<'_>, rule: &Deviation) {
    let service = draft.service;
    // As on the engine, the last mount of a target counts.
    let mut by_target: BTreeMap<&str, &Sourced<Mount>> = BTreeMap::new();
    for mount in &service.mounts.list {
        by_target.insert(mount.target.as_ref().map_or("", |t| t.as_str()), mount);
    }
    for file in service_files(&draft.request()) {
        let target = file.target();
        if by_target.contains_key(target.as_str()) {
            continue;
        }
        drop_mount(draft, &target);
        if let Some(plan) = given_file(draft, &file, target) {
            draft.files.push(plan);
        }
    }
    for mount in &service.mounts.list {
        let target = mount.target.as_ref().map_or("", |t| t.as_str());
        let counts = by_target
            .get(target)
            .is_some_and(|m| std::ptr::eq(*m, mount));
        if counts && *mount.kind == MountKind::Bind {
            bind(draft, rule, mount, target);
        }
    }
}

/// Copies a bind of a path of the project; other binds stay (they were allowed by name).
fn bind(draft: &mut Draft<'_>, rule: &Deviation, mount: &Sourced<Mount>, target: &str) {
    let Some(source) = &mount.source else { return };
    let path = draft.options.project_dir.join(&source.value);
    if !draft.is_copied(&path) {
        return;
    }
    if let Some(bind) = bind_string(&draft.request(), mount)
        && let Some(Json::Array(binds)) = draft.host().get_mut("Binds")
    {
        binds.retain(|b| b.as_str() != Some(&bind));
        if binds.is_empty() {
            draft.host().shift_remove("Binds");
        }
    }
    drop_mount(draft, target);
    let read_only = mount.read_only.as_ref().is_some_and(|r| r.value);
    let actual = if path.exists() {
        let (uid, gid) = owner(&path);
        draft.files.push(FilePlan {
            target: target.to_owned(),
            content: FileContent::HostPath(path),
            mode: None,
            uid,
            gid,
            read_only,
        });
        "a copy"
    } else if creates_path(mount) {
        empty_directory(draft, &path, target, read_only);
        "an empty directory"
    } else {
        let message = format!(
            "service {} mounts {}, which does not exist",
            draft.service.name.value, source.value
        );
        draft
            .problems
            .push(Problem::at(ProblemKind::MissingFile, &source.span, message));
        return;
    };
    draft.note(
        rule,
        Note {
            field: &format!("volumes[{target}]"),
            declared: source.value.clone(),
            actual: actual.into(),
            span: &mount.span,
        },
    );
}

/// Whether the engine would make the path, as a directory.
fn creates_path(mount: &Mount) -> bool {
    mount
        .bind
        .as_ref()
        .is_none_or(|b| b.create_host_path.as_ref().is_some_and(|c| c.value))
}

/// A volume stands for a directory that the engine would have made; services that bind the
/// same path share it.
fn empty_directory(draft: &mut Draft<'_>, path: &Path, target: &str, read_only: bool) {
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    let hash: String = digest.iter().take(6).map(|b| format!("{b:02x}")).collect();
    let key = format!("directory-{hash}");
    draft.volumes.push(VolumePlan {
        key: key.clone(),
        labels: BTreeMap::new(),
        options: BTreeMap::new(),
        external: None,
        root: None,
        snapshot: None,
    });
    let mount = json!({
        "Type": "volume",
        "Source": key,
        "Target": target,
        "ReadOnly": read_only,
        "VolumeOptions": { "NoCopy": true },
    });
    match draft.host().entry("Mounts").or_insert_with(|| json!([])) {
        Json::Array(mounts) => mounts.push(mount),
        other => *other = json!([mount]),
    }
}

fn drop_mount(draft: &mut Draft<'_>, target: &str) {
    if let Some(Json::Array(mounts)) = draft.host().get_mut("Mounts") {
        mounts.retain(|m| m["Target"] != target || m["Type"] != "bind");
        if mounts.is_empty() {
            draft.host().shift_remove("Mounts");
        }
    }
}

/// A configuration file or a secret as a file that is put into the container.
fn given_file(draft: &mut Draft<'_>, file: &ServiceFile<'_>, target: String) -> Option<FilePlan> {
    let mut content = content(draft, file)?;
    if draft.options.base64.contains(file.key()) {
        content.what = encoded(content.what);
    }
    let declared = |id: &Option<Sourced<String>>| id.as_ref().and_then(|id| id.parse().ok());
    let (mut uid, mut gid) = (declared(&file.usage.uid), declared(&file.usage.gid));
    let mut mode = file.mode().map(|m| m.0);
    // Docker Compose binds files as they are.
    if let Some(path) = &content.path {
        let found = owner(path);
        uid = uid.or(Some(found.0));
        gid = gid.or(Some(found.1));
        mode = mode.or_else(|| permissions(path));
    }
    Some(FilePlan {
        target,
        content: content.what,
        mode,
        uid: uid.unwrap_or(0),
        gid: gid.unwrap_or(0),
        read_only: true,
    })
}

/// Content that is written in base64.
fn encoded(content: FileContent) -> FileContent {
    match content {
        FileContent::Text(text) => FileContent::Base64(Secret::new(text)),
        FileContent::Secret(secret) => FileContent::Base64(secret),
        other => other,
    }
}

struct Content {
    what: FileContent,
    /// The file it was read from.
    path: Option<PathBuf>,
}

fn content(draft: &mut Draft<'_>, file: &ServiceFile<'_>) -> Option<Content> {
    let secret = file.kind == FileKind::Secret;
    let what = if secret {
        "secret"
    } else {
        "configuration file"
    };
    let problem = |kind, span, message: String| Problem::at(kind, span, message);
    let Some(object) = file.object else {
        let message = format!(
            "service {} uses the {what} {}, which is not declared",
            draft.service.name.value,
            file.key()
        );
        draft.problems.push(problem(
            ProblemKind::UnknownReference,
            &file.usage.span,
            message,
        ));
        return None;
    };
    let text = |what| Some(Content { what, path: None });
    if let Some(given) = &object.given {
        return text(FileContent::Secret(given.clone()));
    }
    if let Some(name) = &object.environment {
        if let Some(value) = draft.options.values.get(&name.value) {
            return text(FileContent::Secret(value.clone()));
        }
        let message = format!(
            "the {what} {} is taken from {name}, which is not set",
            file.key()
        );
        let problem = problem(ProblemKind::Missing, &name.span, message);
        draft
            .problems
            .push(problem.help("give its value under `secrets` in mirror.yaml"));
        return None;
    }
    if let Some(content) = &object.content {
        return text(match secret {
            true => FileContent::Secret(Secret::new(content.value.clone())),
            false => FileContent::Text(content.value.clone()),
        });
    }
    if let Some(path) = &object.file {
        let full = draft.options.project_dir.join(&path.value);
        if !full.exists() {
            let message = format!(
                "the {what} {} is in {path}, which does not exist",
                file.key()
            );
            draft
                .problems
                .push(problem(ProblemKind::MissingFile, &path.span, message));
            return None;
        }
        let what = match secret {
            true => secret_file(&full),
            false => FileContent::HostPath(full.clone()),
        };
        return Some(Content {
            what,
            path: Some(full),
        });
    }
    let message = format!(
        "the {what} {} is kept elsewhere and has no value here",
        file.key()
    );
    let problem = problem(ProblemKind::Missing, &object.declared.span, message);
    draft
        .problems
        .push(problem.help("give its value under `secrets` in mirror.yaml"));
    None
}

/// A secret's text, so that it never lies on a disk of the engine, or the file itself when it
/// is no text of a fair size.
fn secret_file(path: &Path) -> FileContent {
    let small = std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() <= SECRET_BYTES);
    let text = small.then(|| std::fs::read_to_string(path).ok()).flatten();
    match text {
        Some(text) => FileContent::Secret(Secret::new(text)),
        None => FileContent::HostPath(path.to_owned()),
    }
}

#[cfg(unix)]
fn owner(path: &Path) -> (u32, u32) {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).map_or((0, 0), |m| (m.uid(), m.gid()))
}

#[cfg(not(unix))]
fn owner(_: &Path) -> (u32, u32) {
    (0, 0)
}

#[cfg(unix)]
fn permissions(path: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(path).ok()?;
    meta.is_file().then(|| meta.mode() & 0o7777)
}

#[cfg(not(unix))]
fn permissions(_: &Path) -> Option<u32> {
    None
}

/// The same targets with the same rights; where the content comes from is not compared.
pub(in crate::plan) fn allows(pair: Pair<'_>) -> bool {
    pair.expected == pair.actual
}
