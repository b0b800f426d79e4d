//! Connections and other state that outlives a step, kept for one scenario.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// One state for each type.
type States = Arc<Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>>;

/// The state of all kinds, each under its own type.
#[derive(Default, Clone)]
pub struct Sessions {
    own: States,
    branches: Arc<Mutex<HashMap<usize, Sessions>>>,
    root: Option<States>,
}

impl Sessions {
    /// The state of a type, for this branch alone: connections on which things happen one
    /// after the other.
    pub fn own<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        get(&self.own)
    }

    /// The state of a type, for the whole scenario: cookies, pools.
    pub fn shared<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        get(self.root.as_ref().unwrap_or(&self.own))
    }

    /// The sessions of a branch of a race or of parallel steps; the same for the same number,
    /// so that the next run finds its connections open.
    pub fn branch(&self, number: usize) -> Sessions {
        let mut branches = self.branches.lock().unwrap_or_else(PoisonError::into_inner);
        branches
            .entry(number)
            .or_insert_with(|| Sessions {
                root: Some(self.root.clone().unwrap_or_else(|| self.own.clone())),
                ..Sessions::default()
            })
            .clone()
    }
}

fn get<T: Default + Send + Sync + 'static>(
    map: &Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
) -> Arc<T> {
    let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
    let any = map
        .entry(TypeId::of::<T>())
        .or_insert_with(|| Arc::new(T::default()))
        .clone();
    // The entry was made for this very type.
    any.downcast().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn branches_share_what_is_shared_and_nothing_else() {
        let root = Sessions::default();
        root.shared::<AtomicUsize>().store(1, Ordering::Relaxed);
        let branch = root.branch(0);
        assert_eq!(branch.shared::<AtomicUsize>().load(Ordering::Relaxed), 1);
        assert_eq!(branch.own::<AtomicUsize>().load(Ordering::Relaxed), 0);
        branch.own::<AtomicUsize>().store(2, Ordering::Relaxed);
        assert_eq!(
            root.branch(0).own::<AtomicUsize>().load(Ordering::Relaxed),
            2
        );
        assert_eq!(
            branch
                .branch(1)
                .shared::<AtomicUsize>()
                .load(Ordering::Relaxed),
            1
        );
    }
}
