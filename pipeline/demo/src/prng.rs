//! Random numbers that never change: the same keys give the same numbers on every platform and in every version.
//!
//! SplitMix64, and nothing from a mathematical library whose last bit may differ: only the four operations and
//! the square root, which IEEE 754 fixes. Each thing of the world draws from a stream of its own, named by keys, so
//! that one more draw here moves nothing there.

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Rng {
    state: u64,
}

/// From this mean on, counts are drawn from the normal approximation.
const LARGE_MEAN: f64 = 24.0;

impl Rng {
    /// The stream of a thing: a seed, and what names the thing.
    pub fn of(seed: u64, keys: &[u64]) -> Self {
        Self { state: keys.iter().fold(mix(seed), |state, key| mix(state ^ mix(*key))) }
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        finish(self.state)
    }

    /// A number below `n`; 0 where `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.any()) * u128::from(n)) >> 64) as u64
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// A number from 0 up to, not including, 1.
    pub fn unit(&mut self) -> f64 {
        (self.any() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether something with that probability happens.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of the items, of which there must be at least one.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// How many of independent rare events happen, when `mean` happen on average.
    pub fn poisson(&mut self, mean: f64) -> u64 {
        if mean <= 0.0 {
            return 0;
        }
        if mean >= LARGE_MEAN {
            // Four uniform numbers have variance 1/3.
            let sum = self.unit() + self.unit() + self.unit() + self.unit() - 2.0;
            return (mean + mean.sqrt() * sum * 3.0_f64.sqrt() + 0.5).max(0.0) as u64;
        }
        let limit = exp_minus(mean);
        let (mut count, mut product) = (0, self.unit());
        while product > limit {
            count += 1;
            product *= self.unit();
        }
        count
    }

    /// That many hexadecimal digits.
    pub fn hex(&mut self, digits: usize) -> String {
        self.text(b"0123456789abcdef", digits)
    }

    /// That many characters from an ASCII alphabet.
    pub fn text(&mut self, alphabet: &[u8], length: usize) -> String {
        (0..length).map(|_| char::from(*self.pick(alphabet))).collect()
    }

    /// An identifier in the usual notation of a version 4 UUID.
    pub fn uuid(&mut self) -> String {
        let digits = self.hex(32);
        let variant = self.text(b"89ab", 1);
        format!(
            "{}-{}-4{}-{variant}{}-{}",
            &digits[..8],
            &digits[8..12],
            &digits[13..16],
            &digits[17..20],
            &digits[20..]
        )
    }
}

/// A well-mixed number of a number, as a key of further streams.
pub fn mix(n: u64) -> u64 {
    finish(n.wrapping_add(0x9E37_79B9_7F4A_7C15))
}

/// A key of a text.
pub fn key(text: &str) -> u64 {
    text.bytes()
        .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

fn finish(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// e to the power of `-x`, for `x` from 0 on.
pub(crate) fn exp_minus(x: f64) -> f64 {
    if x > 700.0 {
        return 0.0;
    }
    // The series converges fast for x/1024; ten squarings lead back.
    let small = x / 1024.0;
    let mut result = 1.0 / (1.0 + small * (1.0 + small / 2.0 * (1.0 + small / 3.0 * (1.0 + small / 4.0))));
    for _ in 0..10 {
        result *= result;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_these_for_ever() {
        let mut rng = Rng::of(1, &[2, 3]);
        assert_eq!([rng.any(), rng.any()], [11_137_588_757_717_838_204, 6_741_052_232_098_564_889]);
    }

    #[test]
    fn counts_have_the_mean_that_was_asked_for() {
        for mean in [0.1, 2.0, 20.0, 30.0, 3000.0] {
            let mut rng = Rng::of(7, &[]);
            let drawn: Vec<u64> = (0..20_000).map(|_| rng.poisson(mean)).collect();
            let average = drawn.iter().sum::<u64>() as f64 / 20_000.0;
            let variance = drawn.iter().map(|n| (*n as f64 - average).powi(2)).sum::<f64>() / 20_000.0;
            assert!((average / mean - 1.0).abs() < 0.05, "{mean}: {average}");
            assert!((variance / mean - 1.0).abs() < 0.1, "{mean}: {variance}");
        }
    }

    #[test]
    fn the_exponential_is_right() {
        for x in [0.0, 0.5, 1.0, 23.9, 100.0] {
            assert!((exp_minus(x) / (-x).exp() - 1.0).abs() < 1e-4, "{x}");
        }
    }

    #[test]
    fn numbers_stay_in_their_bounds() {
        let mut rng = Rng::of(3, &[]);
        assert_eq!(rng.below(0), 0);
        assert!((0..1000).all(|_| (5..=7).contains(&rng.between(5, 7)) && rng.unit() < 1.0));
    }
}
