//! Threads that share the work of one command.

#[cfg(feature = "threads")]
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use crate::poly::{BufClass, View};

/// Cost of one word of an elementwise pass; the unit of [`Workers::run`], about a third of a
/// nanosecond.
pub(super) const WORD: usize = 1;

/// Cost of one word of a transform.
pub(super) const NTT_WORD: usize = 6;

/// Below this cost, waking a second thread takes longer than the work.
#[cfg(feature = "threads")]
const WORTH_SHARING: usize = 1 << 18;

/// The class of work on operands: that of secrets if there is one among them.
pub(super) fn class_of<'v>(views: impl IntoIterator<Item = &'v View>) -> BufClass {
    let mut classes = views.into_iter().map(View::class);
    match classes.any(|class| class == BufClass::Secret) {
        true => BufClass::Secret,
        false => BufClass::Public,
    }
}

/// Plain loops, or a pool of threads that the device owns or was given.
#[derive(Clone, Debug, Default)]
pub(super) struct Workers {
    #[cfg(feature = "threads")]
    pool: Option<Arc<rayon::ThreadPool>>,
}

impl Workers {
    /// Workers of a pool.
    #[cfg(feature = "threads")]
    pub(super) fn pool(pool: Arc<rayon::ThreadPool>) -> Self {
        Self {
            pool: (pool.current_num_threads() > 1).then_some(pool),
        }
    }

    /// Tasks that can run at a time.
    pub(super) fn parallelism(&self) -> usize {
        #[cfg(feature = "threads")]
        if let Some(pool) = &self.pool {
            return pool.current_num_threads();
        }
        1
    }

    /// The length of the pieces to cut `rows` limbs of `n` words into, so that every worker gets
    /// a few tasks.
    pub(super) fn piece(&self, n: usize, rows: usize) -> usize {
        let tasks = match self.parallelism() {
            1 => 1,
            workers => 4 * workers,
        };
        let per_row = tasks.div_ceil(rows).next_power_of_two();
        (n / per_row).max(SMALLEST_PIECE).min(n)
    }

    /// Runs `f` on every task, each costing about `cost`; in order on this thread where that is
    /// faster. Tasks may work on secrets.
    pub(super) fn run<T: Send>(&self, tasks: Vec<T>, cost: usize, f: impl Fn(T) + Send + Sync) {
        self.run_of(BufClass::Secret, tasks, cost, f);
    }

    /// The same for tasks that work on secrets only where `class` says so: clearing the stack takes
    /// as long as an eighth of the transform of `2^10` words, and the first cache. Fused commands are
    /// public: the front refuses them for secrets.
    pub(super) fn run_of<T: Send>(
        &self,
        class: BufClass,
        tasks: Vec<T>,
        cost: usize,
        f: impl Fn(T) + Send + Sync,
    ) {
        #[cfg(feature = "threads")]
        if let Some(pool) = &self.pool
            && tasks.len() > 1
            && tasks.len() * cost >= WORTH_SHARING
        {
            let tasks: Vec<_> = tasks.into_iter().map(|t| Mutex::new(Some(t))).collect();
            share(pool, tasks.len(), &|i| {
                let task = tasks[i]
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take();
                each(class, [task.expect("every task is handed out once")], &f);
            });
            return;
        }
        #[cfg(not(feature = "threads"))]
        let _ = cost;
        each(class, tasks, f);
    }
}

/// Calls `f` with every task, and leaves none of the spilled registers of work on secrets behind.
/// After each task, because the next one may make tables, and moving a value copies what the stack
/// held where the value has gaps.
#[inline(never)]
fn each<T>(class: BufClass, tasks: impl IntoIterator<Item = T>, f: impl Fn(T)) {
    for task in tasks {
        call(task, &f);
        if class == BufClass::Secret {
            clear_stack();
        }
    }
}

/// In a frame of its own, so that what follows lies where it lay.
#[inline(never)]
fn call<T>(task: T, f: &impl Fn(T)) {
    f(task);
}

/// Bytes below the caller's frame that are cleared: more than kernels and what calls them take.
const KERNEL_STACK: usize = 16 << 10;

#[inline(never)]
fn clear_stack() {
    std::hint::black_box(&mut [0u8; KERNEL_STACK]);
}

/// Calls `f` with every number below `count`. The calling thread takes its share: it is awake, and
/// what it has just written is in its cache. Not generic: every kernel of every instruction set
/// would have its own copy of the pool's machinery, two fifths of the crate's code.
#[cfg(feature = "threads")]
fn share(pool: &rayon::ThreadPool, count: usize, f: &(dyn Fn(usize) + Sync)) {
    let (next, busy) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= count {
                return;
            }
            f(i);
        }
    };
    pool.in_place_scope(|scope| {
        let helpers = pool.current_num_threads().min(count) - 1;
        busy.store(helpers, Ordering::Relaxed);
        for _ in 0..helpers {
            scope.spawn(|_| {
                work();
                busy.fetch_sub(1, Ordering::Release);
            });
        }
        work();
        // The others are at their last tasks: sleeping takes longer than most of these.
        let mut patience = SPINS;
        while patience > 0 && busy.load(Ordering::Acquire) > 0 {
            std::hint::spin_loop();
            patience -= 1;
        }
    });
}

/// Some hundred microseconds at most.
#[cfg(feature = "threads")]
const SPINS: usize = 20_000;

/// Shorter pieces cost more to hand out than to compute.
const SMALLEST_PIECE: usize = 1024;
