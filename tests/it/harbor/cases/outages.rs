//! 9.8 and 11: outages that look like refusals, and what looks like an outage.

use std::time::Duration;

use slipway::harbor::Wanted;
use slipway::image::assembler::AssemblerBackend;
use slipway::image::{BuildContext, BuildSpec, ContextKind, ImageBackend as _};
use slipway::model::failure::FailureCode as Code;
use tokio_util::sync::CancellationToken;

use super::super::before::client;
use super::super::builds::config;
use super::super::ways::{both, build};
use super::{copy, trade};
use crate::support::harbor::state::Instead;

/// With its database away, Harbor knows nobody: a base image is not missing, and a password not wrong.
#[tokio::test(flavor = "multi_thread")]
async fn case_11_2_an_outage_is_told_from_a_refusal_where_images_are_read() {
    let (harbor, robot) = trade();
    let pushed = build("assembler", 64).await.push(&harbor, &robot, &["trade/base:1"]).await.unwrap();
    harbor.state().faults.database = true;
    let failure = copy(&harbor, (&robot, "trade/base:1"), (&robot, "trade/other:1")).await.unwrap_err();
    assert_eq!((failure.code, failure.retryable), (Code::RegistryUnavailable, true), "{failure}");

    let slipway = config(&harbor, &robot, "");
    let to = slipway.config().with_file_name("all.tar").display().to_string();
    let line = ["bundle", "export", "trade/base:1", "--output", &to].map(str::to_owned);
    let run = slipway.run(&line).await;
    assert!(run.code == 75 && run.stderr.contains("registry_unavailable"), "{}", run.text());

    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(directory.path().join("context/layer-application")).unwrap();
    let kind = ContextKind::Generated { owned: Vec::new() };
    let context = BuildContext { root: directory.path().join("context"), kind };
    let from = format!("{}@{}", harbor.reference("trade/base").name(), pushed.digest);
    let mut spec = BuildSpec::new(context, format!("FROM {from}\nCOPY layer-application/ /\n"));
    let credentials = slipway::image::credentials::Credentials::password(&robot.0, &robot.1);
    spec.credentials.insert(harbor.host(), credentials);
    let backend = AssemblerBackend::new(directory.path().join("store"), None);
    let failure = backend.build(&spec, &|_| {}, &CancellationToken::new()).await.unwrap_err();
    assert_eq!((failure.code, failure.retryable), (Code::RegistryUnavailable, true), "{failure}");
}

/// Without its portal all of Harbor is unhealthy by its own word, and a wrong password is still a wrong password.
#[tokio::test(flavor = "multi_thread")]
async fn case_9_8_a_portal_that_is_away_is_no_outage() {
    let (harbor, robot) = trade();
    harbor.state().faults.portal = true;
    let reader = harbor.robot("trade", "pull", &["repository:pull"]);
    let wrong = (robot.0.clone(), "Wrong12345".to_owned());
    let wanted = Wanted { project: "trade", name: "order", tags: &[], commit: None };
    for (account, code) in [(&wrong, Code::RegistryUnauthorized), (&reader, Code::RegistryForbidden)] {
        let found = client(&harbor, account).preflight(wanted).await.unwrap();
        assert_eq!(found.failures[0].code, code, "{:?}", found.failures);
        for image in both(64).await {
            let failure = image.push(&harbor, account, &["trade/order:1"]).await.unwrap_err();
            assert_eq!((failure.code, failure.retryable), (code, false), "{}: {failure}", image.way);
        }
    }
    let failure = copy(&harbor, (&wrong, "trade/order:1"), (&robot, "trade/other:1")).await.unwrap_err();
    assert_eq!(failure.code, Code::RegistryUnauthorized, "{failure}");
    let missing = build("assembler", 64).await.push(&harbor, &robot, &["nosuch/order:1"]).await.unwrap_err();
    assert_eq!(missing.code, Code::RegistryRepositoryMissing, "{missing}");
}

/// The database has just gone, which Harbor does not say of itself yet: an account without rights is not to blame.
#[tokio::test(flavor = "multi_thread")]
async fn case_9_8_what_harbor_says_of_itself_is_old() {
    let (harbor, robot) = trade();
    harbor.state().faults.database = true;
    harbor.state().faults.late = true;
    let wanted = Wanted { project: "trade", name: "order", tags: &[], commit: None };
    let found = client(&harbor, &robot).preflight(wanted).await.unwrap();
    assert_eq!(found.failures[0].code, Code::RegistryUnavailable, "{:?}", found.failures);
    let image = build("assembler", 64).await;
    let failure = image.push(&harbor, &robot, &["trade/order:1"]).await.unwrap_err();
    assert_eq!((failure.code, failure.retryable), (Code::RegistryUnavailable, true), "{failure}");
}

/// Without Redis every answer takes seconds, and all is as it was.
#[tokio::test(flavor = "multi_thread")]
async fn case_11_3_answers_that_take_seconds_are_awaited() {
    let (harbor, robot) = trade();
    harbor.state().faults.redis = true;
    harbor.state().when = Some(Box::new(|_, _, _| {
        let (late, awaited) = tokio::sync::oneshot::channel::<()>();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(2));
            drop(late);
        });
        Some(Instead::Held(awaited))
    }));
    let wanted = Wanted { project: "trade", name: "order", tags: &[], commit: None };
    let found = client(&harbor, &robot).preflight(wanted).await.unwrap();
    assert!(found.failures.is_empty(), "{:?}", found.failures);
    let pushed = build("assembler", 64).await.push(&harbor, &robot, &["trade/order:1"]).await.unwrap();
    assert_eq!(harbor.state().repository("trade/order").unwrap().tags["1"], pushed.digest.to_string());
}
