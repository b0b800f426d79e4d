//! `snapshot` and `restore`: data in the middle of a scenario, remembered and put back.

use std::time::Duration;

use prodmirror_model::diag::Problem;
use prodmirror_model::template::{Document, Text};
use prodmirror_model::yaml::Node;
use serde::Deserialize;

use super::fields::args;
use super::{Act, Compiled, Context, Done, Kind, Later, StepError};

/// The kind `snapshot`.
pub(super) static SNAPSHOT: Kind = Kind {
    name: "snapshot",
    fields: &["volume", "services", "duration"],
    help: "remembers what a volume holds, under a name",
    example: "snapshot: { volume: orders-db, as: paid }",
    usual: None,
    compile: snapshot,
};

/// The kind `restore`.
pub(super) static RESTORE: Kind = Kind {
    name: "restore",
    fields: &["volume", "services", "duration"],
    help: "puts back what a volume held when it was remembered, or at the start",
    example: "restore: { volume: orders-db, to: paid }",
    usual: None,
    compile: restore,
};

/// Services stop and start again.
const LIMIT: Duration = Duration::from_secs(180);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SnapshotArgs {
    #[serde(default)]
    volume: Option<Text>,
    r#as: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RestoreArgs {
    #[serde(default)]
    volume: Option<Text>,
    #[serde(default)]
    to: Option<Text>,
}

struct DataAct {
    volume: Option<Text>,
    name: Option<Text>,
    saves: bool,
}

fn snapshot(node: &Node) -> Result<Compiled, Vec<Problem>> {
    let a: SnapshotArgs = args(node, SNAPSHOT.name, SNAPSHOT.example)?;
    Ok(DataAct {
        volume: a.volume,
        name: Some(a.r#as),
        saves: true,
    }
    .into())
}

fn restore(node: &Node) -> Result<Compiled, Vec<Problem>> {
    let a: RestoreArgs = match node.is_null() {
        true => RestoreArgs::default(),
        false => args(node, RESTORE.name, RESTORE.example)?,
    };
    Ok(DataAct {
        volume: a.volume,
        name: a.to,
        saves: false,
    }
    .into())
}

impl DataAct {
    async fn act(&self, context: &mut Context<'_>) -> Result<Done, StepError> {
        let scope = context.scope;
        let text = |t: &Option<Text>| t.as_ref().map(|t| t.render(scope)).transpose();
        let (volume, name) = (text(&self.volume)?, text(&self.name)?);
        let world = context.world;
        let done = match self.saves {
            true => {
                world
                    .save_data(volume.as_deref(), name.as_deref().unwrap_or_default())
                    .await?
            }
            false => {
                world
                    .restore_data(volume.as_deref(), name.as_deref())
                    .await?
            }
        };
        let services = match done.services.as_slice() {
            [] => "nobody used it".to_owned(),
            all => format!("stopped and started again: {}", all.join(", ")),
        };
        context
            .trail
            .add("data", format!("{}; {services}", done.volume));
        let mut document = Document::default()
            .with("volume", done.volume)
            .with("services", done.services);
        document.took(done.took);
        Ok(document.into())
    }
}

impl Act for DataAct {
    fn title(&self) -> String {
        let of = |t: &Option<Text>| t.as_ref().map(|t| t.source().to_owned());
        let volume = of(&self.volume).unwrap_or_else(|| "the data".to_owned());
        match (self.saves, of(&self.name)) {
            (true, name) => format!("remember {volume} as {}", name.unwrap_or_default()),
            (false, Some(name)) => format!("put {volume} back to {name}"),
            (false, None) => format!("put {volume} back to the start"),
        }
    }

    fn limit(&self) -> Duration {
        LIMIT
    }

    fn run<'a>(&'a self, context: &'a mut Context<'_>) -> Later<'a, Result<Done, StepError>> {
        Box::pin(self.act(context))
    }
}
