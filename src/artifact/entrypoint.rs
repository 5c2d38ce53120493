//! The script that runs `runtime.before_start` before the application.

/// Where the script stands in the image.
pub const PATH: &str = "/app/entrypoint.sh";

/// The text of a POSIX shell script that runs `before_start` as the image's user and then becomes its own arguments.
///
/// The hook must succeed: otherwise the container ends with the hook's exit status and the application never starts on
/// half-made configuration. `exec` leaves the application as process 1, which gets the signals. `None` if there is no
/// hook, or an argument has a NUL, which no process can be given.
#[must_use]
pub fn script(before_start: &[String]) -> Option<String> {
    if before_start.is_empty() || before_start.iter().any(|argument| argument.contains('\0')) {
        return None;
    }
    let words: Vec<String> = before_start.iter().map(|argument| quote(argument)).collect();
    // A quoted first word is no assignment and no reserved word, so it is always a command.
    Some(format!("#!/bin/sh\nset -e\n{}\nexec \"$@\"\n", words.join(" ")))
}

/// One word of POSIX shell: in single quotes nothing is special but the quote itself (POSIX XCU 2.2.2).
#[must_use]
pub fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    #[allow(clippy::disallowed_methods, reason = "tries the script on a real shell")]
    fn run(before_start: &[String], arguments: &[&str]) -> std::process::Output {
        let text = script(before_start).unwrap();
        Command::new("/bin/sh").args(["-c", &text, "sh"]).args(arguments).output().unwrap()
    }

    #[test]
    fn a_failing_hook_stops_the_start() {
        let output = run(&["false".to_owned()], &["echo", "started"]);
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), b"".as_slice()));
        let output = run(&["echo".to_owned(), "hook".to_owned()], &["echo", "it's", "started"]);
        assert_eq!(output.stdout, b"hook\nit's started\n");
    }

    #[test]
    fn without_a_hook_there_is_no_script() {
        assert_eq!(script(&[]), None);
        assert_eq!(script(&["a\0b".to_owned()]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn arguments_arrive_exactly(arguments in proptest::collection::vec("[^\0]{0,20}", 0..5)) {
            let mut hook = vec!["printf".to_owned(), "%s\\0".to_owned()];
            hook.extend(arguments.iter().cloned());
            let output = run(&hook, &["true"]);
            let mut expected: Vec<u8> = arguments.iter().flat_map(|word| word.bytes().chain([0])).collect();
            if arguments.is_empty() {
                expected.push(0);
            }
            prop_assert_eq!(output.stdout, expected);
        }
    }
}
