//! Feature flags: what production serves, and what a run serves in its place.
//!
//! Production's flags are read in their own format into one model. A run changes what is served
//! by default where services read it: in the file that they are given, or in their environment.

mod apply;
mod choice;
mod env;
mod file;
mod flagd;
mod launchdarkly;
mod live;
mod pairwise;
mod reach;
mod unleash;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::Value as Json;

pub use apply::{OverrideKey, apply, apply_to_mirror, key_of, records};
pub use choice::{Choice, Choices, title};
pub use file::read_file;
pub use live::{Place, Placed, places};
pub use pairwise::pairwise;

use crate::diag::Problem;
use crate::diag::Problems;
use crate::mirror::Mirror;
use crate::project::Project;
use crate::source::{SourceFile, Span};

/// The formats that flags are read in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// OpenFeature's flagd.
    Flagd,
    /// Environment variables of services.
    Env,
    /// LaunchDarkly's flag data, and the files of its SDKs.
    LaunchDarkly,
    /// What Unleash gives its clients, and its exports.
    Unleash,
}

impl Format {
    /// Its word in `mirror.yaml`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Flagd => "flagd",
            Self::Env => "env",
            Self::LaunchDarkly => "launchdarkly",
            Self::Unleash => "unleash",
        }
    }
}

/// What a flag is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// On or off.
    Boolean,
    /// A text.
    Text,
    /// A number.
    Number,
    /// Anything else.
    Object,
}

impl Kind {
    fn of(value: &Json) -> Self {
        match value {
            Json::Bool(_) => Self::Boolean,
            Json::String(_) => Self::Text,
            Json::Number(_) => Self::Number,
            _ => Self::Object,
        }
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Text => "text",
            Self::Number => "number",
            Self::Object => "object",
        }
    }
}

/// One of the values that a flag can have.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// Its name: the format's own where it has names, else the value's text, `on` and `off` for
    /// true and false.
    pub name: String,
    /// The value.
    pub value: Json,
    /// The value as an environment variable has it, when it is in one.
    pub text: Option<String>,
}

impl Variant {
    fn named(name: impl Into<String>, value: Json) -> Self {
        Self {
            name: name.into(),
            value,
            text: None,
        }
    }

    /// A value of a flag of which nothing is known.
    pub(crate) fn unknown(value: &Json) -> Self {
        Self::of(value.clone())
    }

    /// A value that has no name of its own.
    fn of(value: Json) -> Self {
        let name = match &value {
            Json::Bool(true) => "on".to_owned(),
            Json::Bool(false) => "off".to_owned(),
            Json::String(text) => text.clone(),
            other => other.to_string(),
        };
        Self::named(name, value)
    }
}

/// One flag of production.
#[derive(Debug, Clone)]
pub struct Flag {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub kind: Kind,
    /// The values that it can have.
    pub variants: Vec<Variant>,
    /// Which of them production serves to whom no rule is about; none = what services' own code
    /// says, or no single one.
    pub serves: Option<usize>,
    /// Why none is served by default.
    pub unserved: Option<&'static str>,
    /// The rules by which some are served another value, in words.
    pub targeting: Option<String>,
    /// Whether it may have values that no file lists.
    pub open: bool,
    /// The services that read it.
    pub services: Vec<String>,
}

impl Flag {
    /// A flag that nothing is known of yet.
    fn new(name: &str, span: &Span, kind: Kind) -> Self {
        Self {
            name: name.to_owned(),
            span: span.clone(),
            kind,
            variants: Vec::new(),
            serves: None,
            unserved: None,
            targeting: None,
            open: false,
            services: Vec::new(),
        }
    }

    /// What production serves by default.
    pub fn served(&self) -> Option<&Variant> {
        self.variants.get(self.serves?)
    }

    /// What production serves by default, in words.
    pub fn served_in_words(&self) -> String {
        match (self.served(), self.unserved) {
            (Some(v), _) => v.name.clone(),
            (None, Some(why)) => why.to_owned(),
            (None, None) => "the default of the services' own code".to_owned(),
        }
    }

    /// The variant that somebody means: by its name, or by its value.
    ///
    /// # Errors
    /// Why there is none, with those that there are.
    pub fn variant(&self, asked: &Json) -> Result<Variant, String> {
        let text = match asked {
            Json::String(text) => text.clone(),
            other => other.to_string(),
        };
        let switch = match asked {
            Json::Bool(b) => Some(*b),
            _ => switch(&text),
        };
        let named = self.variants.iter().find(|v| v.name == text);
        let by_switch = || {
            let on = switch.filter(|_| self.kind == Kind::Boolean)?;
            self.variants.iter().find(|v| v.value == Json::Bool(on))
        };
        let by_value = || {
            let mut all = self.variants.iter();
            all.find(|v| v.value == *asked || v.text.as_ref() == Some(&text))
        };
        if let Some(v) = named.or_else(by_switch).or_else(by_value) {
            return Ok(v.clone());
        }
        if self.open && Kind::of(asked) == self.kind {
            return Ok(Variant::of(asked.clone()));
        }
        if self.open && self.kind == Kind::Text && !matches!(asked, Json::Null) {
            return Ok(Variant::of(Json::String(text)));
        }
        let names: Vec<&str> = self.variants.iter().map(|v| v.name.as_str()).collect();
        Err(format!(
            "the flag `{}` has no variant `{text}`; it has {}",
            self.name,
            names.join(", ")
        ))
    }
}

/// True or false, in the words that people use.
fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "enabled" => Some(true),
        "off" | "false" | "no" | "disabled" => Some(false),
        _ => None,
    }
}

/// Where flags were read.
#[derive(Debug, Clone)]
enum Origin {
    /// In a file.
    File {
        file: Arc<SourceFile>,
        path: PathBuf,
        /// Its content, to be written with other values.
        document: Json,
        /// The environment of Unleash that is production's.
        environment: Option<String>,
    },
    /// In the environments of services.
    Variables,
}

/// All flags of production.
#[derive(Debug, Clone)]
pub struct FlagSet {
    /// The format that they were read in.
    pub format: Format,
    /// The flags, in their order.
    pub flags: IndexMap<String, Flag>,
    /// The services that `mirror.yaml` names as those that read them; empty = all.
    services: Vec<String>,
    origin: Origin,
}

impl FlagSet {
    /// What holds them, for people.
    pub fn held_by(&self) -> &str {
        match &self.origin {
            Origin::File { file, .. } => &file.name,
            Origin::Variables => "the services' environments",
        }
    }

    /// Whether a service may get other values.
    fn is_for(&self, service: &str) -> bool {
        self.services.is_empty() || self.services.iter().any(|s| s == service)
    }

    /// The flags whose state is another one than in an earlier set, those that are new included.
    pub fn changed_from(&self, before: &Self) -> Vec<String> {
        let same = |a: &Flag, b: &Flag| {
            a.variants == b.variants && a.serves == b.serves && a.targeting == b.targeting
        };
        let changed = self
            .flags
            .values()
            .filter(|f| !before.flags.get(&f.name).is_some_and(|b| same(f, b)));
        changed.map(|f| f.name.clone()).collect()
    }
}

/// Reads the flags that a project names; nothing when it names none, or when they cannot be
/// read, of which the problems tell.
pub fn read(project: &Project, production: &Mirror, problems: &mut Problems) -> Option<FlagSet> {
    let wanted = project.flags.as_ref()?;
    for service in &wanted.services {
        if !production.services.contains_key(service.as_str()) {
            problems.push(unknown_service(service, production));
        }
    }
    let services: Vec<String> = wanted.services.iter().map(|s| s.value.clone()).collect();
    let mut set = match &wanted.file {
        None => env::read(wanted, production, problems),
        Some(file) => {
            let shown = file.written.value.clone();
            let read = SourceFile::read(&file.path, shown);
            let read = read.map_err(Problems::from).and_then(|source| {
                let format = wanted.format.as_ref().map(|f| f.value);
                let environment = wanted.environment.as_ref().map(|e| e.value.clone());
                read_file(&source, &file.path, format, environment)
            });
            match read {
                Ok(set) => set,
                Err(found) => {
                    problems.0.extend(found.0);
                    return None;
                }
            }
        }
    };
    set.services = services;
    reach::find(&mut set, production, &project.root);
    Some(set)
}

fn unknown_service(service: &crate::yaml::Spanned<String>, production: &Mirror) -> Problem {
    use crate::diag::{ProblemKind, nearest};
    let known = production.services.keys().map(String::as_str);
    let text = format!("`flags`: production has no service `{}`", service.value);
    let p = Problem::at(ProblemKind::UnknownReference, &service.span, text);
    match nearest(service, known) {
        Some(near) => p.help(format!("did you mean `{near}`?")),
        None => p.help("name services of production that read the flags, or leave `services` out"),
    }
}
