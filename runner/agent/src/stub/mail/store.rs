//! The messages that a stub keeps.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prodmirror_agent::wire::Mail;
use tokio::sync::watch;

/// Bytes of a message at most.
pub const LARGEST: usize = 25 << 20;
/// Messages that are kept.
const MOST: usize = 1000;
/// Bytes of all that are kept.
const MOST_BYTES: usize = 64 << 20;
/// Bytes of all that are coming in at the same time.
const MOST_COMING: usize = 32 << 20;

/// A message as it came.
#[derive(Debug)]
pub struct Kept {
    /// Its envelope; `data` is empty.
    pub envelope: Mail,
    /// The message.
    pub data: Vec<u8>,
}

impl Kept {
    /// As it is told to others.
    pub fn to_wire(&self) -> Mail {
        Mail {
            data: STANDARD.encode(&self.data),
            ..self.envelope.clone()
        }
    }

    /// What it costs to keep it.
    fn weight(&self) -> usize {
        let e = &self.envelope;
        let to: usize = e.to.iter().map(|t| t.len() + 32).sum();
        self.data.len() + to + e.from.len() + e.helo.len() + 256
    }
}

/// All messages. When there are too many the oldest go.
#[derive(Debug)]
pub struct Store {
    state: RefCell<State>,
    last: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    kept: VecDeque<Rc<Kept>>,
    bytes: usize,
    coming: usize,
    dropped: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            state: RefCell::default(),
            last: watch::channel(0).0,
        }
    }
}

impl Store {
    /// Takes a message and gives its number.
    pub fn push(&self, mut envelope: Mail, data: Vec<u8>) -> u64 {
        let id = self.last() + 1;
        envelope.id = id;
        let mut kept = Kept { envelope, data };
        kept.data.shrink_to_fit();
        let mut state = self.state.borrow_mut();
        state.bytes += kept.weight();
        state.kept.push_back(Rc::new(kept));
        while state.kept.len() > MOST || (state.bytes > MOST_BYTES && state.kept.len() > 1) {
            if let Some(old) = state.kept.pop_front() {
                state.bytes -= old.weight();
                state.dropped += 1;
            }
        }
        drop(state);
        self.last.send_replace(id);
        id
    }

    /// The number of the last message.
    pub fn last(&self) -> u64 {
        *self.last.borrow()
    }

    /// How many were given up.
    pub fn dropped(&self) -> u64 {
        self.state.borrow().dropped
    }

    /// The first message with a greater number.
    pub fn after(&self, id: u64) -> Option<Rc<Kept>> {
        let state = self.state.borrow();
        let at = state.kept.partition_point(|k| k.envelope.id <= id);
        state.kept.get(at).cloned()
    }

    /// Waits until there is a message with a greater number.
    pub async fn come(&self, id: u64) {
        // The sender lives in `self`, so this cannot fail.
        let _ = self.last.subscribe().wait_for(|last| *last > id).await;
    }

    /// Asks for room for a message that grew from `was` to `is` bytes; whether there is any.
    pub fn grow(&self, was: usize, is: usize) -> bool {
        let mut state = self.state.borrow_mut();
        let all = state.coming - was + is;
        if is > was && all > MOST_COMING {
            return false;
        }
        state.coming = all;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let store = Store::default();
        for _ in 0..=MOST {
            store.push(Mail::default(), Vec::new());
        }
        assert_eq!((store.last(), store.dropped()), (MOST as u64 + 1, 1));
        assert_eq!(store.after(0).unwrap().envelope.id, 2);
        for _ in 0..3 {
            store.push(Mail::default(), vec![0; LARGEST]);
        }
        let left = store.state.borrow().kept.len();
        assert_eq!(left, 2, "of {LARGEST} bytes each");
        assert!(store.state.borrow().bytes <= MOST_BYTES);
        assert!(store.after(store.last()).is_none());
    }

    #[test]
    fn what_comes_in_is_bounded() {
        let store = Store::default();
        assert!(store.grow(0, MOST_COMING));
        assert!(!store.grow(0, 1));
        assert!(store.grow(MOST_COMING, 0) && store.grow(0, 1));
    }
}
