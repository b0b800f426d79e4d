//! How often a failure shows, and how many passes it takes to say that it is not there.

use serde::Serialize;

/// More passes than this are never asked for: a failure as rare cannot be searched for.
const MOST: u32 = 10_000;

/// How often the failing environment fails.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rate {
    /// How often it failed.
    pub failed: u32,
    /// Of so many runs.
    pub runs: u32,
    /// The failure is at least as frequent as this, with the confidence that was asked for.
    pub at_least: f64,
}

impl Rate {
    /// The rate of `failed` of `runs`; it is in truth below `at_least` with a probability of
    /// `risk` at most (the exact bound of Clopper and Pearson).
    pub(super) fn of(failed: u32, runs: u32, risk: f64) -> Rate {
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if at_least_so_many(failed, runs, middle) > risk {
                high = middle;
            } else {
                low = middle;
            }
        }
        Rate {
            failed,
            runs,
            at_least: low,
        }
    }

    /// How many passes in a row a configuration that fails at this rate gives with a probability
    /// of `risk` at most.
    pub(super) fn passes(&self, risk: f64) -> u32 {
        let each = (1.0 - self.at_least).ln();
        let count = (risk.ln() / each).ceil();
        if count.is_finite() && count < f64::from(MOST) {
            (count as u32).max(1)
        } else if self.at_least >= 1.0 {
            1
        } else {
            MOST
        }
    }

    /// The probability that a configuration which fails at this rate passes so many times.
    pub(super) fn missed(&self, passes: u32) -> f64 {
        (1.0 - self.at_least).powf(f64::from(passes))
    }
}

/// The probability of `least` or more of `runs`, each by a chance of `rate`.
fn at_least_so_many(least: u32, runs: u32, rate: f64) -> f64 {
    if least == 0 || rate >= 1.0 {
        return 1.0;
    }
    if rate <= 0.0 {
        return 0.0;
    }
    let (mut below, mut ways) = (0.0, 0.0_f64);
    for count in 0..least.min(runs + 1) {
        let (hits, rest) = (f64::from(count), f64::from(runs - count));
        below += (ways + hits * rate.ln() + rest * (1.0 - rate).ln()).exp();
        ways += (rest / (hits + 1.0)).ln();
    }
    (1.0 - below).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_bounded_by_what_was_seen() {
        // All of five at a risk of 1 %: the fifth root of it.
        let all = Rate::of(5, 5, 0.01);
        assert!((all.at_least - 0.01_f64.powf(0.2)).abs() < 1e-9, "{all:?}");
        // Tables of the exact interval: 3 of 10 at 2.5 % is 0.0667.
        let some = Rate::of(3, 10, 0.025);
        assert!((some.at_least - 0.066_73).abs() < 1e-4, "{some:?}");
        assert!(Rate::of(0, 10, 0.025).at_least < 1e-9);
    }

    #[test]
    fn passes_are_enough_for_the_risk() {
        let rate = Rate::of(3, 10, 0.025);
        let passes = rate.passes(0.01);
        assert!(rate.missed(passes) <= 0.01 && rate.missed(passes - 1) > 0.01);
        assert_eq!(Rate::of(0, 10, 0.025).passes(0.01), MOST);
    }
}
