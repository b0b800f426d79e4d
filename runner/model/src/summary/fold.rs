//! How each event changes the summary.

use std::collections::{BTreeMap, VecDeque};

use super::{
    Attempt, Case, Egress, End, LogLine, Service, Stack, StackFailure, Status, Step, Summary,
};
use crate::event::{CaseId, Event, Evidence, Outcome, Place, ServiceState, What, fidelity_text};

/// Lines of a stack that are remembered.
const LOG_LINES: usize = 200;
/// Lines that a failed step shows at most.
const STEP_LINES: usize = 40;
/// Lines from before a failed step began that belong to it still, in milliseconds.
const LINES_BEFORE_MS: u64 = 200;
/// Log lines arrive a little later than the answers they explain, in milliseconds.
const LINES_AFTER_MS: u64 = 500;
/// Evidence of passed steps that is kept over the whole run, in bytes.
const PASSED_EVIDENCE: usize = 2 << 20;
/// Evidence of one step that is kept, in bytes.
const STEP_EVIDENCE: usize = 256 << 10;

impl Summary {
    /// Takes one event.
    pub fn apply(&mut self, event: &Event) {
        let ms = event.ms;
        self.last_ms = self.last_ms.max(ms);
        match &event.what {
            What::RunStarted {
                run,
                version,
                project,
                seed,
                cases,
                properties,
            } => {
                self.run.clone_from(run);
                self.version.clone_from(version);
                self.project.clone_from(project);
                self.seed = *seed;
                self.started = Some(event.at);
                self.properties.clone_from(properties);
                for id in cases {
                    self.index_of(id);
                }
            }
            What::CaseStarted { case, stack } => self.case_started(case, stack, ms),
            What::StepStarted {
                case,
                step,
                title,
                kind,
                place,
            } => {
                let i = self.index_of(case);
                self.cases[i]
                    .steps
                    .push(Step::new(step, title, kind, Some(place), ms));
            }
            What::StepFinished { .. } => self.step_finished(&event.what, ms),
            What::CaseFinished {
                case,
                outcome,
                took_ms,
                reason,
                rerun,
            } => {
                let i = self.index_of(case);
                // A case whose stack did not start was never told to run on it.
                let refused = self.stacks.iter().rev().find(|s| {
                    let failure = s.failure.as_ref().filter(|f| !f.reason.is_empty());
                    let why = reason.as_deref().unwrap_or_default();
                    failure.is_some_and(|f| why.ends_with(f.reason.as_str()))
                });
                let refused = refused.map(|s| s.name.clone());
                let c = &mut self.cases[i];
                c.stack = refused.or(c.stack.take());
                c.status = Status::Ended(*outcome);
                c.took_ms = *took_ms;
                c.reason.clone_from(reason);
                c.rerun.clone_from(rerun);
            }
            What::Source { file, first, lines } => {
                let known = self.sources.entry(file.clone()).or_default();
                known.extend((*first..).zip(lines.iter().cloned()));
            }
            What::Fidelity {
                mirrored,
                differing,
                ..
            } => {
                let text = fidelity_text(*mirrored, differing);
                self.properties.insert("fidelity".into(), text);
            }
            What::Warning { message } => self.warnings.push(message.clone()),
            What::RunFinished {
                clean,
                interrupted,
                exit,
                took_ms,
            } => {
                self.end = Some(End {
                    clean: *clean,
                    interrupted: *interrupted,
                    exit: *exit,
                    took_ms: *took_ms,
                });
            }
            What::Image { .. } => {}
            other => self.apply_stack(other, ms),
        }
    }

    fn apply_stack(&mut self, what: &What, ms: u64) {
        match what {
            What::StackStarting { stack, services } => {
                self.stacks.push(Stack::new(stack, services, ms));
            }
            What::Service {
                stack,
                service,
                replica,
                state,
                detail,
            } => {
                let s = self.stack_mut(stack, ms).service(service);
                s.replicas.insert(*replica, *state);
                s.detail.clone_from(detail);
            }
            What::Data {
                stack,
                volume,
                summary,
                ..
            } => {
                let data = &mut self.stack_mut(stack, ms).data;
                data.insert(volume.clone(), summary.clone());
            }
            What::StackReady { stack, took_ms } => {
                self.stack_mut(stack, ms).ready_ms = Some(*took_ms);
            }
            What::StackFailed {
                stack,
                service,
                reason,
                log,
            } => {
                self.stack_mut(stack, ms).failure = Some(StackFailure {
                    service: service.clone(),
                    reason: reason.clone(),
                    log: log.clone(),
                });
            }
            What::StackStopped { stack, took_ms } => {
                self.stack_mut(stack, ms).stopped_ms = Some(*took_ms);
            }
            What::Log {
                stack,
                service,
                replica,
                stream,
                line,
            } => self.log_line(
                stack,
                LogLine {
                    ms,
                    service: service.clone(),
                    replica: *replica,
                    stream: stream.clone(),
                    line: line.clone(),
                },
            ),
            What::Egress {
                stack,
                service,
                protocol,
                target,
                by,
            } => self.tried([stack, service, protocol, target, by]),
            _ => {}
        }
    }

    fn index_of(&mut self, id: &CaseId) -> usize {
        if let Some(&i) = self.by_id.get(id) {
            return i;
        }
        self.cases.push(Case::new(id.clone()));
        self.by_id.insert(id.clone(), self.cases.len() - 1);
        self.cases.len() - 1
    }

    fn stack_mut(&mut self, name: &str, ms: u64) -> &mut Stack {
        let i = match self.stacks.iter().rposition(|s| s.name == name) {
            Some(i) => i,
            None => {
                self.stacks.push(Stack::new(name, &[], ms));
                self.stacks.len() - 1
            }
        };
        &mut self.stacks[i]
    }

    fn case_started(&mut self, id: &CaseId, stack: &str, ms: u64) {
        let i = self.index_of(id);
        let c = &mut self.cases[i];
        if c.status != Status::NotRun {
            c.earlier.push(Attempt {
                outcome: match c.status {
                    Status::Ended(o) => Some(o),
                    Status::NotRun | Status::Running => None,
                },
                took_ms: c.took_ms,
                reason: c.reason.take(),
                steps: std::mem::take(&mut c.steps),
            });
        }
        c.status = Status::Running;
        c.stack = Some(stack.to_owned());
        c.started_ms = Some(ms);
        c.took_ms = 0;
        self.stack_mut(stack, ms).gathering = None;
    }

    fn step_finished(&mut self, what: &What, ms: u64) {
        let What::StepFinished {
            case,
            step,
            outcome,
            took_ms,
            attempts,
            mismatches,
            error,
            evidence,
        } = what
        else {
            return;
        };
        let bad = !matches!(outcome, Outcome::Passed | Outcome::Skipped);
        let evidence = self.keep(evidence, bad);
        let i = self.index_of(case);
        let c = &mut self.cases[i];
        let at = match c
            .steps
            .iter()
            .rposition(|s| s.position == *step && s.outcome.is_none())
        {
            Some(at) => at,
            None => {
                c.steps.push(Step::new(step, step, "", None, ms));
                c.steps.len() - 1
            }
        };
        let s = &mut c.steps[at];
        s.outcome = Some(*outcome);
        s.took_ms = *took_ms;
        s.attempts = *attempts;
        s.mismatches.clone_from(mismatches);
        s.error.clone_from(error);
        s.evidence = evidence;
        if bad {
            self.gather(i, at, ms);
        }
    }

    /// Gives a step that did not pass what its stack logged around it.
    fn gather(&mut self, case: usize, step: usize, ms: u64) {
        let Some(stack) = self.cases[case].stack.clone() else {
            return;
        };
        // A little before the step, but nothing of the case before this one.
        let from = self.cases[case].steps[step]
            .started_ms
            .saturating_sub(LINES_BEFORE_MS)
            .max(self.cases[case].started_ms.unwrap_or(0));
        let stack = self.stack_mut(&stack, ms);
        stack.gathering = Some((case, step, ms + LINES_AFTER_MS));
        let near: Vec<LogLine> = stack.log.iter().filter(|l| l.ms >= from).cloned().collect();
        let skip = near.len().saturating_sub(STEP_LINES);
        self.cases[case].steps[step].logs = near.into_iter().skip(skip).collect();
    }

    fn log_line(&mut self, stack: &str, line: LogLine) {
        let s = self.stack_mut(stack, line.ms);
        if s.log.len() == LOG_LINES {
            s.log.pop_front();
        }
        s.log.push_back(line.clone());
        let Some((case, step, until)) = s.gathering else {
            return;
        };
        if line.ms > until {
            s.gathering = None;
            return;
        }
        // A new attempt at the case took its steps away.
        if let Some(step) = self.cases[case].steps.get_mut(step)
            && step.logs.len() < STEP_LINES
        {
            step.logs.push(line);
        }
    }

    fn tried(&mut self, [stack, service, protocol, target, by]: [&String; 5]) {
        let known = self.egress.iter_mut().find(|e| {
            e.target == *target
                && e.service == *service
                && e.protocol == *protocol
                && e.stack == *stack
        });
        match known {
            Some(e) => e.count += 1,
            None => self.egress.push(Egress {
                stack: stack.clone(),
                service: service.clone(),
                protocol: protocol.clone(),
                target: target.clone(),
                by: by.clone(),
                count: 1,
            }),
        }
    }

    /// The evidence that memory allows to keep: all of a step that did not pass (within
    /// reason), and of passed ones until their share is used up.
    fn keep(&mut self, evidence: &[Evidence], bad: bool) -> Vec<Evidence> {
        let size: usize = evidence.iter().map(|e| e.text.len()).sum();
        if !bad {
            if self.kept_evidence + size > PASSED_EVIDENCE {
                return Vec::new();
            }
            self.kept_evidence += size;
        }
        if size <= STEP_EVIDENCE {
            return evidence.to_vec();
        }
        let share = STEP_EVIDENCE / evidence.len();
        evidence
            .iter()
            .map(|e| Evidence {
                title: e.title.clone(),
                text: cut(&e.text, share),
            })
            .collect()
    }
}

fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let mut end = bytes;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}… ({} bytes more)", &text[..end], text.len() - end)
}

impl Case {
    fn new(id: CaseId) -> Self {
        Self {
            id,
            stack: None,
            status: Status::NotRun,
            started_ms: None,
            took_ms: 0,
            reason: None,
            rerun: None,
            steps: Vec::new(),
            earlier: Vec::new(),
        }
    }
}

impl Step {
    fn new(position: &str, title: &str, kind: &str, place: Option<&Place>, ms: u64) -> Self {
        Self {
            position: position.to_owned(),
            title: title.to_owned(),
            kind: kind.to_owned(),
            place: place.cloned(),
            outcome: None,
            started_ms: ms,
            took_ms: 0.0,
            attempts: 0,
            mismatches: Vec::new(),
            error: None,
            evidence: Vec::new(),
            logs: Vec::new(),
        }
    }
}

impl Stack {
    fn new(name: &str, services: &[String], ms: u64) -> Self {
        let mut stack = Self {
            name: name.to_owned(),
            started_ms: ms,
            ready_ms: None,
            stopped_ms: None,
            failure: None,
            data: BTreeMap::new(),
            services: Vec::new(),
            log: VecDeque::new(),
            gathering: None,
        };
        for s in services {
            stack.service(s);
        }
        stack
    }

    fn service(&mut self, name: &str) -> &mut Service {
        let i = match self.services.iter().position(|s| s.name == name) {
            Some(i) => i,
            None => {
                self.services.push(Service {
                    name: name.to_owned(),
                    replicas: BTreeMap::new(),
                    detail: None,
                });
                self.services.len() - 1
            }
        };
        &mut self.services[i]
    }
}

impl Service {
    /// The state that says most about the service: the worst of its replicas.
    pub fn state(&self) -> Option<ServiceState> {
        let rank = |s: &ServiceState| match s {
            ServiceState::Died => 7,
            ServiceState::Unhealthy => 6,
            ServiceState::Restarted => 5,
            ServiceState::Created => 4,
            ServiceState::Started => 3,
            ServiceState::Healthy => 2,
            ServiceState::Completed => 1,
            ServiceState::Removed => 0,
        };
        self.replicas.values().copied().max_by_key(rank)
    }
}
