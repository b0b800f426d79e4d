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
                match inline(request, option, profile) {
                    Ok(text) => options.push(Json::from(text)),
                    Err(problem) => problems.push(problem),
                }
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

fn inline(
    request: &BodyRequest<'_>,
    option: &Sourced<String>,
    profile: &str,
) -> Result<String, Problem> {
    let path = request.project_dir.join(profile);
    let file = SourceFile::read(&path, profile).map_err(|problem| problem.or_at(&option.span))?;
    let json: Json = serde_json::from_str(&file.text).map_err(|e| {
        let message = format!("seccomp profile {profile} is not JSON: {e}");
        Problem::at(ProblemKind::Syntax, &option.span, message)
    })?;
    Ok(format!("seccomp={json}"))
}
