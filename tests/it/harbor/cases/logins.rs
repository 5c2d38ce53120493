//! 1 and 2: limits of a proxy, tokens and logins.

use std::time::{Duration, Instant};

use slipway::image::assembler::AssemblerBackend;
use slipway::image::{BuildContext, BuildSpec, ContextKind, ImageBackend as _};
use slipway::model::failure::FailureCode as Code;
use tokio_util::sync::CancellationToken;

use super::super::ways::{both, build};
use super::{at_first, count, trade};
use crate::support::harbor::state::Instead;
use crate::support::harbor::{ADMIN, Harbor};

#[tokio::test(flavor = "multi_thread")]
async fn case_1_1_a_proxy_that_asks_for_fewer_requests_is_left_alone_as_long_as_it_says() {
    let (harbor, robot) = trade();
    for image in both(64).await {
        at_first(&harbor, &["POST", "/blobs/uploads/"], |_| Some(Instead::Later(429, "1")));
        let started = Instant::now();
        image.push(&harbor, &robot, &[&format!("trade/{}:1", image.way)]).await.unwrap();
        // The Engine does not pass on how long it should wait.
        assert!(image.way == "docker" || started.elapsed() >= Duration::from_secs(1));
    }
}

/// The token is over between the bytes of a blob and the end of its upload: the session goes on with a new one.
#[tokio::test(flavor = "multi_thread")]
async fn case_2_4_a_token_that_expires_within_a_push_is_renewed() {
    let (harbor, robot) = trade();
    for image in both(3_000_000).await {
        let (mut sent, mut aged) = (false, false);
        harbor.state().when = Some(Box::new(move |state, line, _| {
            sent |= line.starts_with("PATCH");
            if sent && !aged && line.starts_with("PUT") {
                aged = true;
                state.age_all(61);
            }
            None
        }));
        harbor.requests();
        image.push(&harbor, &robot, &[&format!("trade/{}:1", image.way)]).await.unwrap();
        let requests = harbor.requests();
        assert!(count(&requests, &["/service/token"]) >= 2, "{}: {requests:#?}", image.way);
        if image.way == "assembler" {
            assert_eq!(count(&requests, &["PATCH"]), 1, "the bytes were sent twice: {requests:#?}");
        }
    }
}

/// A token that is over by its own word is renewed before a large body is sent, not after.
#[tokio::test(flavor = "multi_thread")]
async fn case_2_12_no_body_is_sent_with_a_token_that_is_over() {
    let (harbor, robot) = trade();
    harbor.state().token_minutes = 0;
    let image = build("assembler", 3_000_000).await;
    harbor.requests();
    image.push(&harbor, &robot, &["trade/order:1"]).await.unwrap();
    let requests = harbor.requests();
    let before = |line: &String| line.contains("/service/token");
    for (at, line) in requests.iter().enumerate().filter(|(_, line)| line.starts_with("PATCH")) {
        assert!(requests[..at].iter().rev().take(3).any(before), "{line} in {requests:#?}");
    }
    assert_eq!(count(&requests, &["PATCH"]), 1, "{requests:#?}");
}

/// Each refused login costs 1.5 s, during which nobody of that name is let in.
#[tokio::test(flavor = "multi_thread")]
async fn case_2_15_a_wrong_password_is_shown_few_times() {
    let (harbor, robot) = trade();
    let wrong = (robot.0, "Wrong12345".to_owned());
    for (image, most) in both(64).await.into_iter().zip([8, 3]) {
        harbor.state().refused_logins = 0;
        let failure = image.push(&harbor, &wrong, &["trade/order:1"]).await.unwrap_err();
        assert_eq!(failure.code, Code::RegistryUnauthorized, "{}: {failure}", image.way);
        let refused = harbor.state().refused_logins;
        assert!(refused <= most, "{}: {refused} refused logins", image.way);
    }
}

/// Everyone pulls from a public project: without an account, and with one that Harbor does not know.
#[tokio::test(flavor = "multi_thread")]
async fn case_2_17_a_public_base_needs_no_account() {
    let harbor = Harbor::start();
    let admin = (ADMIN.0.to_owned(), ADMIN.1.to_owned());
    let base = build("assembler", 64).await.push(&harbor, &admin, &["library/base:1"]).await.unwrap();
    for account in [None, Some(("robot$gone".to_owned(), "Wrong12345".to_owned()))] {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("context/layer-application")).unwrap();
        std::fs::write(directory.path().join("context/layer-application/x"), "x").unwrap();
        let kind = ContextKind::Generated { owned: Vec::new() };
        let context = BuildContext { root: directory.path().join("context"), kind };
        let from = format!("{}@{}", harbor.reference("library/base").name(), base.digest);
        let mut spec = BuildSpec::new(context, format!("FROM {from}\nCOPY layer-application/ /\n"));
        if let Some((name, password)) = account {
            let credentials = slipway::image::credentials::Credentials::password(name, password);
            spec.credentials.insert(harbor.host(), credentials);
        }
        let backend = AssemblerBackend::new(directory.path().join("store"), None);
        let built = backend.build(&spec, &|_| {}, &CancellationToken::new()).await.unwrap();
        assert_eq!(built.layers.len(), 2);
    }
}
