//! The worker threads that batch calls share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rayon::{ThreadPool, ThreadPoolBuilder};

/// More threads than this are never started, whatever the machine.
pub const MAX_THREADS: usize = 64;

/// How long a thread that was woken waits for its work.
const AWAKE: Duration = Duration::from_micros(200);

/// Calls that used the threads.
static CALLS: AtomicUsize = AtomicUsize::new(0);

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

/// Wake one thread for a call that follows at once: it stays awake until then, and a fifth of a millisecond at most.
pub fn wake() {
    if let Some(pool) = current() {
        let (calls, end) = (CALLS.load(Ordering::Acquire), Instant::now() + AWAKE);
        pool.spawn(move || {
            while CALLS.load(Ordering::Acquire) == calls && Instant::now() < end {
                std::thread::yield_now();
            }
        });
    }
}

/// `f(0)` to `f(parts - 1)` at the same time, the first on this thread, which so loses no time on waking another.
fn together<R: Send>(pool: &ThreadPool, parts: usize, f: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let mut places: Vec<Option<R>> = std::iter::repeat_with(|| None).take(parts).collect();
    let f = &f;
    pool.in_place_scope(|scope| {
        let mut others = places.iter_mut().enumerate();
        let first = others.next();
        for (part, place) in others {
            scope.spawn(move |_| *place = Some(f(part)));
        }
        CALLS.fetch_add(1, Ordering::Release);
        if let Some((part, place)) = first {
            *place = Some(f(part));
        }
    });
    places.into_iter().flatten().collect()
}

/// `items.map(f)` in order; on several threads when every one of them gets at least `grain` items.
pub fn map<T: Sync, R: Send>(items: &[T], grain: usize, f: impl Fn(&T) -> R + Sync + Send) -> Vec<R> {
    let pool = if items.len() >= 2 * grain { current() } else { None };
    let Some(pool) = pool else {
        return items.iter().map(f).collect();
    };
    let parts = pool.current_num_threads().min(items.len() / grain);
    // Whoever is done takes the next few: items differ in cost, and threads in when they start.
    let at_once = (items.len() / (16 * parts)).max(1);
    let next = AtomicUsize::new(0);
    let runs = together(&pool, parts, |_| {
        let mut runs = Vec::new();
        loop {
            let from = next.fetch_add(at_once, Ordering::Relaxed);
            if from >= items.len() {
                return runs;
            }
            runs.push((from, items[from..items.len().min(from + at_once)].iter().map(&f).collect::<Vec<R>>()));
        }
    });
    let mut runs: Vec<(usize, Vec<R>)> = runs.into_iter().flatten().collect();
    runs.sort_unstable_by_key(|(from, _)| *from);
    runs.into_iter().flat_map(|(_, run)| run).collect()
}

/// Split `0..len` evenly over the threads (chunks of at least `grain`) and run `f(start, end)` on each.
pub fn chunks<R: Send>(len: usize, grain: usize, f: impl Fn(usize, usize) -> R + Sync + Send) -> Vec<R> {
    let pool = if len >= 2 * grain { current() } else { None };
    let Some(pool) = pool else {
        return vec![f(0, len)];
    };
    let parts = pool.current_num_threads().min(len / grain).max(1);
    together(&pool, parts, |i| f(len * i / parts, len * (i + 1) / parts))
}

/// Run both closures, at the same time when there are threads.
pub fn join<A: Send, B: Send>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    match current() {
        Some(pool) => pool.install(|| rayon::join(a, b)),
        None => (a(), b()),
    }
}
