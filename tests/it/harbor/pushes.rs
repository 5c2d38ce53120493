//! Pushes that succeed: how few requests they take, and many at once.

use super::ways::build;
use crate::support::harbor::Harbor;

/// Blobs and manifest that are there: whatever is asked, nothing is sent.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_not_sent_again() {
    let harbor = Harbor::start();
    harbor.project("trade");
    let robot = harbor.robot("trade", "push", &["repository:push"]);
    let image = build("assembler", 1000).await;
    image.push(&harbor, &robot, &["trade/order:1"]).await.unwrap();
    harbor.requests();
    let again = image.push(&harbor, &robot, &["trade/order:1"]).await.unwrap();
    let requests = harbor.requests();
    assert!(again.was_there());
    // The challenge, the token, and the answer that the tag names this image.
    assert!(requests.len() <= 3, "{requests:#?}");
    assert!(!requests.iter().any(|line| line.contains("uploads")), "{requests:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_at_once_push_into_one_project() {
    let harbor = Harbor::start();
    harbor.project("trade");
    let robot = harbor.robot("trade", "push", &["repository:push"]);
    let mut pushes = Vec::new();
    for number in 0..8 {
        let (harbor, robot) = (&harbor, &robot);
        pushes.push(async move {
            let image = build("assembler", 1000).await;
            image.push(harbor, robot, &[&format!("trade/order:{number}")]).await
        });
    }
    for pushed in futures_util::future::join_all(pushes).await {
        pushed.unwrap();
    }
    assert_eq!(harbor.state().repository("trade/order").unwrap().tags.len(), 8);
}
