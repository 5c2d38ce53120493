//! A small proxy that stands between workers and what they talk to, and misbehaves when asked to.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// What is done to a request instead of passing it on, or before.
#[derive(Clone)]
pub(super) enum Fault {
    /// Answered with a status and header lines.
    Answer(u16, &'static str),
    /// Cut after so many bytes of the body.
    Cut(u64),
    /// Passed on after a time.
    Late(Duration),
    /// Calls something, then passes the request on.
    Then(Arc<dyn Fn() + Send + Sync>),
}

/// Which requests a fault is for.
#[derive(Clone)]
pub(super) struct Rule {
    /// Words that method and path have to contain, all of them: `PATCH`, `/blobs/`.
    pub(super) when: &'static [&'static str],
    /// What is done.
    pub(super) fault: Fault,
    /// Requests that pass before.
    pub(super) skip: usize,
    /// Requests that it is done to.
    pub(super) times: usize,
    /// How long it lasts from the first request that meets it.
    pub(super) lasts: Option<Duration>,
    /// When that is over.
    pub(super) until: Option<Instant>,
}

impl Rule {
    /// A fault for every request with these words.
    pub(super) fn always(when: &'static [&'static str], fault: Fault) -> Self {
        Self { when, fault, skip: 0, times: usize::MAX, lasts: None, until: None }
    }

    /// For so long from the first request that meets it.
    pub(super) fn during(mut self, time: Duration) -> Self {
        self.lasts = Some(time);
        self
    }

    /// For so many requests, after others.
    pub(super) fn times(mut self, skip: usize, times: usize) -> Self {
        (self.skip, self.times) = (skip, times);
        self
    }
}

/// An HTTP proxy; clones share their rules.
#[derive(Clone, Default)]
pub(super) struct Proxy {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    hits: usize,
}

impl Proxy {
    /// Begins to pass on from one port to another, in the current runtime.
    pub(super) async fn start(from: u16, to: u16) -> Self {
        let proxy = Self::default();
        let listener = TcpListener::bind(("127.0.0.1", from)).await.unwrap();
        let serving = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let proxy = serving.clone();
                // One that breaks off is what a fault looks like.
                tokio::spawn(async move { drop(proxy.request(client, to).await) });
            }
        });
        proxy
    }

    /// Adds a rule; earlier ones come first.
    pub(super) fn add(&self, rule: Rule) {
        self.with(|state| state.rules.push(rule));
    }

    /// Removes all rules, and says how many requests met one since the last time.
    pub(super) fn clear(&self) -> usize {
        self.with(|state| {
            state.rules.clear();
            std::mem::take(&mut state.hits)
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn fault(&self, request: &str) -> Option<Fault> {
        self.with(|state| {
            let now = Instant::now();
            let fits = |rule: &Rule| {
                rule.times > 0
                    && rule.until.is_none_or(|until| now < until)
                    && rule.when.iter().all(|word| request.contains(word))
            };
            let rule = state.rules.iter_mut().find(|rule| fits(rule))?;
            if rule.skip > 0 {
                rule.skip -= 1;
                return None;
            }
            rule.until = rule.until.or(rule.lasts.map(|lasts| now + lasts));
            rule.times = rule.times.saturating_sub(1);
            let fault = rule.fault.clone();
            state.hits += 1;
            Some(fault)
        })
    }

    /// One request a connection: the next comes by a new one, and meets the rules of its time.
    async fn request(&self, mut client: TcpStream, to: u16) -> std::io::Result<()> {
        let mut head = Vec::new();
        let end = loop {
            if client.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
            if let Some(at) = head.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 2;
            }
        };
        let line = String::from_utf8_lossy(&head[..end]).lines().next().unwrap_or_default().to_owned();
        let mut cut = None;
        match self.fault(&line) {
            Some(Fault::Answer(status, lines)) => {
                let answer =
                    format!("HTTP/1.1 {status} fault\r\n{lines}Content-Length: 0\r\nConnection: close\r\n\r\n");
                return client.write_all(answer.as_bytes()).await;
            }
            Some(Fault::Cut(bytes)) => cut = Some(bytes),
            Some(Fault::Late(time)) => tokio::time::sleep(time).await,
            Some(Fault::Then(call)) => call(),
            None => {}
        }
        let mut server = TcpStream::connect(("127.0.0.1", to)).await?;
        server.write_all(&head[..end]).await?;
        server.write_all(b"Connection: close\r\n").await?;
        server.write_all(&head[end..]).await?;
        if let Some(bytes) = cut {
            let (mut reader, mut writer) = (client.take(bytes), server);
            copy(&mut reader, &mut writer).await?;
            let client = reader.into_inner();
            // A reset, not an end (RFC 9293, 3.9.1: ABORT).
            client.set_zero_linger()?;
            return Ok(());
        }
        copy_bidirectional(&mut client, &mut server).await.map(drop)
    }
}
