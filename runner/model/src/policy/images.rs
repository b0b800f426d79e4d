//! Which images the mirror runs: production's, but for the change that is tested.

use crate::diag::{Problem, ProblemKind, nearest};
use crate::fidelity::{Class, Record, Severity};
use crate::mirror::{Mirror, Service, Sourced};
use crate::project::{Images, find};

use super::rule::Report;

/// Where references lead that stand for an image which nobody named; no registry has this name.
pub const MISSING: &str = "missing.invalid/";

/// Puts in the images under test and rewrites references.
pub fn apply(mirror: &mut Mirror, images: &Images, report: &mut Report) {
    for e in &images.under_test {
        if !mirror.services.contains_key(e.name.as_str()) {
            let known = mirror.services.keys().map(String::as_str);
            let help = match nearest(&e.name, known.clone()) {
                Some(k) => format!("did you mean `{k}`?"),
                None => format!("services: {}", known.collect::<Vec<_>>().join(", ")),
            };
            report.problems.push(
                Problem::at(
                    ProblemKind::UnknownReference,
                    &e.name.span,
                    format!("production has no service `{}`", e.name.as_str()),
                )
                .help(help),
            );
        }
    }
    for (name, service) in &mut mirror.services {
        under_test(name, service, images, report);
        rewrite(name, service, images, report);
        build(name, service, report);
    }
}

fn under_test(name: &str, service: &mut Service, images: &Images, report: &mut Report) {
    let Some(reference) = find(&images.under_test, name) else {
        return;
    };
    let object = format!("service:{name}");
    let mut record = Record::new(object, "image", Class::Substituted, Severity::Info);
    if let Some(image) = &service.image.reference {
        record.declared = image.value.clone();
        record = record.at(&image.span);
    }
    record.actual = reference.value.clone();
    record.reason = "it is the image under test".to_owned();
    record.rule = "under-test".to_owned();
    report.records.push(record);
    let image = Sourced::new(reference.value.clone(), reference.span.clone());
    service.image.reference = Some(image);
    service.image.build = None;
}

fn rewrite(name: &str, service: &mut Service, images: &Images, report: &mut Report) {
    let Some(image) = &mut service.image.reference else {
        return;
    };
    if find(&images.under_test, name).is_some() {
        return;
    }
    let full = with_registry(image);
    let best = images
        .rewrite
        .iter()
        .filter(|r| full.starts_with(r.name.as_str()) || image.starts_with(r.name.as_str()))
        .max_by_key(|r| r.name.len());
    let Some(rule) = best else { return };
    let rest = image
        .strip_prefix(rule.name.as_str())
        .or_else(|| full.strip_prefix(rule.name.as_str()))
        .unwrap_or_default();
    let now = format!("{}{rest}", rule.value.as_str());
    let object = format!("service:{name}");
    let mut record =
        Record::new(object, "image", Class::Substituted, Severity::Low).at(&image.span);
    record.declared = image.value.clone();
    record.actual.clone_from(&now);
    record.reason = "images.rewrite names another place for it".to_owned();
    record.rule = "rewrite".to_owned();
    report.records.push(record);
    image.value = now;
}

/// A reference with the registry that is meant when it names none.
fn with_registry(reference: &str) -> String {
    match reference.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => {
            reference.to_owned()
        }
        Some(_) => format!("docker.io/{reference}"),
        None => format!("docker.io/library/{reference}"),
    }
}

/// A mirror runs images; it does not build them.
fn build(name: &str, service: &mut Service, report: &mut Report) {
    if service
        .image
        .pull_policy
        .as_ref()
        .is_some_and(|p| p.value == "build")
    {
        service.image.pull_policy = None;
    }
    let built = service.image.build.take();
    let open = service
        .image
        .reference
        .take_if(|r| is_placeholder(r) || r.starts_with(MISSING));
    if service.image.reference.is_some() || service.provider.is_some() {
        return;
    }
    let places = built.as_ref().map(|b| &b.span);
    let places = places.or(open.as_ref().map(|o| &o.span));
    let span = places.unwrap_or(&service.name.span).clone();
    let key = crate::stack::encode::key(name);
    let why = match (&built, &open) {
        (Some(_), _) => "production builds it".to_owned(),
        (None, Some(open)) if open.starts_with(MISSING) => "the spec names none".to_owned(),
        (None, Some(open)) => format!("`{}` is the placeholder of a template", open.value),
        (None, None) => "the spec names none".to_owned(),
    };
    let help =
        format!("name the image in mirror.yaml:\nimages:\n  under_test:\n    {key}: REFERENCE");
    report.problems.push(
        Problem::at(
            ProblemKind::Missing,
            &span,
            format!("service `{name}` has no image: {why}"),
        )
        .help(help.clone()),
    );
    let object = format!("service:{name}");
    let mut record = Record::new(object, "image", Class::Dropped, Severity::Blocker).at(&span);
    record.reason = format!("it has no image: {why}");
    record.raise = help;
    record.rule = "image".to_owned();
    report.records.push(record);
    // The rest of the stack can be looked at all the same; no registry has this name.
    service.image.reference = Some(format!("{MISSING}{}", name.to_lowercase()).into());
}

/// Whether a reference is a part of a template that was not filled in: it has signs that no
/// reference has.
fn is_placeholder(reference: &str) -> bool {
    reference.contains(['<', '>', '{', '}', '$', '%', '"'])
        || reference.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_told_from_references() {
        for text in [
            "<IMAGE>",
            "{{repo}}/web:1",
            "$ECR_REPO",
            "r.example/web:${TAG}",
            "%IMAGE%",
        ] {
            assert!(is_placeholder(text), "{text}");
        }
        for text in [
            "nginx",
            "r.example:5000/a/b:1.0_x@sha256:0123",
            "public.ecr.aws/x/y:latest",
        ] {
            assert!(!is_placeholder(text), "{text}");
        }
    }

    #[test]
    fn references_have_a_registry() {
        assert_eq!(with_registry("nginx:1"), "docker.io/library/nginx:1");
        assert_eq!(with_registry("shop/web"), "docker.io/shop/web");
        assert_eq!(with_registry("localhost:5000/web"), "localhost:5000/web");
        assert_eq!(with_registry("r.example/a/b"), "r.example/a/b");
    }
}
