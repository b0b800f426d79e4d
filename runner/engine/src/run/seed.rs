//! Random numbers that are the same for the same seed, on every machine.

/// A generator (SplitMix64): small, fast, and the same everywhere; not for secrets.
#[derive(Debug, Clone)]
pub struct Seed(u64);

impl Seed {
    /// Starts at a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator of its own for a part with a name, independent of how often this one was
    /// asked.
    #[must_use]
    pub fn part(&self, name: &str) -> Self {
        // FNV-1a over the name, mixed with the seed.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let mut part = Self(self.0 ^ hash);
        part.number();
        part
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below a limit (0 for the limit 0).
    pub fn below(&mut self, limit: u64) -> u64 {
        if limit == 0 { 0 } else { self.number() % limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let mut a = Seed::new(7);
        let mut b = Seed::new(7);
        assert_eq!((a.number(), a.number()), (b.number(), b.number()));
        assert_eq!(Seed::new(0).number(), 0xe220_a839_7b1d_cdaf);
        assert_ne!(
            Seed::new(7).part("x").number(),
            Seed::new(7).part("y").number()
        );
        assert!((0..1000).all(|_| a.below(10) < 10));
    }
}
