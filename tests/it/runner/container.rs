//! In containers.

use std::collections::HashMap;

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{CreateContainerOptions, EventsOptionsBuilder, ListContainersOptionsBuilder};
use futures_util::StreamExt;
use slipway::leftovers::OwnDirectory;
use slipway::model::command::{CacheMount, FileMount};
use slipway::model::failure::FailureCode;
use slipway::output::Tail;
use slipway::runner::failure_of;

use super::*;

async fn in_container(script: &str) -> Ran {
    let (runner, _scratch) = container().await;
    let (command, _workspace) = shell(script);
    run(&runner, &command).await
}

/// The containers whose command has this word in it, whatever they do.
async fn containers_with(word: &str) -> Vec<String> {
    containers(word, true).await
}

/// The same, those that run alone unless `all` are meant.
async fn containers(word: &str, all: bool) -> Vec<String> {
    let options = ListContainersOptionsBuilder::default().all(all).build();
    let all = docker().await.list_containers(Some(options)).await.unwrap();
    all.into_iter().filter(|c| c.command.as_ref().is_some_and(|c| c.contains(word))).filter_map(|c| c.id).collect()
}

#[tokio::test]
async fn short_containers_lose_no_output() {
    let (runner, _scratch) = container().await;
    for _ in 0..20 {
        let (command, _workspace) = shell("echo out; echo err >&2; exit 7");
        let ran = run(&runner, &command).await;
        let mut texts = ran.texts();
        texts.sort_unstable();
        assert_eq!((texts, ran.exit.clone()), (vec!["err", "out"], Ok(Exit::Code(7))));
    }
}

/// In a process of its own, since other tests take memory too.
#[test]
fn a_gigabyte_of_output_takes_little_memory() {
    let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
    alone.args(["--exact", "runner::container::a_gigabyte_of_output", "--ignored"]);
    let done = alone.output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&done.stderr));
}

#[tokio::test]
#[ignore = "the test before it runs it alone"]
async fn a_gigabyte_of_output() {
    let (runner, _scratch) = container().await;
    let (mut command, _workspace) = shell(&format!("yes {} | head -c 1000000000; echo; echo end", "y".repeat(79)));
    // Of a busy machine's time it takes more than its share.
    command.limits.timeout = Duration::from_mins(10);
    let before = resident();
    let ran = run(&runner, &command).await;
    let grown = resident().saturating_sub(before);
    assert_eq!((ran.exit, ran.received), (Ok(Exit::Code(0)), 1_000_000_005));
    assert!(ran.lines.iter().map(|line| line.text.len()).sum::<usize>() < 1_200_000);
    assert_eq!(ran.lines.last().unwrap().text, "end");
    assert!(ran.lines.iter().any(|line| line.note && line.text.contains("bytes of output dropped")));
    assert!(grown < 200 << 20, "{grown}");
}

/// An attached client that does not read would block the Engine's every other call about its container.
#[tokio::test]
async fn a_reader_that_stands_still_does_not_hold_the_container() {
    let (runner, _scratch) = container().await;
    let word = word();
    let (mut command, _workspace) = shell(&format!("yes {word} | head -c 50000000; sleep 600"));
    command.limits.timeout = Duration::from_secs(4);
    let (lines, mut standing) = tokio::sync::mpsc::channel(1);
    let run =
        tokio::spawn(async move { runner.run(&command, &Arc::default(), &lines, &CancellationToken::new()).await });
    let first = standing.recv().await.unwrap();
    assert!(first.text.contains(&word), "{}", first.text);
    let gone = async {
        while !containers_with(&word).await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("the container is removed while nobody reads");
    while standing.recv().await.is_some() {}
    assert_eq!(run.await.unwrap(), Ok(Exit::TimedOut));
}

#[tokio::test]
async fn lines_without_end_and_broken_text_are_survived() {
    let script = "head -c 20000000 /dev/zero | tr '\\0' x; echo; printf 'a\\377b\\0\\033[1mc\\r\\n'";
    let ran = in_container(script).await;
    let texts = ran.texts();
    assert!(texts[0].len() < 9000 && texts[0].contains("bytes of this line dropped"), "{}", texts[0].len());
    assert_eq!(texts[1..], ["a\u{fffd}bc"]);
}

#[tokio::test]
async fn a_fork_bomb_stays_in_its_container() {
    let (runner, _scratch) = container().await;
    let word = word();
    // The shell starts one other and becomes the last command: with the container full it could start no more.
    let (mut command, _workspace) =
        shell(&format!("bomb() {{ bomb | bomb & }}; echo up; bomb & exec sleep 600; : {word}"));
    command.limits.timeout = Duration::from_secs(3);
    assert_eq!(run(&runner, &command).await.exit, Ok(Exit::TimedOut));
    assert!(!lives(&word));
}

#[tokio::test]
async fn time_and_cancellation_end_everything() {
    let (runner, _scratch) = container().await;
    let word = word();
    let (mut command, _workspace) = shell(&stubborn(&word));
    assert_eq!(run_until(&runner, &command, "up").await.exit, Ok(Exit::Cancelled));
    assert!(!lives(&word));
    command.limits.timeout = Duration::from_secs(2);
    let ran = run(&runner, &command).await;
    assert_eq!((ran.texts(), ran.exit.clone()), (vec!["up"], Ok(Exit::TimedOut)));
    command.limits.silence = Some(Duration::from_secs(1));
    assert_eq!(run(&runner, &command).await.exit, Ok(Exit::Silent));
    assert!(!lives(&word));
    assert!(containers_with(&word).await.is_empty());
}

#[tokio::test]
async fn a_dropped_run_leaves_no_container() {
    let (runner, _scratch) = container().await;
    let word = word();
    let (command, _workspace) = shell(&stubborn(&word));
    let (sender, mut receiver) = tokio::sync::mpsc::channel(10);
    {
        let (redactor, cancel) = (Arc::default(), CancellationToken::new());
        let run = runner.run(&command, &redactor, &sender, &cancel);
        tokio::select! {
            exit = run => panic!("{exit:?}"),
            line = receiver.recv() => assert_eq!(line.unwrap().text, "up"),
        }
    }
    let gone = async {
        while !containers_with(&word).await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("the container is removed");
    assert!(!lives(&word));
}

/// The Engine hears of a kill a moment after it, and not at all once the container is gone (about one in fifty): the
/// first verdict stands by the exit code too, the second is waited for.
#[tokio::test]
async fn memory_of_the_command_and_of_its_children_are_told_apart() {
    let eat = "dd if=/dev/zero of=/dev/null bs=200M count=1";
    let (runner, _scratch) = container().await;
    // What is killed before the Engine has seen the container start, the Engine hears nothing of: both wait for that.
    let started = |word: String, file: std::path::PathBuf| async move {
        while containers(&word, false).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        std::fs::write(file, "").unwrap();
    };
    let wait = "until [ -e go ]; do sleep 0.1; done";
    let first = word();
    let (command, workspace) = shell(&format!("{wait}; : {first}; exec {eat}"));
    let (ran, ()) = tokio::join!(run(&runner, &command), started(first, workspace.path().join("go")));
    let exit = ran.exit.unwrap();
    let code = failure_of(exit, &command, &Tail::default()).code;
    assert_eq!(code, FailureCode::OutOfMemory, "{exit:?}");

    let word = word();
    let (command, workspace) =
        shell(&format!("{wait}; {eat}; until [ -e heard ]; do sleep 0.1; done; echo went on; : {word}"));
    let (ran, ()) = tokio::join!(run(&runner, &command), async {
        started(word.clone(), workspace.path().join("go")).await;
        let heard = tokio::time::timeout(Duration::from_secs(30), killed_for_memory(&word)).await;
        heard.expect("the Engine hears that memory was short");
        std::fs::write(workspace.path().join("heard"), "").unwrap();
    });
    assert_eq!(ran.exit, Ok(Exit::Code(0)));
    assert!(ran.texts().contains(&"went on"));
    assert!(ran.lines.iter().any(|line| line.note && line.text.contains("too much memory")), "{:?}", ran.texts());
}

/// Returns once the Engine has heard that memory was short in the container whose command has this word in it.
async fn killed_for_memory(word: &str) {
    let filters = HashMap::from([("event", vec!["oom"])]);
    let options = EventsOptionsBuilder::default().since("1").filters(&filters).build();
    let docker = docker().await;
    let mut events = docker.events(Some(options));
    while let Some(event) = events.next().await {
        let id = event.unwrap().actor.and_then(|actor| actor.id).unwrap();
        if containers_with(word).await.contains(&id) {
            return;
        }
    }
    panic!("the Engine tells of no more events");
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let (runner, _scratch) = container().await;
    let (mut command, _workspace) = shell("");
    command.argv = vec!["/no/such/tool".to_owned()];
    let failure = run(&runner, &command).await.exit.unwrap_err();
    assert_eq!((failure.code, failure.step), (FailureCode::ToolMissing, Some(Step::Compile)));
    assert!(failure.message.contains("`/no/such/tool`"), "{}", failure.message);
    command.image = "slipway-test/no-such-image:1".to_owned();
    let failure = run(&runner, &command).await.exit.unwrap_err();
    assert_eq!(failure.code, FailureCode::BaseImageMissing);
    assert!(failure.message.contains("`slipway-test/no-such-image:1`"), "{}", failure.message);
}

#[tokio::test]
async fn nothing_but_the_mounts_and_memory_is_writable() {
    let script = "touch /x 2>/dev/null || echo root; touch /tmp/x $HOME/x /workspace/x && echo rest
        printf '#!/bin/sh\\necho ran' > /tmp/run; chmod +x /tmp/run; /tmp/run";
    in_container(script).await.said(&["root", "rest", "ran"]);
}

#[tokio::test]
async fn there_are_no_privileges() {
    let script = "grep -e ^Cap -e ^NoNewPrivs -e ^Seccomp: /proc/self/status | tr -s '\\t' ' '; hostname";
    let none = "0000000000000000";
    let mut expected: Vec<String> = ["Inh", "Prm", "Eff", "Bnd", "Amb"].map(|set| format!("Cap{set}: {none}")).into();
    expected.extend(["NoNewPrivs: 1", "Seccomp: 2", "slipway"].map(str::to_owned));
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    in_container(script).await.said(&expected);
}

#[tokio::test]
async fn the_user_has_a_name_and_a_home() {
    let script = "id -un; echo $HOME; grep ^build: /etc/passwd | cut -d: -f6; ls -ld $HOME | cut -d' ' -f1";
    in_container(script).await.said(&["build", "/home/build", "/home/build", "drwx------"]);
}

#[tokio::test]
async fn without_a_network_there_is_only_loopback() {
    in_container("ls /sys/class/net").await.said(&["lo"]);
}

#[tokio::test]
async fn files_are_read_only_and_caches_are_not() {
    let (runner, _scratch) = container().await;
    let cache = tempfile::tempdir().unwrap();
    std::fs::create_dir(cache.path().join("m2")).unwrap();
    let settings = tempfile::tempdir().unwrap();
    let (mut command, _workspace) = shell(
        "cat /etc/settings.xml; { echo >> /etc/settings.xml; } 2>/dev/null || echo fixed; echo kept > /cache/m2/x && ls /cache/m2",
    );
    command.caches = vec![CacheMount { source: cache.path().into(), target: "/cache".into() }];
    let source = private_file(settings.path(), "secret\n");
    command.files = vec![FileMount { source, target: "/etc/settings.xml".into() }];
    run(&runner, &command).await.said(&["secret", "fixed", "x"]);
    assert_eq!(std::fs::read_to_string(cache.path().join("m2/x")).unwrap(), "kept\n");
}

#[tokio::test]
async fn links_that_a_run_leaves_lead_nowhere() {
    use std::os::unix::fs::MetadataExt;
    let (runner, _scratch) = container().await;
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("file"), "").unwrap();
    let owner = |path: &Path| std::fs::metadata(path).map(|m| (m.uid(), m.gid())).unwrap();
    let before = owner(&outside.path().join("file"));
    let target = outside.path().display();
    let (mut command, workspace) =
        shell(&format!("ln -s {target} dir; ln -s {target}/file file; ln -s / root; mkfifo fifo; mkdir -m 555 fixed"));
    run(&runner, &command).await.said(&[]);
    command.argv[3] = "ls".to_owned();
    run(&runner, &command).await.said(&["dir", "fifo", "file", "fixed", "root"]);
    assert_eq!((owner(&outside.path().join("file")), owner(outside.path())), (before, before));
    workspace.close().expect("the worker can remove what a run leaves");
}

#[tokio::test]
async fn a_mount_without_a_source_is_no_new_directory() {
    let (runner, scratch) = container().await;
    let (mut command, _workspace) = shell("true");
    let source = scratch.path().join("none");
    command.files = vec![FileMount { source: source.clone(), target: "/etc/none".into() }];
    assert_eq!(run(&runner, &command).await.exit.unwrap_err().code, FailureCode::ConfigurationInvalid);
    assert!(!source.exists());
}

#[tokio::test]
async fn leftovers_of_dead_workers_are_swept() {
    let (runner, _scratch) = container().await;
    let Runner::Container(sandbox) = &runner else { unreachable!() };
    let left = async |deadline: &str, directory: &Path| {
        let directory = directory.display().to_string();
        let labels =
            [("slipway.owner", "elsewhere/1/1/1"), ("slipway.deadline", deadline), ("slipway.directory", &directory)];
        let body = ContainerCreateBody {
            image: Some(IMAGE.to_owned()),
            cmd: Some(vec![word()]),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            ..ContainerCreateBody::default()
        };
        docker().await.create_container(None::<CreateContainerOptions>, body).await.unwrap().id
    };
    let (never, none) = ("99999999999", Path::new("/nonexistent"));
    let builds = tempfile::tempdir().unwrap();
    let held = OwnDirectory::create(builds.path(), "b1").unwrap();
    // What a killed worker leaves has its lock's file, and nobody who holds it.
    let let_go = builds.path().join("b2");
    std::fs::create_dir(&let_go).unwrap();
    std::fs::write(let_go.join(".slipway-lock"), "").unwrap();
    let dead = [left("1", none).await, left(never, &let_go).await];
    let alive = [left(never, none).await, left(never, held.path()).await];
    // How many it finds, nobody can say: programs of other tests sweep, too.
    sandbox.sweep().await.unwrap();
    let options = ListContainersOptionsBuilder::default().all(true).build();
    let all = docker().await.list_containers(Some(options)).await.unwrap();
    let there = |id: &str| all.iter().any(|container| container.id.as_deref() == Some(id));
    assert_eq!((dead.each_ref().map(|id| there(id)), alive.each_ref().map(|id| there(id))), ([false; 2], [true; 2]));
    for id in alive {
        docker().await.remove_container(&id, None).await.unwrap();
    }
}

#[tokio::test]
async fn an_engine_that_goes_away_is_a_failure_of_the_service() {
    container().await;
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("engine");
    let engine = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    let engine = engine.strip_prefix("unix://").expect("an Engine on this machine").to_owned();
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let proxy = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((mut client, _)) = listener.accept().await {
            let engine = engine.clone();
            connections.spawn(async move {
                let mut engine = tokio::net::UnixStream::connect(engine).await.unwrap();
                tokio::io::copy_bidirectional(&mut client, &mut engine).await.ok();
            });
        }
    });
    let through = Docker::connect_with_unix(socket.to_str().unwrap(), 20, bollard::API_DEFAULT_VERSION).unwrap();
    let through = through.negotiate_version().await.unwrap();
    let runner = Runner::Container(Box::new(Sandbox::new(through, Settings::new(directory.path())).unwrap()));
    let word = word();
    let (command, _workspace) = shell(&stubborn(&word));
    let mut output = Output::new(Arc::default(), move |_| proxy.abort());
    let failure = runner.run_into(&command, &mut output, &CancellationToken::new()).await.unwrap_err();
    assert_eq!((failure.code, failure.retryable), (FailureCode::EngineUnavailable, true));
    for id in containers_with(&word).await {
        let options = bollard::query_parameters::RemoveContainerOptionsBuilder::default().force(true).build();
        docker().await.remove_container(&id, Some(options)).await.unwrap();
    }
}
