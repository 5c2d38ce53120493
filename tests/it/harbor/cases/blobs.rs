//! 5 and 6: uploads that break off, bodies that are refused, room that is used up.

use slipway::harbor::Wanted;
use slipway::model::failure::FailureCode as Code;

use super::super::before::{READER, client};
use super::super::ways::{both, build};
use super::{at_first, count, trade};
use crate::support::harbor::Harbor;
use crate::support::harbor::state::Instead;

/// The registry has a part of the bytes, and nobody can say which: the upload begins anew.
#[tokio::test(flavor = "multi_thread")]
async fn case_5_4_an_upload_that_is_cut_begins_anew() {
    let (harbor, robot) = trade();
    for image in both(3_000_000).await {
        at_first(&harbor, &["PATCH"], |_| Some(Instead::Cut));
        harbor.requests();
        let name = format!("trade/{}:1", image.way);
        let pushed = image.push(&harbor, &robot, &[&name]).await.unwrap();
        let requests = harbor.requests();
        assert!(count(&requests, &["POST", "/blobs/uploads/"]) >= 3, "{}: {requests:#?}", image.way);
        let locations: Vec<&String> = requests.iter().filter(|line| line.starts_with("PATCH")).collect();
        assert!(locations.windows(2).all(|two| two[0] != two[1]), "{}: {locations:#?}", image.way);
        assert!(pushed.layers.iter().all(|layer| !layer.reused), "{}", image.way);
    }
}

/// A session that the registry has forgotten is no refusal of the blob.
#[tokio::test(flavor = "multi_thread")]
async fn case_5_3_an_upload_that_is_unknown_begins_anew() {
    let (harbor, robot) = trade();
    for image in both(64).await {
        at_first(&harbor, &["PUT", "/blobs/uploads/"], |_| {
            Some(Instead::Error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry"))
        });
        image.push(&harbor, &robot, &[&format!("trade/{}:1", image.way)]).await.unwrap();
    }
}

/// The answer to the end of an upload is lost, and the blob is there.
#[tokio::test(flavor = "multi_thread")]
async fn case_5_6_after_a_lost_answer_the_blob_is_looked_for() {
    let (harbor, robot) = trade();
    let image = build("assembler", 64).await;
    at_first(&harbor, &["PUT", "/manifests/"], |_| Some(Instead::Cut));
    harbor.requests();
    image.push(&harbor, &robot, &["trade/order:1"]).await.unwrap();
    let requests = harbor.requests();
    assert_eq!(count(&requests, &["PUT", "/blobs/uploads/"]), 2, "a blob was sent twice: {requests:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn case_5_8_eight_push_one_image_to_one_tag() {
    let (harbor, robot) = trade();
    for image in both(300_000).await {
        let name = format!("trade/{}:1", image.way);
        let names = [name.as_str()];
        let pushes = (0..8).map(|_| image.push(&harbor, &robot, &names));
        let all = futures_util::future::join_all(pushes).await;
        let digests: Vec<_> = all.into_iter().map(|pushed| pushed.unwrap().digest).collect();
        assert!(digests.windows(2).all(|two| two[0] == two[1]), "{}: {digests:?}", image.way);
    }
}

/// A refusal in the middle of a body comes through the proxy as a 502; it is not taken for an outage.
#[tokio::test(flavor = "multi_thread")]
async fn case_5_11_a_full_project_that_looks_like_an_outage_is_told() {
    let harbor = Harbor::start();
    harbor.project("quo");
    harbor.state().projects.get_mut("quo").unwrap().limit = Some(100_000);
    assert!(harbor.state().faults.refusals_break);
    // It may not read the quota.
    let robot = harbor.robot("quo", "push", &["repository:push"]);
    for image in both(150_000).await {
        let failure = image.push(&harbor, &robot, &["quo/app:1"]).await.unwrap_err();
        assert_eq!(failure.code, Code::RegistryQuotaExceeded, "{}: {failure}", image.way);
        assert!(!failure.retryable, "{failure}");
    }
}

/// So does a token that the registry no longer takes. The Engine keeps it for as long as its push lasts.
#[tokio::test(flavor = "multi_thread")]
async fn case_5_11_a_token_that_is_over_and_looks_like_an_outage_is_renewed() {
    let (harbor, robot) = trade();
    assert!(harbor.state().faults.refusals_break);
    for image in both(3_000_000).await {
        at_first(&harbor, &["PATCH"], |state| {
            state.age_all(61);
            None
        });
        harbor.requests();
        image.push(&harbor, &robot, &[&format!("trade/{}:1", image.way)]).await.unwrap();
        let requests = harbor.requests();
        assert!(count(&requests, &["PATCH"]) >= 2, "{}: {requests:#?}", image.way);
        assert!(count(&requests, &["/service/token"]) >= 2, "{}: {requests:#?}", image.way);
    }
}

/// It is none of the attempts that an outage is given.
#[tokio::test(flavor = "multi_thread")]
async fn case_5_11_a_token_that_is_over_costs_no_attempt() {
    let (harbor, robot) = trade();
    let image = build("assembler", 3_000_000).await;
    let mut patches = 0;
    harbor.state().when = Some(Box::new(move |state, line, _| {
        patches += i32::from(line.starts_with("PATCH"));
        match patches {
            1 if line.starts_with("PATCH") => state.age_all(61),
            2 | 3 if line.starts_with("PATCH") => return Some(Instead::Cut),
            _ => {}
        }
        None
    }));
    harbor.requests();
    image.push(&harbor, &robot, &["trade/order:1"]).await.unwrap();
    let requests = harbor.requests();
    assert_eq!(count(&requests, &["PATCH"]), 4, "{requests:#?}");
    // A push that begins anew asks for the tag again.
    assert_eq!(count(&requests, &["HEAD", "/manifests/1"]), 2, "without and with a login: {requests:#?}");
}

/// A proxy in front takes no large bodies.
#[tokio::test(flavor = "multi_thread")]
async fn case_5_12_what_is_too_large_for_a_proxy_goes_in_parts() {
    let (harbor, robot) = trade();
    harbor.state().when = Some(Box::new(|_, _, length| (length > 5 << 20).then_some(Instead::Page(413))));
    let image = build("assembler", 12 << 20).await;
    image.push(&harbor, &robot, &["trade/order:1"]).await.unwrap();
    assert!(count(&harbor.requests(), &["PATCH"]) >= 3);
}

/// A mount takes room as well, and a refused one is not followed by all of the bytes.
#[tokio::test(flavor = "multi_thread")]
async fn case_6_2_a_mount_that_does_not_fit_ends_the_copy() {
    let harbor = Harbor::start();
    harbor.project("trade");
    harbor.project("quo");
    harbor.state().projects.get_mut("quo").unwrap().limit = Some(100_000);
    let robot = harbor.system_robot("slipway", &["repository:push"], &[]);
    build("assembler", 3_000_000).await.push(&harbor, &robot, &["trade/order:1"]).await.unwrap();
    harbor.requests();
    let failure = super::copy(&harbor, (&robot, "trade/order:1"), (&robot, "quo/order:1")).await.unwrap_err();
    assert_eq!(failure.code, Code::RegistryQuotaExceeded, "{failure}");
    assert_eq!(count(&harbor.requests(), &["PATCH"]), 0);
}

/// Exactly full, a project takes what it has: the same image again, also under another tag.
#[tokio::test(flavor = "multi_thread")]
async fn case_6_3_a_full_project_takes_what_it_has() {
    let harbor = Harbor::start();
    harbor.project("trade");
    let robot = harbor.robot("trade", "push", READER);
    for image in both(150_000).await {
        let name = format!("trade/{}:1", image.way);
        harbor.state().projects.get_mut("trade").unwrap().limit = None;
        let pushed = image.push(&harbor, &robot, &[&name]).await.unwrap();
        {
            let mut state = harbor.state();
            let project = state.projects.get_mut("trade").unwrap();
            project.limit = Some(project.used());
            let artifact = project.repositories.get_mut(image.way).unwrap().artifacts.values_mut().next().unwrap();
            artifact.config["config"]["Labels"]["org.opencontainers.image.revision"] = "c0ffee".into();
        }
        let again = image.push(&harbor, &robot, &[&name, &format!("trade/{}:2", image.way)]).await.unwrap();
        assert_eq!(pushed.digest, again.digest, "{}", image.way);
        for (commit, failures) in [("c0ffee", 0), ("another", 1)] {
            let tags = ["3".to_owned()];
            let wanted = Wanted { project: "trade", name: image.way, tags: &tags, commit: Some(commit) };
            let found = client(&harbor, &robot).preflight(wanted).await.unwrap();
            assert_eq!(found.failures.len(), failures, "{}, {commit}: {found:?}", image.way);
        }
    }
}
