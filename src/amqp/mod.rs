//! The broker, `RabbitMQ`: the only place that knows it.
//!
//! What the client library does not do for us is done here: a time limit on every call, quality of service before every
//! consumer, separate connections for taking and for sending, and a look at what an answer really says.

mod connection;
pub mod consumer;
pub mod dead;
pub mod follow;
pub mod names;
pub mod publisher;
pub mod topology;

use std::time::Duration;

pub use connection::{Broker, Link};
pub use consumer::{Incoming, Receipt};
pub use publisher::{Outgoing, Publisher};

use crate::model::failure::{Failure, FailureCode};

/// How long the broker may take for an answer.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Why the broker did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It did not answer.
    #[error("{0}: the broker did not answer within {PATIENCE:?}")]
    Silent(&'static str),
    /// It refused, or the connection broke.
    #[error("{0}: {1}")]
    Broker(&'static str, lapin::Error),
    /// One of these, of the broker at this address.
    #[error("the broker at `{0}`: {1}")]
    At(String, Box<Error>),
    /// Nothing listens where the message was sent.
    #[error("the message to `{0}` reaches no queue: {1}")]
    Unroutable(String, String),
    /// A queue is full, or cannot store it.
    #[error("the broker does not take the message to `{0}`")]
    Refused(String),
    /// What was received belongs to a connection that is gone.
    #[error("the delivery is void: its connection is gone")]
    Void,
    /// The queue was deleted, or its leader is gone.
    #[error("the queue `{0}` gives no more messages")]
    Ended(String),
    /// A secret or the configuration stands in the way.
    #[error(transparent)]
    Configuration(#[from] Failure),
}

impl Error {
    /// Whether the broker, or a secret, says no, and not merely nothing: 403 is `ACCESS_REFUSED`, 530 an unknown host.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Configuration(_) => true,
            Self::At(_, error) => error.is_refusal(),
            Self::Broker(_, error) => {
                matches!(error.kind(), lapin::ErrorKind::ProtocolError(said) if matches!(said.get_id(), 403 | 530))
            }
            _ => false,
        }
    }

    /// As a failure for people.
    #[must_use]
    pub fn failure(self) -> Failure {
        match self {
            Self::Configuration(failure) => failure,
            refused if refused.is_refusal() => Failure::new(FailureCode::ConfigurationInvalid, refused.to_string())
                .hint("check `amqp.url`, `amqp.credentials`, and the account's rights: \"Accounts at the broker\" in `docs/operating.md`"),
            // Nobody can see a binding, so `slipway queues check` does not tell.
            unroutable @ Self::Unroutable(..) => Failure::new(FailureCode::BrokerUnavailable, unroutable.to_string())
                .hint("a queue or its binding is missing: `slipway queues declare` makes both, and changes nothing else"),
            other => Failure::new(FailureCode::BrokerUnavailable, other.to_string()),
        }
    }
}

/// Gives a call its time.
async fn timed<T>(what: &'static str, call: impl Future<Output = lapin::Result<T>>) -> Result<T, Error> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(answer) => answer.map_err(|error| Error::Broker(what, error)),
        Err(_) => Err(Error::Silent(what)),
    }
}
