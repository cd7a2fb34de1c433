//! Randomness from the operating system.

use rand::RngCore as _;
use sync::ports::Entropy;

/// The operating system's randomness, through the thread's generator that it seeds.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn random(&self) -> u128 {
        let mut random = rand::rng();
        (u128::from(random.next_u64()) << 64) | u128::from(random.next_u64())
    }
}
