//! Loading the agent's image into an engine.

use bollard::query_parameters::ImportImageOptionsBuilder;
use futures_util::StreamExt;
use prodmirror_model::diag::Problem;

use super::progress::reports;
use super::{Engine, EngineError};
use crate::agent;

impl Engine {
    /// Makes sure that the engine has the agent's image of its architecture; gives its
    /// name. Does nothing but ask when it is there.
    ///
    /// # Errors
    /// [`prodmirror_model::diag::ProblemKind::Unsupported`] when this tool has no agent for
    /// the engine's architecture; else what the engine answers.
    pub async fn load_agent(&self) -> Result<String, Problem> {
        let arch = &self.facts().arch;
        let tag = agent::image_tag(arch)?;
        let doing = format!("load the agent's image {tag}");
        if self
            .has_image(&tag)
            .await
            .map_err(|error| error.problem(&doing))?
        {
            return Ok(tag);
        }
        self.import(agent::archive(arch)?)
            .await
            .map_err(|error| error.problem(&doing))?;
        Ok(tag)
    }

    /// The id of an image; absent when the engine does not have it.
    pub async fn image_id(&self, name: &str) -> Result<Option<String>, EngineError> {
        match self
            .client()
            .inspect_image(name)
            .await
            .map_err(EngineError::from)
        {
            Ok(image) => Ok(image.id),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn has_image(&self, name: &str) -> Result<bool, EngineError> {
        match self
            .client()
            .inspect_image(name)
            .await
            .map_err(EngineError::from)
        {
            Ok(_) => Ok(true),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn import(&self, archive: Vec<u8>) -> Result<(), EngineError> {
        let options = ImportImageOptionsBuilder::default().quiet(true).build();
        let body = bollard::body_full(archive.into());
        let mut answer = std::pin::pin!(reports(self.client().import_image(options, body, None)));
        while let Some(step) = answer.next().await {
            step?;
        }
        Ok(())
    }
}
