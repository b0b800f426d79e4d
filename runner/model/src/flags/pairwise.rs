//! All pairs: few rows in which every two values of different axes meet.
//!
//! Most faults that depend on several switches depend on two of them. The product of ten
//! switches has 1024 rows; every pair of their values is met in about ten.

use std::collections::HashSet;

/// Rows of indices into axes of these sizes. Each pair of values of two axes is in one of them,
/// and each value is. The first row is all firsts. The same sizes always give the same rows.
pub fn pairwise(sizes: &[usize]) -> Vec<Vec<usize>> {
    if sizes.is_empty() || sizes.contains(&0) {
        return Vec::new();
    }
    if let [one] = sizes {
        return (0..*one).map(|v| vec![v]).collect();
    }
    let mut rows = vec![vec![0; sizes.len()]];
    let mut open: HashSet<Pair> = HashSet::new();
    let mut order: Vec<Pair> = Vec::new();
    for a in 0..sizes.len() {
        for b in a + 1..sizes.len() {
            for x in 0..sizes[a] {
                for y in 0..sizes[b] {
                    if (x, y) != (0, 0) {
                        open.insert(((a, x), (b, y)));
                        order.push(((a, x), (b, y)));
                    }
                }
            }
        }
    }
    for pair in order {
        if open.contains(&pair) {
            let row = row_with(pair, sizes, &open);
            for a in 0..row.len() {
                for b in a + 1..row.len() {
                    open.remove(&((a, row[a]), (b, row[b])));
                }
            }
            rows.push(row);
        }
    }
    rows
}

/// An axis and a value of it.
type Value = (usize, usize);
type Pair = (Value, Value);

/// A row with a pair that is not in one yet: each other axis gets the value that brings the most
/// such pairs with those that stand already; of equals the first, so that rows stay near to what
/// production serves.
fn row_with(pair: Pair, sizes: &[usize], open: &HashSet<Pair>) -> Vec<usize> {
    let mut row: Vec<Option<usize>> = vec![None; sizes.len()];
    for (axis, value) in [pair.0, pair.1] {
        row[axis] = Some(value);
    }
    for axis in 0..sizes.len() {
        if row[axis].is_some() {
            continue;
        }
        let brings = |value: usize| {
            let others = row.iter().enumerate().filter_map(|(o, v)| Some((o, (*v)?)));
            others
                .filter(|other| {
                    let me = (axis, value);
                    let pair = if axis < other.0 {
                        (me, *other)
                    } else {
                        (*other, me)
                    };
                    open.contains(&pair)
                })
                .count()
        };
        let best = (0..sizes[axis]).rev().max_by_key(|v| brings(*v));
        row[axis] = best;
    }
    row.into_iter().map(Option::unwrap_or_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn covers(sizes: &[usize]) -> usize {
        let rows = pairwise(sizes);
        for a in 0..sizes.len() {
            for b in a + 1..sizes.len() {
                for x in 0..sizes[a] {
                    for y in 0..sizes[b] {
                        let met = rows.iter().any(|r| r[a] == x && r[b] == y);
                        assert!(met, "{sizes:?}: {a}={x} never meets {b}={y}: {rows:?}");
                    }
                }
            }
        }
        for (axis, size) in sizes.iter().enumerate() {
            for value in 0..*size {
                assert!(rows.iter().any(|r| r[axis] == value), "{sizes:?} {rows:?}");
            }
        }
        let mut once = HashSet::new();
        assert!(rows.iter().all(|r| once.insert(r)), "{sizes:?}: {rows:?}");
        assert_eq!(rows[0], vec![0; sizes.len()]);
        rows.len()
    }

    #[test]
    fn every_pair_is_met_in_fewer_rows_than_the_product() {
        assert_eq!(covers(&[2]), 2);
        assert_eq!(covers(&[3]), 3);
        assert_eq!(covers(&[2, 2]), 4);
        assert_eq!(covers(&[1, 1, 1]), 1);
        for (sizes, most) in [
            (vec![2; 3], 6),
            (vec![2; 4], 8),
            (vec![2; 10], 14),
            (vec![2; 60], 24),
            (vec![3; 4], 15),
            (vec![3, 2, 2, 1, 4], 16),
            (vec![5, 1, 2, 2], 12),
        ] {
            let rows = covers(&sizes);
            let product: usize = sizes.iter().fold(1, |n: usize, s| n.saturating_mul(*s));
            assert!(rows <= most && rows < product, "{sizes:?}: {rows}");
        }
        assert!(pairwise(&[]).is_empty());
        assert!(pairwise(&[2, 0]).is_empty());
    }

    proptest::proptest! {
        #[test]
        fn every_pair_of_any_sizes_is_met(sizes in proptest::collection::vec(1usize..5, 1..9)) {
            covers(&sizes);
        }
    }
}
