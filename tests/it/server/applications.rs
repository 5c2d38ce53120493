//! Applications: built on request as by a webhook, and changed by several at once.

use serde_json::{Value, json};

use super::shapes::{Place, in_both_shapes};
use super::site::push;
use crate::support::fleet::Repository;
use crate::support::slipway::PRODUCT_LINE;

in_both_shapes!(
    a_tag_that_is_asked_for_is_built_as_a_tag,
    of_two_changes_of_one_version_one_is_made,
    a_request_that_comes_again_is_answered_as_before,
);

async fn a_tag_that_is_asked_for_is_built_as_a_tag(site: Place) {
    let server = site.start().await;
    let repository = Repository::new(&[("build.sh", "true\n")]);
    repository.tag("v1.4.2");
    let differs = json!({ "kind": "service", "tags": ["commit", "git_tag", "semantic_version"] });
    site.application(&server, &repository, differs).await;
    let path = format!("/api/v1/applications/{PRODUCT_LINE}/{}/builds", repository.name);
    let short = &repository.commit[..12];
    let built = async |revision: &str| {
        let answer = site.ask(&server, "POST", &path, Some(&json!({ "revision": revision }))).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let build = answer.json();
        let id = build["id"].as_str().unwrap().to_owned();
        site.until(&server, &id, "succeeded").await;
        let report = site.ask(&server, "GET", &format!("/api/v1/builds/{id}/report"), None).await.json();
        let references = report["image"]["references"].as_array().unwrap().clone();
        let tag = |reference: &Value| reference.as_str().unwrap().rsplit(':').next().unwrap().to_owned();
        (build["revision"].clone(), references.iter().map(tag).collect::<Vec<_>>())
    };
    for revision in ["v1.4.2", "refs/tags/v1.4.2"] {
        assert_eq!(
            built(revision).await,
            (json!("v1.4.2"), [short, "v1.4.2", "1.4.2", "1.4", "1"].map(str::to_owned).to_vec())
        );
    }
    // GitLab hears of it, though no event told the project's number.
    let status = site.gitlab.until(&repository.commit, "success").await;
    assert_eq!(
        (&status["name"], &status["ref"]),
        (&json!(format!("slipway/{PRODUCT_LINE}/{}", repository.name)), &json!("v1.4.2"))
    );
    // The default branch has its name, as in a webhook; a commit has none.
    assert_eq!(built("").await, (json!("main"), vec![short.to_owned()]));
    assert_eq!(built("refs/heads/main").await.0, json!("main"));
    assert_eq!(built(&repository.commit).await, (json!(repository.commit), vec![short.to_owned()]));
    // Whoever wants nothing in particular says nothing.
    let answer = site.ask(&server, "POST", &path, None).await;
    assert_eq!((answer.status, &answer.json()["revision"]), (201, &json!("main")), "{answer:?}");
    let cancel = format!("/api/v1/builds/{}/cancel", answer.json()["id"].as_str().unwrap());
    assert_eq!(site.ask(&server, "POST", &cancel, None).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_builds_of_a_branch_take_each_others_place() {
    let site = super::site::Site::new(&[("WORKER__LANES", "{ interactive = 1, bulk = 0 }")]).await;
    let server = site.start().await;
    let go = site.state.path().join("go");
    let repository = Repository::script(&format!("while ! [ -e {} ]; do sleep 0.05; done\n", go.display()));
    repository.tag("v1");
    site.application(&server, &repository, json!({})).await;
    let path = format!("/api/v1/applications/{PRODUCT_LINE}/{}/builds", repository.name);
    let ask = async |revision: &str| {
        let answer = site.ask(&server, "POST", &path, Some(&json!({ "revision": revision }))).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    let (tag, commit, main) = (ask("v1").await, ask(&repository.commit).await, ask("").await);
    let (again, same) = (ask("v1").await, ask(&repository.commit).await);
    let newer = server.hook(&push(&repository, "main", "newer"), "one").await.json();
    std::fs::write(go, "").unwrap();
    for id in [&tag, &commit, &again, &same, newer["builds"][0].as_str().unwrap()] {
        site.until(&server, id, "succeeded").await;
    }
    // The push to the default branch made it superfluous.
    site.until(&server, &main, "cancelled").await;
}

/// Whoever builds an old commit again does not want the newest one to stop.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_commit_that_is_built_again_leaves_the_newer_one_alone() {
    let site = super::site::Site::new(&[("WORKER__LANES", "{ interactive = 2, bulk = 0 }")]).await;
    let server = site.start().await;
    let go = site.state.path().join("go");
    let mut repository = Repository::script("true\n");
    site.application(&server, &repository, json!({})).await;
    let pushed = async |repository: &Repository| {
        let answer = server.hook(&push(repository, "main", "a change"), &repository.commit).await;
        answer.json()["builds"][0].as_str().unwrap().to_owned()
    };
    let older = pushed(&repository).await;
    site.until(&server, &older, "succeeded").await;
    repository.commit(&[("build.sh", &format!("while ! [ -e {} ]; do sleep 0.05; done\n", go.display()))]);
    let newer = pushed(&repository).await;
    site.until(&server, &newer, "running").await;
    let again = site.ask(&server, "POST", &format!("/api/v1/builds/{older}/retry"), None).await.json();
    site.until(&server, again["id"].as_str().unwrap(), "succeeded").await;
    std::fs::write(go, "").unwrap();
    site.until(&server, &newer, "succeeded").await;
    // Of the same commit, the newer request counts.
    let twice = format!("/api/v1/builds/{newer}/retry");
    let once = site.ask(&server, "POST", &twice, None).await.json()["id"].as_str().unwrap().to_owned();
    site.until(&server, &once, "succeeded").await;
}

async fn of_two_changes_of_one_version_one_is_made(site: Place) {
    let server = site.start().await;
    let repository = Repository::script("true\n");
    site.application(&server, &repository, json!({})).await;
    let path = format!("/api/v1/applications/{PRODUCT_LINE}/{}", repository.name);
    let seen = site.ask(&server, "GET", &path, None).await;
    let tag = seen.header("etag").to_owned();
    let changes = (0..8).map(|number| {
        let mut application = seen.json()["application"].clone();
        application["runtime"] = json!({ "ports": [8000 + number] });
        let request = server.http.put(format!("{}{path}", server.url)).bearer_auth(site.token());
        server.send(
            request.header("if-match", &tag).header("content-type", "application/json").body(application.to_string()),
        )
    });
    let mut statuses: Vec<_> =
        futures_util::future::join_all(changes).await.into_iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412, 412, 412, 412, 412]);
    assert_eq!(site.ask(&server, "GET", &path, None).await.json()["version"], 2);
    // Without a condition, each is made, one after the other.
    let changes = (0..8).map(|_| {
        let request = server.http.put(format!("{}{path}", server.url)).bearer_auth(site.token());
        server.send(request.header("content-type", "application/json").body(seen.json()["application"].to_string()))
    });
    let answers = futures_util::future::join_all(changes).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert_eq!(site.ask(&server, "GET", &path, None).await.json()["version"], 10);
}

async fn a_request_that_comes_again_is_answered_as_before(site: Place) {
    let server = site.start().await;
    let repository = Repository::script("true\n");
    site.application(&server, &repository, json!({})).await;
    let send = async |path: &str, key: &str, body: Value| {
        let request = server.http.post(format!("{}{path}", server.url)).bearer_auth(site.token());
        let request = request.header("idempotency-key", key).header("content-type", "application/json");
        let answer = server.send(request.body(body.to_string())).await;
        (answer.status, answer.json()["id"].as_str().map(str::to_owned))
    };
    let builds = format!("/api/v1/applications/{PRODUCT_LINE}/{}/builds", repository.name);
    let first = send(&builds, "one", json!({ "revision": "main" })).await;
    assert_eq!(first.0, 201);
    assert_eq!(send(&builds, "one", json!({ "revision": "main" })).await, first);
    assert_eq!(send(&builds, "one", json!({ "revision": "" })).await.0, 409);
    let id = first.1.unwrap();
    site.until(&server, &id, "succeeded").await;
    let retry = format!("/api/v1/builds/{id}/retry");
    let again = send(&retry, "two", Value::Null).await;
    assert_eq!(again.0, 201);
    assert_eq!(send(&retry, "two", Value::Null).await, again);
    assert_eq!(send(&retry, "one", Value::Null).await.0, 409);
    // A newer build of the branch would take its place.
    site.until(&server, again.1.as_deref().unwrap(), "succeeded").await;
    let other = send(&retry, "three", Value::Null).await;
    assert!(other.0 == 201 && ![&again.1, &Some(id)].contains(&&other.1), "{other:?} {again:?}");
    site.until(&server, &other.1.unwrap(), "succeeded").await;
    let list = format!("/api/v1/builds?application={}", repository.name);
    let list = site.ask(&server, "GET", &list, None).await.json();
    assert_eq!(list["builds"].as_array().map(Vec::len), Some(3), "{list}");
    // What waits is counted when it is asked for; GitLab hears of a build's end behind it.
    server.until_measured("slipway_queued_builds 0\n").await;
    server.until_measured("slipway_untold{kind=\"status\"} 0\n").await;
    assert_eq!(server.hook_with(&push(&repository, "main", "x"), &[("x-gitlab-token", "no")]).await.status, 401);
    let told = server.ask("GET", "/metrics", None, None).await.text;
    assert!(told.contains("slipway_webhooks_total{sender=\"gitlab\",status=\"401\"} 1\n"), "{told}");
}

/// A site has thousands of applications, and one file says all of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_thousands_of_applications_is_applied_and_shown_page_by_page() {
    let site = super::site::Site::new(&[]).await;
    let server = site.start().await;
    let file = site.state.path().join("applications.toml");
    let one = |number: usize| {
        format!(
            "[[application]]\nproduct_line = \"trade\"\nname = \"order-{number:04}\"\n\
             repository = \"https://gitlab.example.com/trade/order-{number:04}.git\"\n"
        )
    };
    std::fs::write(&file, (0..2000).map(one).collect::<String>()).unwrap();
    let args = ["apply", &file.display().to_string(), "--server", &server.url].map(str::to_owned);
    let output = site.slipway.command(&args).env("SLIPWAY_TOKEN", site.token()).output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let cookie = super::access::log_in(&site, &server).await;
    let page = async |path: &str| {
        let request = server.http.get(format!("{}{path}", server.url)).header("cookie", &cookie);
        let answer = server.send(request).await;
        assert!(answer.status == 200 && answer.text.len() < 80_000, "{path}: {}", answer.text.len());
        answer.text
    };
    let mut path = "/applications?search=Order-1".to_owned();
    let (mut seen, mut pages) = (0, 0);
    while !path.is_empty() {
        let text = page(&path).await;
        seen += text.matches("<a href=\"/applications/trade/order-1").count();
        pages += 1;
        let next = text.split("<a rel=\"next\" href=\"").nth(1).and_then(|rest| rest.split('"').next());
        path = next.unwrap_or_default().replace("&amp;", "&").replace("&#x2F;", "/");
    }
    assert_eq!((seen, pages), (1000, 10));
    assert!(page("/product-lines/trade").await.contains("/applications?product_line=trade"));
    assert!(page("/applications?search=100%25").await.contains("none of that kind"));
    // A token that does not count is not the file's fault.
    let output = site.slipway.command(&args).env("SLIPWAY_TOKEN", "no").output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("SLIPWAY_TOKEN"), "{said}");
}
