//! A reader that lets only so many bytes through.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// Lets only so many bytes through: a few of an archive may unpack to any number, also where
/// they are no entry's.
pub struct Metered<R> {
    inner: R,
    left: Rc<Cell<u64>>,
}

impl<R> Metered<R> {
    /// With what says how many more may come; so many at first.
    pub fn of(inner: R, most: u64) -> (Self, Rc<Cell<u64>>) {
        let left = Rc::new(Cell::new(most));
        let metered = Self {
            inner,
            left: left.clone(),
        };
        (metered, left)
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 && !into.is_empty() {
            return Err(io::Error::other("more comes out of it than it says"));
        }
        let most = usize::try_from(left).map_or(into.len(), |l| l.min(into.len()));
        let read = self.inner.read(&mut into[..most])?;
        self.left.set(left - read as u64);
        Ok(read)
    }
}
