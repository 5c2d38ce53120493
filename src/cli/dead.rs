//! `slipway dead`: messages that killed workers or could not be read.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value, json};

use super::args::{Cli, DeadVerb, FormatKind};
use super::{print, setup};
use crate::amqp::dead::{Dead, Graveyard};
use crate::amqp::{Broker, Error, Outgoing, Publisher};
use crate::message::BuildMessage;
use crate::model::failure::{Failure, FailureCode};

/// Does what the verb says.
pub(super) async fn dead(cli: &Cli, verb: &DeadVerb) -> Result<ExitCode, Failure> {
    let broker = Broker::new(Arc::new(setup::config(cli)?))?;
    let graveyard = Graveyard::open(&broker).await.map_err(Error::failure)?;
    let done = act(&broker, &graveyard, verb).await;
    graveyard.close().await;
    done.map(|()| ExitCode::SUCCESS)
}

async fn act(broker: &Broker, graveyard: &Graveyard, verb: &DeadVerb) -> Result<(), Failure> {
    match verb {
        DeadVerb::List(format) => list(graveyard, format.format),
        DeadVerb::Show { id } => {
            let body = &find(graveyard, id)?.body;
            let written = std::io::stdout().lock().write_all(body);
            written.map_err(|error| Failure::new(FailureCode::Internal, format!("standard output: {error}")))
        }
        DeadVerb::Requeue { id } => {
            let dead = find(graveyard, id)?;
            let new = requeue(broker, dead).await?;
            graveyard.remove(dead).await.map_err(Error::failure)?;
            anstream::println!("{new}");
            Ok(())
        }
        DeadVerb::Drop { id } => graveyard.remove(find(graveyard, id)?).await.map_err(Error::failure),
    }
}

fn find<'a>(graveyard: &'a Graveyard, id: &str) -> Result<&'a Dead, Failure> {
    graveyard.messages.iter().find(|dead| dead.id == id).ok_or_else(|| {
        Failure::new(FailureCode::RequestInvalid, format!("no dead message has the id `{id}`"))
            .hint("`slipway dead list` shows them")
    })
}

fn list(graveyard: &Graveyard, format: FormatKind) -> Result<(), Failure> {
    if format == FormatKind::Text {
        for dead in &graveyard.messages {
            anstream::println!("{:<38} {:<12} {:>8} bytes  {}", dead.id, dead.lane, dead.body.len(), dead.reason);
        }
        return Ok(());
    }
    let messages: Vec<Value> = graveyard
        .messages
        .iter()
        .map(|dead| {
            json!({ "id": dead.id, "lane": dead.lane, "reason": dead.reason, "sent_at": dead.sent_at, "size": dead.body.len() })
        })
        .collect();
    print::json(&json!({ "version": 1, "messages": messages })).map(drop)
}

/// Under a new id: for the old one everybody has heard of its end.
async fn requeue(broker: &Broker, dead: &Dead) -> Result<String, Failure> {
    let mut message = BuildMessage::parse(&dead.body).map_err(|failure| {
        failure.hint("a message that cannot be read cannot be sent again: correct it and `slipway submit` it")
    })?;
    let id = uuid::Uuid::now_v7().to_string();
    message.id = id.parse().map_err(|_| Failure::new(FailureCode::Internal, "a new id is not valid"))?;
    let outgoing = Outgoing {
        exchange: broker.names().requests(),
        key: message.lane.name().to_owned(),
        body: serde_json::to_vec(&message).map_err(|error| Failure::new(FailureCode::Internal, error.to_string()))?,
        message_id: id.clone(),
        kind: Some("build".to_owned()),
        ..Outgoing::default()
    };
    let publisher = Publisher::new(broker.clone());
    let sent = publisher.publish(&outgoing).await;
    publisher.close().await;
    sent.map_err(Error::failure)?;
    Ok(id)
}
