//! The start of a worker: what has to be right is checked, and everything is put together.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};

use super::{Builds, Gate, Going, Reports, Vitals, Worker, room};
use crate::amqp::consumer::{Consumer, Subscription};
use crate::amqp::topology::Topology;
use crate::amqp::{Broker, Incoming, Publisher};
use crate::config::{Config, duration};
use crate::message::Lane;
use crate::model::failure::{Failure, FailureCode};
use crate::pipeline::{self, Services};
use crate::report::{Ledger, Outbox, OutboxLimits};

/// What a message needs between the end of its build and its acknowledgement, and how often the broker looks.
const MARGIN: Duration = Duration::from_mins(2);

/// Control messages are kept this long.
const DAY: u64 = 24 * 3600;

/// Control messages on their way at a time.
const CONTROL: u16 = 200;

/// What may wait for the broker on disk.
const OUTBOX: OutboxLimits = OutboxLimits { entries: 10_000, bytes: 512 << 20 };

/// A worker that is about to work.
pub(super) struct Started {
    pub(super) worker: Arc<Worker>,
    pub(super) consumer: Consumer,
    pub(super) incoming: mpsc::UnboundedReceiver<Incoming>,
}

/// Checks configuration and broker, and puts the worker together.
pub(super) async fn start(services: watch::Receiver<Arc<Services>>, going: &Going) -> Result<Started, Failure> {
    let config = Arc::new(services.borrow().config.clone());
    check(&config)?;
    room::warn_of_too_much(&config);
    let vitals = Vitals::start(&services.borrow().clone()).await?;
    let broker = Broker::new(Arc::clone(&config))?;
    check_broker(&broker, &config, going).await?;
    let names = broker.names();
    let publisher = Arc::new(Publisher::new(broker.clone()));
    let directory = config.worker.directory.clone().unwrap_or_else(crate::environment::state_directory);
    let file = directory.join("worker.db");
    let (ledger, outbox) = tokio::try_join!(Ledger::open(&file), Outbox::open(&file, OUTBOX))?;
    let gate = Gate::new();
    let (sink, incoming) = mpsc::unbounded_channel();
    let (session_sender, session) = watch::channel(0);
    let consumer = Consumer {
        subscriptions: subscriptions(&broker, &config),
        broker,
        sink,
        taking: gate.subscribe(),
        session: session_sender,
    };
    let lanes = &config.worker.lanes;
    let slots = [(Lane::Interactive, lanes.interactive), (Lane::Bulk, lanes.bulk)];
    let worker = Worker {
        name: config.worker.name.clone().unwrap_or_else(pipeline::worker),
        instance: uuid::Uuid::now_v7().to_string(),
        names,
        services,
        reports: Reports::new(ledger, outbox, Arc::clone(&publisher)).await?,
        publisher,
        builds: Builds::default(),
        gate,
        slots: slots.into_iter().map(|(lane, share)| (lane, Semaphore::new(usize::from(share)))).collect(),
        session,
        config,
        vitals,
    };
    Ok(Started { worker: Arc::new(worker), consumer, incoming })
}

/// What the configuration of a worker has to say.
///
/// # Errors
/// `configuration_invalid` with what it lacks.
pub fn check(config: &Config) -> Result<(), Failure> {
    let invalid = |why: String, hint: String| Err(Failure::new(FailureCode::ConfigurationInvalid, why).hint(hint));
    if config.sources.allow.is_empty() {
        let why = "a worker clones only what `sources.allow` lists, and it lists nothing".to_owned();
        return invalid(why, "set `sources.allow` to the prefixes of your Git server's URLs".to_owned());
    }
    if config.worker.lanes.interactive == 0 && config.worker.lanes.bulk == 0 {
        let why = "the worker takes from no lane".to_owned();
        return invalid(why, "set `worker.lanes.interactive` or `worker.lanes.bulk` to 1 or more".to_owned());
    }
    let (needed, given) = (config.limits.timeout + MARGIN, config.amqp.consumer_timeout);
    if needed > given {
        let why = format!(
            "a build may take {}, and the broker takes a message away after {}: such a build would begin again and again",
            duration::text(config.limits.timeout),
            duration::text(given),
        );
        return invalid(
            why,
            format!(
                "lower `limits.timeout`, or raise the broker's `consumer_timeout` to {} and state it as `amqp.consumer_timeout`; \
             `rabbitmqctl eval 'application:get_env(rabbit, consumer_timeout).'` shows it in milliseconds",
                duration::text(needed),
            ),
        );
    }
    Ok(())
}

/// Waits for the broker, and refuses one whose queues are not ours.
async fn check_broker(broker: &Broker, config: &Config, going: &Going) -> Result<(), Failure> {
    let mut pause = Duration::from_secs(1);
    loop {
        match broker.connect("start").await {
            Ok(link) => {
                let checked = Topology::new(&config.amqp).require(&link).await;
                link.close().await;
                match checked {
                    Err(failure) if failure.retryable => tracing::warn!(error = %failure, "the broker is not ready"),
                    checked => return checked,
                }
            }
            Err(error) if error.is_refusal() => return Err(error.failure()),
            Err(error) => tracing::warn!(%error, "the broker is not there yet"),
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = going.drain.cancelled() => {
                return Err(Failure::new(FailureCode::Cancelled, "the worker was stopped before it found its broker"));
            }
        }
        pause = (pause * 2).min(Duration::from_secs(16));
    }
}

fn subscriptions(broker: &Broker, config: &Config) -> Vec<Subscription> {
    let names = broker.names();
    let since = crate::clock::since_epoch().as_secs().saturating_sub(DAY);
    let lanes = &config.worker.lanes;
    let mut all = vec![
        Subscription { queue: names.control(), prefetch: CONTROL, since: Some(since), gated: false },
        Subscription { queue: names.dying(), prefetch: 1, since: None, gated: true },
    ];
    for (lane, share) in [(Lane::Interactive, lanes.interactive), (Lane::Bulk, lanes.bulk)] {
        if share > 0 {
            all.push(Subscription { queue: names.builds(lane), prefetch: share, since: None, gated: true });
        }
    }
    all
}
