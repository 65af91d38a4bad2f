//! Hashing of the numbers in a capture: quick, and with a secret, so that nobody can make a
//! capture with numbers that all collide.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Makes hashers for numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ids(u64);

/// Hashes one number.
#[derive(Debug)]
pub(super) struct IdHasher(u64);

impl Default for Ids {
    fn default() -> Self {
        // Odd, so that no number is lost by multiplying.
        Self(RandomState::new().hash_one(0u8) | 1)
    }
}

impl BuildHasher for Ids {
    type Hasher = IdHasher;

    #[inline]
    fn build_hasher(&self) -> IdHasher {
        IdHasher(self.0)
    }
}

impl Hasher for IdHasher {
    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        let wide = u128::from(self.0 ^ number) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (wide >> 64) as u64 ^ wide as u64;
    }

    #[inline]
    fn write_i64(&mut self, number: i64) {
        self.write_u64(number as u64);
    }
}
