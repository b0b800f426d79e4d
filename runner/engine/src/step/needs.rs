//! `needs`: which scenarios must have passed before which.

use std::collections::HashMap;

use prodmirror_model::diag::{Problem, ProblemKind, nearest};
use prodmirror_model::event::CaseId;

use super::program::Program;

/// Finds the scenarios that are named, and refuses circles.
pub(super) fn resolve(programs: &mut [Program], problems: &mut Vec<Problem>) {
    if programs.iter().all(|p| p.scenario.needs.is_empty()) {
        return;
    }
    let found: Vec<Vec<usize>> = programs
        .iter()
        .map(|p| {
            let needs = p.scenario.needs.iter();
            needs
                .flat_map(|n| match named(programs, &p.scenario.file.name, n) {
                    Ok(at) => at,
                    Err(problem) => {
                        problems.push(*problem);
                        Vec::new()
                    }
                })
                .collect()
        })
        .collect();
    circles(programs, &found, problems);
    for (i, needs) in found.iter().enumerate() {
        let cases = needs
            .iter()
            .map(|n| programs[*n].case())
            .collect::<Vec<CaseId>>();
        programs[i].set_needs(cases);
    }
}

/// All combinations of the scenario with a name: in the same file, or in any where only one
/// has it.
fn named(
    programs: &[Program],
    file: &str,
    name: &prodmirror_model::yaml::Spanned<String>,
) -> Result<Vec<usize>, Box<Problem>> {
    let all = programs.iter().enumerate();
    let same: Vec<(usize, &str)> = all
        .filter(|(_, p)| p.scenario.base_name == name.value || p.scenario.name.value == name.value)
        .map(|(i, p)| (i, p.scenario.file.name.as_str()))
        .collect();
    let here: Vec<usize> = same
        .iter()
        .filter(|(_, f)| *f == file)
        .map(|(i, _)| *i)
        .collect();
    if !here.is_empty() {
        return Ok(here);
    }
    let mut files: Vec<&str> = same.iter().map(|(_, f)| *f).collect();
    files.dedup();
    match files.as_slice() {
        [_] => Ok(same.into_iter().map(|(i, _)| i).collect()),
        [] => {
            let text = format!("no scenario here is named `{}`", name.value);
            let p = Problem::at(ProblemKind::UnknownReference, &name.span, text);
            let names = programs.iter().map(|p| p.scenario.base_name.as_str());
            Err(Box::new(match nearest(&name.value, names) {
                Some(n) => p.help(format!("did you mean `{n}`?")),
                None => p.help("a scenario that is needed must be among the files that are run"),
            }))
        }
        several => {
            let text = format!(
                "`{}` is the name of scenarios in {}",
                name.value,
                several.join(" and ")
            );
            Err(Box::new(
                Problem::at(ProblemKind::Conflict, &name.span, text)
                    .help("give one of them another name"),
            ))
        }
    }
}

fn circles(programs: &[Program], needs: &[Vec<usize>], problems: &mut Vec<Problem>) {
    // 1: being looked at; 2: done.
    let mut state: HashMap<usize, u8> = HashMap::new();
    for start in 0..needs.len() {
        let mut way = Vec::new();
        if let Some(at) = circle(start, needs, &mut state, &mut way) {
            let names: Vec<&str> = way
                .iter()
                .map(|i| programs[*i].scenario.base_name.as_str())
                .collect();
            let text = format!("these scenarios need each other: {}", names.join(" → "));
            let place = &programs[at].scenario.needs;
            let span = place.first().map_or_else(
                || programs[at].scenario.name.span.clone(),
                |n| n.span.clone(),
            );
            problems.push(
                Problem::at(ProblemKind::Cycle, &span, text)
                    .help("make what both need a scenario of its own, or a fragment"),
            );
        }
    }
}

fn circle(
    at: usize,
    needs: &[Vec<usize>],
    state: &mut HashMap<usize, u8>,
    way: &mut Vec<usize>,
) -> Option<usize> {
    match state.get(&at) {
        Some(2) => return None,
        Some(_) => {
            let from = way.iter().position(|i| *i == at).unwrap_or(0);
            way.drain(..from);
            way.push(at);
            return Some(at);
        }
        None => {}
    }
    state.insert(at, 1);
    way.push(at);
    for n in &needs[at] {
        if let Some(found) = circle(*n, needs, state, way) {
            state.insert(at, 2);
            return Some(found);
        }
    }
    way.pop();
    state.insert(at, 2);
    None
}
