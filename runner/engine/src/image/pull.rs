//! Having the images that specs name.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::event::What;
use prodmirror_model::lock::Platform;

use super::login::Logins;
use super::retry::{PULL, with_retries};
use super::trouble::{self, Trouble};
use crate::bus::Sink;
use crate::docker::{Engine, EngineError, ImageFacts, PullProgress, RegistryLogin};

/// How many images are pulled at a time.
const AT_ONCE: usize = 3;

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// When the engine does not have it.
    #[default]
    Missing,
    /// Every time.
    Always,
    /// Never.
    Never,
}

impl Policy {
    /// Reads Compose's `pull_policy`. What a spec says of building is not for the mirror:
    /// an image that production builds is there, or it is missing.
    pub fn from_spec(text: Option<&str>) -> Self {
        match text {
            Some("always") => Self::Always,
            Some("never") => Self::Never,
            _ => Self::Missing,
        }
    }
}

/// An image that is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Reference, as the spec writes it.
    pub reference: String,
    /// Platform (`linux/arm64`); absent = the engine's own.
    pub platform: Option<String>,
    /// When it is pulled.
    pub policy: Policy,
    /// The reference that a lock pins to `reference`.
    pub locked_for: Option<String>,
}

/// Makes sure that the engine has an image, and says what it is.
///
/// # Errors
/// [`ProblemKind::Start`] when it is not there and cannot be pulled, with the engine's
/// reason and what to do; [`ProblemKind::Engine`] when the engine is away.
pub async fn provide(
    engine: &Engine,
    wanted: &Wanted,
    (logins, sink): (&Logins, &dyn Sink),
) -> Result<ImageFacts, Problem> {
    let name = &wanted.reference;
    let doing = format!("look for the image {name}");
    let there = engine.image(name).await.map_err(|e| e.problem(&doing))?;
    match (there, wanted.policy) {
        (Some(facts), Policy::Missing | Policy::Never) => fits(engine, wanted, facts, sink),
        (None, Policy::Never) => Err(absent(wanted)),
        (there, _) => {
            let pulled = pull(engine, wanted, (logins, sink)).await;
            match (pulled, there) {
                (Ok(()), _) => {}
                // A registry that is away does not take away what is here.
                (Err(_), Some(facts)) => return fits(engine, wanted, facts, sink),
                (Err(p), None) => return Err(p),
            }
            let found = engine.image(name).await.map_err(|e| e.problem(&doing))?;
            let found = found.ok_or_else(|| missing(name, "it was pulled, but is not there"))?;
            fits(engine, wanted, found, sink)
        }
    }
}

/// An image of another platform than is asked for is refused; where nobody asks for one, it
/// runs by emulation, if at all, and that is said.
fn fits(
    engine: &Engine,
    wanted: &Wanted,
    facts: ImageFacts,
    sink: &dyn Sink,
) -> Result<ImageFacts, Problem> {
    let asked = wanted.platform.as_deref().and_then(Platform::parse);
    let own = engine.platform();
    let Some(have) = &facts.platform else {
        return Ok(facts);
    };
    match asked {
        Some(asked) if !have.serves(&asked) => Err(missing(
            &wanted.reference,
            &format!("it is for {have} here, and {asked} is asked for"),
        )),
        None if !have.serves(&own) => {
            sink.emit(What::Image {
                image: wanted.reference.clone(),
                state: "ready".to_owned(),
                detail: format!(
                    "for {have}, on an engine for {own}: it runs by emulation, if at all"
                ),
            });
            Ok(facts)
        }
        _ => Ok(facts),
    }
}

/// The problem of an image that is not there and must not be pulled.
fn absent(wanted: &Wanted) -> Problem {
    let reference = &wanted.reference;
    match &wanted.locked_for {
        Some(name) if reference.starts_with("sha256:") => Problem::new(
            ProblemKind::Start,
            format!(
                "the lock pins the image {name} to {reference}, which only the engine had where it was locked"
            ),
        )
        .help(format!(
            "build {name} here and run `prodmirror lock --update`, or push it and lock that"
        )),
        _ => missing(
            reference,
            "it is not there and may not be pulled (pull policy `never`, or --offline)",
        ),
    }
}

/// [`provide`] for several images, a few at a time; the facts come in the same order.
///
/// # Errors
/// Of all images that cannot be had.
pub async fn provide_all(
    engine: &Engine,
    wanted: &[Wanted],
    (logins, sink): (&Logins, &dyn Sink),
) -> Result<Vec<ImageFacts>, Problems> {
    let results: Vec<Result<ImageFacts, Problem>> = futures_util::stream::iter(wanted)
        .map(|w| provide(engine, w, (logins, sink)))
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut problems = Problems::default();
    let mut found = Vec::with_capacity(results.len());
    for result in results {
        match result {
            Ok(facts) => found.push(facts),
            Err(p) => problems.push(p),
        }
    }
    if problems.0.is_empty() {
        Ok(found)
    } else {
        Err(problems)
    }
}

async fn pull(
    engine: &Engine,
    wanted: &Wanted,
    (logins, sink): (&Logins, &dyn Sink),
) -> Result<(), Problem> {
    let name = &wanted.reference;
    let tell = |state: &str, detail: String| {
        sink.emit(What::Image {
            image: name.clone(),
            state: state.to_owned(),
            detail,
        });
    };
    tell("pulling", String::new());
    let login = logins.find(name).await;
    let attempt = async || {
        let mut progress = Progress::default();
        let on_progress = |p| {
            if let Some(percent) = progress.add(p) {
                tell("pulling", format!("{percent} %"));
            }
        };
        engine
            .pull_image(
                name,
                wanted.platform.as_deref(),
                login.as_ref(),
                on_progress,
            )
            .await
    };
    let pulled = with_retries(PULL, attempt, |why| tell("waiting", why)).await;
    match pulled {
        Ok(()) => {
            tell("ready", String::new());
            Ok(())
        }
        Err(e) => {
            tell("failed", e.to_string());
            let reason = reason(engine, name, login.as_ref(), &e).await;
            Err(trouble::problem(name, &reason.unwrap_or(e)))
        }
    }
}

/// Why a pull really failed, where the engine does not say: after a refusal it tries once more
/// without TLS where that is allowed, and reports what came of that.
async fn reason(
    engine: &Engine,
    name: &str,
    login: Option<&RegistryLogin>,
    error: &EngineError,
) -> Option<EngineError> {
    if Trouble::of(error) != Trouble::Other {
        return None;
    }
    let asked = engine.distribution(name, login).await.err()?;
    (!matches!(Trouble::of(&asked), Trouble::Other | Trouble::Engine)).then_some(asked)
}

fn missing(name: &str, why: &str) -> Problem {
    Problem::new(
        ProblemKind::Start,
        format!("the image {name} is needed, but {why}"),
    )
    .help(
        "build it (`prodmirror images build` when there is a recipe for it), log in to its registry \
         (`docker login`), or name another one under `images` of mirror.yaml",
    )
}

/// Layers that are pulled, as one percentage.
#[derive(Debug, Default)]
struct Progress {
    layers: BTreeMap<String, (u64, u64)>,
    shown: u64,
}

impl Progress {
    /// The percentage when it is higher than the last one.
    fn add(&mut self, message: PullProgress) -> Option<u64> {
        let layer = message.layer?;
        match (message.status.as_str(), message.bytes) {
            ("Downloading", Some(bytes)) => {
                self.layers.insert(layer, bytes);
            }
            ("Download complete" | "Pull complete", _) => {
                let (done, all) = self.layers.get_mut(&layer).map(|(d, a)| (d, *a))?;
                *done = all;
            }
            _ => return None,
        }
        let (done, all) = self
            .layers
            .values()
            .fold((0, 0), |(d, a), (done, all)| (d + done, a + all));
        let percent = (done * 100).checked_div(all)?;
        (percent > self.shown).then(|| {
            self.shown = percent;
            percent
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(layer: &str, status: &str, bytes: Option<(u64, u64)>) -> PullProgress {
        PullProgress {
            layer: Some(layer.to_owned()),
            status: status.to_owned(),
            bytes,
        }
    }

    #[test]
    fn progress_only_rises() {
        let mut p = Progress::default();
        assert_eq!(p.add(message("a", "Pulling fs layer", None)), None);
        assert_eq!(
            p.add(message("a", "Downloading", Some((10, 100)))),
            Some(10)
        );
        assert_eq!(p.add(message("b", "Downloading", Some((0, 100)))), None);
        assert_eq!(p.add(message("a", "Download complete", None)), Some(50));
        assert_eq!(
            p.add(message("b", "Downloading", Some((100, 100)))),
            Some(100)
        );
        assert_eq!(p.add(message("b", "Pull complete", None)), None);
    }

    #[test]
    fn policies_of_specs() {
        assert_eq!(Policy::from_spec(None), Policy::Missing);
        assert_eq!(Policy::from_spec(Some("always")), Policy::Always);
        assert_eq!(Policy::from_spec(Some("never")), Policy::Never);
        assert_eq!(Policy::from_spec(Some("build")), Policy::Missing);
    }
}
