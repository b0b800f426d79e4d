//! Building images from Dockerfiles.

use std::collections::{BTreeMap, HashMap};

use bollard::query_parameters as query;
use bytes::Bytes;
use futures_util::StreamExt;

use super::image::refused;
use super::progress::reports;
use super::{Engine, EngineError};

/// The engine's words for an image that went while a build looked at it in the cache.
const CACHE_GONE: [&str; 2] = ["failed to get digest", "unable to find image"];
/// How often a build is begun that others take the cache from.
const ATTEMPTS: u32 = 5;

/// An image to be built from a Dockerfile.
#[derive(Debug, Clone, Default)]
pub struct NewImage {
    /// `repository:tag`.
    pub name: String,
    /// The build context, with its `Dockerfile`, as a tar archive.
    pub context: Bytes,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Labels that are added.
    pub labels: BTreeMap<String, String>,
}

impl Engine {
    /// Builds an image; every line that the build prints goes to `on_line`. Nothing that
    /// is named in the Dockerfile is pulled when the engine has it.
    pub async fn build_image(
        &self,
        new: NewImage,
        mut on_line: impl FnMut(&str),
    ) -> Result<(), EngineError> {
        for _ in 1..ATTEMPTS {
            match self.build_once(new.clone(), &mut on_line).await {
                Err(e) if cache_went(&e) => {}
                done => return done,
            }
        }
        self.build_once(new, &mut on_line).await
    }

    async fn build_once(
        &self,
        new: NewImage,
        on_line: &mut impl FnMut(&str),
    ) -> Result<(), EngineError> {
        let map =
            |m: BTreeMap<String, String>| -> HashMap<String, String> { m.into_iter().collect() };
        let options = query::BuildImageOptionsBuilder::default()
            .t(&new.name)
            .buildargs(&map(new.args))
            .labels(&map(new.labels))
            .rm(true)
            .forcerm(true)
            .build();
        let body = bollard::body_full(new.context);
        let mut answer = std::pin::pin!(reports(self.client().build_image(
            options,
            None,
            Some(body)
        )));
        while let Some(step) = answer.next().await {
            let step = step?;
            for line in step.stream.iter().flat_map(|s| s.lines()) {
                on_line(line);
            }
            if let Some(error) = step.error_detail {
                return Err(refused(error.message));
            }
        }
        Ok(())
    }
}

/// Whether a build failed since an image was removed meanwhile that the engine considered for its
/// cache: any child of the same parent is one, also of a build that has nothing to do with this.
fn cache_went(error: &EngineError) -> bool {
    let said = error.to_string();
    CACHE_GONE.iter().any(|words| said.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_that_others_took_the_cache_from_are_begun_again() {
        let went = |said: &str| cache_went(&refused(Some(said.to_owned())));
        for said in [
            "failed to get digest sha256:02ab: open /var/lib/docker/image/x: no such file or directory",
            "unable to find image \"sha256:0ff2a6da\"",
        ] {
            assert!(went(said), "{said}");
        }
        assert!(!went(
            "The command '/bin/sh -c false' returned a non-zero code: 1"
        ));
    }
}
