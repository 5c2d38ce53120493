//! `BuildKit`'s progress as log lines.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bollard::moby::buildkit::v1::StatusResponse;

use super::LogSink;

/// The lines that a failure shows.
const TAIL: usize = 40;

/// The longest line; what has no line end until then gets one.
const LINE_LIMIT: usize = 16 * 1024;

/// Turns vertices and their output into lines, as they come.
pub(super) struct BuildLog<'a> {
    sink: LogSink<'a>,
    said: BTreeSet<(String, Said)>,
    partial: BTreeMap<String, Vec<u8>>,
    tail: VecDeque<String>,
    ran: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    Started,
    Failed,
}

impl<'a> BuildLog<'a> {
    pub(super) fn new(sink: LogSink<'a>) -> Self {
        Self { sink, said: BTreeSet::new(), partial: BTreeMap::new(), tail: VecDeque::new(), ran: false }
    }

    /// Says one line.
    pub(super) fn line(&mut self, line: &str) {
        (self.sink)(line);
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line.to_owned());
    }

    /// Says what is new in a progress message.
    pub(super) fn progress(&mut self, status: &StatusResponse) {
        for vertex in &status.vertexes {
            let begun = vertex.started.is_some() || vertex.cached;
            // `[1/3] FROM …` is named again when it is there.
            self.ran |= vertex.completed.is_some() && !vertex.cached && is_instruction(&vertex.name);
            let shown = !vertex.name.starts_with("[internal]");
            if begun && shown && self.said.insert((vertex.digest.clone(), Said::Started)) {
                let cached = if vertex.cached { " (cached)" } else { "" };
                self.line(&format!("{}{cached}", vertex.name));
            }
            if vertex.completed.is_some() {
                self.end(&vertex.digest);
            }
            if !vertex.error.is_empty() && self.said.insert((vertex.digest.clone(), Said::Failed)) {
                self.line(&format!("{}: {}", vertex.name, vertex.error));
            }
        }
        for log in &status.logs {
            self.output(&log.vertex, &log.msg);
        }
    }

    /// Whether every instruction was done before.
    pub(super) fn is_cached(&self) -> bool {
        !self.ran
    }

    /// The last lines, for a failure.
    pub(super) fn finish(mut self) -> Vec<String> {
        for vertex in self.partial.keys().cloned().collect::<Vec<_>>() {
            self.end(&vertex);
        }
        self.tail.into()
    }

    fn output(&mut self, vertex: &str, bytes: &[u8]) {
        let mut buffer = self.partial.remove(vertex).unwrap_or_default();
        for &byte in bytes {
            if byte == b'\n' || buffer.len() >= LINE_LIMIT {
                self.text(&buffer);
                buffer.clear();
            }
            if byte != b'\n' {
                buffer.push(byte);
            }
        }
        if !buffer.is_empty() {
            self.partial.insert(vertex.to_owned(), buffer);
        }
    }

    fn end(&mut self, vertex: &str) {
        if let Some(buffer) = self.partial.remove(vertex) {
            self.text(&buffer);
        }
    }

    fn text(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        self.line(text.trim_end_matches('\r'));
    }
}

/// Whether a vertex is an instruction that changes the image: `[2/3] COPY …`, `[build 2/3] RUN …`.
fn is_instruction(name: &str) -> bool {
    let instruction = name.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    instruction.is_some_and(|(number, text)| number.contains('/') && !text.starts_with("FROM "))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use bollard::moby::buildkit::v1::{Vertex, VertexLog};

    use super::*;

    fn output(text: &str) -> StatusResponse {
        let log = VertexLog { vertex: "v".into(), msg: text.as_bytes().to_vec(), ..Default::default() };
        StatusResponse { logs: vec![log], ..Default::default() }
    }

    #[test]
    fn lines_are_whole_and_said_once() {
        let lines = Mutex::new(Vec::new());
        let sink = |line: &str| lines.lock().unwrap().push(line.to_owned());
        let mut log = BuildLog::new(&sink);
        let vertex = Vertex { digest: "v".into(), name: "[1/1] RUN x".into(), cached: true, ..Default::default() };
        let started = StatusResponse { vertexes: vec![vertex], ..Default::default() };
        log.progress(&started);
        log.progress(&started);
        log.progress(&output("on"));
        log.progress(&output("e\r\ntwo\nthr"));
        let tail = log.finish();
        assert_eq!(tail, ["[1/1] RUN x (cached)", "one", "two", "thr"]);
        assert_eq!(*lines.lock().unwrap(), tail);
    }

    #[test]
    fn only_what_ran_is_not_cached() {
        let ended = |name: &str, cached| {
            let mut vertex = Vertex { digest: name.into(), name: name.into(), cached, ..Default::default() };
            vertex.completed.get_or_insert_default();
            StatusResponse { vertexes: vec![vertex], ..Default::default() }
        };
        let mut log = BuildLog::new(&|_| {});
        for (name, cached) in [
            ("[internal] load build context", false),
            ("[1/2] FROM x", false),
            ("[2/2] COPY a /", true),
            ("exporting", false),
        ] {
            log.progress(&ended(name, cached));
        }
        assert!(log.is_cached());
        log.progress(&ended("[build 2/2] RUN x", false));
        assert!(!log.is_cached());
    }

    #[test]
    fn an_endless_line_is_cut() {
        let mut log = BuildLog::new(&|_| {});
        log.progress(&output(&"x".repeat(LINE_LIMIT * 3 + 1)));
        assert_eq!(log.finish().len(), 4);
    }
}
