//! A project, opened: read, compiled into its stack, and its secrets at hand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prodmirror_engine::agent;
use prodmirror_engine::step::{Known, Program, check_targets, compile_all, compile_with_flags};
use prodmirror_model::compile::{Compiled, Inputs, Stack, compile};
use prodmirror_model::diag::{Problem, ProblemKind, Problems, nearest};
use prodmirror_model::flags::{Choices, records};
use prodmirror_model::lock::{self, Lock, Needed};
use prodmirror_model::mirror::Service;
use prodmirror_model::project::{Project, SecretSource};
use prodmirror_model::redact::Redactor;
use prodmirror_model::secret::Secret;
use prodmirror_model::source::io_reason;
use prodmirror_model::stack::Variable;
use prodmirror_model::yaml::Spanned;

use crate::args::{GivenStack, Global};
use crate::context::Context;
use crate::flags;
use crate::manifests;
use crate::select;

/// A project with everything that its files say.
pub struct Opened {
    /// The project file.
    pub project: Project,
    /// What became of it.
    pub compiled: Compiled,
    /// Values of declared secrets, by their name in `mirror.yaml`, as far as they are known.
    pub secrets: BTreeMap<String, Secret>,
    /// The key of the project's masks, as far as it is known.
    pub mask_key: Option<Secret>,
    /// Takes secrets out of everything that is printed.
    pub redactor: Redactor,
    /// All that is wrong or doubtful, of specs, secrets and the lock.
    pub problems: Problems,
    /// The images that the stack needs, without the tool's own.
    pub images: BTreeMap<String, Needed>,
    /// The project's lock, when there is one.
    pub lock: Option<Lock>,
    /// Its feature flags, and which of them scenarios are run with.
    pub flags: Arc<Choices>,
}

/// Scenarios that are ready to run.
pub struct Scenarios {
    /// Compiled scenarios that were selected, in order.
    pub programs: Vec<Program>,
    /// The files that were read.
    pub files: Vec<Arc<prodmirror_model::source::SourceFile>>,
    /// All that is wrong or doubtful in them.
    pub problems: Problems,
}

impl Opened {
    /// Opens the project that the command line or the directory names. `arch` is the engine's
    /// architecture, for the agent's image.
    ///
    /// # Errors
    /// What keeps the project or production's files from being read at all.
    pub fn open(global: &Global, context: &Context, arch: &str) -> Result<Self, Problems> {
        let mut opened = Self::without_lock(global, context, arch)?;
        match lock::load(&opened.project.root) {
            Ok(lock) => opened.lock = lock,
            Err(problems) => opened.problems.0.extend(problems.0),
        }
        if let Some(stack) = &opened.compiled.stack {
            let production = &opened.compiled.production;
            let lock = opened.lock.as_ref();
            let records = lock::records(&stack.mirror, production, &opened.images, lock);
            let fidelity = &mut opened.compiled.fidelity;
            fidelity.add(records);
            fidelity.accept(&opened.project.fidelity);
        }
        Ok(opened)
    }

    /// As [`open`](Self::open), whatever the lock says.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn without_lock(global: &Global, context: &Context, arch: &str) -> Result<Self, Problems> {
        let path = match &global.project {
            Some(path) => context.cwd.join(path),
            None => Project::find(&context.cwd)?,
        };
        Self::of(Project::load(&path)?, global, context, arch)
    }

    /// As [`without_lock`](Self::without_lock), for a project that was read already.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn of(
        mut project: Project,
        global: &Global,
        context: &Context,
        arch: &str,
    ) -> Result<Self, Problems> {
        if global.flags.is_some() {
            project.flags.clone_from(&global.flags);
        }
        let given = images(&global.image)?;
        let inputs = Inputs {
            shell: context.env.clone(),
            whole_shell: global.pass_env,
            images: given.clone(),
            profiles: Vec::new(),
            agent_image: agent::image_tag(arch)?,
            vars: serde_json::Map::new(),
            stand_ins: false,
            rendered: manifests::render(&project, context)?,
        };
        let mut compiled = compile(&project, &inputs)?;
        let redactor = Redactor::new();
        let mut problems = compiled.problems.clone();
        if let Some(given) = &global.stack {
            problems = put(given, &project, &mut compiled)?;
        }
        let (choices, found) = flags::choices(&project, compiled.flags.as_ref(), &[]);
        problems.0.extend(found.0);
        if let Some(set) = &choices.set {
            let all = choices.everywhere();
            let records = records(set, all.iter().map(|c| (c.as_slice(), None)));
            compiled.fidelity.add(records);
            compiled.fidelity.accept(&project.fidelity);
        }
        let mut secrets = BTreeMap::new();
        for s in &project.secrets {
            match value_of(&s.value.value, context) {
                Ok(value) => {
                    redactor.add(&s.name.value, &value);
                    secrets.insert(s.name.value.clone(), value);
                }
                Err(why) => problems.push(
                    Problem::at(
                        ProblemKind::Missing,
                        &s.value.span,
                        format!("the secret `{}` has no value: {why}", s.name.value),
                    )
                    .help("set it, or use { stub: … } for a value that is not secret"),
                ),
            }
        }
        // Only `snapshot create` needs it.
        let mask_key = project.mask_key.as_ref();
        let mask_key = mask_key.and_then(|s| value_of(&s.value, context).ok());
        if let Some(key) = &mask_key {
            redactor.add("mask_key", key);
        }
        let needed = needed(&project, &compiled, &given);
        let opened = Self {
            project,
            compiled,
            secrets,
            mask_key,
            redactor,
            problems,
            images: needed,
            lock: None,
            flags: Arc::new(choices),
        };
        for (name, value) in opened.texts() {
            opened.redactor.add(&name, &value);
        }
        Ok(opened)
    }

    /// Sets feature flags for one run.
    ///
    /// # Errors
    /// Flags that there are none of, values that they do not have.
    pub fn set_flags(&mut self, fixed: &[(String, serde_json::Value)]) -> Result<(), Problems> {
        if fixed.is_empty() || self.flags_are_broken() {
            return Ok(());
        }
        let before: Vec<Problem> = self.problems.0.clone();
        let (choices, found) = flags::choices(&self.project, self.compiled.flags.as_ref(), fixed);
        // What the project itself says was told when it was opened.
        let mut found = found.0;
        found.retain(|p| !before.contains(p));
        if found.iter().any(Problem::is_error) {
            return Err(Problems(found));
        }
        self.flags = Arc::new(choices);
        Ok(())
    }

    /// Whether the project names flags that cannot be read.
    fn flags_are_broken(&self) -> bool {
        self.project.flags.is_some() && self.compiled.flags.is_none()
    }

    /// Secret values that stand in production's own files.
    fn texts(&self) -> Vec<(String, Secret)> {
        let stack = self.compiled.stack.as_ref();
        stack
            .into_iter()
            .flat_map(|s| &s.variables)
            .filter_map(|(name, v)| match v {
                Variable::Text(secret) => Some((name.clone(), secret.clone())),
                _ => None,
            })
            .collect()
    }

    /// The stack, when nothing refuses it.
    pub fn stack(&self) -> Option<&Stack> {
        self.compiled
            .stack
            .as_ref()
            .filter(|_| !self.problems.has_errors())
    }

    /// The stack to look at: also one that has nothing in it, which cannot be started.
    pub fn shown_stack(&self) -> Option<&Stack> {
        let mut errors = self.problems.0.iter().filter(|p| p.is_error());
        let empty = errors.all(|p| p.kind == ProblemKind::NothingRuns);
        self.compiled.stack.as_ref().filter(|_| empty)
    }

    /// Values of all variables of the stack.
    ///
    /// # Errors
    /// Variables without a value.
    pub fn values(&self, stack: &Stack) -> Result<BTreeMap<String, Secret>, Problems> {
        let mut values = BTreeMap::new();
        let mut problems = Problems::default();
        for (name, variable) in &stack.variables {
            let value = match variable {
                Variable::Declared { secret, .. } => self.secrets.get(secret).cloned(),
                Variable::Text(secret) => Some(secret.clone()),
                Variable::Environment => self.secrets.get(name).cloned(),
            };
            match value {
                Some(value) => {
                    values.insert(name.clone(), value);
                }
                None => problems.push(
                    Problem::new(
                        ProblemKind::Missing,
                        format!("the variable `{name}` of the stack has no value"),
                    )
                    .help(format!(
                        "add `{name}: {{ env: {name} }}` under `secrets` in mirror.yaml"
                    )),
                ),
            }
        }
        if problems.0.is_empty() {
            Ok(values)
        } else {
            Err(problems)
        }
    }

    /// Reads and compiles scenarios, and checks the names they use against the stack.
    pub fn scenarios(&self, paths: &[PathBuf], cwd: &Path) -> Scenarios {
        let (files, mut problems) = select::files(paths, &self.project.root, cwd);
        // Of flags that cannot be read nothing is known, which was told.
        let (programs, found) = match self.flags_are_broken() {
            true => compile_all(&files),
            false => compile_with_flags(&files, self.flags.clone()),
        };
        problems.0.extend(found);
        if let Some(stack) = &self.compiled.stack {
            let known = known(stack);
            let there = |s: &str| known.services.contains(s);
            for program in &programs {
                problems.0.extend(unknown_volumes(program, stack));
                // What requires more than the stack has is skipped, not wrong.
                let required = &program.scenario.requires.services;
                if required.iter().all(|s| there(&s.value)) {
                    problems.0.extend(check_targets(&program.targets(), &known));
                }
            }
        }
        Scenarios {
            programs,
            files,
            problems,
        }
    }
}

/// Puts a stack that was rendered before in the place of the project's own, and says what is
/// wrong with it: what is wrong with the project's own matters no more.
fn put(
    given: &GivenStack,
    project: &Project,
    compiled: &mut Compiled,
) -> Result<Problems, Problems> {
    let variable = |name: &String| {
        let source = project.secret(name).map(|s| s.value.clone());
        let source = source.unwrap_or_else(|| SecretSource::Env(name.clone()));
        let secret = name.clone();
        (name.clone(), Variable::Declared { secret, source })
    };
    let variables = given.variables.iter().map(variable).collect();
    let stack = Stack::of_text(project, &given.name, given.text.clone(), variables)?;
    let dangers = given.untrusted.as_ref().map(|allowed| {
        let mut found = stack.dangers(project, allowed);
        for p in found
            .0
            .iter_mut()
            .filter(|p| p.kind == ProblemKind::Forbidden)
        {
            // What a project may allow, somebody else's stack may not.
            let of_user = p
                .help
                .as_ref()
                .is_some_and(|h| h.contains("--allow-egress"));
            if !of_user {
                p.help = Some(
                    "nothing was started: a stack of somebody else gets nothing of this machine"
                        .into(),
                );
            }
        }
        found
    });
    compiled.stack = Some(stack);
    Ok(dangers.unwrap_or_default())
}

/// Volumes that a scenario names data for and that the stack does not have.
fn unknown_volumes(program: &Program, stack: &Stack) -> Vec<Problem> {
    let volumes = &stack.mirror.volumes;
    let named = program.scenario.data.iter();
    let unknown = named.filter(|(volume, _)| !volumes.contains_key(volume.as_str()));
    let problem = |(volume, snapshot): (&String, &Spanned<String>)| {
        let known: Vec<&str> = volumes.keys().map(String::as_str).collect();
        let what = format!("`data`: production has no volume `{volume}`");
        let help = match nearest(volume, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("volumes: {}", known.join(", ")),
        };
        Problem::at(ProblemKind::UnknownReference, &snapshot.span, what).help(help)
    };
    unknown.map(problem).collect()
}

/// The names that steps may use.
fn known(stack: &Stack) -> Known {
    let mut known = Known::default();
    for (name, service) in &stack.mirror.services {
        known.services.insert(name.clone());
        known.hosts.extend(names(service));
    }
    let stubs = stack.extension.stubs.values();
    let stubs = stubs.flat_map(|s| s.ports.iter().map(|p| (s.host.clone(), *p)));
    let allowed = stack.extension.egress.allow.iter().filter_map(|a| {
        let (host, port) = a.rsplit_once(':')?;
        Some((host.to_owned(), port.parse().ok()?))
    });
    for (host, port) in stubs.chain(allowed) {
        known.hosts.insert(host.clone());
        known.ports.entry(host).or_default().insert(port);
    }
    known
}

/// Names that a service has besides its own.
fn names(service: &Service) -> Vec<String> {
    let network = &service.network;
    let aliases = network.attachments.values().flat_map(|a| &a.aliases);
    let single = [&service.container_name, &network.hostname];
    aliases
        .chain(single.into_iter().flatten())
        .map(|n| n.value.clone())
        .collect()
}

/// The images that a stack needs.
fn needed(
    project: &Project,
    compiled: &Compiled,
    given: &[(String, String)],
) -> BTreeMap<String, Needed> {
    let under_test = project.images.under_test.iter();
    let under_test: Vec<String> = under_test.map(|e| e.name.value.clone()).collect();
    let given: Vec<String> = given.iter().map(|(service, _)| service.clone()).collect();
    let stack = compiled.stack.as_ref();
    let of = |s: &Stack| lock::needed(&s.mirror, is_own, (&under_test, &given));
    stack.map(of).unwrap_or_default()
}

/// Whether an image is the tool's own, which is never pulled.
pub fn is_own(reference: &str) -> bool {
    reference.starts_with("prodmirror/agent:")
}

/// Reads `SERVICE=IMAGE`.
///
/// # Errors
/// The first that is not of that form.
pub fn images(given: &[String]) -> Result<Vec<(String, String)>, Problem> {
    given
        .iter()
        .map(|text| match text.split_once('=') {
            Some((service, image)) if !service.is_empty() && !image.is_empty() => {
                Ok((service.to_owned(), image.to_owned()))
            }
            _ => Err(Problem::new(
                ProblemKind::InvalidValue,
                format!("`--image {text}` is not SERVICE=IMAGE"),
            )),
        })
        .collect()
}

/// The value of a secret, from where the project says.
///
/// # Errors
/// Why it has none.
pub fn value_of(source: &SecretSource, context: &Context) -> Result<Secret, String> {
    match source {
        SecretSource::Stub(value) => Ok(value.clone()),
        SecretSource::Env(name) => match context.env.get(name) {
            Some(value) => Ok(Secret::new(value.clone())),
            None => Err(format!("the environment variable {name} is not set")),
        },
        SecretSource::File(path) => match std::fs::read_to_string(path) {
            Ok(text) => Ok(Secret::new(text.strip_suffix('\n').unwrap_or(&text))),
            Err(e) => Err(format!(
                "{} cannot be read: {}",
                path.display(),
                io_reason(&e)
            )),
        },
    }
}
