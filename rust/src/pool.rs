//! The worker threads that batch calls share.

use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// More threads than this are never started, whatever the machine.
pub const MAX_THREADS: usize = 64;

struct State {
    /// Threads asked for; 0: one a core.
    wanted: usize,
    /// Threads do not survive a fork, so the pool belongs to one process id.
    process: u32,
    pool: Option<Arc<ThreadPool>>,
}

static STATE: Mutex<State> = Mutex::new(State { wanted: 0, process: 0, pool: None });

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS)
}

/// Use `count` threads from now on; 0: one a core, 1: the calling thread only.
pub fn set_threads(count: usize) {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted = count.min(MAX_THREADS);
    if wanted != state.wanted {
        state.wanted = wanted;
        state.process = 0;
    }
}

/// The pool of this process, or `None` when one thread does all the work.
fn current() -> Option<Arc<ThreadPool>> {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if state.process != process {
        let threads = if state.wanted == 0 { cores() } else { state.wanted };
        if let (Some(old), true) = (state.pool.take(), state.process != 0) {
            // Inherited through fork: its threads do not exist here, and dropping it would wait for them for ever.
            std::mem::forget(old);
        }
        let start = |count| ThreadPoolBuilder::new().num_threads(count).thread_name(|i| format!("salus-{i}")).build();
        state.pool = if threads > 1 { start(threads).ok().map(Arc::new) } else { None };
        state.process = process;
    }
    state.pool.clone()
}

/// Threads that a large batch uses now.
pub fn threads() -> usize {
    current().map_or(1, |pool| pool.current_num_threads())
}

/// `items.map(f)` in order; on several threads when every one of them gets at least `grain` items.
pub fn map<T: Sync, R: Send>(items: &[T], grain: usize, f: impl Fn(&T) -> R + Sync + Send) -> Vec<R> {
    if items.len() >= 2 * grain {
        if let Some(pool) = current() {
            return pool.install(|| items.par_iter().with_min_len(grain).map(f).collect());
        }
    }
    items.iter().map(f).collect()
}

/// Split `0..len` evenly over the threads (chunks of at least `grain`) and run `f(start, end)` on each.
pub fn chunks<R: Send>(len: usize, grain: usize, f: impl Fn(usize, usize) -> R + Sync + Send) -> Vec<R> {
    let pool = if len >= 2 * grain { current() } else { None };
    let Some(pool) = pool else {
        return vec![f(0, len)];
    };
    let parts = pool.current_num_threads().min(len / grain).max(1);
    pool.install(|| (0..parts).into_par_iter().map(|i| f(len * i / parts, len * (i + 1) / parts)).collect())
}

/// Run both closures, at the same time when there are threads.
pub fn join<A: Send, B: Send>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    match current() {
        Some(pool) => pool.install(|| rayon::join(a, b)),
        None => (a(), b()),
    }
}
