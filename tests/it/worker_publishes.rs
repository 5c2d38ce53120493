//! What is sent to the broker, and what each sender hears of it.

use std::sync::Arc;

use slipway::amqp::{Broker, Error, Outgoing, Publisher};
use slipway::config::Config;
use tokio::task::JoinSet;

use crate::services::service;
use crate::support::fleet::Fleet;

/// Sends a report that a queue takes, or a message that none does.
async fn send(publisher: &Publisher, fleet: &Fleet, number: usize) -> &'static str {
    let (exchange, key) = if number.is_multiple_of(2) {
        (fleet.name("reports"), "trade.order.succeeded")
    } else {
        (String::new(), "nobody-s")
    };
    let message = Outgoing {
        exchange,
        key: key.to_owned(),
        body: number.to_string().into_bytes(),
        message_id: number.to_string(),
        ..Outgoing::default()
    };
    match publisher.publish(&message).await {
        Ok(()) => "taken",
        Err(Error::Unroutable(..)) => "returned",
        Err(error) => panic!("{number}: {error}"),
    }
}

/// The client library gives a returned message to whichever confirmation comes next on its channel: of 6000 messages that
/// 200 sent on one, 59 that no queue took counted as sent.
#[tokio::test(flavor = "multi_thread")]
async fn each_sender_hears_of_its_own_message() {
    let fleet = Arc::new(Fleet::new(&[]).await);
    let config = toml::from_str::<Config>(&format!("[amqp]\nurl = {:?}\n", service("SLIPWAY_TEST_AMQP"))).unwrap();
    let publisher = Arc::new(Publisher::new(Broker::new(Arc::new(config)).unwrap()));
    let mut senders = JoinSet::new();
    for sender in 0..200 {
        let (fleet, publisher) = (Arc::clone(&fleet), Arc::clone(&publisher));
        senders.spawn(async move {
            for number in sender..sender + 20 {
                let heard = send(&publisher, &fleet, number).await;
                assert_eq!(heard, if number.is_multiple_of(2) { "taken" } else { "returned" });
            }
        });
    }
    while let Some(ended) = senders.join_next().await {
        ended.unwrap();
    }
    fleet.until_waiting("reports", 2000).await;
    publisher.close().await;
}
