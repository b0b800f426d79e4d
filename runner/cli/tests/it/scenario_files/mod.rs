//! The commands around scenario files: `check` for programs, `new`, `fmt`, `schema`.

mod check;
mod fmt;
mod new;
mod schema;
mod sources;

use std::path::PathBuf;

/// The repository.
pub fn root() -> PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A project whose only door is `gateway`.
fn shop(files: &[(&str, &str)]) -> super::project::Project {
    const COMPOSE: &str = "services:\n  gateway: { image: \"nginx:1\", ports: [\"8080:80\"] }\n  db: { image: \"postgres:15\" }\n";
    let mut all = vec![("compose.yaml", COMPOSE)];
    all.extend(files);
    super::project::Project::with(&all)
}
