//! Where a mode's configuration comes from.

use std::path::Path;

use prodmirror_agent::wire::CONFIG_ENV;
use serde::de::DeserializeOwned;

use crate::output::Failure;

/// Reads the configuration of a mode: the file of `--config PATH`, else the environment.
pub fn read<T: DeserializeOwned>(args: &[String]) -> Result<T, Failure> {
    let (source, text) = match args {
        [] => (CONFIG_ENV.to_owned(), from_env()?),
        [flag, path] if flag == "--config" => (path.clone(), from_file(path)?),
        _ => {
            return Err(Failure::usage(format!(
                "unexpected arguments `{}`",
                args.join(" ")
            )));
        }
    };
    serde_json::from_str(&text).map_err(|error| Failure::usage(format!("{source}: {error}")))
}

fn from_env() -> Result<String, Failure> {
    std::env::var(CONFIG_ENV).map_err(|error| Failure::usage(format!("{CONFIG_ENV}: {error}")))
}

fn from_file(path: impl AsRef<Path>) -> Result<String, Failure> {
    let path = path.as_ref();
    std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}
