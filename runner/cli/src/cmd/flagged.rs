//! The stacks of a run whose feature flags differ from production's.

use std::borrow::Borrow;
use std::sync::Arc;

use prodmirror_engine::run::FlagPlans;
use prodmirror_engine::step::Program;
use prodmirror_model::diag::Problem;
use prodmirror_model::fidelity::Record;
use prodmirror_model::flags::{Choice, Choices, OverrideKey, apply, key_of, records};
use prodmirror_model::plan::Plan;

/// What the feature flags of a run come to.
#[derive(Default)]
pub struct Flagged {
    /// The plan of each combination that differs from production.
    pub plans: FlagPlans,
    /// The flags of the stack that is read back: production's own where one of the stacks has
    /// those.
    pub observed: Vec<Choice>,
    /// What is deliberately otherwise, and where.
    pub records: Vec<Record>,
}

impl Flagged {
    /// Plans the stacks of all combinations.
    ///
    /// # Errors
    /// A flag that reaches no container.
    pub fn of(
        plan: &Plan,
        choices: &Choices,
        programs: &[impl Borrow<Program>],
    ) -> Result<Self, Problem> {
        let mut flagged = Self::default();
        let Some(set) = &choices.set else {
            return Ok(flagged);
        };
        let programs = || programs.iter().map(Borrow::<Program>::borrow);
        let cases =
            programs().map(|p| (&p.scenario.flags[..], Some(p.scenario.name.value.as_str())));
        flagged.records = records(set, cases);
        for program in programs() {
            let flags = &program.scenario.flags;
            let key = key_of(flags);
            if !key.is_empty() && !flagged.plans.contains_key(&key) {
                flagged
                    .plans
                    .insert(key, Arc::new(apply(plan, set, flags)?));
            }
        }
        let mut each = programs().map(|p| &p.scenario.flags);
        let as_production = each.any(|f| key_of(f).is_empty());
        if let (false, Some(first)) = (as_production, programs().next()) {
            flagged.observed.clone_from(&first.scenario.flags);
        }
        Ok(flagged)
    }

    /// What tells the stack apart that is read back.
    pub fn observed_key(&self) -> OverrideKey {
        key_of(&self.observed)
    }
}
