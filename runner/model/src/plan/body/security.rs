//! Options of security modules.

use serde_json::{Value as Json, json};

use super::BodyRequest;
use super::fields::Fields;
use crate::diag::{Problem, ProblemKind, Problems};
use crate::mirror::Sourced;
use crate::source::SourceFile;

/// Puts the options. A seccomp profile is sent as its text, because the engine may not see the
/// file; `systempaths=unconfined` is two fields on the engine.
pub(super) fn put(request: &BodyRequest<'_>, host: &mut Fields, problems: &mut Problems) {
    let mut options = Vec::new();
    for option in &request.service.security.options {
        if option.as_str() == "systempaths=unconfined" {
            host.set("MaskedPaths", json!([]));
            host.set("ReadonlyPaths", json!([]));
            continue;
        }
        match parse(option) {
            Some(("seccomp", profile)) if !matches!(profile, "unconfined" | "builtin") => {
                options.extend(inline(request, option, profile, problems).map(Json::from));
            }
            Some(_) => options.push(Json::from(option.value.clone())),
            None => problems.push(Problem::at(
                ProblemKind::InvalidValue,
                &option.span,
                format!("security option {:?} has no value", option.value),
            )),
        }
    }
    host.list("SecurityOpt", options);
}

/// Name and value of an option, which `=` or (in old files) `:` parts.
fn parse(option: &str) -> Option<(&str, &str)> {
    match option.split_once('=') {
        Some(pair) => Some(pair),
        None if option == "no-new-privileges" => Some((option, "")),
        None => option.split_once(':'),
    }
}

/// The option with the text of the profile's file.
fn inline(
    request: &BodyRequest<'_>,
    option: &Sourced<String>,
    profile: &str,
    problems: &mut Problems,
) -> Option<String> {
    let path = request.project_dir.join(profile);
    let file = match SourceFile::read(&path, profile) {
        Ok(file) => file,
        Err(problem) => {
            problems.push(problem.or_at(&option.span));
            return None;
        }
    };
    match serde_json::from_str::<Json>(&file.text) {
        Ok(json) => Some(format!("seccomp={json}")),
        Err(e) => {
            let message = format!("seccomp profile {profile} is not JSON: {e}");
            problems.push(Problem::at(ProblemKind::Syntax, &option.span, message));
            None
        }
    }
}
