//! Files that are hashed while they are read for something else.

use std::fs::File;
use std::io::{self, BufReader, Read};

use prodmirror_model::lock::Digest;
use sha2::{Digest as _, Sha256};

/// Bytes that are read at once.
const PIECE: usize = 256 * 1024;

/// A file that is hashed while it is read.
pub struct Hashing {
    inner: BufReader<File>,
    hasher: Sha256,
}

impl Hashing {
    /// Nothing of it is read yet.
    pub fn of(file: File) -> Self {
        Self {
            inner: BufReader::with_capacity(PIECE, file),
            hasher: Sha256::new(),
        }
    }

    /// The digest of the whole file: what nobody wanted is read as well.
    ///
    /// # Errors
    /// It cannot be read to its end.
    pub fn finish(mut self) -> io::Result<Digest> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(Digest::finish(self.hasher))
    }
}

impl Read for Hashing {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(into)?;
        self.hasher.update(&into[..n]);
        Ok(n)
    }
}
