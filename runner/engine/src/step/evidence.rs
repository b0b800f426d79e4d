//! What was sent and what came, cut to a readable size.

use prodmirror_model::event::Evidence;

/// Bytes of a piece of evidence at most.
const LONGEST: usize = 8 * 1024;
/// Pieces of a step at most.
const MOST: usize = 16;

/// The evidence of one attempt of a step.
#[derive(Debug, Default)]
pub struct Trail {
    pieces: Vec<Evidence>,
}

impl Trail {
    /// Adds a piece.
    pub fn add(&mut self, title: impl Into<String>, text: impl AsRef<str>) {
        if self.pieces.len() < MOST {
            self.pieces.push(Evidence {
                title: title.into(),
                text: cut(text.as_ref(), LONGEST),
            });
        }
    }

    /// All pieces.
    pub fn take(self) -> Vec<Evidence> {
        self.pieces
    }

    /// Takes over the pieces of another trail, under a prefix.
    pub fn absorb(&mut self, prefix: &str, pieces: Vec<Evidence>) {
        for p in pieces {
            self.add(format!("{prefix} {}", p.title), p.text);
        }
    }
}

/// The first bytes of a text, with what is missing.
pub fn cut(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    let mut end = longest;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}\n… ({} bytes more)", &text[..end], text.len() - end)
}
