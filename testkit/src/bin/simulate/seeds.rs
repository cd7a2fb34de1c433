//! Many seeds on all cores, heard one by one.

use std::num::NonZeroUsize;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use crate::progress::Progress;

/// How often progress is looked at although nothing came.
const TICK: Duration = Duration::from_secs(1);

/// What was heard of a seed.
pub(crate) struct Heard {
    /// Whether something was that must never be.
    pub(crate) failed: bool,
    /// Whether to go on.
    pub(crate) flow: ControlFlow<()>,
}

/// Plays each seed of a range, in about their order, and hands over what came of it, in no order. Ends early when
/// `hear` says so. Returns how many were heard.
pub(crate) fn each<T: Send>(
    seeds: Range<u64>,
    threads: NonZeroUsize,
    what: &'static str,
    play: impl Fn(u64) -> T + Sync,
    mut hear: impl FnMut(u64, T, &Progress) -> Heard,
) -> u64 {
    let next = AtomicU64::new(seeds.start);
    let mut progress = Progress::new(what, seeds.end - seeds.start);
    std::thread::scope(|scope| {
        let (told, heard) = mpsc::sync_channel(threads.get() * 2);
        for _ in 0..threads.get() {
            let told = told.clone();
            let (next, play, end) = (&next, &play, seeds.end);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    // Whoever listened has heard enough when nobody listens any more.
                    if seed >= end || told.send((seed, play(seed))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(told);
        loop {
            match heard.recv_timeout(TICK) {
                Ok((seed, played)) => {
                    let heard = hear(seed, played, &progress);
                    progress.advance(heard.failed);
                    if heard.flow.is_break() {
                        break;
                    }
                }
                Err(RecvTimeoutError::Timeout) => progress.look(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    });
    progress.end()
}
