//! A writer whose bytes come out of a channel: a blocking thread makes a tar, a request sends it.

use std::io;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use tokio::sync::mpsc;

/// Bytes per message: few enough to be held several times, many enough to be worth a wake-up.
const CHUNK: usize = 256 * 1024;

/// The chunks in flight between the thread and the request.
const IN_FLIGHT: usize = 4;

/// The reading end: chunks, or the one error that ended the writing.
pub(super) type Chunks = mpsc::Receiver<io::Result<Bytes>>;

/// The chunks as a stream, for the body of a request.
pub(super) fn stream(chunks: Chunks) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    futures_util::stream::unfold(chunks, |mut chunks| async move { chunks.recv().await.map(|chunk| (chunk, chunks)) })
}

/// The writing end, for a blocking thread.
pub(super) struct ChunkWriter {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: BytesMut,
}

/// A writer and the chunks that come out of it.
pub(super) fn channel() -> (ChunkWriter, Chunks) {
    let (sender, receiver) = mpsc::channel(IN_FLIGHT);
    (ChunkWriter { sender, buffer: BytesMut::with_capacity(CHUNK) }, receiver)
}

impl ChunkWriter {
    /// Ends the stream with an error, so that the reader never takes a part for the whole.
    pub(super) fn fail(self, error: &str) {
        // Nobody listens any more: then nobody is misled either.
        let _ = self.sender.blocking_send(Err(io::Error::other(error.to_owned())));
    }

    fn send(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.buffer, BytesMut::with_capacity(CHUNK)).freeze();
        self.sender.blocking_send(Ok(chunk)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl io::Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == CHUNK {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn chunks_are_bounded_and_complete() {
        let (mut writer, mut chunks) = channel();
        let thread = std::thread::spawn(move || {
            writer.write_all(&vec![7; CHUNK * 6 + 5]).unwrap();
            writer.flush().unwrap();
        });
        let mut total = 0;
        while let Some(chunk) = chunks.blocking_recv() {
            let chunk = chunk.unwrap();
            assert!(chunk.len() <= CHUNK);
            total += chunk.len();
        }
        thread.join().unwrap();
        assert_eq!(total, CHUNK * 6 + 5);
    }

    #[test]
    fn a_reader_that_left_stops_the_writer() {
        let (mut writer, chunks) = channel();
        drop(chunks);
        let error = writer.write_all(&vec![0; CHUNK]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
