//! Commits whose webhooks were lost: GitLab sends none for more than three references at once, gives up after time-outs,
//! and disables hooks that failed. So it is asked what is there, and what has moved since the last time and was not built
//! is built. What is seen for the first time waits for the next look: its webhook may be on its way.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::super::application::Application;
use super::super::store::applications::Stored;
use super::super::store::builds::{Build, Filter};
use super::super::store::heads::{self, Head};
use super::super::store::{Change, commit};
use super::super::{Shared, ask};
use super::client::{Client, Refusal};
use super::decide::skips;
use super::hook::asked_for;
use super::payload::Commit;
use super::project;
use super::shown::{Shown, branch, merge_request, tag};
use crate::model::failure::Failure;

/// The most pages of a hundred that are read of each list.
const PAGES: usize = 100;

/// What is listed, and how it is read.
type List = (&'static str, fn(u64, &Value) -> Option<Shown>);

const LISTS: [List; 3] =
    [("repository/branches?", branch), ("repository/tags?", tag), ("merge_requests?state=opened&", merge_request)];

/// Asks now and then, for ever.
pub(in crate::server) async fn run(shared: Arc<Shared>) {
    let every = shared.config.server.gitlab.reconcile;
    let Some(client) = shared.gitlab.client.as_ref().filter(|_| every > Duration::ZERO) else { return };
    loop {
        tokio::time::sleep(every).await;
        let applications = shared.store.applications("*").await.unwrap_or_default();
        for stored in applications {
            match missed(&shared, client, &stored).await {
                Ok(0) => {}
                Ok(builds) => tracing::warn!(application = stored.name, builds, "webhooks were lost; GitLab was asked"),
                Err(why) => tracing::info!(application = stored.name, why, "GitLab does not say what is there"),
            }
        }
    }
}

/// An application that GitLab is asked about.
struct Asking<'a> {
    shared: &'a Shared,
    client: &'a Client,
    stored: &'a Stored,
    application: Application,
    /// Its number in GitLab.
    project: u64,
    /// Where everything was the last time.
    heads: HashMap<String, Head>,
}

/// Asks for the builds that are missing, and says how many.
async fn missed(shared: &Shared, client: &Client, stored: &Stored) -> Result<usize, String> {
    let Ok(application) = Application::stored(&stored.body) else { return Ok(0) };
    let path: String =
        url::form_urlencoded::byte_serialize(project::of(&shared.config, &application).as_bytes()).collect();
    let project = get(shared, client, &format!("/projects/{path}")).await?["id"].as_u64();
    let project = project.ok_or("GitLab shows no such project")?;
    let heads = shared.store.heads(&stored.product_line, &stored.name).await.map_err(|failure| failure.message)?;
    let asking = Asking { shared, client, stored, application, project, heads };
    // All of it before any of it counts: what one look did not see would be new to the next.
    let shown = asking.shown().await?;
    asking.compared(&shown).await
}

async fn get(shared: &Shared, client: &Client, path: &str) -> Result<Value, String> {
    match client.call(&shared.config, Method::GET, path, None).await {
        Ok(value) => Ok(value),
        Err(Refusal::Final(why) | Refusal::Later(why)) => Err(why),
    }
}

impl Asking<'_> {
    /// Everything that might be built.
    async fn shown(&self) -> Result<Vec<Shown>, String> {
        let mut shown = Vec::new();
        for (list, read) in LISTS {
            for page in 1..=PAGES {
                let path = format!("/projects/{}/{list}per_page=100&page={page}", self.project);
                let listed = get(self.shared, self.client, &path).await?;
                let listed = listed.as_array().map(Vec::as_slice).unwrap_or_default();
                shown.extend(listed.iter().filter_map(|one| read(self.project, one)));
                if listed.len() < 100 {
                    break;
                }
            }
        }
        Ok(shown)
    }

    /// Compares what is shown with what was there, and asks for what is missing.
    async fn compared(&self, shown: &[Shown]) -> Result<usize, String> {
        let moved: Vec<(&Shown, Head)> = shown.iter().filter_map(|one| Some((one, self.moved(one)?))).collect();
        let mut builds = Vec::new();
        for (one, _) in moved.iter().filter(|(_, head)| head.settled) {
            builds.extend(self.lost(one).await?);
        }
        if moved.is_empty() {
            // Nothing is new, as usual.
            return Ok(0);
        }
        let written = async {
            let mut change = self.shared.store.change().await?;
            self.write(&mut change, &moved, &builds).await?;
            commit(change).await
        };
        written.await.map_err(|failure| failure.message)?;
        ask::asked(self.shared, &builds);
        Ok(builds.len())
    }

    /// Where it is now, where that is anything new.
    fn moved(&self, shown: &Shown) -> Option<Head> {
        let settled = match self.heads.get(&shown.reference) {
            Some(head) if head.commit == shown.commit && head.settled => return None,
            Some(head) => head.commit == shown.commit,
            // The first look at an application: what was there before it is nobody's lost webhook.
            None if self.heads.is_empty() && shown.since_ms <= self.stored.changed_ms => true,
            None => false,
        };
        Some(Head { commit: shown.commit.clone(), settled })
    }

    async fn write(&self, change: &mut Change, moved: &[(&Shown, Head)], builds: &[Build]) -> Result<(), Failure> {
        let (product_line, name) = (&self.stored.product_line, &self.stored.name);
        for (shown, head) in moved {
            heads::note(change, product_line, name, &shown.reference, head).await?;
        }
        for build in builds {
            ask::ask(self.shared, change, build).await?;
        }
        Ok(())
    }

    /// The build of what is shown, where it is wanted and nobody asked for it.
    async fn lost(&self, shown: &Shown) -> Result<Option<Build>, String> {
        // Only what was seen before had its time.
        if !self.heads.contains_key(&shown.reference) || !shown.is_wanted(&self.application) {
            return Ok(None);
        }
        let filter = Filter {
            product_line: self.stored.product_line.clone(),
            application: self.stored.name.clone(),
            commit: shown.commit.clone(),
            revision: shown.revision.clone(),
            limit: 1,
            ..Filter::default()
        };
        if !self.shared.store.builds(&filter).await.map_err(|failure| failure.message)?.is_empty() {
            return Ok(None);
        }
        let message = if let Some(message) = &shown.message {
            message.clone()
        } else {
            // The list of merge requests does not say what their commits do.
            let path = format!("/projects/{}/repository/commits/{}", self.project, shown.commit);
            get(self.shared, self.client, &path).await?["message"].as_str().unwrap_or_default().to_owned()
        };
        if shown.may_be_skipped() && skips(&Commit { id: shown.commit.clone(), message: message.clone() }) {
            return Ok(None);
        }
        let Some(asked) = shown.asked(&self.application, &message) else { return Ok(None) };
        let day: String = crate::clock::now().chars().take(10).collect();
        let build = asked_for(&self.application, asked, "slipway", &day).map_err(|failure| failure.message)?;
        Ok(Some(Build { cause: "reconciler".to_owned(), ..build }))
    }
}
