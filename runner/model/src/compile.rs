//! The whole pure pipeline: a project's files to the stack that is run.
//!
//! Project, Compose files, mirror, policy, template, text, and the mirror of the text: every
//! verb that needs a stack (`check`, `render`, `run`, `up`) takes this way, so what is checked
//! is what runs.

mod given;
mod stand_ins;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::diag::{Problem, ProblemKind, Problems, nearest};
use crate::fidelity::{Class, Fidelity, Record, Severity};
use crate::flags::{self, FlagSet};
use crate::mirror::{Input, Mirror};
use crate::plan::{HostFacts, Plan, PlanOptions, plan};
use crate::policy::{self, External, variable_of};
use crate::project::path;
use crate::project::{Images, Named, Project, SecretSource, is_variable};
use crate::secret::Secret;
use crate::source::{SourceFile, Span};
use crate::spec::Beyond;
use crate::spec::compose::{LoadRequest, Loaded};
use crate::stack::{self, Assembled, Extension, RenderRequest, Variable, secret_ref};
use crate::yaml::{Node, Spanned};

/// What a project is compiled with. Nothing is taken from the process.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// The shell's environment. Of it, production's files see the names that `env.pass` lists.
    pub shell: BTreeMap<String, String>,
    /// Whether production's files see all of it.
    pub whole_shell: bool,
    /// Images of the command line (`--image service=reference`); they win over the project's.
    pub images: Vec<(String, String)>,
    /// Profiles of the command line, beside the project's.
    pub profiles: Vec<String>,
    /// Reference of the agent's image, which stubs run.
    pub agent_image: String,
    /// Values that templates find as `vars`.
    pub vars: Map<String, Json>,
    /// Whether a required variable that nobody set is read as the reference of a secret
    /// instead of ending the reading; it is still among the problems. For those who only look
    /// at production: the stack cannot be started.
    pub stand_ins: bool,
    /// Texts that a tool made of sources (a kustomization, a chart), by the source's path.
    pub rendered: BTreeMap<PathBuf, Arc<SourceFile>>,
}

/// The normal form of production's files. It holds secrets that these files hold, so debug
/// output does not show it.
#[derive(Clone)]
pub struct Document(pub Node);

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Document(***)")
    }
}

/// What became of a project.
#[derive(Debug)]
pub struct Compiled {
    /// Production as its files describe it, with references in the place of secrets.
    pub production: Mirror,
    /// What production's files say beyond Compose.
    pub beyond: Beyond,
    /// The normal form of those files: every value knows its place, and how it came there.
    pub document: Document,
    /// What other programs made of production's kustomizations and charts: their text decides
    /// what runs, wherever it comes from.
    pub rendered: BTreeMap<PathBuf, Arc<SourceFile>>,
    /// The stack; absent when a problem kept it from being made.
    pub stack: Option<Stack>,
    /// What differs from production.
    pub fidelity: Fidelity,
    /// Hosts outside of the mirror that values name.
    pub externals: Vec<External>,
    /// Production's feature flags, when the project names them and they can be read.
    pub flags: Option<FlagSet>,
    /// What reading production's files found: warnings, and required variables without a value.
    /// It is among `problems` too.
    pub reading: Problems,
    /// Everything that was found, warnings too.
    pub problems: Problems,
}

/// A stack that is ready to run but for the values of its secrets.
#[derive(Debug)]
pub struct Stack {
    /// Its text, and where its lines came from.
    pub text: Assembled,
    /// The variables that it asks for, each with where its value comes from.
    pub variables: BTreeMap<String, Variable>,
    /// The mirror of the text, with references in the place of secrets.
    pub mirror: Mirror,
    /// What it says beyond Compose.
    pub extension: Extension,
}

impl Stack {
    /// The mirror of the stack with the values of its secrets: all of
    /// [`variables`](Self::variables) must be among `values`.
    ///
    /// # Errors
    /// A variable without a value, or a value that does not fit where it stands.
    pub fn with_values(
        &self,
        project: &Project,
        values: &BTreeMap<String, Secret>,
    ) -> Result<Mirror, Problems> {
        stack::read(&self.text, project, values)
    }

    /// What the engine will be asked to do for the stack.
    ///
    /// # Errors
    /// As [`with_values`](Self::with_values), and what an engine would refuse; places have
    /// the line of the template beside them.
    pub fn plan(
        &self,
        project: &Project,
        values: &BTreeMap<String, Secret>,
        host: HostFacts,
    ) -> Result<Plan, Problems> {
        let mirror = self.with_values(project, values)?;
        let options = PlanOptions {
            values: values.clone(),
            ..PlanOptions::for_stack(&mirror, project.root.clone(), host)
        };
        plan(&mirror, &options)
            .map_err(|found| Problems(found.0.into_iter().map(|p| self.text.explain(p)).collect()))
    }
}

impl Compiled {
    /// The stack, if nothing refuses it.
    ///
    /// # Errors
    /// All problems, when one of them is an error.
    pub fn ready(&self) -> Result<&Stack, &Problems> {
        match &self.stack {
            Some(stack) if !self.problems.has_errors() => Ok(stack),
            _ => Err(&self.problems),
        }
    }
}

/// Compiles a project.
///
/// # Errors
/// What keeps production's files from being read. Everything later is in
/// [`Compiled::problems`], so that all of it is seen at once.
pub fn compile(project: &Project, inputs: &Inputs) -> Result<Compiled, Problems> {
    let (read, lacking) = stand_ins::load(project, inputs).map_err(say_where_to_set)?;
    let loaded = read.loaded;
    let mut production = Mirror::from_compose(&loaded.root)?;
    production.inputs = sources(project, &loaded);
    policy::sensitive::mark(&mut production, project);
    let images = images(project, inputs);
    let mut environment: BTreeMap<String, String> = loaded
        .environment
        .iter()
        .filter(|(_, v)| !secret_ref::holds_secret(&v.text))
        .map(|(k, v)| (k.to_owned(), v.text.clone()))
        .collect();
    let given = read.beyond.values.iter();
    environment.extend(given.map(|(k, v)| (k.clone(), v.expose().to_owned())));
    let applied = policy::apply(policy::Request {
        mirror: production.clone(),
        project,
        images: &images,
        agent_image: &inputs.agent_image,
        environment: &environment,
        beyond: &read.beyond,
    });
    let mut compiled = Compiled {
        production,
        beyond: read.beyond.clone(),
        document: Document(loaded.root.clone()),
        rendered: inputs.rendered.clone(),
        stack: None,
        fidelity: applied.fidelity,
        externals: applied.externals,
        flags: None,
        reading: Problems::default(),
        problems: applied.problems,
    };
    compiled.fidelity.add(read.records);
    if compiled.production.services.is_empty() {
        compiled.problems.push(no_services(&loaded.root));
    }
    compiled.flags = flags::read(project, &compiled.production, &mut compiled.problems);
    let outside = |f: &Spanned<String>| path::inside(&project.root, &project.root, f).err();
    let outside = loaded.value_files.iter().filter_map(outside);
    compiled.problems.0.extend(outside);
    unset_variables(&loaded, &mut compiled);
    one_variable_each(project, &mut compiled.problems);
    declared_secrets(&loaded, &read.beyond, &mut compiled, project);
    compiled.fidelity.accept(&project.fidelity);
    let mut reading = loaded.warnings;
    reading.extend(lacking.0);
    compiled.reading = say_where_to_set(Problems(reading));
    compiled
        .problems
        .0
        .extend(compiled.reading.0.iter().cloned());
    let rendered = stack::render(&RenderRequest {
        mirror: &applied.mirror,
        extension: &applied.extension,
        project,
        template: project.template.as_ref(),
        vars: &inputs.vars,
    });
    let made = rendered.and_then(|rendered| {
        let mut stack = read_back(project, rendered)?;
        fill(&mut stack.variables, &environment, &mut compiled.problems);
        Ok(stack)
    });
    match made {
        Ok(stack) => {
            let expected = (&applied.mirror, &applied.extension);
            recheck(&stack, expected, project, &mut compiled.problems);
            compiled.stack = Some(stack);
        }
        Err(problems) => compiled.problems.0.extend(problems.0),
    }
    Ok(compiled)
}

fn load_request(project: &Project, inputs: &Inputs) -> LoadRequest {
    let visible = |name: &str| inputs.whole_shell || project.pass.iter().any(|p| p.value == name);
    let mut shell: BTreeMap<String, String> = inputs
        .shell
        .iter()
        .filter(|(name, _)| visible(name))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    for s in project.secrets.iter().filter(|s| is_variable(&s.name)) {
        let token = secret_ref::token(&variable_of(&s.name));
        shell.insert(s.name.value.clone(), token);
    }
    let profiles = project.profiles.iter().map(|p| p.value.clone());
    LoadRequest {
        working_dir: project.root.clone(),
        env_files: project.env_files.iter().map(|p| p.path.clone()).collect(),
        shell,
        profiles: profiles.chain(inputs.profiles.iter().cloned()).collect(),
        ..LoadRequest::default()
    }
}

fn sources(project: &Project, loaded: &Loaded) -> Vec<Input> {
    let shown = |p: &std::path::Path| {
        let p = p.strip_prefix(&project.root).unwrap_or(p);
        p.to_string_lossy().into_owned()
    };
    loaded
        .inputs
        .iter()
        .map(|i| Input {
            path: shown(&i.path),
            sha256: i.sha256.clone(),
        })
        .collect()
}

fn images(project: &Project, inputs: &Inputs) -> Images {
    let mut images = project.images.clone();
    for (service, reference) in &inputs.images {
        let text = |t: &str| Spanned::new(t.to_owned(), Span::generated());
        images.under_test.retain(|e| e.name.value != *service);
        images.under_test.push(Named {
            name: text(service),
            value: text(reference),
        });
    }
    images
}

/// A rendered stack asks for a secret by a variable, which must be its own.
fn one_variable_each(project: &Project, problems: &mut Problems) {
    let mut taken: BTreeMap<String, &Spanned<String>> = BTreeMap::new();
    for s in &project.secrets {
        let variable = variable_of(&s.name);
        if let Some(first) = taken.insert(variable.clone(), &s.name) {
            problems.push(
                Problem::at(
                    ProblemKind::Conflict,
                    &s.name.span,
                    format!("two secrets would be the variable {variable} of the stack"),
                )
                .related(&first.span, "the other one is here")
                .help("call one of them by another of its names"),
            );
        }
    }
}

/// A variable that is unset is a fact about production that nobody knows.
fn unset_variables(loaded: &Loaded, compiled: &mut Compiled) {
    let from = compiled.fidelity.records.len();
    for p in loaded
        .warnings
        .iter()
        .filter(|p| p.kind == ProblemKind::UnsetVariable)
    {
        let mut r = Record::new("variables", "value", Class::Unknown, Severity::High);
        if let Some(span) = &p.span {
            r = r.at(span);
        }
        r.reason.clone_from(&p.message);
        r.raise = "set it in a file of `env_files`, or pass it by `env.pass`".to_owned();
        r.rule = "unset-variable".to_owned();
        let known = &compiled.fidelity.records[from..];
        if !known.iter().any(|k| k.reason == r.reason) {
            compiled.fidelity.records.push(r);
        }
    }
}

/// A project sets variables elsewhere than Compose does.
fn say_where_to_set(mut problems: Problems) -> Problems {
    for p in &mut problems.0 {
        if matches!(
            p.kind,
            ProblemKind::UnsetVariable | ProblemKind::RequiredVariable
        ) {
            p.help = Some(
                "in mirror.yaml, give it a value under `secrets`, set it in a file of `env_files`, or pass the shell's by `env.pass`"
                    .to_owned(),
            );
        }
    }
    problems
}

/// The values of secrets are not production's; one that production does not ask for is
/// mistyped or out of date.
fn declared_secrets(loaded: &Loaded, beyond: &Beyond, compiled: &mut Compiled, project: &Project) {
    let production = &compiled.production;
    let mut asked: Vec<&str> = loaded.variables.keys().map(String::as_str).collect();
    asked.extend(beyond.asked.iter().map(String::as_str));
    for (key, object) in production.secrets.iter().chain(&production.config_files) {
        asked.push(key);
        asked.extend(object.name.iter().map(|n| n.as_str()));
        asked.extend(object.environment.iter().map(|n| n.as_str()));
    }
    for s in &project.secrets {
        let name = s.name.as_str();
        if !asked.contains(&name) {
            let p = Problem::at(
                ProblemKind::UnknownReference,
                &s.name.span,
                format!("production asks for no secret `{name}`"),
            );
            let help = match nearest(name, asked.iter().copied()) {
                Some(k) => format!("did you mean `{k}`?"),
                None => "remove it".to_owned(),
            };
            compiled.problems.push(p.warning().help(help));
            continue;
        }
        let object = format!("secret:{name}");
        let mut r = Record::new(object, "value", Class::Substituted, Severity::Low);
        r = r.at(&s.name.span);
        r.declared = "production's".to_owned();
        r.actual = match &s.value.value {
            SecretSource::Stub(_) => "a stand-in from mirror.yaml".to_owned(),
            SecretSource::Env(var) => format!("the shell's {var}"),
            SecretSource::File(path) => format!("the file {}", path.display()),
        };
        r.reason = "secrets of production stay there".to_owned();
        r.rule = "secret-value".to_owned();
        compiled.fidelity.records.push(r);
    }
}

fn read_back(project: &Project, rendered: stack::Rendered) -> Result<Stack, Problems> {
    let tokens: BTreeMap<String, Secret> = rendered
        .variables
        .keys()
        .map(|name| (name.clone(), Secret::new(secret_ref::token(name))))
        .collect();
    let mirror = stack::read(&rendered.text, project, &tokens)?;
    let extension = Extension::of(&mirror).map_err(|p| rendered.text.explain(p))?;
    Ok(Stack {
        text: rendered.text,
        variables: rendered.variables,
        mirror,
        extension,
    })
}

/// Gives the variables of production's project their values.
fn fill(
    variables: &mut BTreeMap<String, Variable>,
    environment: &BTreeMap<String, String>,
    problems: &mut Problems,
) {
    for (name, variable) in variables {
        if *variable != Variable::Environment {
            continue;
        }
        match environment.get(name) {
            Some(text) => *variable = Variable::Text(Secret::new(text.clone())),
            // A secret whose file is missing was told as that.
            None if problems
                .0
                .iter()
                .any(|p| p.message.starts_with(&format!("secret `{name}` has no value"))) => {}
            None => problems.push(
                Problem::new(
                    ProblemKind::RequiredVariable,
                    format!("the variable {name} is not set, and a config or secret takes its value from it"),
                )
                .help("set it in a file of `env_files`, or declare it under `secrets` in mirror.yaml"),
            ),
        }
    }
}

/// Nothing runs in production, as far as its files and the chosen profiles say.
fn no_services(root: &Node) -> Problem {
    let problem = Problem::new(ProblemKind::NothingRuns, "production has no service");
    let span = root.get("services").map_or(&root.span, |s| &s.span);
    problem
        .or_at(span)
        .help("name the files that declare services or workloads under `production`, and the profiles that production uses")
}

/// A template may change everything but what keeps the stack from leading out.
fn recheck(
    stack: &Stack,
    (mirror, expected): (&Mirror, &Extension),
    project: &Project,
    problems: &mut Problems,
) {
    let found = policy::recheck(&stack.mirror, mirror, project);
    problems
        .0
        .extend(found.0.into_iter().map(|p| stack.text.explain(p)));
    let mut brought_in = |what: String| {
        problems.push(
            Problem::new(
                ProblemKind::Forbidden,
                format!("the template opens {what} under `x-prodmirror`, and mirror.yaml does not"),
            )
            .help("declare it in mirror.yaml; the template gets it from there"),
        );
    };
    for to in &stack.extension.egress.allow {
        if !expected.egress.allow.contains(to) {
            brought_in(format!("`{to}`"));
        }
    }
    for (service, targets) in &stack.extension.host_binds {
        for t in targets {
            if !expected
                .host_binds
                .get(service)
                .is_some_and(|e| e.contains(t))
            {
                brought_in(format!("the bind of `{t}` in `{service}`"));
            }
        }
    }
}
