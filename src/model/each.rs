//! The same for many things, several at a time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// More threads than this only wait for each other where things are small.
const THREADS: usize = 8;

/// What `make` makes of each item, in the order of the items. It runs on as many threads as the machine has processors:
/// where that saves less than the start of a thread, some 50 µs, a loop is the better choice.
///
/// # Panics
/// Where `make` does.
pub fn each<T: Sync, R: Send>(items: &[T], make: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return done };
            done.push((at, make(item)));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS).min(items.len());
    let mut done = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, one)| one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_items() {
        let items: Vec<usize> = (0..1000).collect();
        assert_eq!(each(&items, |item| item * 2), items.iter().map(|item| item * 2).collect::<Vec<_>>());
        assert!(each(&[], |item: &usize| *item).is_empty());
    }

    #[test]
    #[should_panic(expected = "on purpose")]
    fn a_panic_is_not_lost() {
        each(&[1, 2, 3], |item| assert_ne!(*item, 3, "on purpose"));
    }
}
