//! A line by line comparison of two texts.

/// One line of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// In both.
    Same(&'a str),
    /// Only in what was expected.
    Expected(&'a str),
    /// Only in what came.
    Actual(&'a str),
    /// So many lines are the same and left out.
    Gap(usize),
}

/// Lines of either side beyond which texts are not compared: it takes time and memory by the
/// product of both.
const LIMIT: usize = 400;
/// Same lines that are shown around a difference.
const AROUND: usize = 2;

/// Compares two texts of several lines; `None` when that would not help a reader.
pub fn lines<'a>(expected: &'a str, actual: &'a str) -> Option<Vec<Line<'a>>> {
    let a: Vec<&str> = expected.lines().collect();
    let b: Vec<&str> = actual.lines().collect();
    if a.len().min(b.len()) < 2 || a.len().max(b.len()) > LIMIT {
        return None;
    }
    let all = walk(&a, &b, &longest_common(&a, &b));
    all.iter()
        .any(|l| matches!(l, Line::Same(_)))
        .then(|| fold(&all))
}

/// `table[i][j]`: length of the longest common subsequence of `a[i..]` and `b[j..]`.
fn longest_common(a: &[&str], b: &[&str]) -> Vec<Vec<u16>> {
    let mut table = vec![vec![0u16; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            table[i][j] = if a[i] == b[j] {
                table[i + 1][j + 1] + 1
            } else {
                table[i + 1][j].max(table[i][j + 1])
            };
        }
    }
    table
}

fn walk<'a>(a: &[&'a str], b: &[&'a str], table: &[Vec<u16>]) -> Vec<Line<'a>> {
    let (mut i, mut j) = (0, 0);
    let mut out = Vec::with_capacity(a.len().max(b.len()));
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            out.push(Line::Same(a[i]));
            i += 1;
            j += 1;
        } else if j == b.len() || (i < a.len() && table[i + 1][j] >= table[i][j + 1]) {
            out.push(Line::Expected(a[i]));
            i += 1;
        } else {
            out.push(Line::Actual(b[j]));
            j += 1;
        }
    }
    out
}

/// Leaves out what is the same far from any difference.
fn fold<'a>(all: &[Line<'a>]) -> Vec<Line<'a>> {
    let differs = |l: &Line<'_>| !matches!(l, Line::Same(_));
    let near = |i: usize| {
        let from = i.saturating_sub(AROUND);
        let to = (i + AROUND + 1).min(all.len());
        all[from..to].iter().any(differs)
    };
    let mut out = Vec::new();
    for (i, line) in all.iter().enumerate() {
        if near(i) {
            out.push(*line);
        } else if let Some(Line::Gap(n)) = out.last_mut() {
            *n += 1;
        } else {
            out.push(Line::Gap(1));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_keep_their_surroundings() {
        let expected = "a\nb\nc\nd\ne\nf\ng\nh";
        let actual = "a\nb\nc\nd\ne\nX\ng\nh\ni";
        assert_eq!(
            lines(expected, actual).unwrap(),
            [
                Line::Gap(3),
                Line::Same("d"),
                Line::Same("e"),
                Line::Expected("f"),
                Line::Actual("X"),
                Line::Same("g"),
                Line::Same("h"),
                Line::Actual("i"),
            ]
        );
        assert_eq!(lines("one", "two"), None);
        assert_eq!(lines("a\nb", "c\nd"), None);
    }
}
