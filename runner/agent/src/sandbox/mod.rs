//! Mode `sandbox`: owns a network namespace that a service joins, guards its way out,
//! and answers the names that nobody declared.

mod denials;
mod frames;
mod front;
mod guard;
mod once;
pub mod sink;

use prodmirror_agent::wire::{Event, Ready, SandboxConfig};

use crate::hold;
use crate::output::{Failure, emit};

/// Guards the namespace, says so, and holds it until the program is stopped.
pub async fn run(config: SandboxConfig) -> Result<u8, Failure> {
    let denials = if config.guard {
        Some(guard::install(&config)?)
    } else {
        None
    };
    let mut frames = None;
    if config.guard {
        guard::lead_everything_here();
        frames = Some(frames::guard());
    }
    let denied_events = denials.as_ref().map(|denials| denials.is_some());
    if let Some(log) = denials.flatten() {
        denials::report(log)?;
    }
    let dns_front = if config.dns {
        Some(start_dns(&config).await?)
    } else {
        None
    };
    emit(&Event::Ready(Ready {
        guard: Some(config.guard),
        dns: Some(config.dns),
        dns_front,
        denied_events,
        frames,
        ..Ready::new("sandbox")
    }));
    hold::reap().await
}

/// Starts the sink, before the engine's resolver when it has to stand there.
async fn start_dns(config: &SandboxConfig) -> Result<bool, Failure> {
    let sink = sink::start(sink::Report::Events).await?;
    if !front::is_needed(config.dns_front, &sink).await {
        return Ok(false);
    }
    front::start(&sink).await?;
    Ok(true)
}
