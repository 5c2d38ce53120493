//! Whatever is rendered reads back as what it was.

use proptest::prelude::*;

use super::*;
use crate::dockerfile::parse::parse;

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a \"'$\\{}\\[\\]\\\\\n\r\t#=,<\u{85}\u{a0}\u{2028}\u{1}\u{0}:-]{0,12}",
        "\n?RUN .{0,8}"
    ]
}

fn word() -> impl Strategy<Value = Word> {
    let piece = prop_oneof![
        4 => hostile().prop_map(Piece::Literal),
        1 => "[A-Z_][A-Z0-9]{0,4}".prop_map(|name| Piece::Variable { name, operator: None }),
        1 => ("[A-Z]{1,4}", "[a-z/.]{0,5}").prop_map(|(name, text)| Piece::Variable {
            name,
            operator: Some((":-".to_owned(), Word::literal(text)))
        }),
    ];
    prop::collection::vec(piece, 0..3).prop_map(Word::of)
}

fn words() -> impl Strategy<Value = Vec<Word>> {
    prop::collection::vec(word(), 0..3)
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![prop::collection::vec(hostile(), 0..4).prop_map(Command::Exec), hostile().prop_map(Command::Shell)]
}

fn flags() -> impl Strategy<Value = Vec<Flag>> {
    prop::collection::vec(
        (hostile(), prop::option::of(word())).prop_map(|(name, value)| Flag { name: format!("f{name}"), value }),
        0..2,
    )
}

fn pairs() -> impl Strategy<Value = Vec<(String, Word)>> {
    prop::collection::vec((prop_oneof!["[a-z.]{1,4}", hostile()], word()), 0..3)
}

fn instruction() -> impl Strategy<Value = Instruction> {
    let transfer = (flags(), words(), word()).prop_map(|(flags, sources, destination)| Transfer {
        flags,
        sources,
        destination,
        heredocs: vec![],
    });
    prop_oneof![
        (word(), prop::option::of(word()), prop::option::of(hostile()))
            .prop_map(|(image, platform, alias)| Instruction::From { image, platform, alias }),
        (flags(), command()).prop_map(|(flags, command)| Instruction::Run { flags, command, heredocs: vec![] }),
        command().prop_map(Instruction::Cmd),
        command().prop_map(Instruction::Entrypoint),
        pairs().prop_map(Instruction::Label),
        pairs().prop_map(Instruction::Env),
        words().prop_map(Instruction::Expose),
        transfer.prop_map(Instruction::Copy),
        words().prop_map(Instruction::Volume),
        word().prop_map(Instruction::User),
        word().prop_map(Instruction::Workdir),
        word().prop_map(Instruction::StopSignal),
        prop::collection::vec(("[a-z]{1,3}", prop::option::of(word())), 0..3).prop_map(Instruction::Arg),
        word().prop_map(|word| Instruction::OnBuild(Box::new(Instruction::Workdir(word)))),
        (flags(), prop::option::of(command())).prop_map(|(flags, command)| Instruction::Healthcheck { flags, command }),
        prop::collection::vec(hostile(), 0..3).prop_map(Instruction::Shell),
        hostile().prop_map(Instruction::Maintainer),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn what_is_rendered_reads_back(instructions in prop::collection::vec(instruction(), 1..3)) {
        if let Ok(text) = render(&instructions) {
            let back = parse(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
            let back: Vec<_> = back.instructions.into_iter().map(|located| located.instruction).collect();
            prop_assert_eq!(back, instructions, "{}", text);
        }
    }

    #[test]
    fn hostile_values_are_rendered_unless_they_break_lines(value in hostile()) {
        let env = [Instruction::Env(vec![("A".to_owned(), Word::literal(value.as_str()))])];
        prop_assert_eq!(render(&env).is_err(), value.contains(['\0', '\n']));
        let cmd = [Instruction::Cmd(Command::Exec(vec![value.clone()]))];
        prop_assert_eq!(render(&cmd).is_err(), value.contains('\0'));
    }
}
