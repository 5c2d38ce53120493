//! From a webhook to an image and back to GitLab, by both shapes of the server.

use std::time::Duration;

use serde_json::{Value, json};

use super::shapes::{Place, in_both_shapes};
use super::site::push;
use crate::services::service;
use crate::support::fleet::Repository;
use crate::support::slipway::PRODUCT_LINE;

in_both_shapes!(
    a_push_becomes_an_image_and_gitlab_hears_of_it,
    a_failing_build_says_where_and_is_built_again_on_request,
    a_build_is_followed_live_and_cancelled,
    a_merge_request_gets_one_comment_that_is_kept_up_to_date,
    a_lost_webhook_is_made_up_for,
    messages_are_built_planned_and_refused,
    applications_are_applied_shown_and_brought_back,
);

async fn a_push_becomes_an_image_and_gitlab_hears_of_it(site: Place) {
    let server = site.start().await;
    let repository = Repository::new(&[("build.sh", "echo building \"$((20 + 22))\"\n")]);
    site.application(&server, &repository, json!({ "kind": "service" })).await;
    let answer = server.hook(&push(&repository, "main", "add an order\n\nin full"), "one").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let id = answer.json()["builds"][0].as_str().unwrap().to_owned();
    let status = site.gitlab.until(&repository.commit, "success").await;
    assert_eq!(site.gitlab.states(&repository.commit).last().unwrap(), "success");
    assert_eq!(status["name"], format!("slipway/{PRODUCT_LINE}/{}", repository.name));
    assert_eq!(status["target_url"], format!("{}/builds/{id}", server.url));
    assert_eq!(status["ref"], "main");

    let build = site.until(&server, &id, "succeeded").await;
    assert_eq!(
        (&build["title"], &build["cause"], &build["who"]),
        (&json!("add an order"), &json!("push"), &json!("gitlab:jsmith"))
    );
    let report = site.ask(&server, "GET", &format!("/api/v1/builds/{id}/report"), None).await.json();
    assert_eq!(report["image"]["pushed"], true, "{report:#}");
    // The registry itself has it, under the tag of the commit.
    let manifest = format!(
        "http://{}/v2/{PRODUCT_LINE}/{}/manifests/{}",
        service("SLIPWAY_TEST_REGISTRY"),
        repository.name,
        &repository.commit[..12]
    );
    let accept = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json";
    let request = server.http.head(manifest).header("accept", accept);
    let shown =
        request.basic_auth(service("SLIPWAY_TEST_USER"), Some(service("SLIPWAY_TEST_PASSWORD"))).send().await.unwrap();
    assert_eq!(shown.headers()["docker-content-digest"], report["image"]["digest"].as_str().unwrap());

    let log = site.ask(&server, "GET", &format!("/api/v1/builds/{id}/log"), None).await;
    assert!(log.text.contains(" compile building 42\n"), "{}", log.text);
    let dockerfile = site.ask(&server, "GET", &format!("/api/v1/builds/{id}/dockerfile"), None).await;
    assert!(dockerfile.text.contains("FROM "), "{dockerfile:?}");

    // The same delivery again builds nothing and says the same.
    let again = server.hook(&push(&repository, "main", "add an order\n\nin full"), "one").await;
    assert_eq!((again.status, again.json()["builds"][0].as_str().unwrap()), (200, id.as_str()));
    let list = site.ask(&server, "GET", &format!("/api/v1/builds?application={}", repository.name), None).await;
    assert_eq!(list.json()["builds"].as_array().unwrap().len(), 1);
}

async fn a_failing_build_says_where_and_is_built_again_on_request(site: Place) {
    // GitLab is away for the first two words.
    site.gitlab.away(2);
    let server = site.start().await;
    let repository = Repository::script("echo no such tide >&2\nexit 3\n");
    site.application(&server, &repository, json!({})).await;
    let answer = server.hook(&push(&repository, "main", "break it"), "one").await;
    let id = answer.json()["builds"][0].as_str().unwrap().to_owned();
    let status = site.gitlab.until(&repository.commit, "failed").await;
    assert!(status["description"].as_str().unwrap().starts_with("compile: "), "{status:#}");
    let build = site.until(&server, &id, "failed").await;
    assert_eq!((&build["failure"], &build["step"]), (&json!("compile_failed"), &json!("compile")));
    let log = site.ask(&server, "GET", &format!("/api/v1/builds/{id}/log"), None).await.text;
    assert!(log.lines().last().unwrap().contains(" compile error[compile_failed]: "), "{log}");
    let again = site.ask(&server, "POST", &format!("/api/v1/builds/{id}/retry"), None).await;
    assert_eq!(again.status, 201, "{again:?}");
    let again = again.json();
    assert_eq!((&again["cause"], &again["commit"]), (&json!("retry"), &json!(repository.commit)));
    site.until(&server, again["id"].as_str().unwrap(), "failed").await;
}

async fn a_build_is_followed_live_and_cancelled(site: Place) {
    let server = site.start().await;
    let repository = Repository::script("echo first; echo second; while :; do echo tick; sleep 0.2; done\n");
    site.application(&server, &repository, json!({})).await;
    let answer = server.hook(&push(&repository, "main", "wait"), "one").await;
    let id = answer.json()["builds"][0].as_str().unwrap().to_owned();
    let events = |last: Option<String>| {
        let mut request =
            server.http.get(format!("{}/api/v1/builds/{id}/events", server.url)).bearer_auth(site.token());
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        request.send()
    };
    let mut stream = events(None).await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let seen = read_until(&mut stream, "second").await;
    drop(stream);
    let last = seen.lines().rev().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    // Who comes back sees what it has not seen, and its numbers go on.
    let mut stream = events(Some(last.clone())).await.unwrap();
    let more = read_until(&mut stream, "tick").await;
    assert!(!more.contains(" compile first"), "{more}");
    let line = last.split('.').nth(1).unwrap();
    assert!(more.contains(&format!("data: {line}\n")), "{last}: {more}");
    let cancelled = site
        .ask(&server, "POST", &format!("/api/v1/builds/{id}/cancel"), Some(&json!({ "reason": "wrong branch" })))
        .await;
    assert_eq!((cancelled.status, &cancelled.json()["cancelled"]), (200, &json!(true)));
    let rest = read_until(&mut stream, "event: end").await;
    assert!(rest.contains("wrong branch"), "{rest}");
    site.until(&server, &id, "cancelled").await;
    let status = site.gitlab.until(&repository.commit, "canceled").await;
    assert!(status["description"].as_str().unwrap().contains("wrong branch"), "{status:#}");
}

pub(super) async fn read_until(stream: &mut reqwest::Response, words: &str) -> String {
    let mut text = String::new();
    while !text.contains(words) {
        let chunk = tokio::time::timeout(Duration::from_mins(1), stream.chunk()).await;
        let chunk = chunk.unwrap_or_else(|_| panic!("`{words}` never comes: {text}")).unwrap();
        let Some(chunk) = chunk else { panic!("the stream ends before `{words}`: {text}") };
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    text
}

async fn a_merge_request_gets_one_comment_that_is_kept_up_to_date(site: Place) {
    let server = site.start().await;
    let repository = Repository::script("true\n");
    site.application(&server, &repository, json!({ "rules": { "forks": "never" } })).await;
    let mut payload = push(&repository, "main", "");
    payload["object_kind"] = json!("merge_request");
    payload["user"] = json!({ "username": "jsmith" });
    payload["object_attributes"] = json!({
        "iid": 7, "title": "a change", "action": "open", "source_project_id": 15, "target_project_id": 15,
        "last_commit": { "id": repository.commit, "message": "a change" }, "draft": false
    });
    // The fork of somebody, where forks are not wanted: nothing is built, and it is said why.
    let mut fork = payload.clone();
    fork["object_attributes"]["source_project_id"] = json!(99);
    let answer = server.hook(&fork, "fork").await;
    assert_eq!(answer.status, 200);
    assert!(answer.json()["ignored"][0]["reason"].as_str().unwrap().contains("fork"), "{answer:?}");
    for key in ["one", "two"] {
        let answer = server.hook(&payload, key).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let id = answer.json()["builds"][0].as_str().unwrap().to_owned();
        site.until(&server, &id, "succeeded").await;
        let notes = site
            .gitlab
            .until_notes(|notes| notes.iter().any(|note| note["body"].as_str().unwrap().contains(&id)))
            .await;
        assert_eq!(notes.len(), 1, "{notes:#?}");
        assert!(notes[0]["body"].as_str().unwrap().contains("succeeded"), "{notes:#?}");
        payload["object_attributes"]["action"] = json!("reopen");
    }
}

async fn a_lost_webhook_is_made_up_for(site: Place) {
    let server = site.start_with(&[("SERVER__GITLAB__RECONCILE", "1s")]).await;
    let repository = Repository::script("true\n");
    site.application(&server, &repository, json!({})).await;
    let branch = |name: &str, at: &str| json!({ "name": name, "commit": { "id": repository.commit, "message": "lost", "created_at": at } });
    // Older than the application, or unwanted: only one branch was pushed to without a webhook.
    site.gitlab.shows(json!([
        branch("master", "2020-01-01T00:00:00Z"),
        branch("feature/x", &jiff::Timestamp::now().to_string()),
        branch("main", &jiff::Timestamp::now().to_string()),
    ]));
    site.gitlab.until(&repository.commit, "success").await;
    // It is asked for once, however often GitLab is asked.
    server.says("GitLab was asked").await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let list = site.ask(&server, "GET", "/api/v1/builds", None).await.json();
    let builds: Vec<_> =
        list["builds"].as_array().unwrap().iter().map(|build| (&build["revision"], &build["cause"])).collect();
    assert_eq!(builds, [(&json!("main"), &json!("reconciler"))], "{list:#}");
}

async fn messages_are_built_planned_and_refused(site: Place) {
    let server = site.start().await;
    let repository = Repository::script("true\n");
    let mut message = repository.message(json!({}));
    message["source"].as_object_mut().unwrap().remove("commit");
    let plan = site.ask(&server, "POST", "/api/v1/plans", Some(&message)).await;
    assert_eq!((plan.status, &plan.json()["toolchain"]["name"]), (200, &json!("script")), "{plan:?}");
    let made = site.ask(&server, "POST", "/api/v1/builds", Some(&message)).await;
    assert_eq!((made.status, &made.json()["commit"]), (201, &json!(repository.commit)), "{made:?}");
    let again = site.ask(&server, "POST", "/api/v1/builds", Some(&message)).await;
    assert_eq!((again.status, &again.json()["id"]), (200, &message["id"]), "{again:?}");
    let mut other = message.clone();
    other["application"]["name"] = json!("other");
    let refused = site.ask(&server, "POST", "/api/v1/builds", Some(&other)).await;
    assert_eq!((refused.status, &refused.json()["code"]), (409, &json!("id_reused")));
    site.until(&server, message["id"].as_str().unwrap(), "succeeded").await;
    let shown = site.ask(&server, "GET", &format!("/api/v1/builds/{}", message["id"].as_str().unwrap()), None).await;
    let tag = shown.header("etag").to_owned();
    let request = server.http.get(format!("{}/api/v1/builds/{}", server.url, message["id"].as_str().unwrap()));
    let unchanged = server.send(request.bearer_auth(site.token()).header("if-none-match", tag)).await;
    assert_eq!((unchanged.status, unchanged.text.as_str()), (304, ""));
}

async fn applications_are_applied_shown_and_brought_back(site: Place) {
    let server = site.start().await;
    let file = site.state.path().join("applications.toml");
    let text = |jvm: &str| {
        format!(
            "[[application]]\nproduct_line = \"trade\"\nname = \"order\"\nrepository = \"https://gitlab.example.com/trade/order.git\"\n\
             [application.runtime]\njvm_args = [{jvm:?}]\n"
        )
    };
    let apply = async |jvm: &str, more: &[&str]| {
        std::fs::write(&file, text(jvm)).unwrap();
        let mut args = vec!["apply".to_owned(), file.display().to_string(), "--server".to_owned(), server.url.clone()];
        args.extend(more.iter().map(|one| (*one).to_owned()));
        let output = site.slipway.command(&args).env("SLIPWAY_TOKEN", site.token()).output().await.unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said, error) = apply("-Xmx1g", &["--dry-run"]).await;
    assert_eq!(code, Some(0), "{error}");
    assert!(said.starts_with("created trade/order\n"), "{said}");
    let path = "/api/v1/applications/trade/order";
    assert_eq!(site.ask(&server, "GET", path, None).await.status, 404);
    apply("-Xmx1g", &[]).await;
    let (_, said, _) = apply("-Xmx2g", &[]).await;
    assert!(said.contains("changed trade/order\n  runtime.jvm_args: [\"-Xmx1g\"] -> [\"-Xmx2g\"]\n"), "{said}");
    assert_eq!(site.ask(&server, "GET", path, None).await.json()["version"], 2);
    let restored = site.ask(&server, "POST", &format!("{path}/versions/1/restore"), None).await;
    assert_eq!(restored.json()["application"]["runtime"]["jvm_args"], json!(["-Xmx1g"]), "{restored:?}");
    let versions = site.ask(&server, "GET", &format!("{path}/versions"), None).await.json();
    let numbers: Vec<&Value> = versions.as_array().unwrap().iter().map(|one| &one["version"]).collect();
    assert_eq!(numbers, [3, 2, 1]);
    let audit = site.ask(&server, "GET", "/api/v1/audit", None).await.json();
    assert_eq!((&audit[0]["action"], &audit[0]["who"]), (&json!("application.put"), &json!("first")), "{audit:#}");
    // However much was changed since, all of it is found.
    let audit = async |query: &str| {
        let answer = site.ask(&server, "GET", &format!("/api/v1/audit?{query}"), None).await;
        let entries = answer.json().as_array().cloned().unwrap_or_default();
        let texts = entries.iter().map(|one| ["id", "detail"].map(|key| one[key].as_str().unwrap().to_owned()));
        (answer.status, texts.collect::<Vec<_>>())
    };
    let (_, all) = audit("object=trade/order&action=application.put&who=first").await;
    assert_eq!(
        all.iter().map(|[_, detail]| detail.as_str()).collect::<Vec<_>>(),
        ["version 3", "version 2", "version 1"]
    );
    let (_, next) = audit(&format!("object=trade/order&limit=1&before={}", all[0][0])).await;
    assert_eq!(next, [all[1].clone()]);
    assert_eq!(audit("who=nobody").await, (200, Vec::new()));
    assert_eq!((audit("before=x").await.0, audit("limit=0").await.0, audit("what=x").await.0), (400, 400, 400));
}
