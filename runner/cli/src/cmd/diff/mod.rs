//! `diff`: what differs between two environments.

mod human;
mod json;
mod report;
pub mod side;

use std::collections::BTreeSet;

use prodmirror_model::compare::{Comparison, Side, compare, provided};
use prodmirror_model::diag::Problems;
use prodmirror_model::redact::Redactor;

use self::side::Environment;
use super::{Session, probe};
use crate::args::{DiffArgs, Format};
use crate::exit::Exit;
use crate::look_at;
use crate::report::Wanted;

/// What is written.
struct Report<'r> {
    comparison: &'r Comparison,
    a: &'r Environment,
    b: &'r Environment,
    redactor: &'r Redactor,
}

/// Compares.
pub async fn run(session: &Session, args: &DiffArgs) -> Exit {
    let sides = reports(args).and_then(|wanted| Ok((wanted, both(session, args)?)));
    let (wanted, (mut a, mut b)) = match sides {
        Ok(opened) => opened,
        Err(problems) => {
            session.tell(&problems, &Redactor::new());
            return Exit::Invalid;
        }
    };
    if args.probe
        && let Err(exit) = look_into(session, args, (&mut a, &mut b)).await
    {
        return exit;
    }
    let comparison = compare(side(&a), side(&b));
    let redactor = look_at::redactor(&[&a.looked, &b.looked]);
    let report = Report {
        comparison: &comparison,
        a: &a,
        b: &b,
        redactor: &redactor,
    };
    session.print(&match session.global.format {
        Format::Json => json::text(&report),
        _ => human::text(&report, session.look()),
    });
    if let Err(problems) = report::write(&report, &wanted) {
        session.tell(&problems, &redactor);
        return Exit::Invalid;
    }
    if comparison.changes.is_empty() {
        Exit::Ok
    } else {
        Exit::Failed
    }
}

fn side(e: &Environment) -> Side<'_> {
    Side {
        mirror: &e.looked.compiled.production,
        beyond: &e.looked.compiled.beyond,
        project: &e.looked.project,
        fingerprints: &e.fingerprints,
    }
}

fn reports(args: &DiffArgs) -> Result<Vec<Wanted>, Problems> {
    let wanted: Result<Vec<_>, _> = args.report.iter().map(|r| Wanted::parse(r)).collect();
    Ok(wanted?)
}

fn both(session: &Session, args: &DiffArgs) -> Result<(Environment, Environment), Problems> {
    let a = side::open(session, args.a.as_deref(), &args.image_a)?;
    let other = args.b.as_deref().or(args.a.as_deref());
    let b = side::open(session, other, &session.global.image)?;
    if args.b.is_none() && args.image_a.is_empty() && session.global.image.is_empty() {
        return Err(side::nothing_to_compare().into());
    }
    Ok((a, b))
}

async fn look_into(
    session: &Session,
    args: &DiffArgs,
    (a, b): (&mut Environment, &mut Environment),
) -> Result<(), Exit> {
    let ours = &a.looked.compiled.production.services;
    let theirs = &b.looked.compiled.production.services;
    let mut wanted = BTreeSet::new();
    for (name, service) in ours {
        let one = service.image.reference.as_ref();
        let other = theirs.get(name).and_then(|s| s.image.reference.as_ref());
        // The same image cannot differ inside.
        if let (Some(one), Some(other)) = (one, other)
            && one != other
        {
            wanted.extend([one.value.clone(), other.value.clone()]);
        }
    }
    // What only one side is given, the other side's image may have or lack.
    let mut ask = BTreeSet::new();
    for p in provided(side(a), side(b)) {
        wanted.insert(p.image);
        ask.insert(p.path);
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let project = a.looked.project.title();
    let found = probe::images(session, (wanted, ask), &project, args.offline).await?;
    a.fingerprints.clone_from(&found);
    b.fingerprints = found;
    Ok(())
}
