//! The threads that compress, shared by all builds of the process.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

type Job = Box<dyn FnOnce() + Send>;

/// Runs the job as soon as a thread is free.
pub(super) fn run(job: impl FnOnce() + Send + 'static) {
    static JOBS: OnceLock<Mutex<Sender<Job>>> = OnceLock::new();
    let jobs = JOBS.get_or_init(|| {
        let (sender, receiver) = channel::<Job>();
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..threads() {
            let receiver = Arc::clone(&receiver);
            std::thread::spawn(move || {
                loop {
                    let Ok(job) = lock(&receiver).recv() else { break };
                    // A job that panics loses its own layer, not the thread.
                    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
                }
            });
        }
        Mutex::new(sender)
    });
    // Threads end with the process alone, so somebody receives.
    let _ = lock(jobs).send(Box::new(job));
}

/// How many things are computed at a time.
pub(super) fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).min(8)
}

/// What a thread that panicked left behind is as good as before.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
