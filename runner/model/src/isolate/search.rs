//! The search as its caller sees it: configurations to judge, verdicts, an answer.

use super::answer::{Answer, Judged, Outcome, Runs};
use super::atoms::{Atoms, Invalid};
use super::grain::Grain;
use super::options::Options;
use super::path::{Missing, Path, Purpose, Stop};
use super::set::Set;
use super::story::{Frame, Story};
use super::table::{Level, Table};
use super::verdict::Verdict;

/// A search for the differences that make a scenario fail.
#[derive(Debug)]
pub struct Search {
    frame: Frame,
    table: Table,
    /// What was asked for, by its number.
    asks: Vec<Asked>,
    /// What runs.
    running: Vec<u32>,
    /// What was missing when only one run is asked for at a time.
    last: Option<Missing>,
    runs: Runs,
}

/// A configuration to judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// What the verdict is told with.
    pub id: u32,
    /// The differences that are taken from the failing environment; all else is the other's.
    pub atoms: Vec<usize>,
    /// What it is for.
    pub purpose: Purpose,
    /// Whether it is asked for ahead of time: it may turn out not to be needed.
    pub ahead: bool,
}

/// What the caller does next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Judge configurations. When nothing is to be started, a verdict of what runs is waited for.
    Judge {
        /// Runs to start.
        start: Vec<Ask>,
        /// Runs that are not needed any more; a verdict that is told nevertheless is kept.
        stop: Vec<u32>,
    },
    /// The search is over.
    Done {
        /// What was found.
        answer: Box<Answer>,
        /// Runs that are not needed any more.
        stop: Vec<u32>,
    },
}

#[derive(Debug)]
struct Asked {
    set: Set,
    told: bool,
}

/// A verdict that is missing, or would be.
struct Wanted {
    missing: Missing,
    ahead: bool,
}

impl Search {
    /// A search among these differences.
    ///
    /// # Errors
    /// Something was declared of a difference that is not there, or a number is out of range.
    pub fn new(atoms: &Atoms, options: Options) -> Result<Search, Invalid> {
        atoms.check()?;
        options.check()?;
        Ok(Search {
            table: Table::new(atoms.atoms.len(), &options),
            frame: Frame {
                coarse: Grain::new(atoms, &atoms.groups),
                fine: Grain::new(atoms, &[]),
                options,
            },
            asks: Vec::new(),
            running: Vec::new(),
            last: None,
            runs: Runs::default(),
        })
    }

    /// Tells a verdict that is known from elsewhere, as one run of the configuration.
    ///
    /// # Errors
    /// A difference is not there.
    pub fn know(&mut self, atoms: &[usize], verdict: Verdict) -> Result<(), Invalid> {
        let count = self.table.failing().len();
        if let Some(index) = atoms.iter().copied().find(|a| *a >= count) {
            return Err(Invalid::Index { index, count });
        }
        self.table
            .add(&Set::of(count, atoms.iter().copied()), verdict);
        self.last = None;
        self.runs.known = self.runs.known.saturating_add(1);
        Ok(())
    }

    /// Tells the verdict of a run.
    ///
    /// # Errors
    /// The run was not asked for, or was told before.
    pub fn tell(&mut self, id: u32, verdict: Verdict) -> Result<(), Invalid> {
        let asked = self.asks.get_mut(id as usize);
        let Some(asked) = asked.filter(|a| !a.told) else {
            return Err(Invalid::Ask(id));
        };
        asked.told = true;
        self.running.retain(|running| *running != id);
        self.table.add(&asked.set, verdict);
        Ok(())
    }

    /// What to do next. It may be asked after each verdict, or when all have come.
    #[expect(clippy::should_implement_trait, reason = "it never ends by itself")]
    pub fn next(&mut self) -> Step {
        let wanted = match self.again().map_or_else(|| self.wanted(), Ok) {
            Ok(wanted) => wanted,
            Err(outcome) => return self.done(outcome, false),
        };
        if let ([only], 1) = (wanted.as_slice(), self.frame.options.width.max(1)) {
            self.last = Some(only.missing.clone());
        }
        let stop = self.stop(&wanted);
        let start = self.start(wanted);
        if start.is_empty() && self.running.is_empty() {
            return self.done(None, true).stopping(stop);
        }
        Step::Judge { start, stop }
    }

    /// What was missing before, when it still is: no other verdict can have come since.
    fn again(&mut self) -> Option<Vec<Wanted>> {
        let mut missing = self.last.take()?;
        missing.runs = self.table.decide(&missing.set, missing.level).err()?;
        let ahead = false;
        Some(vec![Wanted { missing, ahead }])
    }

    /// The verdicts that are missing, and those that would be: by the likeliest verdicts first,
    /// as many as can be judged at once. The outcome, if none is missing.
    fn wanted(&self) -> Result<Vec<Wanted>, Option<Outcome>> {
        let width = self.frame.options.width.max(1);
        let mut wanted: Vec<Wanted> = Vec::new();
        let mut open = vec![(1.0, Vec::new())];
        let mut slots = width;
        for _ in 0..width.saturating_mul(3) {
            let Some(likeliest) = likeliest(&open) else {
                break;
            };
            let (chance, assumed) = open.swap_remove(likeliest);
            let mut path = Path::new(&self.table, &assumed, false);
            let missing = match Story::default().walk(&mut path, &self.frame) {
                Err(Stop::Missing(missing)) => missing,
                Ok(outcome) if assumed.is_empty() => return Err(Some(outcome)),
                _ => continue,
            };
            for (verdict, share) in [
                (Verdict::Same, missing.likely),
                (Verdict::Pass, 1.0 - missing.likely),
            ] {
                let mut assumed = assumed.clone();
                assumed.push((missing.set.clone(), verdict));
                open.push((chance * share, assumed));
            }
            if wanted.iter().all(|w| w.missing.set != missing.set) {
                slots = slots.saturating_sub(missing.runs as usize);
                let ahead = !assumed.is_empty() && missing.purpose != Purpose::End;
                wanted.push(Wanted { missing, ahead });
            }
            if slots == 0 {
                break;
            }
        }
        Ok(wanted)
    }

    /// Calls off what is not wanted any more.
    fn stop(&mut self, wanted: &[Wanted]) -> Vec<u32> {
        let asks = &self.asks;
        let is_wanted = |id: &u32| {
            let asked = asks.get(*id as usize);
            asked.is_some_and(|a| wanted.iter().any(|w| w.missing.set == a.set))
        };
        let (running, stop) = self.running.iter().partition(|id| is_wanted(id));
        self.running = running;
        let stop: Vec<u32> = stop;
        self.runs.stopped += stop.len() as u32;
        stop
    }

    fn start(&mut self, wanted: Vec<Wanted>) -> Vec<Ask> {
        let options = &self.frame.options;
        let (width, limit) = (options.width.max(1), options.limit);
        let mut start = Vec::new();
        for Wanted { missing, ahead } in wanted {
            let running = self.running.iter();
            let running = running.filter_map(|id| self.asks.get(*id as usize));
            let same = running.filter(|a| a.set == missing.set).count();
            for _ in same..missing.runs as usize {
                // The last third of the runs is not spent on what may not be needed.
                let left = limit.saturating_sub(self.runs.asked);
                let enough = left > if ahead { limit / 3 } else { 0 };
                if self.running.len() >= width || !enough {
                    break;
                }
                start.push(self.ask(&missing, ahead));
            }
        }
        start
    }

    fn ask(&mut self, missing: &Missing, ahead: bool) -> Ask {
        let id = self.runs.asked;
        self.runs.asked += 1;
        self.runs.ahead += u32::from(ahead);
        self.asks.push(Asked {
            set: missing.set.clone(),
            told: false,
        });
        self.running.push(id);
        Ask {
            id,
            atoms: missing.set.list(),
            purpose: missing.purpose,
            ahead,
        }
    }

    /// The answer, by a last walk.
    fn done(&mut self, outcome: Option<Outcome>, spent: bool) -> Step {
        let stop = self.stop(&[]);
        let mut path = Path::new(&self.table, &[], spent);
        let mut story = Story::default();
        let walked = story.walk(&mut path, &self.frame);
        let outcome = outcome.or(walked.ok()).unwrap_or_else(|| story.found());
        Step::Done {
            answer: Box::new(self.answer(outcome, &path, &story)),
            stop,
        }
    }

    fn answer(&self, mut outcome: Outcome, path: &Path<'_>, story: &Story) -> Answer {
        if let Outcome::Undecided { smallest, .. } = &mut outcome {
            *smallest = self.smallest();
        }
        let found = matches!(outcome, Outcome::Found { .. });
        let rate = self.table.rate();
        Answer {
            confidence: rate
                .filter(|_| found)
                .map(|_| self.confidence(&story.proofs)),
            outcome,
            runs: self.runs,
            rate,
            judged: self.judged(path),
            learnt: path.needs.certain().to_vec(),
        }
    }

    /// The smallest configuration that fails.
    fn smallest(&self) -> Option<Vec<usize>> {
        let fails = self.table.seen().filter(|(_, counts)| counts.same > 0);
        let lists = fails.map(|(set, _)| set.list());
        lists.min_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)))
    }

    /// How sure it is that no pass which the causes rest on was luck.
    fn confidence(&self, proofs: &[Set]) -> f64 {
        let Some(rate) = self.table.rate() else {
            return 1.0;
        };
        let mut counted: Vec<&Set> = Vec::new();
        let mut risk = self.table.risk();
        for set in proofs {
            if !counted.contains(&set) {
                risk += rate.missed(self.table.counts(set).pass);
                counted.push(set);
            }
        }
        (1.0 - risk).max(0.0)
    }

    fn judged(&self, path: &Path<'_>) -> Vec<Judged> {
        let judged = |set: &Set, purpose, verdict| Judged {
            atoms: set.list(),
            purpose,
            verdict,
            counts: self.table.counts(set),
        };
        let used = path.asked.iter();
        let mut all: Vec<Judged> = used
            .map(|(set, purpose, verdict)| judged(set, *purpose, Some(*verdict)))
            .collect();
        let unused = self.table.seen().map(|(set, _)| set);
        let unused = unused.filter(|set| path.asked.iter().all(|(s, _, _)| s != *set));
        let mut aside: Vec<Judged> = unused
            .map(|set| {
                judged(
                    set,
                    Purpose::Aside,
                    self.table.decide(set, Level::Search).ok(),
                )
            })
            .collect();
        aside.sort_by(|a, b| a.atoms.cmp(&b.atoms));
        all.append(&mut aside);
        all
    }
}

impl Step {
    /// The same, calling off these runs first.
    fn stopping(self, mut first: Vec<u32>) -> Step {
        match self {
            Step::Judge { start, mut stop } => {
                first.append(&mut stop);
                Step::Judge { start, stop: first }
            }
            Step::Done { answer, mut stop } => {
                first.append(&mut stop);
                Step::Done {
                    answer,
                    stop: first,
                }
            }
        }
    }
}

fn likeliest(open: &[(f64, Vec<(Set, Verdict)>)]) -> Option<usize> {
    let open = open.iter().enumerate();
    open.max_by(|(_, a), (_, b)| a.0.total_cmp(&b.0))
        .map(|(at, _)| at)
}
