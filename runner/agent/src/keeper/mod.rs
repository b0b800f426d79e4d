//! Mode `keeper`: holds a run's lease, and removes what the run left when it lapses.

mod beats;
mod engine;
mod reap;

use prodmirror_agent::wire::{Event, KeeperConfig, Ready};

use crate::output::{Failure, emit};
use beats::End;
use engine::Engine;

/// Holds the lease until it is given back or lapses.
pub async fn run(config: KeeperConfig) -> Result<u8, Failure> {
    if config.run.is_empty() {
        return Err(Failure::usage("`run` is empty"));
    }
    let engine = Engine::new(&config.socket);
    // A keeper that cannot reach the engine would be found out when it is too late.
    engine.ping().await.map_err(|error| {
        Failure::new(
            format!("the engine's socket {} does not answer", config.socket),
            error,
        )
    })?;
    let run = Some(config.run.clone());
    emit(&Event::Ready(Ready {
        run,
        ..Ready::new("keeper")
    }));
    match beats::hold(config.grace_ms).await {
        End::Released => {
            emit(&Event::Released { run: config.run });
            Ok(0)
        }
        End::Lapsed(why) => {
            emit(&Event::Lapsed {
                run: config.run.clone(),
                why,
            });
            Ok(reap::reap(&engine, &config.run).await)
        }
    }
}
