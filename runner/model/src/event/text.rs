//! All texts of an event, for redaction.

use std::collections::BTreeMap;

use super::{CaseId, Evidence, Mismatch, Place, What};

impl What {
    /// Calls `f` on every text of the event. Nothing is left out, so that a new field cannot be
    /// forgotten: this does not compile without it.
    pub fn each_text(&mut self, f: &mut dyn FnMut(&mut String)) {
        match self {
            Self::RunStarted {
                run,
                version,
                project,
                seed: _,
                cases,
                properties,
            } => {
                all([run, version, project], f);
                cases.iter_mut().for_each(|c| c.each_text(f));
                map(properties, f);
            }
            Self::Image {
                image,
                state,
                detail,
            } => all([image, state, detail], f),
            Self::Printed { case, step, text } => {
                case.each_text(f);
                all([step, text], f);
            }
            Self::StackStarting { stack, services } => {
                f(stack);
                all(services, f);
            }
            Self::Data {
                stack,
                volume,
                snapshot,
                digest,
                summary,
                kind,
                took_ms: _,
            } => all([stack, volume, snapshot, digest, summary, kind], f),
            Self::Service {
                stack,
                service,
                replica: _,
                state: _,
                detail,
            } => {
                all([stack, service], f);
                all(detail, f);
            }
            Self::Fidelity {
                stack,
                mirrored: _,
                differing,
            } => {
                f(stack);
                let counts = std::mem::take(differing).into_iter();
                *differing = counts
                    .map(|(mut severity, n)| {
                        f(&mut severity);
                        (severity, n)
                    })
                    .collect();
            }
            Self::StackReady { stack, took_ms: _ } | Self::StackStopped { stack, took_ms: _ } => {
                f(stack);
            }
            Self::StackFailed {
                stack,
                service,
                reason,
                log,
            } => {
                all([stack, reason], f);
                all(service, f);
                all(log, f);
            }
            Self::CaseStarted { case, stack } => {
                case.each_text(f);
                f(stack);
            }
            Self::StepStarted {
                case,
                step,
                title,
                kind,
                place,
            } => {
                case.each_text(f);
                all([step, title, kind], f);
                place.each_text(f);
            }
            Self::StepFinished {
                case,
                step,
                outcome: _,
                took_ms: _,
                attempts: _,
                mismatches,
                error,
                evidence,
            } => {
                case.each_text(f);
                f(step);
                mismatches.iter_mut().for_each(|m| m.each_text(f));
                all(error, f);
                evidence.iter_mut().for_each(|e| e.each_text(f));
            }
            Self::CaseFinished {
                case,
                outcome: _,
                took_ms: _,
                reason,
                rerun,
            } => {
                case.each_text(f);
                all(reason, f);
                all(rerun, f);
            }
            Self::Log {
                stack,
                service,
                replica: _,
                stream,
                line,
            } => all([stack, service, stream, line], f),
            Self::Egress {
                stack,
                service,
                protocol,
                target,
                by,
            } => all([stack, service, protocol, target, by], f),
            Self::Source {
                file,
                first: _,
                lines,
            } => {
                f(file);
                all(lines, f);
            }
            Self::Warning { message } => f(message),
            Self::RunFinished {
                clean: _,
                interrupted: _,
                exit: _,
                took_ms: _,
            } => {}
        }
    }
}

impl CaseId {
    fn each_text(&mut self, f: &mut dyn FnMut(&mut String)) {
        let Self { file, name } = self;
        all([file, name], f);
    }
}

impl Place {
    fn each_text(&mut self, f: &mut dyn FnMut(&mut String)) {
        let Self {
            file,
            line: _,
            column: _,
        } = self;
        f(file);
    }
}

impl Mismatch {
    fn each_text(&mut self, f: &mut dyn FnMut(&mut String)) {
        let Self {
            expectation,
            kind,
            place,
            expected,
            actual,
            path,
            hint,
        } = self;
        all([expectation, kind, expected, actual], f);
        if let Some(place) = place {
            place.each_text(f);
        }
        all(path, f);
        all(hint, f);
    }
}

impl Evidence {
    fn each_text(&mut self, f: &mut dyn FnMut(&mut String)) {
        let Self { title, text } = self;
        all([title, text], f);
    }
}

fn all<'a>(texts: impl IntoIterator<Item = &'a mut String>, f: &mut dyn FnMut(&mut String)) {
    texts.into_iter().for_each(f);
}

fn map(m: &mut BTreeMap<String, String>, f: &mut dyn FnMut(&mut String)) {
    *m = std::mem::take(m)
        .into_iter()
        .map(|(mut k, mut v)| {
            all([&mut k, &mut v], f);
            (k, v)
        })
        .collect();
}
