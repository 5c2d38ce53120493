//! How many requests one address may make.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Addresses that are remembered; those that asked longest ago are forgotten first.
const REMEMBERED: usize = 20_000;

/// A bucket for each address: it fills with time, and each request takes one out.
#[derive(Debug)]
pub(in crate::server) struct Limiter {
    per_second: f64,
    buckets: Mutex<HashMap<IpAddr, (f64, Instant)>>,
}

impl Limiter {
    /// So many in a second; a burst may be ten times as large.
    pub(in crate::server) fn new(per_second: u32) -> Self {
        Self { per_second: f64::from(per_second.max(1)), buckets: Mutex::default() }
    }

    /// Whether one more is answered.
    pub(in crate::server) fn takes(&self, address: IpAddr) -> bool {
        self.takes_at(address, Instant::now())
    }

    /// Whether one more would be answered; none is taken.
    pub(in crate::server) fn has(&self, address: IpAddr) -> bool {
        self.takes_some_at(0.0, address, Instant::now())
    }

    fn takes_at(&self, address: IpAddr, now: Instant) -> bool {
        self.takes_some_at(1.0, address, now)
    }

    fn takes_some_at(&self, some: f64, address: IpAddr, now: Instant) -> bool {
        let full = self.per_second * 10.0;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= REMEMBERED && !buckets.contains_key(&address) {
            // Who has a full bucket again is as good as unknown.
            buckets.retain(|_, (left, at)| *left + now.duration_since(*at).as_secs_f64() * self.per_second < full);
            if buckets.len() >= REMEMBERED {
                buckets.clear();
            }
        }
        let (left, at) = buckets.entry(address).or_insert((full, now));
        *left = (*left + now.duration_since(*at).as_secs_f64() * self.per_second).min(full);
        *at = now;
        if *left < 1.0 {
            return false;
        }
        *left -= some;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_and_a_flood_does_not() {
        let limiter = Limiter::new(2);
        let (one, other) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let now = Instant::now();
        assert_eq!((0..30).filter(|_| limiter.takes_at(one, now)).count(), 20);
        assert!(limiter.takes_at(other, now));
        assert!(limiter.has(other) && !limiter.takes_some_at(0.0, one, now));
        let later = now + Duration::from_secs(1);
        assert_eq!((0..30).filter(|_| limiter.takes_at(one, later)).count(), 2);
    }
}
