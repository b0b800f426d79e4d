//! Sets of small numbers, as bits: configurations are compared, joined and looked up often.

/// A set of numbers below a size that is fixed when it is made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Set {
    words: Vec<u64>,
}

impl Set {
    /// The empty set of numbers below `size`.
    pub fn empty(size: usize) -> Set {
        Set {
            words: vec![0; size.div_ceil(64)],
        }
    }

    /// All numbers below `size`.
    pub fn full(size: usize) -> Set {
        Set::of(size, 0..size)
    }

    /// These numbers; those which are not below `size` are left out.
    pub fn of(size: usize, members: impl IntoIterator<Item = usize>) -> Set {
        let mut set = Set::empty(size);
        for member in members {
            set.insert(member);
        }
        set
    }

    /// Adds a number, if there is room for it.
    pub fn insert(&mut self, member: usize) {
        if let Some(word) = self.words.get_mut(member / 64) {
            *word |= 1 << (member % 64);
        }
    }

    /// Takes a number away.
    pub fn remove(&mut self, member: usize) {
        if let Some(word) = self.words.get_mut(member / 64) {
            *word &= !(1 << (member % 64));
        }
    }

    /// Whether the number is in it.
    pub fn has(&self, member: usize) -> bool {
        let word = self.words.get(member / 64);
        word.is_some_and(|w| w & (1 << (member % 64)) != 0)
    }

    /// Adds what is in the other.
    pub fn add(&mut self, other: &Set) {
        for (a, b) in self.words.iter_mut().zip(&other.words) {
            *a |= b;
        }
    }

    /// Whether nothing is in both.
    pub fn is_apart(&self, other: &Set) -> bool {
        self.words.iter().zip(&other.words).all(|(a, b)| a & b == 0)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|w| *w == 0)
    }

    /// What is in either.
    pub fn or(&self, other: &Set) -> Set {
        self.with(other, |a, b| a | b)
    }

    /// What is in both.
    pub fn and(&self, other: &Set) -> Set {
        self.with(other, |a, b| a & b)
    }

    /// What is in this one only.
    pub fn minus(&self, other: &Set) -> Set {
        self.with(other, |a, b| a & !b)
    }

    /// How many are in this one only, and how many of those are not in the third either.
    pub fn count_minus(&self, other: &Set, third: &Set) -> (usize, usize) {
        let (mut two, mut three) = (0, 0);
        for ((a, b), c) in self.words.iter().zip(&other.words).zip(&third.words) {
            let left = a & !b;
            two += left.count_ones() as usize;
            three += (left & !c).count_ones() as usize;
        }
        (two, three)
    }

    fn with(&self, other: &Set, join: impl Fn(u64, u64) -> u64) -> Set {
        let words = self.words.iter().zip(&other.words);
        Set {
            words: words.map(|(a, b)| join(*a, *b)).collect(),
        }
    }

    /// The numbers, the smallest first.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros() as usize;
                (left != 0).then(|| {
                    left &= left - 1;
                    at * 64 + bit
                })
            })
        })
    }

    /// The numbers in a list.
    pub fn list(&self) -> Vec<usize> {
        self.iter().collect()
    }
}
