//! The colours of a line: the one kind of escape sequence that comes through.

/// From a place in a line's text on, how it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Style {
    /// Bytes of the text before it.
    pub(super) at: usize,
    /// Parameters of a Select Graphic Rendition, separated by semicolons.
    parameters: String,
}

impl Style {
    /// What a control sequence's parameters say of colour and weight (ECMA-48, section 8.3.117); nothing where they say
    /// nothing of it. What could hide text, such as "concealed" or a background, is left out.
    pub(super) fn of(at: usize, parameters: &str) -> Option<Self> {
        let known = |one: &&str| matches!(*one, "" | "0" | "1" | "22" | "39") || is_foreground(one);
        if parameters.split(';').any(|one| matches!(one, "38" | "48")) {
            // What follows names a colour of a palette, and would be taken for something else.
            return None;
        }
        let parameters: Vec<_> = parameters.split(';').filter(known).collect();
        // Without any parameter the sequence would end what others began.
        (!parameters.is_empty()).then(|| Self { at, parameters: parameters.join(";") })
    }

    fn ends_all(&self) -> bool {
        matches!(self.parameters.as_str(), "" | "0")
    }
}

fn is_foreground(parameter: &str) -> bool {
    matches!(parameter.as_bytes(), [b'3' | b'9', b'0'..=b'7'])
}

/// The text with its colours, none of which goes on behind its end.
pub(super) fn coloured(text: &str, styles: &[Style]) -> String {
    let mut result = String::with_capacity(text.len() + styles.len() * 5);
    let mut done = 0;
    for style in styles {
        result.push_str(&text[done..style.at]);
        result.push_str("\u{1b}[");
        result.push_str(&style.parameters);
        result.push('m');
        done = style.at;
    }
    result.push_str(&text[done..]);
    if styles.last().is_some_and(|last| !last.ends_all()) {
        result.push_str("\u{1b}[0m");
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_and_weight_stay_and_nothing_else() {
        let shown = |parameters| Style::of(0, parameters).map(|style| style.parameters);
        assert_eq!(shown("1;31").unwrap(), "1;31");
        assert_eq!(shown("8;32;47;5").unwrap(), "32");
        assert_eq!(shown("").unwrap(), "");
        assert_eq!((shown("38;5;31"), shown("8")), (None, None));
    }

    #[test]
    fn colours_end_with_their_line() {
        let red = Style::of(2, "31").unwrap();
        assert_eq!(coloured("a b", std::slice::from_ref(&red)), "a \u{1b}[31mb\u{1b}[0m");
        assert_eq!(coloured("a b", &[red, Style::of(3, "0").unwrap()]), "a \u{1b}[31mb\u{1b}[0m");
        assert_eq!(coloured("a b", &[]), "a b");
    }
}
