//! A part of a scenario's steps: from one of them, until another.

use prodmirror_model::diag::{Problem, ProblemKind, nearest};
use prodmirror_model::event::Outcome;
use prodmirror_model::scenario::{Body, Step};
use prodmirror_model::template::Scope;

use super::attempt::StepEnd;
use crate::step::Program;

/// Which of a scenario's `steps` are done. `setup` and `finally` are done in any case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    /// The id of the first one; absent = from the beginning.
    pub from: Option<String>,
    /// The id of the last one; absent = to the end.
    pub until: Option<String>,
}

impl Window {
    /// Whether a scenario has the steps that are named.
    ///
    /// # Errors
    /// What it does not have.
    pub fn check(&self, program: &Program) -> Result<(), Problem> {
        let steps = &program.scenario.steps;
        let from = self.find("--from", self.from.as_deref(), program)?;
        let until = self.find("--until", self.until.as_deref(), program)?;
        match (from, until) {
            (Some(from), Some(until)) if until < from => Err(Problem::at(
                ProblemKind::InvalidValue,
                &steps[until].span,
                "the step of `--until` stands before the step of `--from`",
            )),
            _ => Ok(()),
        }
    }

    fn find(
        &self,
        option: &str,
        id: Option<&str>,
        program: &Program,
    ) -> Result<Option<usize>, Problem> {
        let Some(id) = id else { return Ok(None) };
        let s = &program.scenario;
        if let Some(at) = position(&s.steps, id) {
            return Ok(Some(at));
        }
        let what = format!(
            "`{option} {id}`: none of the `steps` of `{}` has this id",
            s.name.value
        );
        let p = Problem::at(ProblemKind::UnknownReference, &s.name.span, what);
        if let Some(outer) = s.steps.iter().find(|step| has_inside(step, id)) {
            let help = format!(
                "it is inside of {}: name a step of `steps` itself",
                outer.path
            );
            return Err(p.help(help));
        }
        let ids: Vec<&str> = s.steps.iter().filter_map(id_of).collect();
        Err(match nearest(id, ids.iter().copied()) {
            Some(near) => p.help(format!("did you mean `{near}`?")),
            None if ids.is_empty() => p.help("give the step an `id`"),
            None => p.help(format!("ids: {}", ids.join(", "))),
        })
    }

    /// Steps before the window, in it, and behind it.
    pub(super) fn split<'s>(&self, steps: &'s [Step]) -> (&'s [Step], &'s [Step], &'s [Step]) {
        let at = |id: &Option<String>| id.as_deref().and_then(|id| position(steps, id));
        let end = at(&self.until).map_or(steps.len(), |n| n + 1);
        let begin = at(&self.from).unwrap_or(0).min(end);
        (&steps[..begin], &steps[begin..end], &steps[end..])
    }

    /// Says of what a step lacks which steps that were left out would have given it.
    pub(super) fn explain(&self, steps: &[Step], scope: &Scope, end: &mut StepEnd) {
        if self.from.is_none() || matches!(end.outcome, Outcome::Passed | Outcome::Skipped) {
            return;
        }
        let text = end.said();
        let mut found = Vec::new();
        for step in self.split(steps).0 {
            let mut names = Vec::new();
            captured(step, &mut names);
            for name in names {
                if scope.get(name).is_none() && has_word(&text, name) {
                    found.push(format!(
                        "`{name}` would be captured by {}, which --from leaves out: give it with \
                         --var {name}=VALUE",
                        step.path
                    ));
                }
            }
            if let Some(id) = id_of(step)
                && scope.step(id).is_none()
                && (text.contains(&format!("steps.{id}")) || has_word(&text, id))
            {
                found.push(format!(
                    "`steps.{id}` is the result of {}, which --from leaves out: begin there",
                    step.path
                ));
            }
        }
        if found.is_empty() {
            return;
        }
        let found = found.join("; ");
        match (&mut end.error, end.mismatches.first_mut()) {
            (Some(error), _) => *error = format!("{found} ({error})"),
            (None, Some(m)) => {
                m.hint = Some(match m.hint.take() {
                    Some(hint) => format!("{found}; {hint}"),
                    None => found,
                });
            }
            (None, None) => end.error = Some(found),
        }
    }
}

fn id_of(step: &Step) -> Option<&str> {
    step.id.as_ref().map(|i| i.value.as_str())
}

fn position(steps: &[Step], id: &str) -> Option<usize> {
    steps.iter().position(|s| id_of(s) == Some(id))
}

/// The steps inside of a step that share its names.
fn inner(step: &Step) -> Vec<&Step> {
    match &step.body {
        Body::Group { steps, .. } => steps.iter().collect(),
        Body::Loop(l) => l.steps.iter().collect(),
        Body::Parallel(b) => b.iter().flat_map(|b| &b.steps).collect(),
        _ => Vec::new(),
    }
}

fn has_inside(step: &Step, id: &str) -> bool {
    let steps = inner(step);
    steps
        .into_iter()
        .any(|s| id_of(s) == Some(id) || has_inside(s, id))
}

fn captured<'s>(step: &'s Step, to: &mut Vec<&'s str>) {
    to.extend(step.capture.iter().map(|c| c.name.as_str()));
    if let Body::Set(values) = &step.body {
        to.extend(values.iter().map(|(n, _)| n.as_str()));
    }
    for step in inner(step) {
        captured(step, to);
    }
}

/// Whether a name stands in a text by itself.
fn has_word(text: &str, name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name)
        .any(|(at, _)| !text[..at].ends_with(part) && !text[at + name.len()..].starts_with(part))
}

#[cfg(test)]
mod tests {
    use super::has_word;

    #[test]
    fn words() {
        assert!(has_word("`order` is not defined", "order"));
        assert!(has_word("order", "order"));
        assert!(!has_word("reorder orders order_id", "order"));
    }
}
