//! How far the reading back of what runs has come: once is enough, since all stacks of a run are
//! of one plan, but it may fail on one stack and succeed on the next.

use std::sync::Mutex;
use std::sync::PoisonError;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// No stack was ready yet.
    #[default]
    NotDue,
    /// A stack is being read.
    UnderWay,
    /// A stack was ready, and could not be read.
    Failed,
    /// It was read.
    Done,
}

/// Whether what runs was read back. Shared by all stacks of a run.
#[derive(Debug, Default)]
pub struct ReadBack(Mutex<State>);

impl ReadBack {
    /// Whether a stack that is ready is to be read now; its end is then told.
    pub fn begin(&self) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = matches!(*state, State::NotDue | State::Failed);
        if due {
            *state = State::UnderWay;
        }
        due
    }

    /// A stack was read, or could not be.
    pub fn end(&self, read: bool) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = if read { State::Done } else { State::Failed };
    }

    /// Whether stacks were ready and none could be read.
    pub fn is_missing(&self) -> bool {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(*state, State::UnderWay | State::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_stack_is_read_when_one_could_not_be() {
        let back = ReadBack::default();
        assert!(!back.is_missing());
        assert!(back.begin());
        assert!(!back.begin());
        assert!(back.is_missing());
        back.end(false);
        assert!(back.is_missing());
        assert!(back.begin());
        back.end(true);
        assert!(!back.is_missing());
        assert!(!back.begin());
    }
}
