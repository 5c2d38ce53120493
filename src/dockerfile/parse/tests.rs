//! What the parser takes and refuses.

use proptest::prelude::*;

use super::*;

fn literal(text: &str) -> Word {
    Word::literal(text)
}

fn only(text: &str) -> Instruction {
    let mut file = parse(text).unwrap();
    assert_eq!(file.instructions.len(), 1, "{text}");
    file.instructions.remove(0).instruction
}

fn problem(text: &str) -> (u32, Problem) {
    let error = parse(text).unwrap_err();
    (error.line, error.problem)
}

#[test]
fn lines_continuations_comments_and_case() {
    let text = "\u{feff}# a comment\n\nfrom alpine AS x\r\nRUN a \\\n\n  # inside\n   && b \\   \n && c\nEXPOSE 80\n";
    let file = parse(text).unwrap();
    assert_eq!(file.instructions.iter().map(|i| i.line).collect::<Vec<_>>(), [3, 4, 9]);
    assert_eq!(
        file.instructions[1].instruction,
        Instruction::Run { flags: vec![], command: Command::Shell("a    && b  && c".to_owned()), heredocs: vec![] }
    );
}

#[test]
fn directives_come_first() {
    let file = parse("# syntax=docker/dockerfile:1\n# escape=`\nFROM a\nCOPY c:\\x `\n d:\\\n").unwrap();
    assert_eq!(file.syntax, Some((1, "docker/dockerfile:1".to_owned())));
    let Instruction::Copy(copy) = &file.instructions[1].instruction else { panic!() };
    assert_eq!((copy.sources.clone(), copy.destination.clone()), (vec![literal("c:\\x")], literal("d:\\")));
    assert_eq!(parse("# note\n# syntax=x\nFROM a").unwrap().syntax, None);
    assert_eq!(problem("#escape=x\nFROM a"), (1, Problem::BadEscape));
    assert_eq!(problem("#escape=\\\n#escape=\\\n"), (2, Problem::DirectiveTwice));
}

#[test]
fn heredocs_belong_to_their_instruction() {
    let file =
        parse("RUN <<EOF\nfoo\nRUN bar\nEOF\nCOPY --chmod=755 <<-\"A\" <<B x /y/\n\ta $x\n\tA\nb\nB\nUSER 1").unwrap();
    let content = |i: usize| file.instructions[i].instruction.heredocs().iter().map(|h| (h.content.as_str(), h.expand));
    assert_eq!(content(0).collect::<Vec<_>>(), [("foo\nRUN bar\n", true)]);
    assert_eq!(content(1).collect::<Vec<_>>(), [("a $x\n", false), ("b\n", true)]);
    assert_eq!(file.instructions[2].line, 10);
    assert!(only("RUN echo $((1 <<2))").heredocs().is_empty());
}

#[test]
fn forms_of_instructions() {
    assert_eq!(only("CMD [\"a\", \"b c\"]"), Instruction::Cmd(Command::Exec(vec!["a".into(), "b c".into()])));
    assert_eq!(only("CMD [\"a\", 1]"), Instruction::Cmd(Command::Shell("[\"a\", 1]".into())));
    assert_eq!(
        only("ENV a=\"b c\" d=e\\ f"),
        Instruction::Env(vec![("a".into(), literal("b c")), ("d".into(), literal("e f"))])
    );
    assert_eq!(only("ENV a b c"), Instruction::Env(vec![("a".into(), literal("b c"))]));
    assert_eq!(only("LABEL \"x.y\"=z"), Instruction::Label(vec![("x.y".into(), literal("z"))]));
    assert_eq!(only("ARG a=1 b"), Instruction::Arg(vec![("a".into(), Some(literal("1"))), ("b".into(), None)]));
    assert_eq!(only("WORKDIR /a b"), Instruction::Workdir(literal("/a b")));
    assert_eq!(only("VOLUME [\"/a\"]"), only("VOLUME /a"));
    assert_eq!(only("HEALTHCHECK NONE"), Instruction::Healthcheck { flags: vec![], command: None });
    let Instruction::Healthcheck { flags, command } = only("HEALTHCHECK --interval=5s CMD curl x") else { panic!() };
    assert_eq!(flags, [Flag { name: "interval".into(), value: Some(literal("5s")) }]);
    assert_eq!(command, Some(Command::Shell("curl x".into())));
    assert_eq!(only("onbuild run x").name(), "ONBUILD");
    let Instruction::Copy(copy) = only("COPY --link --from=b [\"a b\", \"/\"]") else { panic!() };
    assert_eq!(copy.flag("from"), Some(&literal("b")));
    assert_eq!(copy.sources, [literal("a b")]);
    let Instruction::From { platform, alias, .. } = only("FROM --platform=$BUILDPLATFORM a:$V As b") else { panic!() };
    assert!(platform.is_some() && alias.as_deref() == Some("b"));
}

#[test]
fn what_is_refused_is_named_with_its_line() {
    for (text, line) in [
        ("FROM a\nFOO b", 2),
        ("FROM", 1),
        ("FROM a b", 1),
        ("FROM --x a", 1),
        ("COPY a", 1),
        ("COPY []", 1),
        ("ENV a", 1),
        ("ENV a=b c", 1),
        ("ENV =b", 1),
        ("ENV \"\"=b", 1),
        ("ENV a='b", 1),
        ("USER", 1),
        ("USER --x", 1),
        ("SHELL a", 1),
        ("SHELL []", 1),
        ("HEALTHCHECK foo", 1),
        ("HEALTHCHECK", 1),
        ("ONBUILD ONBUILD RUN x", 1),
        ("ONBUILD FROM x", 1),
        ("ONBUILD", 1),
        ("ARG", 1),
        ("CMD", 1),
    ] {
        assert_eq!(problem(text).0, line, "{text}");
    }
    assert_eq!(problem(&format!("FROM a\n# {}", "x".repeat(70_000))), (2, Problem::LineTooLong));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn arbitrary_arguments_never_panic(
        lines in prop::collection::vec(("(?i:FROM|RUN|CMD|LABEL|ENV|COPY|ADD|ARG|ONBUILD|USER|HEALTHCHECK|SHELL|VOLUME|# escape=)", "[ \"'$\\{}:=\\[\\],<-\\\\a\u{a0}é`\t\r-]{0,20}"), 0..8)
    ) {
        let text = lines.iter().map(|(keyword, rest)| format!("{keyword} {rest}")).collect::<Vec<_>>().join("\n");
        if let Ok(file) = parse(&text) {
            let count = u32::try_from(text.lines().count()).unwrap();
            prop_assert!(file.instructions.iter().all(|i| i.line >= 1 && i.line <= count));
        }
    }
}
