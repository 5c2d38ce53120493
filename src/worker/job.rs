//! A delivery of the queue, understood: which build, which attempt, who waits for the answer.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::amqp::names::{ATTEMPT, DEPLOYED, Names, key};
use crate::amqp::{Incoming, Outgoing, Receipt};
use crate::message::{BuildMessage, Lane, MAX_BYTES, supersede_key};
use crate::model::failure::{Failure, FailureCode};
use crate::model::names::BuildId;
use crate::model::report::BuildReport;
use crate::model::request::BuildRequest;

/// A build to make.
pub(super) struct Job {
    pub(super) request: BuildRequest,
    /// That of the queue that it came by.
    pub(super) lane: Lane,
    /// Tells requests under the same id apart.
    pub(super) hash: String,
    /// From 1.
    pub(super) attempt: u32,
    /// What it takes the place of others by: product line, application, the sender's key.
    pub(super) supersede: Option<String>,
    /// When it was sent, in Unix time.
    pub(super) sent_at: u64,
    /// How often it was delivered before.
    pub(super) deliveries: u64,
    /// Whether an earlier run of it may have deployed: what became of one whose worker died nobody knows.
    pub(super) deployed: bool,
    /// The message as it came.
    pub(super) original: Outgoing,
    pub(super) reply: Reply,
    pub(super) receipt: Receipt,
}

/// Who waits for the report, beside everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reply {
    queue: Option<String>,
    correlation_id: Option<String>,
}

impl Job {
    /// Reads a delivery.
    ///
    /// # Errors
    /// The receipt, and why the body is no build message.
    pub(super) fn read(incoming: Incoming, names: &Names) -> Result<Self, (Receipt, Failure)> {
        let understood =
            BuildMessage::parse(&incoming.body).and_then(|message| Ok((message.request()?, message.supersede)));
        let (request, supersede) = match understood {
            Ok(understood) => understood,
            Err(failure) => return Err((incoming.receipt, failure)),
        };
        // Whoever sent it straight to the queue gave the queue's name as its key, and no exchange of ours knows that.
        let lane = names.lane(&incoming.queue).unwrap_or_default();
        let id = request.id.to_string();
        let deliveries = incoming.number("x-delivery-count").unwrap_or_default();
        Ok(Self {
            hash: hash(&incoming.body),
            attempt: incoming.number(ATTEMPT).and_then(|attempt| u32::try_from(attempt).ok()).unwrap_or(1).max(1),
            supersede: supersede.map(|key| supersede_key(&request.product_line, &request.name, &key)),
            sent_at: incoming.sent_at.unwrap_or_default(),
            deployed: deliveries > 0 || incoming.headers.contains_key(DEPLOYED),
            deliveries,
            reply: Reply::of(&incoming),
            original: Outgoing { key: lane.name().to_owned(), ..original(&incoming, &id) },
            lane,
            receipt: incoming.receipt,
            request,
        })
    }

    /// The build's id.
    pub(super) fn id(&self) -> &str {
        self.request.id.as_str()
    }
}

impl Reply {
    /// Who sent this waits for an answer there.
    pub(super) fn of(incoming: &Incoming) -> Self {
        Self { queue: incoming.reply_to.clone(), correlation_id: incoming.correlation_id.clone() }
    }

    /// Refuses a queue of Slipway's own: a report in it would be read as something else.
    pub(super) fn refusal(&self, names: &Names) -> Option<Failure> {
        let queue = self.queue.as_deref().filter(|queue| names.are_ours(queue))?;
        let message = format!("`reply_to` names `{queue}`, which is Slipway's own");
        Some(
            Failure::new(FailureCode::RequestInvalid, message)
                .at("reply_to", None)
                .hint("declare a queue for the answers; all reports also go to the exchange of reports"),
        )
    }

    /// The messages that carry a report: one for everybody, and one for who asked.
    pub(super) fn messages(&self, names: &Names, report: &BuildReport, json: &str) -> Vec<Outgoing> {
        let application = &report.application;
        let everybody = Outgoing {
            exchange: names.reports(),
            key: key(&application.product_line, &application.name, report.outcome.name()),
            body: json.as_bytes().to_vec(),
            message_id: report.id.clone(),
            correlation_id: self.correlation_id.clone(),
            kind: Some("report".to_owned()),
            ..Outgoing::default()
        };
        let asked = self.queue.as_ref().filter(|queue| !names.are_ours(queue));
        let asked = asked.map(|queue| Outgoing { exchange: String::new(), key: queue.clone(), ..everybody.clone() });
        std::iter::once(everybody).chain(asked).collect()
    }
}

/// A message as it came, to be sent once more; with the build's id, which its sender may have left out.
pub(super) fn original(incoming: &Incoming, id: &str) -> Outgoing {
    let headers = incoming.headers.iter().filter(|(name, _)| !name.starts_with("x-"));
    Outgoing {
        exchange: String::new(),
        key: incoming.key.clone(),
        body: incoming.body.clone(),
        message_id: id.to_owned(),
        correlation_id: incoming.correlation_id.clone(),
        reply_to: incoming.reply_to.clone(),
        kind: incoming.kind.clone(),
        sent_at: incoming.sent_at,
        headers: headers.map(|(name, value)| (name.clone(), value.clone())).collect(),
    }
}

/// The id of the build that a message is about: its sender's word, what can be recognised of its body, or a name for the body.
pub(super) fn id(incoming: &Incoming) -> String {
    let valid = |id: &str| id.parse::<BuildId>().is_ok();
    let said = incoming.message_id.clone().filter(|id| valid(id));
    let read = || document(incoming)["id"].as_str().filter(|id| valid(id)).map(str::to_owned);
    said.or_else(read).unwrap_or_else(|| format!("unreadable-{}", &hash(&incoming.body)[..16]))
}

/// The body as JSON, whatever it holds; null where it is none.
pub(super) fn document(incoming: &Incoming) -> Value {
    match incoming.body.len() {
        0..=MAX_BYTES => serde_json::from_slice(&incoming.body).unwrap_or_default(),
        _ => Value::Null,
    }
}

/// What tells two bodies apart.
pub(super) fn hash(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
}
