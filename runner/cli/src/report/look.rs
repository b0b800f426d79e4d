//! How text looks: colours, signs, times.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use prodmirror_model::event::Outcome;

/// What the place where text is shown can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Colours and weights.
    pub colour: bool,
    /// Columns.
    pub width: usize,
}

impl Look {
    /// No colours, a usual width: for files.
    pub const PLAIN: Self = Self {
        colour: false,
        width: 100,
    };

    fn paint(self, style: Style, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        format!("{style}{text}{style:#}")
    }

    /// What matters.
    pub fn strong(self, text: &str) -> String {
        self.paint(Style::new().bold(), text)
    }

    /// What may be overlooked.
    pub fn faint(self, text: &str) -> String {
        self.paint(Style::new().dimmed(), text)
    }

    /// What is good.
    pub fn good(self, text: &str) -> String {
        self.paint(AnsiColor::Green.on_default(), text)
    }

    /// What is wrong.
    pub fn bad(self, text: &str) -> String {
        self.paint(AnsiColor::Red.on_default(), text)
    }

    /// What is wrong, as a word that stands out.
    pub fn alarm(self, text: &str) -> String {
        self.paint(AnsiColor::Red.on_default().bold(), text)
    }

    /// What deserves a look.
    pub fn notice(self, text: &str) -> String {
        self.paint(AnsiColor::Yellow.on_default(), text)
    }

    /// Names and places.
    pub fn name(self, text: &str) -> String {
        self.paint(AnsiColor::Cyan.on_default(), text)
    }

    /// The word for an outcome, four to seven letters, in its colour.
    pub fn verdict(self, outcome: Outcome) -> String {
        let word = format!("{:>7}", word(outcome));
        match outcome {
            Outcome::Passed => self.paint(AnsiColor::Green.on_default().bold(), &word),
            Outcome::Failed | Outcome::TimedOut | Outcome::Errored => self.alarm(&word),
            Outcome::Skipped => self.notice(&word),
        }
    }

    /// The sign for the outcome of a step.
    pub fn sign(self, outcome: Option<Outcome>) -> String {
        match outcome {
            Some(Outcome::Passed) => self.good("✓"),
            Some(Outcome::Skipped) => self.faint("○"),
            Some(_) => self.bad("✗"),
            None => self.notice("…"),
        }
    }
}

/// The word for an outcome.
pub fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "PASS",
        Outcome::Failed => "FAIL",
        Outcome::Errored => "ERROR",
        Outcome::TimedOut => "TIMEOUT",
        Outcome::Skipped => "SKIP",
    }
}

/// Milliseconds for people: `7 ms`, `1.25 s`, `2 min 05 s`.
pub fn time(ms: f64) -> String {
    if !ms.is_finite() || ms < 0.0 {
        return "?".into();
    }
    if ms < 10.0 {
        format!("{ms:.1} ms")
    } else if ms < 999.5 {
        format!("{ms:.0} ms")
    } else if ms < 59_995.0 {
        format!("{:.2} s", ms / 1000.0)
    } else {
        let s = (ms / 1000.0).round() as u64;
        format!("{} min {:02} s", s / 60, s % 60)
    }
}

/// Whole milliseconds for people.
pub fn time_of(ms: u64) -> String {
    if ms == 0 {
        "0 ms".into()
    } else {
        time(ms as f64)
    }
}

/// `1 scenario`, `2 scenarios`.
pub fn count(n: usize, noun: &str) -> String {
    let mut out = format!("{n} {noun}");
    if n != 1 {
        let _ = out.write_char('s');
    }
    out
}

/// The first `width` characters, with `…` where something was cut off.
pub fn short(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_readable() {
        for (ms, want) in [
            (0.42, "0.4 ms"),
            (7.0, "7.0 ms"),
            (250.4, "250 ms"),
            (999.9, "1.00 s"),
            (1250.0, "1.25 s"),
            (59_999.0, "1 min 00 s"),
            (125_000.0, "2 min 05 s"),
            (f64::NAN, "?"),
        ] {
            assert_eq!(time(ms), want);
        }
        assert_eq!(count(1, "scenario"), "1 scenario");
        assert_eq!(short("abcdef", 4), "abc…");
    }
}
