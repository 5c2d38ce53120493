//! Secrets that a line break cuts: lines are held back while their end may be the beginning of one.

use super::redact::{Redactor, SHORTEST, masked};
use super::style::Style;

/// A line without its end, and how many bytes of it were dropped.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Printed {
    pub(super) text: String,
    /// The colours of the text, as long as it is what was printed.
    pub(super) styles: Vec<Style>,
    pub(super) dropped: u64,
}

/// Lines of one stream whose end may turn out to be part of a secret.
///
/// Tools wrap what they print: `base64` after 76 characters, others at the width of a terminal. Lines are searched as if
/// there were no breaks between them. One waits only while its end is the beginning of a secret, so hardly any does.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// The last characters that went out: too few to wait for, but a secret may have begun there.
    gone: String,
    held: Vec<Printed>,
}

impl Window {
    /// Takes a line and gives those that may go out, redacted.
    pub(super) fn push(&mut self, redactor: &Redactor, line: Printed) -> Vec<Printed> {
        let gap = line.dropped > 0;
        self.held.push(line);
        // Nothing goes on behind a gap.
        if gap { self.finish(redactor) } else { self.release(redactor, false) }
    }

    /// Gives what is left, redacted.
    pub(super) fn finish(&mut self, redactor: &Redactor) -> Vec<Printed> {
        let lines = self.release(redactor, true);
        self.gone.clear();
        lines
    }

    fn release(&mut self, redactor: &Redactor, all: bool) -> Vec<Printed> {
        let mut joined = std::mem::take(&mut self.gone);
        let mut at = joined.len();
        self.held.iter().for_each(|line| joined.push_str(&line.text));
        let open = if all { joined.len() } else { redactor.begins(&joined) };
        let hits = redactor.hits(&joined);
        let mut ready = Vec::new();
        while let Some(line) = self.held.first()
            && at + line.text.len() <= open
        {
            let line = self.held.remove(0);
            let end = at + line.text.len();
            let text = masked(&joined, at..end, &hits);
            let styles = if text == line.text { line.styles } else { Vec::new() };
            ready.push(Printed { text, styles, dropped: line.dropped });
            at = end;
        }
        let start = joined[..at].char_indices().rev().nth(SHORTEST - 2).map_or(0, |(start, _)| start);
        joined[start..at].clone_into(&mut self.gone);
        ready
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "hunter2-and-more";

    fn all(lines: &[&str]) -> Vec<String> {
        let (redactor, mut window) = (Redactor::new([SECRET]), Window::default());
        let mut texts = Vec::new();
        for line in lines {
            texts.extend(window.push(&redactor, Printed { text: (*line).to_owned(), ..Printed::default() }));
        }
        texts.extend(window.finish(&redactor));
        texts.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn a_secret_over_two_lines_or_more_is_replaced_in_each() {
        assert_eq!(all(&["pass hunter2", "-and-more!"]), ["pass ***", "***!"]);
        assert_eq!(all(&["hunt", "er2-", "and-", "more", "next"]), ["***", "***", "***", "***", "next"]);
        assert_eq!(all(&["a hunter2", "other"]), ["a hunter2", "other"]);
    }

    #[test]
    fn a_few_characters_go_out_but_not_the_rest() {
        assert_eq!(all(&["x hun", "ter2-and-more", "next"]), ["x hun", "***", "next"]);
    }

    #[test]
    fn encoded_and_wrapped_it_is_replaced() {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(format!("ada:{SECRET} and so on"));
        let shown = all(&[&text[..14], &text[14..]]).concat();
        assert!(shown.contains("***") && shown.len() < text.len() - 8, "{shown} of {text}");
    }

    #[test]
    fn a_line_waits_only_while_it_has_to() {
        let (redactor, mut window) = (Redactor::new([SECRET]), Window::default());
        let mut push =
            |text: &str| window.push(&redactor, Printed { text: text.to_owned(), ..Printed::default() }).len();
        assert_eq!(push("some text with a h"), 1);
        assert_eq!(push("some text with a hunter2"), 0);
        assert_eq!(push("and on it goes"), 2);
    }

    proptest! {
        #[test]
        fn no_cut_lets_a_secret_through(before in "[ -~]{0,12}", after in "[ -~]{0,12}", first in 0usize..40, second in 0usize..40) {
            let text = format!("{before}{SECRET}{after}");
            let (first, second) = (first.min(text.len()), second.min(text.len()));
            let (first, second) = (first.min(second), first.max(second));
            let shown = all(&[&text[..first], &text[first..second], &text[second..]]).concat();
            prop_assert!(!shown.contains("2-and-"), "{}", shown);
        }

        #[test]
        fn other_lines_come_out_as_they_were(lines in proptest::collection::vec("[a-u ]{0,30}", 0..20)) {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            prop_assert_eq!(all(&lines), lines);
        }
    }
}
