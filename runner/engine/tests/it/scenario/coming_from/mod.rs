//! The pages for people who come from other tools: every row of their tables is run.

mod hurl;
mod server;
mod table;
mod venom;

use std::sync::Arc;

use prodmirror_engine::step::World;
use prodmirror_model::event::Outcome;

use self::server::Server;
use self::table::{Row, Side};
use super::local::Local;
use super::{Played, played};

/// The world in which rows are played: `site`, and two with certificates.
fn world(server: &Server) -> Arc<dyn World> {
    let mut local = Local::default().host("site", 80, server.plain);
    for (name, address) in &server.secure {
        local = local.host(name, 443, *address);
    }
    local.world()
}

/// Plays a row's step against one of its responses.
async fn ours(world: &Arc<dyn World>, row: &Row, side: Side) -> Played {
    played(world, &row.scenario(side)).await
}

/// Plays all rows; what does not go as the table says is collected.
async fn all_rows(rows: &[Row], server: &Server) {
    let world = world(server);
    let mut wrong = Vec::new();
    for row in rows {
        for side in [Side::Holds, Side::Fails] {
            let end = ours(&world, row, side).await;
            let expected = match side {
                Side::Holds => Outcome::Passed,
                Side::Fails => Outcome::Failed,
            };
            if end.end.outcome != expected {
                wrong.push(format!(
                    "{}: {}\n{}\n{}",
                    row.theirs,
                    side.name(),
                    row.scenario(side),
                    end.told()
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} rows:\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
}
