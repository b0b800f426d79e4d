//! Files that a source names, as far as they can stand in a scenario file.

use std::io::Read as _;
use std::path::Path;

use prodmirror_model::source::io_reason;

/// Bytes of a file that a scenario file can hold.
const INLINE: u64 = 64 * 1024;
/// Bytes of a source that are read.
const MOST: u64 = 64 * 1024 * 1024;

/// The text of a small file, to stand in the scenario; what cannot is said.
pub fn inline(cwd: &Path, file: &str, of: &str, warnings: &mut Vec<String>) -> Option<String> {
    let why = match file {
        "-" => "it is standard input".to_owned(),
        _ => match read(&cwd.join(file), INLINE) {
            Ok(text) => return Some(text),
            Err(why) => why,
        },
    };
    warnings.push(format!("{of} @{file} is left out: {why}"));
    None
}

/// A source, whole.
///
/// # Errors
/// Why it cannot be read.
pub fn source(path: &Path) -> Result<String, String> {
    read(path, MOST).map_err(|why| format!("{} cannot be read: {why}", path.display()))
}

fn read(path: &Path, most: u64) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|e| io_reason(&e))?;
    let mut bytes = Vec::new();
    file.take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| io_reason(&e))?;
    if bytes.len() as u64 > most {
        return Err(format!("it has more than {most} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    Ok(text
        .strip_prefix('\u{feff}')
        .map(str::to_owned)
        .unwrap_or(text))
}
