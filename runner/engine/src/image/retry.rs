//! Asking a registry again when its trouble may be over in a moment.

use std::time::Duration;

use super::trouble::Trouble;
use crate::docker::EngineError;

/// Pauses before further attempts to look something up.
pub(super) const LOOK_UP: &[Duration] = &[
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// Pauses before further attempts to pull: a pull is worth waiting for.
pub(super) const PULL: &[Duration] = &[
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];

/// Tries until it succeeds, the trouble is none that passes, or no pause is left. Before each
/// pause `tell` gets what is said of it. Engines do not pass on a registry's `Retry-After`.
pub(super) async fn with_retries<T>(
    pauses: &[Duration],
    mut attempt: impl AsyncFnMut() -> Result<T, EngineError>,
    tell: impl Fn(String),
) -> Result<T, EngineError> {
    let mut left = pauses.iter().enumerate();
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let trouble = Trouble::of(&error);
        let Some((n, pause)) = left.next().filter(|_| trouble.may_pass()) else {
            return Err(error);
        };
        tell(format!(
            "{} ({error}); attempt {} of {} in {pause:?}",
            trouble.words(),
            n + 2,
            pauses.len() + 1,
        ));
        tokio::time::sleep(*pause).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    fn answered(message: &str) -> EngineError {
        EngineError::Answered {
            status: 500,
            message: message.to_owned(),
        }
    }

    #[tokio::test]
    async fn attempts_are_bounded_and_told() {
        let pauses = [Duration::ZERO, Duration::ZERO];
        let count = Cell::new(0);
        let told = RefCell::new(Vec::new());
        let failed = with_retries(
            &pauses,
            async || {
                count.set(count.get() + 1);
                Err::<(), _>(answered("toomanyrequests"))
            },
            |text| told.borrow_mut().push(text),
        )
        .await;
        assert!(failed.is_err());
        assert_eq!(count.get(), 3);
        assert_eq!(told.borrow().len(), 2);
        assert!(told.borrow()[0].contains("attempt 2 of 3"), "{told:?}");
    }

    #[tokio::test]
    async fn what_does_not_pass_is_not_tried_again() {
        let count = Cell::new(0);
        let failed = with_retries(
            PULL,
            async || {
                count.set(count.get() + 1);
                Err::<(), _>(answered("manifest unknown"))
            },
            |_| {},
        )
        .await;
        assert!(failed.is_err());
        assert_eq!(count.get(), 1);
    }
}
