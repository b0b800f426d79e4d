//! What is open to a mirror, written down for `ports`, which is another process.

use std::path::PathBuf;

use super::Listed;

fn file(run: &str) -> PathBuf {
    std::env::temp_dir().join(format!("prodmirror-ports-{run}.json"))
}

/// What is open to the mirror of a run.
pub fn read(run: &str) -> Listed {
    let text = std::fs::read(file(run)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Writes it down: whole, or not at all.
///
/// # Errors
/// The file cannot be written.
pub fn write(run: &str, listed: &Listed) -> std::io::Result<()> {
    let text = serde_json::to_vec(listed)?;
    let file = file(run);
    let dir = file.parent().map_or_else(std::env::temp_dir, PathBuf::from);
    let mut new = tempfile::NamedTempFile::new_in(dir)?;
    std::io::Write::write_all(&mut new, &text)?;
    new.persist(&file)?;
    Ok(())
}

/// Takes it away.
pub fn forget(run: &str) {
    let _ = std::fs::remove_file(file(run));
}
