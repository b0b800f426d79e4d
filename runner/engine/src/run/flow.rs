//! Steps inside of a step: groups, loops and fragments.

use std::sync::atomic::Ordering;

use prodmirror_model::event::Mismatch;
use prodmirror_model::event::Outcome;
use prodmirror_model::scenario::{Loop, Over, Scenario, Step, Use};
use prodmirror_model::template::{Document, Scope};
use serde_json::{Map, Value as Json, json};

use super::seed::Seed;
use super::steps::{Flow, Player, Trouble};
use crate::step::{Done, Sessions, StepError};

/// Turns of one loop at most.
const MOST_TURNS: u64 = 100_000;
/// Turns of all loops of a scenario at most, those inside of others counted each time.
const MOST_IN_ALL: u64 = 200_000;

impl Player<'_> {
    /// Steps in order, as one.
    pub(super) async fn group(
        &self,
        steps: &[Step],
        flow: &mut Flow,
        sessions: &Sessions,
    ) -> Result<Done, StepError> {
        match self.branch(steps, flow, sessions).await {
            None => Ok(Done::default()),
            Some(t) => failed("all its steps pass", t),
        }
    }

    /// All turns of a loop, up to the first that does not pass.
    pub(super) async fn turns(
        &self,
        l: &Loop,
        path: &str,
        flow: &mut Flow,
        sessions: &Sessions,
    ) -> Result<Done, StepError> {
        let items = items(&l.over, flow)?;
        let before = (flow.scope.shared(&l.name), flow.scope.shared("each"));
        let count = items.count;
        let shown = flow.shown(path);
        let mut end = Ok(Done::default());
        for (index, item) in items.enumerate() {
            if self.turns.fetch_add(1, Ordering::Relaxed) >= MOST_IN_ALL {
                end = Err(StepError::transport(format!(
                    "the loops of this scenario came to more than {MOST_IN_ALL} turns"
                )));
                break;
            }
            if let Some(item) = item {
                flow.scope.set(&l.name, item);
            }
            flow.scope.set(
                "each",
                json!({"index": index, "count": count, "first": index == 0, "last": index as u64 + 1 == count}),
            );
            flow.turns
                .push((format!("{path}.each"), format!("{shown}[{index}]")));
            let trouble = self.branch(&l.steps, flow, sessions).await;
            flow.turns.pop();
            if let Some(t) = trouble {
                end = failed(&format!("turn {index} of {count} passes"), t);
                break;
            }
        }
        flow.scope.put_back(&l.name, before.0);
        flow.scope.put_back("each", before.1);
        end
    }

    /// A fragment, with names of its own.
    pub(super) async fn uses(
        &self,
        u: &Use,
        flow: &mut Flow,
        sessions: &Sessions,
    ) -> Result<Done, StepError> {
        let mut own = Flow {
            scope: flow.scope.fresh(),
            marks: flow.marks.clone(),
            turns: flow.turns.clone(),
            quiet: flow.quiet,
        };
        let mut with = Map::new();
        for (name, data) in &u.with {
            with.insert(name.clone(), data.render(&flow.scope)?);
        }
        given(
            &u.fragment,
            &self.seed.part(&u.fragment.base_name),
            &mut own.scope,
        );
        for (name, value) in &with {
            own.scope.set(name, value.clone());
        }
        for (name, data) in &u.fragment.vars {
            if !with.contains_key(name) {
                let value = data.render(&own.scope)?;
                own.scope.set(name, value);
            }
        }
        // A fragment is of no depth that is known here.
        let first = Box::pin(self.sections(&u.fragment, &mut own, sessions)).await;
        let last = Box::pin(self.every(&u.fragment.finally, &mut own, sessions)).await;
        if let Some(t) = first.or(last) {
            return failed("the fragment passes", t);
        }
        let mut outputs = Map::new();
        let mut mismatches = Vec::new();
        for (name, e) in &u.fragment.outputs {
            match e.value(&Document::default(), &own.scope) {
                Ok(v) => {
                    outputs.insert(name.clone(), v);
                }
                Err(m) => mismatches.push(m),
            }
        }
        Ok(Done {
            document: Document::default().with("outputs", outputs),
            mismatches,
        })
    }
}

/// What is there before a scenario begins: what it draws, loads, and its matrix has.
pub(super) fn given(scenario: &Scenario, seed: &Seed, scope: &mut Scope) {
    for (name, fake) in &scenario.fake {
        let mut seed = seed.part(&format!("fake {name}"));
        scope.set(name, fake.draw(seed.below(u64::MAX)));
    }
    if !scenario.flag_values.is_empty() {
        scope.set("flags", Json::Object(scenario.flag_values.clone()));
    }
    for (name, value) in scenario.load.iter().chain(&scenario.matrix) {
        scope.set(name, value.clone());
    }
}

/// The end of a step of which an inner one did not pass.
fn failed(expectation: &str, t: Trouble) -> Result<Done, StepError> {
    if t.outcome != Outcome::Failed {
        return Err(StepError::transport(t.reason));
    }
    Ok(Done {
        document: Document::default(),
        mismatches: vec![Mismatch {
            expectation: expectation.to_owned(),
            kind: "steps".into(),
            place: None,
            expected: "that it passes".into(),
            actual: t.reason,
            path: None,
            hint: None,
        }],
    })
}

/// The items of a loop, one after the other.
struct Items {
    count: u64,
    next: u64,
    from: From,
}

enum From {
    Nothing,
    Range(i64, i64),
    List(std::vec::IntoIter<Json>),
}

impl Iterator for Items {
    type Item = Option<Json>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.count {
            return None;
        }
        let n = i64::try_from(self.next).unwrap_or(i64::MAX);
        self.next += 1;
        Some(match &mut self.from {
            From::Nothing => None,
            From::Range(from, by) => Some(Json::from(*from + n * *by)),
            From::List(items) => Some(items.next().unwrap_or(Json::Null)),
        })
    }
}

fn items(over: &Over, flow: &Flow) -> Result<Items, StepError> {
    let value = match over {
        Over::Times(_) | Over::Range { .. } => None,
        Over::Value(d) => Some(d.render(&flow.scope)?),
        Over::Expr(e) => Some(
            e.value(&Document::default(), &flow.scope)
                .map_err(|m| StepError::transport(format!("{}: {}", m.expectation, m.actual)))?,
        ),
    };
    let (count, from) = match (over, value) {
        (Over::Range { from, by, .. }, _) => (over.turns().unwrap_or(0), From::Range(*from, *by)),
        (_, None) => (over.turns().unwrap_or(0), From::Nothing),
        (_, Some(Json::Array(a))) => (a.len() as u64, From::List(a.into_iter())),
        (_, Some(Json::Object(o))) => {
            let entries: Vec<Json> = o
                .into_iter()
                .map(|(k, v)| json!({"key": k, "value": v}))
                .collect();
            (entries.len() as u64, From::List(entries.into_iter()))
        }
        (_, Some(other)) => {
            return Err(StepError::transport(format!(
                "a loop goes over a list or an object, and this is {}",
                prodmirror_model::check::show(&other)
            )));
        }
    };
    if count > MOST_TURNS {
        return Err(StepError::transport(format!(
            "this loop has {count} turns; at most {MOST_TURNS} are run"
        )));
    }
    Ok(Items {
        count,
        next: 0,
        from,
    })
}
