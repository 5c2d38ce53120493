//! A server that is killed at every stage of a build, at moments that a seed chooses.

use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use tokio::time::{Duration, sleep};

use super::grown::{Database, site as grown_site};
use super::site::{SECRET, Server, Site, push};
use crate::support::fleet::{Fleet, Repository};

/// `SLIPWAY_SEED` takes its place.
const SEED: u64 = 20_261_122;

/// A build that leaves a line each time that it runs.
struct Counted {
    repository: Repository,
    runs: PathBuf,
}

impl Counted {
    async fn new(site: &Site, server: &Server) -> Self {
        let runs = site.state.path().join(uuid::Uuid::now_v7().simple().to_string());
        let repository = Repository::script(&format!("echo run >>{}\nsleep 0.2\n", runs.display()));
        site.application(server, &repository, json!({})).await;
        Self { repository, runs }
    }

    fn runs(&self) -> usize {
        count(&self.runs)
    }
}

fn count(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

/// Sends a delivery to a server that may die over it; says whether it was answered.
async fn deliver(server: &Server, build: &Counted) -> bool {
    let payload = push(&build.repository, "main", "counted").to_string();
    let request = server.http.post(format!("{}/webhooks/gitlab", server.url)).header("x-gitlab-token", SECRET);
    let sent = request.header("idempotency-key", &build.repository.name).body(payload).send().await;
    sent.is_ok_and(|answer| answer.status().is_success())
}

/// Kills the server when GitLab has heard this much, and a little later; gives whether the deliveries were answered.
async fn killed_when(site: &Site, mut server: Server, builds: &[Counted], heard: &str, later: Duration) -> Vec<bool> {
    let killed = async {
        if !heard.is_empty() {
            site.gitlab.until_reached(&builds[0].repository.commit, heard).await;
        }
        sleep(later).await;
        server.signal("KILL");
    };
    let delivered = futures_util::future::join_all(builds.iter().map(|build| deliver(&server, build)));
    let (delivered, ()) = tokio::join!(delivered, killed);
    server.end().await;
    delivered
}

/// Each stage in turn: the next server loses nothing of what was answered, and does nothing twice that was done.
async fn at_each_stage(site: &Site, most_runs: usize) {
    let seed = std::env::var("SLIPWAY_SEED").ok().map_or(SEED, |text| text.parse().unwrap());
    println!("SLIPWAY_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    // "": while deliveries are taken; then as soon as GitLab has heard that one waits, runs, has ended.
    for heard in ["", "pending", "running", "success"] {
        let server = site.start().await;
        let builds =
            [Counted::new(site, &server).await, Counted::new(site, &server).await, Counted::new(site, &server).await];
        let later = Duration::from_millis(random.random_range(0..if heard.is_empty() { 400 } else { 120 }));
        let answered = killed_when(site, server, &builds, heard, later).await;
        let ended: Vec<bool> = builds
            .iter()
            .map(|build| site.gitlab.states(&build.repository.commit).contains(&"success".to_owned()))
            .collect();
        let before: Vec<usize> = builds.iter().map(Counted::runs).collect();
        println!("killed {later:?} after `{heard}`: answered {answered:?}, ended {ended:?}, had run {before:?}");

        let server = site.start().await;
        for (build, answered) in builds.iter().zip(answered) {
            // Who got no answer asks again, and does not know whether it was heard; who got one need not.
            assert!(answered || deliver(&server, build).await, "{}", server.log());
        }
        for ((build, ended), before) in builds.iter().zip(ended).zip(before) {
            let (name, commit) = (&build.repository.name, &build.repository.commit);
            site.gitlab.until(commit, "success").await;
            let list = site.ask(&server, "GET", &format!("/api/v1/builds?application={name}"), None).await.json();
            assert_eq!(list["builds"].as_array().unwrap().len(), 1, "{list:#}");
            let id = list["builds"][0]["id"].as_str().unwrap();
            site.until(&server, id, "succeeded").await;
            let states = site.gitlab.states(commit);
            assert_eq!(states.iter().filter(|state| *state == "success").count(), 1, "{states:?}");
            assert!(states.is_sorted_by_key(|state| super::gitlab::rank(state)), "{states:?}");
            assert!((1..=most_runs).contains(&build.runs()), "it ran {} times", build.runs());
            assert!(!ended || build.runs() == before, "what had ended ran again");
        }
        drop(server);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn alone_it_loses_nothing_and_does_nothing_twice() {
    let site = Site::new(&[("WORKER__LANES", "{ interactive = 2, bulk = 0 }")]).await;
    // What ran when the server died runs once more.
    at_each_stage(&site, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grown_up_it_loses_nothing_and_does_nothing_twice() {
    let (fleet, database) = (Fleet::new(&[]).await, Database::new().await);
    let (site, _broker, _database) = grown_site(&fleet, &database).await;
    let _worker = fleet.worker().await;
    // The worker lives on, so nothing runs twice.
    at_each_stage(&site, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_was_not_told_or_not_noted_is_told_by_the_next_server() {
    let site = Site::new(&[]).await;
    let mut server = site.start().await;
    // GitLab is away: the report is on the disk, its status is not told.
    let build = Counted::new(&site, &server).await;
    site.gitlab.away(usize::MAX);
    assert!(deliver(&server, &build).await);
    let list = site.ask(&server, "GET", &format!("/api/v1/builds?application={}", build.repository.name), None).await;
    let id = list.json()["builds"][0]["id"].as_str().unwrap().to_owned();
    site.until(&server, &id, "succeeded").await;
    assert_eq!(site.gitlab.states(&build.repository.commit), [""; 0]);
    server.signal("KILL");
    server.end().await;
    site.gitlab.away(0);
    let mut server = site.start().await;
    site.gitlab.until(&build.repository.commit, "success").await;
    assert_eq!((site.gitlab.states(&build.repository.commit), build.runs()), (vec!["success".to_owned()], 1));

    // GitLab has taken the word and does not get to say so: the next server says it again, and is refused as for one that is set.
    let build = Counted::new(&site, &server).await;
    site.gitlab.silent(true);
    assert!(deliver(&server, &build).await);
    site.gitlab.until_reached(&build.repository.commit, "pending").await;
    server.signal("KILL");
    server.end().await;
    site.gitlab.silent(false);
    let server = site.start().await;
    site.gitlab.until(&build.repository.commit, "success").await;
    let states = site.gitlab.states(&build.repository.commit);
    assert!(states.is_sorted_by_key(|state| super::gitlab::rank(state)), "{states:?}");
    let list = site.ask(&server, "GET", "/api/v1/builds", None).await.json();
    assert_eq!(list["builds"].as_array().unwrap().len(), 2, "{list:#}");
}
