//! Paths that somebody asks for: whether an image has them.

use std::collections::{BTreeMap, BTreeSet};

/// The paths, and what is known of each.
pub struct Asked {
    paths: Vec<(String, State)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unseen,
    There,
    /// It leads over a link: where to, a path alone does not tell.
    Linked,
}

impl Asked {
    /// Asks for paths.
    pub fn new(paths: &BTreeSet<String>) -> Self {
        Self {
            paths: paths.iter().map(|p| (p.clone(), State::Unseen)).collect(),
        }
    }

    /// Looks at the path of an entry, which has no slash at its beginning.
    pub fn see(&mut self, entry: &str, is_link: bool) {
        for (asked, state) in &mut self.paths {
            let asked = asked.trim_matches('/');
            if is_at_or_below(entry, asked) {
                *state = State::There;
            } else if is_link && is_at_or_below(asked, entry) && *state == State::Unseen {
                *state = State::Linked;
            }
        }
    }

    /// What was asked for and whether it is there, when all entries were seen.
    pub fn answer(self) -> BTreeMap<String, bool> {
        self.paths
            .into_iter()
            .filter(|(_, state)| *state != State::Linked)
            .map(|(path, state)| (path, state == State::There))
            .collect()
    }
}

fn is_at_or_below(path: &str, top: &str) -> bool {
    let rest = path.strip_prefix(top);
    rest.is_some_and(|r| r.is_empty() || top.is_empty() || r.starts_with('/'))
}
