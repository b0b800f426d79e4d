//! Reading back what runs, as the engine shows it.

use futures_util::future::try_join_all;
use prodmirror_model::diag::Problem;
use prodmirror_model::plan::{NetworkOf, Observation, Observed};

use super::context::{Context, key_of};
use super::stack::LiveStack;
use crate::docker::EngineError;

impl LiveStack {
    /// What the engine shows of its containers and their sandboxes, asked all at once.
    ///
    /// # Errors
    /// The engine cannot be asked, or one of them is gone.
    pub async fn observe(&self) -> Result<Observation, Problem> {
        let ctx = &self.context();
        let asked = ctx.order.containers.iter().map(|i| observe(ctx, *i));
        let containers = try_join_all(asked)
            .await
            .map_err(|e| e.problem("read the running containers back"))?;
        let networks = ctx.made.networks.iter();
        Ok(Observation {
            containers,
            networks: networks
                .map(|(key, n)| (n.name.clone(), key.clone()))
                .collect(),
        })
    }
}

async fn observe(ctx: &Context, position: usize) -> Result<Observed, EngineError> {
    let plan = &ctx.plan.containers[position];
    let key = key_of(plan);
    let own = async {
        let id = ctx.board.get(&key).id;
        ctx.engine.show_container(&id).await
    };
    let sandbox = async {
        match ctx
            .sandboxes
            .get(&key)
            .filter(|_| plan.network == NetworkOf::Own)
        {
            Some(sandbox) => ctx.engine.show_container(&sandbox.id).await.map(Some),
            None => Ok(None),
        }
    };
    let (own, sandbox) = futures_util::future::try_join(own, sandbox).await?;
    Ok(Observed {
        service: plan.service.clone(),
        replica: plan.replica,
        own,
        sandbox,
    })
}
