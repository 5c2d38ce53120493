//! What commands print: from raw bytes to clean, redacted, bounded lines.

mod cause;
mod decode;
mod redact;
mod style;
mod window;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::model::command::Stream;
use crate::model::failure::Step;

pub use cause::Cause;
use decode::Decoder;
pub use redact::Redactor;
use window::{Printed, Window};

/// Bytes of one line that are kept; the rest of a longer line is dropped and counted.
pub const LINE_LIMIT: usize = 8 * 1024;

/// Lines that a failure shows.
pub const TAIL_LINES: usize = 40;

/// One line of a step's log: valid UTF-8 without control characters, secrets replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The step that printed it.
    pub step: Step,
    /// Where it was printed.
    pub stream: Stream,
    /// Without the end of line.
    pub text: String,
    /// The text with the colours that it was printed in: sequences that select a foreground or bold (ECMA-48, section
    /// 8.3.117), and no other control character. The text alone where a secret was replaced in it.
    pub coloured: String,
    /// Whether these are Slipway's words about the command, not the command's own.
    pub note: bool,
}

/// The last lines of a log.
#[derive(Debug, Clone, Default)]
pub struct Tail(VecDeque<String>);

impl Tail {
    /// Adds a line; the oldest over [`TAIL_LINES`] goes.
    pub fn push(&mut self, text: &str) {
        if self.0.len() == TAIL_LINES {
            self.0.pop_front();
        }
        self.0.push_back(text.to_owned());
    }

    /// The lines, oldest first.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }
}

/// Where the output of commands goes: decoded, redacted, counted, then handed to `sink` line by line.
///
/// It never waits: whoever drains a process must not be stopped by a slow reader, so `sink` has to be quick.
pub struct Output {
    redactor: Arc<Redactor>,
    sink: Box<dyn FnMut(Line) + Send>,
    step: Step,
    limit: u64,
    kept: u64,
    received: u64,
    decoders: [Decoder; 2],
    windows: [Window; 2],
    tail: Tail,
}

impl Output {
    /// An output that gives every line to `sink`.
    pub fn new(redactor: Arc<Redactor>, sink: impl FnMut(Line) + Send + 'static) -> Self {
        let decoders = [Decoder::new(LINE_LIMIT + redactor.longest()), Decoder::new(LINE_LIMIT + redactor.longest())];
        let (step, windows, tail) = (Step::Compile, Default::default(), Tail::default());
        Self { redactor, sink: Box::new(sink), step, limit: u64::MAX, kept: 0, received: 0, decoders, windows, tail }
    }

    /// Begins a command: its step, and how many bytes of it are kept.
    pub fn begin(&mut self, step: Step, limit: u64) {
        (self.step, self.limit, self.kept, self.received) = (step, limit, 0, 0);
        self.tail = Tail::default();
    }

    /// Takes bytes of a stream as they come, in chunks of any size.
    pub fn feed(&mut self, stream: Stream, bytes: &[u8]) {
        self.received += bytes.len() as u64;
        if self.kept >= self.limit {
            self.decoders[stream as usize].skip(bytes);
            return;
        }
        let mut lines = Vec::new();
        self.decoders[stream as usize].feed(bytes, &mut |line| lines.push(line));
        for line in lines {
            self.raw_line(stream, &line);
        }
    }

    /// Ends the command: unfinished lines come out, and a note when something was dropped.
    ///
    /// The very last lines are kept even over the limit, since that is where a failing tool says why.
    pub fn finish(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let mut lines = Vec::new();
            let dropped = self.decoders[stream as usize].finish(&mut |line| lines.push(line));
            if dropped > 0 {
                let limit = self.limit;
                self.note(&format!("{dropped} bytes of output dropped: a command may print {limit} bytes"));
            }
            // The end is short and comes out whole, whatever the limit.
            for line in lines {
                self.keep(stream, &line);
            }
            for text in self.windows[stream as usize].finish(&self.redactor) {
                self.emit(stream, text);
            }
        }
    }

    /// A line of Slipway's own about the command.
    pub fn note(&mut self, text: &str) {
        let text = self.redactor.redact(text);
        self.tail.push(&text);
        let coloured = text.clone();
        (self.sink)(Line { step: self.step, stream: Stream::Stderr, text, coloured, note: true });
    }

    /// Bytes received since [`Output::begin`].
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The command's last lines.
    #[must_use]
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    fn raw_line(&mut self, stream: Stream, line: &decode::RawLine) {
        if self.kept >= self.limit {
            self.decoders[stream as usize].skip_line(line);
            return;
        }
        self.keep(stream, line);
    }

    fn keep(&mut self, stream: Stream, line: &decode::RawLine) {
        // Cleaned first: an escape sequence inside a secret would hide it from the redactor.
        let (text, styles) = decode::cleaned(&line.bytes);
        let text = Printed { text, styles, dropped: line.dropped };
        for text in self.windows[stream as usize].push(&self.redactor, text) {
            self.emit(stream, text);
        }
    }

    fn emit(&mut self, stream: Stream, line: Printed) {
        let Printed { mut text, mut styles, dropped } = line;
        let length = text.len();
        if dropped > 0 || length > LINE_LIMIT {
            // Where bytes are missing, the end may be the first part of a secret.
            let whole = if dropped > 0 { length.saturating_sub(self.redactor.longest()) } else { length };
            text.truncate(text.floor_char_boundary(LINE_LIMIT.min(whole)));
            let dropped = dropped + (length - text.len()) as u64;
            // Writing to a string cannot fail.
            let _ = write!(text, " … [{dropped} bytes of this line dropped]");
            styles.clear();
        }
        let coloured = style::coloured(&text, &styles);
        self.kept += coloured.len() as u64 + 1;
        self.tail.push(&text);
        (self.sink)(Line { step: self.step, stream, text, coloured, note: false });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn lines_of(secrets: &[&str], limit: u64, feed: impl FnOnce(&mut Output)) -> Vec<String> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let redactor = Arc::new(Redactor::new(secrets.iter().copied()));
        let mut output = Output::new(redactor, move |line| sink.lock().unwrap().push(line.text));
        output.begin(Step::Compile, limit);
        feed(&mut output);
        output.finish();
        let lines = lines.lock().unwrap();
        lines.clone()
    }

    #[test]
    fn a_secret_cut_by_chunks_and_escapes_is_redacted() {
        let lines = lines_of(&["hunter2secret"], 1000, |output| {
            for chunk in ["pass hun", "ter2\x1b[1msec", "ret!\n"] {
                output.feed(Stream::Stdout, chunk.as_bytes());
            }
        });
        assert_eq!(lines, ["pass ***!"]);
    }

    #[test]
    fn colours_are_kept_beside_the_text_but_not_where_a_secret_was() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let redactor = Arc::new(Redactor::new(["hunter2secret"]));
        let mut output = Output::new(redactor, move |line| sink.lock().unwrap().push((line.text, line.coloured)));
        output.begin(Step::Compile, 1000);
        let printed = "\x1b[1;31mERROR\x1b[m \x1b[2Kat\n\x1b[32mhunter2\x1b[31msecret ok\n";
        output.feed(Stream::Stdout, printed.as_bytes());
        output.finish();
        let expected = [("ERROR at", "\x1b[1;31mERROR\x1b[m at"), ("*** ok", "*** ok")];
        assert_eq!(*lines.lock().unwrap(), expected.map(|(text, coloured)| (text.to_owned(), coloured.to_owned())));
    }

    #[test]
    fn a_secret_at_the_cut_of_a_long_line_is_redacted() {
        let text = format!("{}hunter2secret{}\n", "x".repeat(LINE_LIMIT - 4), "y".repeat(9000));
        let lines = lines_of(&["hunter2secret"], 100_000, |output| output.feed(Stream::Stdout, text.as_bytes()));
        assert_eq!(lines.len(), 1);
        assert!(!lines[0].contains("hunt"), "{}", &lines[0][LINE_LIMIT - 10..]);
    }

    #[test]
    fn over_the_limit_only_the_end_is_kept_and_a_note_says_so() {
        let lines = lines_of(&[], 100, |output| {
            for number in 0..100_000 {
                output.feed(Stream::Stdout, format!("line {number}\n").as_bytes());
            }
        });
        assert_eq!(lines[0], "line 0");
        assert_eq!(lines.last().unwrap(), "line 99999");
        assert!(lines.iter().any(|line| line.ends_with("a command may print 100 bytes")), "{lines:?}");
        assert!(lines.len() < 3000, "{}", lines.len());
    }

    #[test]
    fn one_chunk_over_the_limit_is_dropped_as_many_are() {
        let text = (0..100_000).map(|number| format!("line {number}")).collect::<Vec<_>>().join("\n");
        let lines = lines_of(&[], 100, |output| output.feed(Stream::Stdout, text.as_bytes()));
        assert!(lines.len() < 3000 && lines.last().unwrap() == "line 99999", "{}", lines.len());
    }

    #[test]
    fn a_long_line_is_one_short_line() {
        let lines = lines_of(&[], 1 << 20, |output| {
            for _ in 0..2000 {
                output.feed(Stream::Stderr, &[b'z'; 10_000]);
            }
            output.feed(Stream::Stderr, b"\nend");
        });
        assert_eq!(lines.len(), 2);
        assert!(lines[0].ends_with("zz … [19991808 bytes of this line dropped]"));
        assert_eq!(lines[1], "end");
    }
}
