//! `slipway queues`: the operator declares the topology, workers only check it.

use std::process::ExitCode;
use std::sync::Arc;

use super::args::{Cli, FormatKind, QueuesVerb};
use super::{explain, print, setup};
use crate::amqp::topology::Topology;
use crate::amqp::{Broker, Error, Link};
use crate::config::Config;
use crate::model::failure::Failure;

/// Does what the verb says.
pub(super) async fn queues(cli: &Cli, verb: &QueuesVerb) -> Result<ExitCode, Failure> {
    let config = setup::config(cli)?;
    let topology = Topology::new(&config.amqp);
    match verb {
        QueuesVerb::Show(format) => show(&topology, format.format),
        QueuesVerb::Declare => {
            let link = connect(config).await?;
            let declared = topology.declare(&link).await;
            link.close().await;
            declared?;
            let (exchanges, queues) = (topology.exchanges.len(), topology.queues.len());
            anstream::println!("{exchanges} exchanges and {queues} queues are there");
            Ok(ExitCode::SUCCESS)
        }
        QueuesVerb::Check(format) => {
            let link = connect(config).await?;
            let found = topology.check(&link).await;
            link.close().await;
            check(&found.map_err(Error::failure)?, format.format)
        }
    }
}

async fn connect(config: Config) -> Result<Link, Failure> {
    Broker::new(Arc::new(config))?.connect("queues").await.map_err(Error::failure)
}

fn check(found: &[Failure], format: FormatKind) -> Result<ExitCode, Failure> {
    if format == FormatKind::Text {
        found.iter().for_each(explain::to_stderr);
        if found.is_empty() {
            anstream::println!(
                "every exchange and queue is there, in the right shape; bindings cannot be seen: `slipway queues declare` makes those that are missing"
            );
        }
    } else {
        print::json(&serde_json::json!({ "version": 1, "differences": found }))?;
    }
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(super::USAGE) })
}

fn show(topology: &Topology, format: FormatKind) -> Result<ExitCode, Failure> {
    if format != FormatKind::Text {
        return print::json(topology);
    }
    for exchange in &topology.exchanges {
        anstream::println!("exchange {:<28} {}", exchange.name, exchange.kind);
    }
    for queue in &topology.queues {
        let arguments: Vec<_> = queue.arguments.iter().map(|(key, value)| format!("{key}={value}")).collect();
        anstream::println!("queue    {:<28} {}", queue.name, arguments.join(" ").replace('"', ""));
    }
    for binding in &topology.bindings {
        let key = if binding.key.is_empty() { "-" } else { &binding.key };
        anstream::println!("binding  {:<28} {key} -> {}", binding.exchange, binding.queue);
    }
    Ok(ExitCode::SUCCESS)
}
