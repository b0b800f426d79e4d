//! The one way by which facts leave the engine: stamped, numbered, redacted, fanned out.

use prodmirror_model::event::What;

/// Takes facts about a run. The real one is the bus; tests collect.
///
/// `emit` never blocks on a reporter and never fails: what cannot be written is said by the
/// bus itself when the run ends.
pub trait Sink: Send + Sync {
    /// Hands one fact over. The sink stamps and redacts it.
    fn emit(&self, what: What);
}

/// A sink that drops everything, for calls whose facts nobody asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSink;

impl Sink for NoSink {
    fn emit(&self, _what: What) {}
}

/// A sink that keeps everything, for tests and for callers that look at the facts themselves.
#[derive(Debug, Default)]
pub struct Collected(std::sync::Mutex<Vec<What>>);

impl Collected {
    /// All facts so far, in order.
    pub fn all(&self) -> Vec<What> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }
}

impl Sink for Collected {
    fn emit(&self, what: What) {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(what);
    }
}

impl<S: Sink + ?Sized> Sink for std::sync::Arc<S> {
    fn emit(&self, what: What) {
        (**self).emit(what);
    }
}
