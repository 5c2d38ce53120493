//! On the host.

use slipway::model::command::{CacheMount, FileMount, Stream};
use slipway::model::failure::FailureCode;
use slipway::runner::failure_of;

use super::*;

#[tokio::test]
async fn lines_come_from_both_streams_and_the_code_arrives() {
    let (command, _workspace) = shell("echo out; echo err >&2; exit 3");
    let ran = run(&Runner::host(), &command).await;
    assert_eq!(ran.exit, Ok(Exit::Code(3)));
    let find = |stream| ran.lines.iter().find(|line| line.stream == stream).map(|line| line.text.as_str());
    assert_eq!((find(Stream::Stdout), find(Stream::Stderr)), (Some("out"), Some("err")));
}

#[tokio::test]
async fn mount_targets_become_their_sources() {
    let cache = tempfile::tempdir().unwrap();
    let settings = private_file(cache.path(), "text");
    let (mut command, workspace) = shell("pwd; cat /etc/settings; echo $CACHE; env | grep -c .");
    command.workdir = "/workspace/sub".into();
    std::fs::create_dir(workspace.path().join("sub")).unwrap();
    command.caches = vec![CacheMount { source: cache.path().into(), target: "/cache".into() }];
    command.files = vec![FileMount { source: settings, target: "/etc/settings".into() }];
    command.env.insert("CACHE".to_owned(), "-Drepo=/cache/m2".to_owned());
    let expected = [format!("{}/sub", workspace.path().display()), format!("text-Drepo={}/m2", cache.path().display())];
    // PATH, CACHE, the marker, and the shell's own PWD, OLDPWD or SHLVL.
    let ran = run(&Runner::host(), &command).await;
    assert_eq!(ran.texts()[..2], expected);
    assert!(ran.texts()[2].parse::<usize>().unwrap() <= 6, "{:?}", ran.texts());
}

#[tokio::test]
async fn the_time_ends_grandchildren_in_their_own_session() {
    let word = word();
    let (mut command, _workspace) = shell(&stubborn(&word));
    command.limits.timeout = Duration::from_secs(1);
    let ran = run(&Runner::host(), &command).await;
    assert_eq!((ran.texts(), ran.exit.clone()), (vec!["up"], Ok(Exit::TimedOut)));
    assert!(!lives(&word));
}

#[tokio::test]
async fn cancelling_ends_an_orphan_that_hides_its_marker() {
    let word = word();
    let script = format!("(env -i /bin/busybox {} &) & sleep 600", stubborn(&word).replace("& wait", ""));
    let (command, _workspace) = shell(&script);
    let ran = run_until(&Runner::host(), &command, "up").await;
    assert_eq!(ran.exit, Ok(Exit::Cancelled));
    assert!(!lives(&word));
}

#[tokio::test]
async fn what_a_command_leaves_behind_ends_with_it() {
    let word = word();
    let script = format!(
        "mkfifo ready; {} cat ready",
        stubborn(&word).replace("echo up", "echo up > ready").replace("wait", "")
    );
    let (command, _workspace) = shell(&script);
    run(&Runner::host(), &command).await.said(&["up"]);
    assert!(!lives(&word));
}

#[tokio::test]
async fn a_dropped_run_leaves_nothing() {
    let word = word();
    let (command, _workspace) = shell(&stubborn(&word));
    let (sender, mut receiver) = tokio::sync::mpsc::channel(10);
    {
        let (runner, redactor, cancel) = (Runner::host(), Arc::default(), CancellationToken::new());
        let run = runner.run(&command, &redactor, &sender, &cancel);
        tokio::select! {
            exit = run => panic!("{exit:?}"),
            line = receiver.recv() => assert_eq!(line.unwrap().text, "up"),
        }
    }
    assert!(!lives(&word));
}

/// Nothing on a build's way can ask the person at the terminal, or stand still because it may not.
#[tokio::test]
async fn a_command_has_a_session_of_its_own_and_no_terminal() {
    let script = "read -r pid _ _ _ group session terminal _ </proc/self/stat; \
                  [ $pid = $$ ] && echo $((group - pid)) $((session - pid)) $terminal; (: </dev/tty) 2>/dev/null || echo none";
    let (command, _workspace) = shell(script);
    assert_eq!(run(&Runner::host(), &command).await.texts(), ["0 0 0", "none"]);
}

#[tokio::test]
async fn silence_ends_a_command() {
    let (mut command, _workspace) = shell("echo a; sleep 600");
    command.limits.silence = Some(Duration::from_millis(200));
    assert_eq!(run(&Runner::host(), &command).await.exit, Ok(Exit::Silent));
}

#[tokio::test]
async fn closed_streams_do_not_end_a_command() {
    let (command, _workspace) = shell("exec >&- 2>&-; sleep 0.2; exit 5");
    assert_eq!(run(&Runner::host(), &command).await.exit, Ok(Exit::Code(5)));
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let (mut command, _workspace) = shell("");
    command.argv = vec!["slipway-no-such-tool".to_owned()];
    let failure = run(&Runner::host(), &command).await.exit.unwrap_err();
    assert_eq!((failure.code, failure.step), (FailureCode::ToolMissing, Some(Step::Compile)));
    assert!(failure.message.contains("`slipway-no-such-tool`"), "{}", failure.message);
    let (mut command, _workspace) = shell("");
    command.workdir = "/workspace/none".into();
    assert_eq!(run(&Runner::host(), &command).await.exit.unwrap_err().code, FailureCode::SourceUnusable);
}

#[tokio::test]
async fn a_slow_reader_does_not_stop_a_command() {
    let (command, _workspace) = shell("yes | head -n 5000; echo end >&2");
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let (runner, redactor, cancel) = (Runner::host(), Arc::default(), CancellationToken::new());
    let reader = async {
        let mut count = 0;
        while receiver.recv().await.is_some() {
            tokio::task::yield_now().await;
            count += 1;
        }
        count
    };
    let run = async move { runner.run(&command, &redactor, &sender, &cancel).await };
    assert_eq!(tokio::join!(run, reader), (Ok(Exit::Code(0)), 5001));
}

#[tokio::test]
async fn a_failure_shows_the_last_lines() {
    let (command, _workspace) = shell("seq 1 100; exit 1");
    let mut output = Output::new(Arc::default(), |_| {});
    let exit = Runner::host().run_into(&command, &mut output, &CancellationToken::new()).await.unwrap();
    let failure = failure_of(exit, &command, output.tail());
    assert_eq!(failure.code, FailureCode::CompileFailed);
    assert_eq!((failure.log_tail.len(), failure.log_tail[0].as_str()), (40, "61"));
}
