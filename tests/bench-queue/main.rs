//! Figures of the queue path: `make bench`, or `cargo bench --bench queue`.
//!
//! A real worker on the broker and the Git server of `make services`, below a prefix of its own, with a toolchain that does
//! nothing: what is measured is the way of a request, not a build.

#![allow(clippy::disallowed_methods, reason = "it starts programs, and the environment says where the parts are")]

mod broker;
mod figures;
mod setup;

use std::time::{Duration, Instant};

use broker::Broker;
use figures::{Figure, percentile};
use setup::Bench;

/// Builds one after the other.
const SEQUENTIAL: usize = 200;

/// Builds at once.
const AT_ONCE: usize = 500;

/// Requests that wait.
const QUEUED: usize = 10_000;

#[tokio::main]
async fn main() {
    let bench = Bench::new();
    let mut broker = Broker::open(&bench.prefix).await;
    let figures = [start(&bench, &mut broker).await, way(&bench, &mut broker).await].concat();
    broker.remove().await;
    println!("{}\n", bench.program());
    println!("| figure | measured | wanted |\n| --- | ---: | ---: |");
    for figure in &figures {
        println!("{figure}");
    }
    if cfg!(debug_assertions) && std::env::var_os("SLIPWAY").is_none() {
        println!("\nThe program is not optimised: these are no figures, only a sign that the script works.");
    }
}

/// A worker begins.
async fn start(bench: &Bench, broker: &mut Broker) -> Vec<Figure> {
    let mut figures = Vec::new();
    // The mirror is made by the first build; none of the figures is about Git.
    let worker = bench.worker();
    broker.send("interactive", &bench.request("warm")).await;
    broker.report("warm").await;
    drop(worker);

    broker.send("interactive", &bench.request("first")).await;
    let started = Instant::now();
    let worker = bench.worker();
    let delivered = broker.accepted("first").await.duration_since(started);
    figures.push(Figure::most("start to first delivery", delivered.as_secs_f64() * 1e3, 150.0, "ms"));
    broker.report("first").await;
    drop(worker);

    let worker = bench.worker();
    worker.ready().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    figures.push(Figure::most("idle worker, resident", worker.resident(), 30.0, "MiB"));
    figures
}

/// Requests come and reports go.
async fn way(bench: &Bench, broker: &mut Broker) -> Vec<Figure> {
    let mut figures = Vec::new();
    let worker = bench.worker();
    worker.ready().await;
    let mut overheads = Vec::new();
    for number in 0..SEQUENTIAL {
        let id = format!("one-{number}");
        let sent = Instant::now();
        broker.send("interactive", &bench.request(&id)).await;
        let report = broker.report(&id).await;
        let whole = report.at.duration_since(sent);
        overheads.push(whole.saturating_sub(report.own_time).as_secs_f64() * 1e3);
    }
    figures.push(Figure::most("overhead of the queue path, p50", percentile(&mut overheads, 0.5), 15.0, "ms"));
    figures.push(Figure::most("overhead of the queue path, p99", percentile(&mut overheads, 0.99), 50.0, "ms"));

    let began = Instant::now();
    for number in 0..AT_ONCE {
        broker.send("interactive", &bench.request(&format!("many-{number}"))).await;
    }
    for number in 0..AT_ONCE {
        broker.report(&format!("many-{number}")).await;
    }
    #[allow(clippy::cast_precision_loss, reason = "some hundreds")]
    let rate = AT_ONCE as f64 / began.elapsed().as_secs_f64();
    figures.push(Figure::least("builds of one worker", rate, 50.0, "per second"));

    let before = worker.resident();
    for number in 0..QUEUED {
        broker.send("bulk", &bench.request(&format!("queued-{number}"))).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    figures.push(Figure::most("memory more with 10 000 requests queued", worker.resident() - before, 5.0, "MiB"));
    broker.purge("bulk").await;
    figures
}
