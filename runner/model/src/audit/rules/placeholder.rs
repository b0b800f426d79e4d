//! Values that were meant to be replaced.

use super::words::{placeholder, strict};
use crate::audit::{Found, Look};
use crate::source::Span;

/// Finds them in variables, arguments, configuration files and secrets.
pub fn find(look: &Look<'_>, found: &mut Found) {
    for text in &look.texts {
        if let Some(part) = placeholder(text.value) {
            let what = text.name.unwrap_or(&text.field);
            found
                .service(
                    text.service,
                    text.field.clone(),
                    &text.value.span,
                    format!("`{what}` holds the placeholder `{part}`"),
                )
                .key(part.to_owned());
        }
    }
    for body in &look.bodies {
        for (number, line) in (1..).zip(body.file.text.lines()) {
            let code = line.trim_start();
            if code.starts_with(['#', ';']) || code.starts_with("//") {
                continue;
            }
            if let Some(part) = strict(line) {
                let at = line.find(part).unwrap_or(0);
                let column = line[..at].chars().count() + 1;
                let place = place(&body.file, number, column, part);
                found
                    .service(
                        body.service,
                        body.field.clone(),
                        &place,
                        format!("{} holds the placeholder `{part}`", body.file.name),
                    )
                    .key(part.to_owned())
                    .related(&body.named, "the spec names the file here");
            }
        }
    }
    secrets(look, found);
}

fn place(
    file: &std::sync::Arc<crate::source::SourceFile>,
    line: u32,
    column: usize,
    part: &str,
) -> Span {
    let column = u32::try_from(column).unwrap_or(u32::MAX / 2);
    let length = u32::try_from(part.chars().count()).unwrap_or(0);
    Span::in_line(file, line, column, length)
}

fn secrets(look: &Look<'_>, found: &mut Found) {
    for (key, object) in &look.mirror.secrets {
        let Some(file) = object
            .file
            .as_ref()
            .filter(|_| look.project.secret(key).is_none())
        else {
            continue;
        };
        let text = look
            .in_project(file)
            .and_then(|(path, _)| std::fs::read_to_string(path).ok());
        let Some(text) = text.filter(|t| t.len() < 4096) else {
            continue;
        };
        if placeholder(&text).is_some() {
            found.add(
                &format!("secret:{key}"),
                "content",
                &file.span,
                format!("the file of the secret `{key}` holds a placeholder"),
            );
        }
    }
}
