//! What image references stand for at present, without pulling anything.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _};
use prodmirror_model::diag::Problem;
use prodmirror_model::event::What;
use prodmirror_model::lock::{Digest, Lock, Needed, Pin, Reference, Seen};

use super::index;
use super::login::Logins;
use super::retry::{LOOK_UP, with_retries};
use super::trouble::Trouble;
use crate::bus::Sink;
use crate::docker::{Distribution, Engine, EngineError, ImageFacts};

/// How many images are asked for at a time.
const AT_ONCE: usize = 6;

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// The registries, by way of the engine.
    Registries,
    /// The engine alone.
    Engine,
}

/// Says what each image stands for at present. What a lock pins to a local image is looked for
/// on the engine first; of the images under test the engine's own goes before a registry's,
/// for that is the change.
///
/// # Errors
/// The engine is away. What a registry does not answer is in the result.
pub async fn resolve(
    engine: &Engine,
    images: BTreeMap<String, Needed>,
    (lock, ask): (Option<&Lock>, Ask),
    (logins, sink): (&Logins, &dyn Sink),
) -> Result<BTreeMap<String, (Needed, Seen)>, Problem> {
    let resolver = Resolver {
        engine,
        ask,
        logins,
        sink,
    };
    let resolver = &resolver;
    futures_util::stream::iter(images)
        .map(|(name, needed)| async move {
            let pin = lock.and_then(|l| l.images.get(&name)).map(|p| &p.value);
            let seen = resolver.see(&name, &needed, pin).await;
            let seen = seen.map_err(|e| e.problem(format!("look for the image {name}")))?;
            Ok((name, (needed, seen)))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

struct Resolver<'r> {
    engine: &'r Engine,
    ask: Ask,
    logins: &'r Logins,
    sink: &'r dyn Sink,
}

impl Resolver<'_> {
    async fn see(
        &self,
        name: &str,
        needed: &Needed,
        pin: Option<&Pin>,
    ) -> Result<Seen, EngineError> {
        let local = self.engine.image(name).await?;
        if let Some(Pin::Local { id, .. }) = pin
            && self.has(id, local.as_ref()).await?
        {
            return Ok(Seen::Is(
                pin.cloned().unwrap_or_else(|| local_pin(id.clone(), None)),
            ));
        }
        if self.ask == Ask::Engine {
            return Ok(on_engine(name, local.as_ref(), pin));
        }
        match self.look_up(name).await {
            Ok(found) => {
                let own = local.as_ref().filter(|_| needed.under_test);
                if let Some(own) = own.filter(|l| !digests(name, l).contains(&found.digest)) {
                    return Ok(id_of(own).map_or_else(nothing, Seen::Is));
                }
                Ok(Seen::Is(self.pin_of(name, found).await))
            }
            Err(e) if e.is_lost() => Err(e),
            Err(e) => Ok(unanswered(name, &e, (local.as_ref(), pin))),
        }
    }

    /// Whether the image that a lock pins by its id is what the reference stands for: under
    /// its name, or, when the name is gone, under the id alone.
    async fn has(&self, id: &Digest, local: Option<&ImageFacts>) -> Result<bool, EngineError> {
        match local {
            Some(local) => Ok(local.id == id.as_str()),
            None => Ok(self.engine.image(id.as_str()).await?.is_some()),
        }
    }

    async fn look_up(&self, name: &str) -> Result<Distribution, EngineError> {
        let login = self.logins.find(name).await;
        let reference = exact(name);
        let attempt = async || self.engine.distribution(&reference, login.as_ref()).await;
        let tell = |detail| {
            self.sink.emit(What::Image {
                image: name.to_owned(),
                state: "waiting".to_owned(),
                detail,
            });
        };
        with_retries(LOOK_UP, attempt, tell).await
    }

    async fn pin_of(&self, name: &str, found: Distribution) -> Pin {
        let Distribution {
            digest,
            is_index,
            platforms,
        } = found;
        let of = |p| (p, (!is_index).then(|| digest.clone()));
        let mut platforms: BTreeMap<_, _> = platforms.into_iter().map(of).collect();
        if is_index {
            let login = self.logins.find(name).await;
            let repository = Reference::parse(name).repository;
            let read = index::manifests(repository, &digest, login.as_ref()).await;
            platforms.extend(read.into_iter().map(|(p, manifest)| (p, Some(manifest))));
        }
        Pin::Registry { digest, platforms }
    }
}

/// The reference without a tag that a digest beside it makes void.
fn exact(name: &str) -> String {
    let reference = Reference::parse(name);
    match &reference.digest {
        Some(digest) => format!("{}@{digest}", reference.repository),
        None => name.to_owned(),
    }
}

fn digests(name: &str, local: &ImageFacts) -> Vec<Digest> {
    Reference::parse(name).digest_among(local.digests.iter().map(String::as_str))
}

fn local_pin(id: Digest, platform: Option<prodmirror_model::lock::Platform>) -> Pin {
    Pin::Local { id, platform }
}

fn id_of(local: &ImageFacts) -> Option<Pin> {
    Some(local_pin(Digest::parse(&local.id)?, local.platform.clone()))
}

/// A local image as its registry knows it, when it came from there or went there.
fn known_of(name: &str, local: &ImageFacts) -> Option<Pin> {
    let digest = digests(name, local).into_iter().next()?;
    Some(Pin::Registry {
        digest,
        // Whether the digest is that of an index, the engine does not say.
        platforms: local.platform.iter().map(|p| (p.clone(), None)).collect(),
    })
}

fn nothing() -> Seen {
    Seen::Missing("the engine does not have it".to_owned())
}

/// What the engine alone knows. A locked digest that its tag does not contradict stays.
fn on_engine(name: &str, local: Option<&ImageFacts>, pin: Option<&Pin>) -> Seen {
    match (pin, local) {
        (Some(Pin::Registry { .. }), None) => pin.cloned().map_or_else(nothing, Seen::Is),
        (Some(Pin::Registry { digest, .. }), Some(l)) if digests(name, l).contains(digest) => {
            pin.cloned().map_or_else(nothing, Seen::Is)
        }
        (_, Some(l)) => known_of(name, l)
            .or_else(|| id_of(l))
            .map_or_else(nothing, Seen::Is),
        (_, None) => Seen::Missing(
            "the engine does not have it, and no registry is asked (--offline)".to_owned(),
        ),
    }
}

/// What is left to say when the registry does not: an image that the engine has under the name.
fn unanswered(
    name: &str,
    error: &EngineError,
    (local, pin): (Option<&ImageFacts>, Option<&Pin>),
) -> Seen {
    let trouble = Trouble::of(error);
    let why = format!("{} ({error}); {}", trouble.words(), trouble.help(name));
    let gone = trouble == Trouble::Unknown;
    if matches!(pin, Some(Pin::Registry { .. })) && !gone {
        return Seen::Unanswered(why);
    }
    let known = local.and_then(|l| match gone {
        true => id_of(l),
        false => known_of(name, l).or_else(|| id_of(l)),
    });
    match known {
        Some(pin) => Seen::Is(pin),
        None if gone || trouble == Trouble::Denied => Seen::Missing(why),
        None => Seen::Unanswered(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
    const TWO: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222222";

    fn image(id: &str, digests: &[&str]) -> ImageFacts {
        ImageFacts {
            id: id.to_owned(),
            digests: digests.iter().map(|d| format!("r.example/a@{d}")).collect(),
            ..ImageFacts::default()
        }
    }

    fn registry(digest: &str) -> Pin {
        Pin::Registry {
            digest: Digest::parse(digest).unwrap(),
            platforms: BTreeMap::new(),
        }
    }

    fn local(id: &str) -> Pin {
        local_pin(Digest::parse(id).unwrap(), None)
    }

    #[test]
    fn the_engine_alone_knows_what_it_pulled() {
        let pin = registry(ONE);
        let see = |l: Option<ImageFacts>, pin| on_engine("r.example/a:1", l.as_ref(), pin);
        assert_eq!(see(None, Some(&pin)), Seen::Is(registry(ONE)));
        assert_eq!(
            see(Some(image(TWO, &[ONE])), Some(&pin)),
            Seen::Is(registry(ONE))
        );
        assert_eq!(
            see(Some(image(TWO, &[TWO])), Some(&pin)),
            Seen::Is(registry(TWO))
        );
        assert_eq!(see(Some(image(TWO, &[])), Some(&pin)), Seen::Is(local(TWO)));
        assert!(matches!(see(None, None), Seen::Missing(_)));
    }

    #[test]
    fn a_registry_that_is_away_is_no_registry_that_has_nothing() {
        let away = EngineError::Answered {
            status: 500,
            message: "dial tcp: connect: connection refused".to_owned(),
        };
        let gone = EngineError::Answered {
            status: 404,
            message: "manifest unknown".to_owned(),
        };
        let pin = registry(ONE);
        let here = image(TWO, &[ONE]);
        let see = |e, l, pin| unanswered("r.example/a:1", e, (l, pin));
        assert!(matches!(
            see(&away, Some(&here), Some(&pin)),
            Seen::Unanswered(_)
        ));
        assert_eq!(see(&gone, Some(&here), Some(&pin)), Seen::Is(local(TWO)));
        assert!(matches!(see(&gone, None, Some(&pin)), Seen::Missing(_)));
        assert_eq!(see(&away, Some(&here), None), Seen::Is(registry(ONE)));
        let never_pushed = image(TWO, &[]);
        assert_eq!(see(&away, Some(&never_pushed), None), Seen::Is(local(TWO)));
        assert!(matches!(see(&away, None, None), Seen::Unanswered(_)));
    }

    #[test]
    fn a_digest_makes_the_tag_void() {
        assert_eq!(exact("r:5/a:1"), "r:5/a:1");
        assert_eq!(exact(&format!("r:5/a:1@{ONE}")), format!("r:5/a@{ONE}"));
    }
}
