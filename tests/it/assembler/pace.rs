//! How much of base images comes at a time.

use std::num::NonZeroU16;

use slipway::image::assembler::AssemblerBackend;
use slipway::image::{ImageBackend as _, Reach};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::hostile::{Answer, reply, request, small, spec};

/// A registry that begins to answer for a blob, and ends when it is told to.
async fn slow() -> (String, mpsc::UnboundedReceiver<oneshot::Sender<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (come, coming) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let come = come.clone();
            tokio::spawn(async move {
                let asked = request(&mut client).await.unwrap();
                let answer = small().answer(&asked);
                let Answer::Full(_, _, body) = &answer else { panic!("{asked}") };
                if !asked.contains("/blobs/") {
                    return reply(&mut client, answer).await.unwrap();
                }
                let head = format!("HTTP/1.1 200 x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                client.write_all(head.as_bytes()).await.unwrap();
                client.write_all(&body[..1]).await.unwrap();
                let (release, released) = oneshot::channel();
                come.send(release).unwrap();
                released.await.unwrap();
                client.write_all(&body[1..]).await.unwrap();
            });
        }
    });
    (address, coming)
}

/// Layer and configuration of a base come one after the other where the operator says so, and delay no other registry.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_counts_among_the_requests_of_its_registry() {
    let directory = tempfile::tempdir().unwrap();
    let ((one, mut held), (other, mut quick)) = (slow().await, slow().await);
    let reach = Reach { connections: NonZeroU16::new(1), ..Reach::default() };
    let build = |name: &str, registry: &str| {
        let backend = AssemblerBackend::new(directory.path().join(format!("images-{name}")), None).reach(reach.clone());
        let spec = spec(&directory.path().join(name), &format!("{registry}/base/image:1"));
        tokio::spawn(async move { backend.build(&spec, &|_| {}, &CancellationToken::new()).await })
    };
    let slowly = build("one", &one);
    let first = held.recv().await.unwrap();
    // Meanwhile a whole image comes from elsewhere.
    let elsewhere = build("other", &other);
    for _ in 0..2 {
        quick.recv().await.unwrap().send(()).unwrap();
    }
    elsewhere.await.unwrap().unwrap();
    assert!(held.try_recv().is_err(), "a second blob came while the first was on its way");
    first.send(()).unwrap();
    held.recv().await.unwrap().send(()).unwrap();
    slowly.await.unwrap().unwrap();
}
