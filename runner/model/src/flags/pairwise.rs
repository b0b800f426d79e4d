//! All pairs: few rows in which every two values of different axes meet.
//!
//! Most faults that depend on several switches depend on two of them. The product of ten
//! switches has 1024 rows; every pair of their values is met in about ten.

use std::collections::HashSet;

/// Rows of indices into axes of these sizes. Each pair of values of two axes is in one of them,
/// and each value is. The first row is all firsts. The same sizes always give the same rows.
///
/// After AETG (Cohen and others, 1997): each row begins with the value that is in the most pairs
/// that no row has yet, and every other axis, in an order that is drawn, takes the value that
/// brings the most of them.
pub fn pairwise(sizes: &[usize]) -> Vec<Vec<usize>> {
    if sizes.is_empty() || sizes.contains(&0) {
        return Vec::new();
    }
    if let [one] = sizes {
        return (0..*one).map(|v| vec![v]).collect();
    }
    let mut open = Open::new(sizes);
    let mut draw = Draw(1);
    let mut rows = vec![vec![0; sizes.len()]];
    open.meet(&rows[0]);
    while let Some(first) = open.most() {
        let row = row_from(first, sizes, &open, &mut draw);
        open.meet(&row);
        rows.push(row);
    }
    // Near to what production serves first.
    rows.sort();
    rows
}

/// An axis and a value of it.
type Value = (usize, usize);

/// Pairs that no row has yet.
struct Open {
    pairs: HashSet<(Value, Value)>,
    /// How many of them each value is in.
    of: Vec<Vec<usize>>,
}

impl Open {
    fn new(sizes: &[usize]) -> Self {
        let total: usize = sizes.iter().sum();
        let mut pairs = HashSet::new();
        let each = |axis: usize| (0..sizes[axis]).map(move |value| (axis, value));
        for a in 0..sizes.len() {
            for b in a + 1..sizes.len() {
                for x in each(a) {
                    pairs.extend(each(b).map(|y| (x, y)));
                }
            }
        }
        let of = sizes.iter().map(|size| vec![total - size; *size]).collect();
        Self { pairs, of }
    }

    /// The value that is in most of them.
    fn most(&self) -> Option<Value> {
        let axes = self.of.iter().enumerate();
        let values = axes.flat_map(|(a, of)| of.iter().enumerate().map(move |(v, n)| (*n, (a, v))));
        let most = values.max_by_key(|(n, value)| (*n, std::cmp::Reverse(*value)));
        most.filter(|(n, _)| *n > 0).map(|(_, value)| value)
    }

    fn has(&self, one: Value, other: Value) -> bool {
        let pair = if one.0 < other.0 {
            (one, other)
        } else {
            (other, one)
        };
        self.pairs.contains(&pair)
    }

    /// Takes out the pairs of a row.
    fn meet(&mut self, row: &[usize]) {
        for a in 0..row.len() {
            for b in a + 1..row.len() {
                if self.pairs.remove(&((a, row[a]), (b, row[b]))) {
                    self.of[a][row[a]] -= 1;
                    self.of[b][row[b]] -= 1;
                }
            }
        }
    }
}

fn row_from(first: Value, sizes: &[usize], open: &Open, draw: &mut Draw) -> Vec<usize> {
    let mut order: Vec<usize> = (0..sizes.len()).filter(|a| *a != first.0).collect();
    for last in (1..order.len()).rev() {
        order.swap(last, draw.below(last + 1));
    }
    let mut chosen = vec![first];
    for axis in order {
        // Of equals any: always the same one would leave the others to rows of their own.
        let start = draw.below(sizes[axis]);
        let mut best = (0, start);
        for turn in 0..sizes[axis] {
            let value = (start + turn) % sizes[axis];
            let met = chosen.iter().filter(|c| open.has((axis, value), **c));
            let brings = met.count();
            if brings > best.0 {
                best = (brings, value);
            }
        }
        chosen.push((axis, best.1));
    }
    chosen.sort_unstable();
    chosen.into_iter().map(|(_, value)| value).collect()
}

/// A linear congruential generator: any will do, and this one is always the same.
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let drawn = usize::try_from(self.0 >> 33).unwrap_or_default();
        drawn % n.max(1)
    }
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
