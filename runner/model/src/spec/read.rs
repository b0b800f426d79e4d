//! The sources of a project, read into one production.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::compose::{self, LoadRequest, Loaded};
use super::{Beyond, COMPOSE, FORMATS, Format, Source, Sources, Translation, swarm};
use crate::diag::{Problem, ProblemKind, Problems, nearest};
use crate::fidelity::Record;
use crate::project::{Project, ProjectSource};
use crate::source::{SourceFile, Span};
use crate::yaml::{Node, Spanned};

/// What is read.
#[derive(Debug)]
pub struct ReadRequest<'r> {
    /// The project: its sources, in the order in which they are merged.
    pub project: &'r Project,
    /// How Compose files are read. Its `files` are filled from the project.
    pub load: LoadRequest,
    /// Texts that a tool made of sources (a kustomization, a chart), by the source's path.
    pub rendered: &'r BTreeMap<PathBuf, Arc<SourceFile>>,
}

/// Production as its files describe it.
#[derive(Debug)]
pub struct Production {
    /// The normal form of all sources together, as if they had been Compose files.
    pub loaded: Loaded,
    /// What they say beyond Compose.
    pub beyond: Beyond,
    /// Facts that translators drop, substitute or cannot know.
    pub records: Vec<Record>,
    /// The formats that were read, in order, each once.
    pub formats: Vec<&'static str>,
}

/// Files of one format that stand together in `mirror.yaml`.
struct Group {
    format: Option<&'static Format>,
    files: Vec<PathBuf>,
    sources: Vec<Source>,
}

/// Reads production. Neighbouring sources of one format are read together; all are merged in
/// their order, by the rules by which Compose merges its files.
///
/// # Errors
/// Everything that refuses the files, each with its place.
pub fn read(request: &ReadRequest<'_>) -> Result<Production, Problems> {
    let project = request.project;
    let mut load = request.load.clone();
    load.files.clear();
    load.stack_name = project.title();
    let groups = group(project, request.rendered, &mut load.stacks)?;
    let mut production = Translated::default();
    let mut problems = Problems::default();
    for group in groups {
        let Some(format) = group.format else {
            let stack = group.files.iter().any(|f| load.stacks.contains(f));
            production
                .formats
                .push(if stack { swarm::NAME } else { COMPOSE });
            load.files.extend(group.files);
            continue;
        };
        let read = (format.read)(&Sources {
            files: group.sources.clone(),
            project: &project.title(),
            root: &project.root,
            supply: &project.supply,
            secrets: &project.secrets,
        });
        match read {
            Ok(translation) => production.add(format, &group.sources, translation, &mut load),
            Err(found) => problems.0.extend(found.0),
        }
    }
    if problems.has_errors() {
        return Err(problems);
    }
    let mut loaded = compose::load(&load)?;
    loaded.inputs.extend(production.inputs);
    loaded.warnings.extend(production.warnings);
    production.formats.dedup();
    production.records.append(&mut loaded.records);
    Ok(Production {
        loaded,
        beyond: production.beyond,
        records: production.records,
        formats: production.formats,
    })
}

/// What all translators gave.
#[derive(Default)]
struct Translated {
    beyond: Beyond,
    records: Vec<Record>,
    inputs: Vec<compose::Input>,
    warnings: Vec<Problem>,
    formats: Vec<&'static str>,
}

impl Translated {
    fn add(
        &mut self,
        format: &Format,
        sources: &[Source],
        translation: Translation,
        load: &mut LoadRequest,
    ) {
        self.formats.push(format.name);
        self.beyond.merge(translation.beyond);
        self.records.extend(translation.records);
        self.warnings.extend(translation.warnings);
        self.inputs.extend(sources.iter().map(|s| compose::Input {
            path: s.path.clone(),
            sha256: sha256(&s.file),
        }));
        self.inputs.extend(translation.inputs);
        // The translation of all files stands in the place of the first one.
        if let Some(first) = sources.first() {
            load.files.push(first.path.clone());
            load.translated
                .insert(first.path.clone(), translation.document);
        }
    }
}

/// The SHA-256 of a file's text, in lowercase hexadecimal.
pub(crate) fn sha256(file: &SourceFile) -> String {
    hex(&Sha256::digest(file.text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

/// Neighbouring files of one format, put together. Stack files are noted in `stacks`.
fn group(
    project: &Project,
    rendered: &BTreeMap<PathBuf, Arc<SourceFile>>,
    stacks: &mut BTreeSet<PathBuf>,
) -> Result<Vec<Group>, Problems> {
    let mut groups: Vec<Group> = Vec::new();
    let mut problems = Problems::default();
    let mut seen = BTreeSet::new();
    for source in &project.production {
        let declared = match &source.format {
            Some(name) => match by_name(name) {
                Ok(format) => Some(format),
                Err(problem) => {
                    problems.push(problem);
                    continue;
                }
            },
            None => None,
        };
        if let Some(file) = rendered.get(&source.path) {
            let recognised = FORMATS.iter().find(|f| (f.sniff)(file)).copied();
            let format = declared.unwrap_or(recognised);
            push(&mut groups, format, &source.path, file.clone());
            continue;
        }
        for path in &source.files {
            if !seen.insert(path.clone()) {
                continue;
            }
            match classify(project, source, path, declared) {
                Ok((format, file)) => {
                    let said = source.format.as_ref().map(|f| f.as_str() == swarm::NAME);
                    if format.is_none() && said.unwrap_or_else(|| swarm::looks_like(&file)) {
                        stacks.insert(path.clone());
                    }
                    push(&mut groups, format, path, file);
                }
                Err(problem) => problems.push(problem),
            }
        }
    }
    if problems.has_errors() {
        Err(problems)
    } else {
        Ok(groups)
    }
}

fn push(
    groups: &mut Vec<Group>,
    format: Option<&'static Format>,
    path: &std::path::Path,
    file: Arc<SourceFile>,
) {
    let name = |f: Option<&Format>| f.map(|f| f.name);
    let fits = groups
        .last()
        .is_some_and(|g| name(g.format) == name(format));
    if !fits {
        groups.push(Group {
            format,
            files: Vec::new(),
            sources: Vec::new(),
        });
    }
    if let Some(group) = groups.last_mut() {
        group.files.push(path.to_owned());
        group.sources.push(Source {
            path: path.to_owned(),
            file,
        });
    }
}

/// The format of a file: the declared one, else the first that recognises it, else Compose.
fn classify(
    project: &Project,
    source: &ProjectSource,
    path: &std::path::Path,
    declared: Option<Option<&'static Format>>,
) -> Result<(Option<&'static Format>, Arc<SourceFile>), Problem> {
    let shown = path.strip_prefix(&project.root).unwrap_or(path);
    let file = SourceFile::read(path, shown.to_string_lossy())
        .map_err(|p| p.or_at(&source.written.span))?;
    let format = declared.unwrap_or_else(|| FORMATS.iter().find(|f| (f.sniff)(&file)).copied());
    Ok((format, file))
}

/// A format by its name in `mirror.yaml`; none = Compose.
fn by_name(name: &Spanned<String>) -> Result<Option<&'static Format>, Problem> {
    if [COMPOSE, swarm::NAME].contains(&name.as_str()) {
        return Ok(None);
    }
    if let Some(format) = FORMATS.iter().find(|f| f.name == name.as_str()) {
        return Ok(Some(format));
    }
    let known = || FORMATS.iter().map(|f| f.name).chain([COMPOSE, swarm::NAME]);
    let help = match nearest(name, known()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", known().collect::<Vec<_>>().join(", ")),
    };
    Err(Problem::at(
        ProblemKind::InvalidValue,
        &name.span,
        format!("`{}` is not a format of production specs", name.as_str()),
    )
    .help(help))
}

impl Translation {
    /// A translation without content, to be filled.
    pub fn empty() -> Self {
        Self {
            document: Node::map(Span::generated()),
            beyond: Beyond::default(),
            records: Vec::new(),
            inputs: Vec::new(),
            warnings: Vec::new(),
        }
    }
}
