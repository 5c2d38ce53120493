//! Reads `application.conf` (Typesafe Config, "HOCON"), as far as objects of plain and quoted values go: lists, includes and
//! what is put together of several parts say nothing of a port.

/// Deeper objects than this are not looked into.
const MAX_DEPTH: usize = 32;

/// Every value with its key in lower case and its line; one that only a set variable gives (`${?PORT}`) is none.
pub(super) fn lines(text: &str) -> Vec<(String, String, u32)> {
    let mut reader = Reader::default();
    let mut chars = text.chars().peekable();
    let mut number = 1u32;
    while let Some(c) = chars.next() {
        match c {
            '#' => skip_line(&mut chars),
            '/' if chars.peek() == Some(&'/') => skip_line(&mut chars),
            '"' => {
                let quoted: String = chars.by_ref().take_while(|c| *c != '"' && *c != '\n').collect();
                reader.word.push_str(&quoted);
            }
            '$' if chars.peek() == Some(&'{') => {
                reader.word.push(c);
                // Up to its end, or that of the line.
                while let Some(next) = chars.next_if(|next| *next != '\n') {
                    reader.word.push(next);
                    if next == '}' {
                        break;
                    }
                }
            }
            '[' => reader.list += 1,
            ']' => reader.list = reader.list.saturating_sub(1),
            '{' => reader.open(),
            '}' => reader.close(number),
            '\n' => {
                reader.flush(number);
                number += 1;
            }
            ',' => reader.flush(number),
            _ => reader.word.push(c),
        }
    }
    reader.flush(number);
    reader.found
}

fn skip_line(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while chars.next_if(|c| *c != '\n').is_some() {}
}

#[derive(Debug, Default)]
struct Reader {
    /// Keys of the objects that are open.
    levels: Vec<String>,
    word: String,
    list: usize,
    found: Vec<(String, String, u32)>,
}

impl Reader {
    fn open(&mut self) {
        let key = self.word.trim().trim_end_matches(['=', ':', '+']).trim().to_lowercase();
        self.word.clear();
        self.levels.push(if self.levels.len() < MAX_DEPTH { key } else { String::new() });
    }

    fn close(&mut self, number: u32) {
        self.flush(number);
        self.levels.pop();
    }

    fn flush(&mut self, number: u32) {
        let word = std::mem::take(&mut self.word);
        let Some((key, value)) = word.split_once(['=', ':']).filter(|_| self.list == 0) else { return };
        let (key, value) = (key.trim().to_lowercase(), value.trim());
        if key.is_empty() || value.is_empty() || value.starts_with("${?") || self.levels.len() > MAX_DEPTH {
            return;
        }
        let levels = self.levels.iter().filter(|level| !level.is_empty()).map(String::as_str);
        let key = levels.chain([key.as_str()]).collect::<Vec<_>>().join(".");
        self.found.push((key, value.to_owned(), number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn objects_and_paths() {
        let text = "# of the shop\nshop {\n  http { host = \"0.0.0.0\", port = 8080 } // both\n  http.port = ${?PORT}\n  seeds = [\n    \"a:1\"\n  ]\n}\nktor.deployment.port: ${shop.http.port}\n";
        let found: Vec<_> = lines(text).into_iter().map(|(key, value, line)| format!("{key}={value} {line}")).collect();
        assert_eq!(
            found,
            ["shop.http.host=0.0.0.0 3", "shop.http.port=8080 3", "ktor.deployment.port=${shop.http.port} 9"]
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in "([a-z.:=#\"{}\\[\\]$,/ é]|\\n|port){0,60}") {
            let _ = lines(&text);
        }
    }
}
