//! Mode `rewrite`: another content for a file that is there.
//!
//! The file stays the same one: where it is mounted into another container, a new file in its
//! place would not be seen there.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};

use crate::output::Failure;

/// The largest content.
const LARGEST: u64 = 64 << 20;

/// Writes what comes on stdin into the file.
pub fn run(args: &[String]) -> Result<u8, Failure> {
    let [path] = args else {
        return Err(Failure::usage("rewrite: a path is needed"));
    };
    let rewritten = || -> io::Result<()> {
        let mut content = Vec::new();
        io::stdin().take(LARGEST).read_to_end(&mut content)?;
        // Not cut first: whoever reads it meanwhile finds an old content or a new one, and at
        // no time none.
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.write_all(&content)?;
        file.set_len(content.len() as u64)?;
        file.sync_all()
    };
    rewritten().map_err(|error| Failure::new(format!("{path} cannot be written"), error))?;
    Ok(0)
}

/// Mode `reread`: writes what the file holds to stdout.
pub fn read(args: &[String]) -> Result<u8, Failure> {
    let [path] = args else {
        return Err(Failure::usage("reread: a path is needed"));
    };
    let read = || -> io::Result<()> {
        let mut file = std::fs::File::open(path)?;
        io::copy(&mut file, &mut io::stdout().lock())?;
        Ok(())
    };
    read().map_err(|error| Failure::new(format!("{path} cannot be read"), error))?;
    Ok(0)
}
