//! Which values the flags have in which runs of a scenario.

use indexmap::IndexMap;
use serde_json::Value as Json;

use super::{Flag, FlagSet, Variant, pairwise};
use crate::diag::{Problem, ProblemKind, Problems, nearest};
use crate::project::{Matrix, Project};
use crate::source::Span;

/// Flags that one matrix varies at most.
pub(super) const MOST_FLAGS: usize = 200;

/// A flag with the value that it has in one run of a scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The flag.
    pub flag: String,
    /// What it serves by default.
    pub variant: Variant,
    /// Whether that is something else than production serves.
    pub differs: bool,
}

/// `flag checkout_v2=on, express=off`: as it stands in the name of a case.
pub fn title(choices: &[Choice]) -> String {
    let each: Vec<String> = choices
        .iter()
        .map(|c| format!("{}={}", c.flag, c.variant.name))
        .collect();
    format!("flag {}", each.join(", "))
}

/// A flag of the matrix: its name, the place that asks for it, and the values that are named.
type Asked = (String, Span, Vec<(Json, Span)>);

/// The flags of a project, and which of them are varied or set for all scenarios.
#[derive(Debug, Clone, Default)]
pub struct Choices {
    /// Production's flags; absent when the project names none.
    pub set: Option<FlagSet>,
    /// What every scenario is run with, by flag.
    matrix: IndexMap<String, Vec<Variant>>,
    /// What one run sets; it wins over everything.
    fixed: IndexMap<String, Variant>,
}

impl Choices {
    /// What a project asks for. `changed` gives the names of the flags that differ from an
    /// earlier state, when that is asked for; `fixed` is what the command line sets.
    pub fn new(
        project: &Project,
        set: Option<&FlagSet>,
        changed: impl FnOnce(&Span) -> Result<Vec<String>, Problem>,
        fixed: &[(String, Json)],
    ) -> (Self, Problems) {
        let mut problems = Problems::default();
        let mut choices = Self {
            set: set.cloned(),
            ..Self::default()
        };
        for (name, value) in fixed {
            match choices.variant(name, value) {
                Ok(variant) => {
                    choices.fixed.insert(name.clone(), variant);
                }
                Err(p) => problems.push(p),
            }
        }
        // What is wrong with the file has been told.
        let Some(wanted) = project.flags.as_ref().filter(|_| set.is_some()) else {
            return (choices, problems);
        };
        let all = |set: &FlagSet| set.flags.keys().cloned().collect::<Vec<_>>();
        let asked: Vec<Asked> = match &wanted.matrix {
            Matrix::Nothing => Vec::new(),
            Matrix::All(span) => {
                let names = set.map(all).unwrap_or_default().into_iter();
                // One that has only one value has nothing to be varied.
                let varied =
                    names.filter(|n| choices.known(n).is_some_and(|f| f.variants.len() > 1));
                varied.map(|n| (n, span.clone(), Vec::new())).collect()
            }
            Matrix::Changed(span) => match changed(span) {
                Ok(names) => names
                    .into_iter()
                    .map(|n| (n, span.clone(), Vec::new()))
                    .collect(),
                Err(p) => {
                    problems.push(p.or_at(span));
                    Vec::new()
                }
            },
            Matrix::Named(named) => named
                .iter()
                .map(|n| {
                    let values = n.value.iter();
                    let values = values.map(|v| (v.value.clone(), v.span.clone())).collect();
                    (n.name.value.clone(), n.name.span.clone(), values)
                })
                .collect(),
        };
        if asked.len() > MOST_FLAGS {
            let text = format!(
                "this matrix has {} flags; at most {MOST_FLAGS} are varied",
                asked.len()
            );
            problems.push(Problem::at(ProblemKind::TooLarge, &asked[0].1, text));
            return (choices, problems);
        }
        for (name, span, values) in asked {
            match choices.axis(&name, &values) {
                Ok(axis) => {
                    problems.0.extend(choices.doubts(&name, &span));
                    choices.matrix.insert(name, axis);
                }
                Err(p) => problems.push(p.or_at(&span)),
            }
        }
        (choices, problems)
    }

    fn known(&self, name: &str) -> Option<&Flag> {
        self.set.as_ref()?.flags.get(name)
    }

    /// The values of a flag of the matrix: those that are named, else all, production's first.
    fn axis(&self, name: &str, values: &[(Json, Span)]) -> Result<Vec<Variant>, Problem> {
        let flag = self.flag(name)?;
        let mut axis: Vec<Variant> = Vec::new();
        for (value, span) in values {
            let variant = self.variant(name, value).map_err(|p| p.or_at(span))?;
            if !axis.contains(&variant) {
                axis.push(variant);
            }
        }
        if values.is_empty() {
            axis.extend(flag.served().cloned());
            let others = flag.variants.iter().filter(|v| Some(*v) != flag.served());
            axis.extend(others.cloned());
        }
        if values.is_empty() && axis.len() == 1 {
            let text = format!(
                "only one value of the flag `{name}` is known: `{}`",
                axis[0].name
            );
            return Err(Problem::new(ProblemKind::InvalidValue, text).help(format!(
                "name its values: `matrix: {{ {name}: [{}, OTHER] }}`",
                axis[0].name
            )));
        }
        Ok(axis)
    }

    /// What keeps a run from meaning what it says.
    fn doubts(&self, name: &str, span: &Span) -> Option<Problem> {
        let flag = self.known(name)?;
        let rules = flag.targeting.as_ref()?;
        let text = format!(
            "the flag `{name}` has rules ({rules}): they stay, and whom they are about may be served another value than the case says"
        );
        let p = Problem::at(ProblemKind::Conflict, span, text).warning();
        Some(p.related(&flag.span, "the flag is here"))
    }

    /// A flag that can be set.
    fn flag(&self, name: &str) -> Result<&Flag, Problem> {
        let Some(set) = &self.set else {
            let text = format!("nothing is known of the flag `{name}`: mirror.yaml names no flags");
            return Err(Problem::new(ProblemKind::UnknownReference, text).help(
                "say where production's flags are: `flags: { file: production/flags.json }`",
            ));
        };
        let Some(flag) = set.flags.get(name) else {
            let text = format!("production has no flag `{name}` in {}", set.held_by());
            let p = Problem::new(ProblemKind::UnknownReference, text);
            return Err(match nearest(name, set.flags.keys().map(String::as_str)) {
                Some(near) => p.help(format!("did you mean `{near}`?")),
                None => p.help("name a flag of production"),
            });
        };
        if flag.services.is_empty() {
            let text = format!(
                "the flag `{name}` cannot be set: no service of production is given {}",
                set.held_by()
            );
            return Err(Problem::new(ProblemKind::Unsupported, text).help(
                "a config, a bind or a variable of a service must be that file; flags that services fetch over the network are set by a stub",
            ));
        }
        Ok(flag)
    }

    /// The variant that a scenario or a command means.
    ///
    /// # Errors
    /// There is no such flag, it reaches nobody, or it has no such variant.
    pub fn variant(&self, name: &str, asked: &Json) -> Result<Variant, Problem> {
        let flag = self.flag(name)?;
        flag.variant(asked)
            .map_err(|why| Problem::new(ProblemKind::InvalidValue, why))
    }

    /// The combinations that a scenario is run with, of which each is a case. `own` is what the
    /// scenario itself says of flags; a scenario without any flag has one without choices.
    pub fn combinations(&self, own: &IndexMap<String, Vec<Variant>>) -> Vec<Vec<Choice>> {
        let mut axes = self.matrix.clone();
        axes.extend(own.iter().map(|(k, v)| (k.clone(), v.clone())));
        for (name, variant) in &self.fixed {
            axes.insert(name.clone(), vec![variant.clone()]);
        }
        axes.retain(|_, values| !values.is_empty());
        if axes.is_empty() {
            return vec![Vec::new()];
        }
        let sizes: Vec<usize> = axes.values().map(Vec::len).collect();
        let rows = pairwise(&sizes).into_iter();
        rows.map(|row| {
            let each = axes.iter().zip(row);
            each.map(|((name, values), at)| self.choice(name, values[at].clone()))
                .collect()
        })
        .collect()
    }

    /// The combinations of a scenario that says nothing of flags.
    pub fn everywhere(&self) -> Vec<Vec<Choice>> {
        self.combinations(&IndexMap::new())
    }

    fn choice(&self, name: &str, variant: Variant) -> Choice {
        let served = self.known(name).and_then(Flag::served);
        // By its name: what a reader knows without the project has nothing else.
        let differs = served.is_none_or(|s| s.name != variant.name);
        Choice {
            flag: name.to_owned(),
            variant,
            differs,
        }
    }

    /// The values of all flags in a combination, for templates and expressions. A flag that
    /// production serves no single value of has none.
    pub fn values(&self, choices: &[Choice]) -> serde_json::Map<String, Json> {
        let all = self.set.iter().flat_map(|s| s.flags.values());
        let mut values: serde_json::Map<String, Json> = all
            .filter_map(|f| Some((f.name.clone(), f.served()?.value.clone())))
            .collect();
        for c in choices {
            values.insert(c.flag.clone(), c.variant.value.clone());
        }
        values
    }

    /// What every scenario is run with, for people: each flag with its values.
    pub fn matrix(&self) -> impl Iterator<Item = (&str, &[Variant])> {
        self.matrix.iter().map(|(k, v)| (k.as_str(), v.as_slice()))
    }
}
