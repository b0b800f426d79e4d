//! Redaction of a stream that arrives in pieces.

use super::{MASK, Redactor};

/// Redacts a stream of bytes: the pieces may cut a secret anywhere.
///
/// Only bytes that could still grow into a secret are held back, fewer than the longest form
/// has; [`RedactStream::finish`] lets go of them. The output does not depend on how the input
/// was cut.
#[derive(Debug)]
pub struct RedactStream {
    redactor: Redactor,
    held: Vec<u8>,
    /// How many of the first held bytes belong to a form whose mask was already written.
    covered: usize,
}

impl RedactStream {
    pub(super) fn new(redactor: Redactor) -> Self {
        Self {
            redactor,
            held: Vec::new(),
            covered: 0,
        }
    }

    /// Takes the next piece and appends what is certain to `out`.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let Some(compiled) = self.redactor.compiled() else {
            out.append(&mut self.held);
            out.extend_from_slice(piece);
            return;
        };
        if self.held.is_empty() {
            let keep = compiled.unfinished(piece);
            self.covered = emit(piece, keep, 0, &compiled.ranges(piece), out);
            self.held.extend_from_slice(&piece[keep..]);
            return;
        }
        self.held.extend_from_slice(piece);
        let keep = compiled.unfinished(&self.held);
        let ranges = compiled.ranges(&self.held);
        self.covered = emit(&self.held, keep, self.covered, &ranges, out);
        self.held.drain(..keep);
    }

    /// Ends the stream: appends what was held back, redacted.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let ranges = self
            .redactor
            .compiled()
            .map_or_else(Vec::new, |c| c.ranges(&self.held));
        emit(&self.held, self.held.len(), self.covered, &ranges, out);
        self.held.clear();
        self.covered = 0;
    }
}

/// Writes `bytes[..keep]` with `ranges` masked; the first `covered` bytes belong to a mask
/// that was written before. Gives how many bytes after `keep` belong to a mask written here.
fn emit(
    bytes: &[u8],
    keep: usize,
    covered: usize,
    ranges: &[std::ops::Range<usize>],
    out: &mut Vec<u8>,
) -> usize {
    // `at` is the end of what is done with: written, or under a mask.
    let mut at = covered;
    for r in ranges {
        if r.start >= keep.max(at) {
            break;
        }
        if r.start >= at {
            out.extend_from_slice(&bytes[at..r.start]);
            out.extend_from_slice(MASK.as_bytes());
        }
        at = at.max(r.end);
    }
    if at < keep {
        out.extend_from_slice(&bytes[at..keep]);
    }
    at.saturating_sub(keep)
}
