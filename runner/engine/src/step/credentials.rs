//! Who a step is to a server, when it does not say: what the service's own environment says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::StepError;
use super::context::reach_error;
use super::world::{ExecRequest, World};

/// The environment of a service, in which `NAME_FILE` stands for a file with the value of
/// `NAME`, as the official images have it.
pub(super) struct Environment<'w> {
    world: &'w Arc<dyn World>,
    service: &'w str,
    values: BTreeMap<String, String>,
}

impl<'w> Environment<'w> {
    pub fn of(world: &'w Arc<dyn World>, service: &'w str) -> Self {
        Self {
            world,
            service,
            values: world.env(service),
        }
    }

    /// Whether any name begins so.
    pub fn any(&self, prefixes: &[&str]) -> bool {
        let mut names = self.values.keys();
        names.any(|name| prefixes.iter().any(|p| name.starts_with(p)))
    }

    /// The value of the first of these names that is set.
    pub async fn first(&self, names: &[&str]) -> Result<Option<String>, StepError> {
        for name in names {
            if let Some(v) = self.values.get(*name) {
                return Ok(Some(v.clone()));
            }
            if let Some(path) = self.values.get(&format!("{name}_FILE")) {
                return self.file(path).await.map(Some);
            }
        }
        Ok(None)
    }

    async fn file(&self, path: &str) -> Result<String, StepError> {
        let output = self
            .world
            .exec(ExecRequest {
                service: self.service.to_owned(),
                command: vec!["cat".into(), path.to_owned()],
                timeout: Some(Duration::from_secs(10)),
                ..ExecRequest::default()
            })
            .await
            .map_err(reach_error)?;
        if output.exit_code != 0 {
            return Err(StepError::transport(format!(
                "the credentials of {} are in {path}, which cannot be read: {}",
                self.service,
                String::from_utf8_lossy(&output.stderr).trim()
            )));
        }
        Ok(String::from_utf8_lossy(&output.stdout)
            .trim_end_matches(['\n', '\r'])
            .to_owned())
    }
}
