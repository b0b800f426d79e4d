//! The very images of a bundle: here, in the bundle, or at their registry by digest.

use std::collections::BTreeMap;
use std::path::Path;

use futures_util::{StreamExt as _, TryStreamExt as _};
use prodmirror_engine::docker::Engine;
use prodmirror_engine::image::{Policy, Wanted, provide};
use prodmirror_model::bundle::{ImageFacts, Manifest};
use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::source::io_reason;

use super::Terms;
use crate::cmd::Session;

/// Images that are pulled at once.
const AT_ONCE: usize = 4;

/// What each service runs from, by service, but for those that are given another image.
///
/// # Errors
/// Images that cannot be had: which, where they were, and what to do.
pub async fn find(
    session: &Session,
    engine: &Engine,
    (m, terms, given): (&Manifest, Terms<'_>, &BTreeMap<String, String>),
    saved: &Path,
) -> Result<BTreeMap<String, String>, Problems> {
    let mut known: BTreeMap<&ImageFacts, Option<String>> = BTreeMap::new();
    let wanted = || {
        let all = m.images.iter();
        all.filter(|(service, _)| !given.contains_key(*service))
    };
    for (_, facts) in wanted() {
        known.insert(facts, here(engine, facts).await?);
    }
    if saved.is_file() && known.values().any(Option::is_none) {
        session.note("taking the images from the bundle\n");
        load(engine, saved).await?;
        for (facts, image) in known.iter_mut().filter(|(_, image)| image.is_none()) {
            *image = here(engine, facts).await?;
        }
    }
    if !terms.offline {
        let missing = known.iter_mut().filter(|(_, image)| image.is_none());
        futures_util::stream::iter(missing)
            .for_each_concurrent(AT_ONCE, |(facts, image)| async move {
                *image = pull(session, engine, facts).await;
            })
            .await;
    }
    let mut problems = Problems::default();
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for (service, facts) in wanted() {
        let mut image = known.get(facts).cloned().flatten();
        if image.is_none() {
            let named = engine.image(&facts.reference).await;
            let named = named.map_err(|e| e.problem("look for an image"))?;
            if named.is_some() && terms.trust.other_images {
                session.note(&format!(
                    "warning: {} is another image here than the one on which it failed\n",
                    facts.reference
                ));
                image = Some(facts.reference.clone());
            } else {
                let there = named.map(|i| i.id);
                problems.push(missing(service, facts, there, saved.is_file()));
            }
        }
        if let Some(image) = image {
            found.insert(service.clone(), image);
        }
    }
    if problems.0.is_empty() {
        Ok(found)
    } else {
        Err(problems)
    }
}

/// The image itself, when the engine has it: by its identity, or by a digest of a registry.
async fn here(engine: &Engine, facts: &ImageFacts) -> Result<Option<String>, Problem> {
    let names = std::iter::once(&facts.id).chain(&facts.digests);
    for name in names.filter(|n| !n.is_empty()) {
        let found = engine.image(name).await;
        if found.map_err(|e| e.problem("look for an image"))?.is_some() {
            return Ok(Some(name.clone()));
        }
    }
    Ok(None)
}

async fn load(engine: &Engine, saved: &Path) -> Result<(), Problem> {
    let file = tokio::fs::File::open(saved).await.map_err(|e| {
        let text = format!("cannot read the images of the bundle: {}", io_reason(&e));
        Problem::new(ProblemKind::MissingFile, text)
    })?;
    let pieces = futures_util::stream::try_unfold(file, |mut file| async move {
        use tokio::io::AsyncReadExt as _;
        let mut piece = bytes::BytesMut::with_capacity(1 << 20);
        let read = file.read_buf(&mut piece).await?;
        Ok((read > 0).then(|| (piece.freeze(), file)))
    });
    let loaded = engine.load_images(pieces.into_stream()).await;
    loaded.map_err(|e| e.problem("take the images of the bundle"))
}

/// Pulls the image by a digest; nothing when no registry gives it.
async fn pull(session: &Session, engine: &Engine, facts: &ImageFacts) -> Option<String> {
    for digest in &facts.digests {
        session.note(&format!("pulling {digest}\n"));
        let wanted = Wanted {
            reference: digest.clone(),
            platform: None,
            policy: Policy::Missing,
            locked_for: None,
        };
        let sink = prodmirror_engine::bus::NoSink;
        match provide(engine, &wanted, (&session.logins(), &sink)).await {
            Ok(_) => return Some(digest.clone()),
            Err(p) => session.note(&format!("warning: {p}\n")),
        }
    }
    None
}

fn missing(service: &str, facts: &ImageFacts, there: Option<String>, saved: bool) -> Problem {
    let mut text = format!(
        "the image {} of `{service}` is not here: it was {}",
        facts.reference,
        short(&facts.id)
    );
    if let Some(digest) = facts.digests.first() {
        text.push_str(&format!(", at its registry as {digest}"));
    }
    if let Some(there) = there {
        text.push_str(&format!(
            "; what is called so here is another one ({})",
            short(&there)
        ));
    }
    if saved {
        text.push_str("; the images in the bundle do not have it either");
    }
    let help = match facts.digests.is_empty() {
        true => {
            "write the bundle with --with-images where it failed, or push the image; \
                 --other-images takes what is called the same"
        }
        false => {
            "see that its registry can be reached from here, and log in to it (`docker login`); \
                 or write the bundle with --with-images; --other-images takes what is called the \
                 same"
        }
    };
    Problem::new(ProblemKind::Missing, text).help(help)
}

fn short(id: &str) -> &str {
    id.get(..19)
        .unwrap_or(if id.is_empty() { "unknown" } else { id })
}
