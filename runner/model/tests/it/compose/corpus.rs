//! The Compose reader against what Docker Compose itself made of real public specs:
//! `ORACLES.tsv` of the corpus has one row for each run of Docker Compose, with its
//! directory, environment, arguments and result.

use std::path::Path;

use libtest_mimic::{Failed, Trial};

use super::oracle::{Row, Verdict};
use crate::corpus_files::trial;

/// Of 176 accepted and 98 refused runs, so many must agree.
const ACCEPTED_FLOOR: usize = 176;
const REFUSED_FLOOR: usize = 98;
/// Of the 176 accepted runs, in so many the same variables must be unset.
const WARNED_FLOOR: usize = 176;

/// Runs that differ, by the name of their result, each with the reason. At most 2 %.
const EXCEPTIONS: &[(&str, &str)] = &[];

pub fn trials() -> Vec<Trial> {
    vec![
        trial("compose::accepted_equal", |corpus| {
            run(corpus, "0", "accepted equal", Row::judge, ACCEPTED_FLOOR)
        }),
        trial("compose::refused_alike", |corpus| {
            run(corpus, "1", "refused alike", Row::judge, REFUSED_FLOOR)
        }),
        trial("compose::warned_alike", |corpus| {
            run(
                corpus,
                "0",
                "warned alike",
                Row::judge_warnings,
                WARNED_FLOOR,
            )
        }),
    ]
}

fn run(
    corpus: &Path,
    exit: &str,
    what: &str,
    judge: fn(&Row, &Path) -> Verdict,
    floor: usize,
) -> Result<(), Failed> {
    let corpus = corpus.canonicalize()?;
    let table = std::fs::read_to_string(corpus.join("ORACLES.tsv"))?;
    let rows: Vec<Row> = table
        .lines()
        .skip(1)
        .filter_map(Row::read)
        .filter(|row| row.exit == exit)
        .collect();
    let (mut agreed, mut unexplained) = (0, 0);
    let mut report = String::new();
    for row in &rows {
        let Verdict::Differs(how) = judge(row, &corpus) else {
            agreed += 1;
            continue;
        };
        let known = EXCEPTIONS.iter().find(|(name, _)| *name == row.output);
        let reason = known.map_or("", |(_, reason)| *reason);
        unexplained += usize::from(known.is_none());
        report.push_str(&format!("{} {reason}\n{how}\n", row.output));
    }
    println!("{what} {agreed}/{}", rows.len());
    if agreed < floor || unexplained > 0 {
        return Err(format!("{agreed} agree, at least {floor} must\n{report}").into());
    }
    Ok(())
}
