//! The names of exchanges, queues, headers and routing keys.

use std::time::Duration;

use crate::config::duration;
use crate::message::Lane;

/// The header that counts attempts, from 1.
pub const ATTEMPT: &str = "slipway-attempt";

/// The header that says why a message lies in the dead queue.
pub const REASON: &str = "slipway-reason";

/// The header that says which lane a dead message came by.
pub const LANE: &str = "slipway-lane";

/// The header of a `supersede` message that a worker sends when it takes a build, and not the build's sender.
pub const TAKEN: &str = "slipway-taken";

/// The header of a request of which an earlier attempt may have deployed.
pub const DEPLOYED: &str = "slipway-deployed";

/// The names below one prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    prefix: String,
}

impl Names {
    /// The names that begin with a prefix.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// What they all begin with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The exchange that build messages are sent to.
    #[must_use]
    pub fn requests(&self) -> String {
        format!("{}.requests", self.prefix)
    }

    /// The queue of a lane.
    #[must_use]
    pub fn builds(&self, lane: Lane) -> String {
        format!("{}.builds.{}", self.prefix, lane.name())
    }

    /// The lane whose queue it is.
    #[must_use]
    pub fn lane(&self, queue: &str) -> Option<Lane> {
        Lane::ALL.into_iter().find(|lane| self.builds(*lane) == queue)
    }

    /// The exchange of events.
    #[must_use]
    pub fn events(&self) -> String {
        format!("{}.events", self.prefix)
    }

    /// The exchange of reports, and the queue that keeps them all.
    #[must_use]
    pub fn reports(&self) -> String {
        format!("{}.reports", self.prefix)
    }

    /// Exchange and queue of messages that wait for their next attempt.
    #[must_use]
    pub fn retry(&self, delay: Duration) -> String {
        format!("{}.retry.{}", self.prefix, duration::text(delay))
    }

    /// The stream of control messages.
    #[must_use]
    pub fn control(&self) -> String {
        format!("{}.control", self.prefix)
    }

    /// The queue of what killed workers or could not be read.
    #[must_use]
    pub fn dying(&self) -> String {
        format!("{}.dying", self.prefix)
    }

    /// The queue of what was reported and set aside.
    #[must_use]
    pub fn dead(&self) -> String {
        format!("{}.dead", self.prefix)
    }

    /// The server's own queue of reports, or of events.
    #[must_use]
    pub fn server(&self, of: &str) -> String {
        format!("{}.server.{of}", self.prefix)
    }

    /// Whether a queue is one of Slipway's own.
    #[must_use]
    pub fn are_ours(&self, queue: &str) -> bool {
        queue == self.prefix || queue.strip_prefix(&self.prefix).is_some_and(|rest| rest.starts_with('.'))
    }
}

/// The routing key of events and reports: `<product_line>.<application>.<last>`, dots in names as `_`.
#[must_use]
pub fn key(product_line: &str, application: &str, last: &str) -> String {
    // A key has at most 255 bytes.
    let word = |name: &str| match name {
        "" => "_".to_owned(),
        name => name.chars().take(115).map(|c| if c == '.' { '_' } else { c }).collect(),
    };
    format!("{}.{}.{last}", word(product_line), word(application))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_three_words() {
        assert_eq!(key("trade", "order.web", "succeeded"), "trade.order_web.succeeded");
        assert_eq!(key("", "", "rejected"), "_._.rejected");
    }

    #[test]
    fn our_own_queues_are_known() {
        let names = Names::new("slipway");
        assert!(names.are_ours("slipway.reports") && names.are_ours(&names.builds(Lane::Bulk)));
        assert!(!names.are_ours("slipway-publisher") && !names.are_ours("amq.gen-x"));
        assert_eq!(names.lane(&names.builds(Lane::Bulk)), Some(Lane::Bulk));
        assert_eq!(names.lane(&names.dying()), None);
    }
}
