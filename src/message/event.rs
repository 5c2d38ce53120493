//! Event messages: what happens while a build runs, for whoever wants to know.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::failure::Step;
use crate::model::report::{BuildEvent, Outcome, StepReport};

/// One event of a build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventMessage {
    /// The format's version: 1.
    pub version: u32,
    /// The build.
    pub id: String,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// Its place among the attempt's events, from 1; a gap means that events were lost.
    pub sequence: u64,
    /// RFC 3339, UTC.
    pub at: String,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// A worker begins with the build.
    Accepted {
        /// Which worker.
        worker: String,
    },
    /// A step begins.
    StepStarted {
        /// The step.
        step: Step,
    },
    /// A step ended.
    StepFinished(StepReport),
    /// Lines of a command's output, redacted.
    Log {
        /// The step.
        step: Step,
        /// The lines, with the colours that they were printed in: sequences that select a foreground or bold (ECMA-48,
        /// section 8.3.117), and no other control character.
        lines: Vec<String>,
        /// How many lines before these were left out, because they came faster than they could be sent.
        #[serde(default, skip_serializing_if = "is_zero")]
        dropped: u64,
    },
    /// The attempt ended.
    Finished {
        /// How.
        outcome: Outcome,
        /// The build is tried again after this time, and there is no report yet.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_in_ms: Option<u64>,
    },
}

impl Event {
    /// The event's name: the last word of the routing key.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::StepStarted { .. } => "step_started",
            Self::StepFinished(_) => "step_finished",
            Self::Log { .. } => "log",
            Self::Finished { .. } => "finished",
        }
    }

    /// What the pipeline says, as an event of this worker's.
    #[must_use]
    pub fn from_build(event: BuildEvent, worker: &str) -> Self {
        match event {
            BuildEvent::Accepted { .. } => Self::Accepted { worker: worker.to_owned() },
            BuildEvent::StepStarted { step } => Self::StepStarted { step },
            BuildEvent::StepFinished(report) => Self::StepFinished(report),
            BuildEvent::Log { step, line } => Self::Log { step, lines: vec![line], dropped: 0 },
        }
    }
}

impl EventMessage {
    /// What a progress display shows of it.
    #[must_use]
    pub fn for_progress(&self) -> Vec<BuildEvent> {
        match &self.event {
            Event::Accepted { .. } => vec![BuildEvent::Accepted { id: self.id.clone() }],
            Event::StepStarted { step } => vec![BuildEvent::StepStarted { step: *step }],
            Event::StepFinished(report) => vec![BuildEvent::StepFinished(report.clone())],
            Event::Log { step, lines, .. } => {
                lines.iter().map(|line| BuildEvent::Log { step: *step, line: line.clone() }).collect()
            }
            Event::Finished { .. } => Vec::new(),
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
