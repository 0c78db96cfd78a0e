//! The four sockets of a child: bytes in, events out; frames out.
//!
//! Everything here is cancel-safe: it waits only for readiness, and whatever was read stays in a
//! buffer of this struct.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd as _;

use bytes::{Buf as _, Bytes};
use tokio::net::UnixStream;
use updraft_task_comms::frame::FrameDecoder;
use updraft_task_comms::line_splitter::LineSplitter;
use updraft_task_comms::log_line::Output;
use updraft_task_comms::session::{Channel, Event};

/// Bytes read from a channel at a time: the usual size of a socket buffer.
const READ_BYTES: usize = 64 * 1024;

/// The supervisor's ends of a child's sockets.
pub struct Channels {
    requests: Option<UnixStream>,
    decoder: FrameDecoder,
    /// Frames that the child has not taken yet.
    outbox: VecDeque<Bytes>,
    texts: Vec<TextChannel>,
    /// Events cut from what was read.
    ready: VecDeque<Event>,
}

/// A channel of lines.
struct TextChannel {
    stream: UnixStream,
    kind: Channel,
    splitter: LineSplitter,
}

impl Channels {
    pub fn new(
        requests: UnixStream,
        stdout: UnixStream,
        stderr: UnixStream,
        logs: UnixStream,
    ) -> Self {
        let text = TextChannel::new;
        Self {
            requests: Some(requests),
            decoder: FrameDecoder::default(),
            outbox: VecDeque::new(),
            texts: vec![
                text(logs, Channel::Logs),
                text(stdout, Channel::Stdout),
                text(stderr, Channel::Stderr),
            ],
            ready: VecDeque::new(),
        }
    }

    /// The next thing that came from the child. Writes what is waiting in between. Pending for
    /// ever once every channel is closed.
    pub async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return event;
            }
            tokio::select! {
                biased;
                () = readable(self.requests.as_ref()) => self.read_requests(),
                (index, ()) = any_readable(&self.texts) => self.read_text(index),
                () = writable(self.requests.as_ref(), !self.outbox.is_empty()) => self.write(),
            }
        }
    }

    /// Queues a frame; [`next`](Self::next) writes it as fast as the child takes it.
    pub fn send(&mut self, frame: Bytes) {
        self.outbox.push_back(frame);
        self.write();
    }

    /// Makes a new log channel and sends its far end along with `frame`.
    pub async fn send_log_channel(&mut self, frame: &Bytes) -> io::Result<()> {
        let (near, far) = std::os::unix::net::UnixStream::pair()?;
        near.set_nonblocking(true)?;
        let near = UnixStream::from_std(near)?;
        let Some(requests) = &mut self.requests else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        // Frames keep their order, so older ones go first.
        for older in std::mem::take(&mut self.outbox) {
            tokio::io::AsyncWriteExt::write_all(requests, &older).await?;
        }
        crate::send_frame_with_fd(requests, frame, far.as_fd()).await?;
        self.texts.push(TextChannel::new(near, Channel::ExtraLogs));
        Ok(())
    }

    /// Closes the request channel, which tells a child that nobody will ask or answer any more. What
    /// it prints is still read.
    pub fn hang_up(&mut self) {
        self.requests = None;
        self.outbox.clear();
    }

    /// Closes every channel; nothing more is read or written.
    pub fn close(&mut self) {
        self.requests = None;
        self.texts.clear();
        self.outbox.clear();
        self.ready.clear();
    }

    fn read_requests(&mut self) {
        let Some(requests) = &self.requests else {
            return;
        };
        let mut buffer = [0; READ_BYTES];
        match requests.try_read(&mut buffer) {
            Ok(0) => self.close_requests(),
            Ok(length) => {
                self.decoder.feed(&buffer[..length]);
                while let Some(frame) = self.decoder.next_frame() {
                    self.ready.push_back(Event::Frame(frame));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // A reset socket is a closed one.
            Err(_) => self.close_requests(),
        }
    }

    fn close_requests(&mut self) {
        self.requests = None;
        self.outbox.clear();
        self.ready
            .push_back(Event::ChannelClosed(Channel::Requests));
    }

    fn read_text(&mut self, index: usize) {
        let channel = &mut self.texts[index];
        let mut buffer = [0; READ_BYTES];
        let length = match channel.stream.try_read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => 0,
        };
        channel.splitter.feed(&buffer[..length]);
        while let Some(line) = channel.splitter.next_line() {
            self.ready.push_back(line_event(channel.kind, line));
        }
        if length == 0 {
            let last = channel.splitter.finish();
            let kind = channel.kind;
            self.ready.extend(last.map(|line| line_event(kind, line)));
            self.ready.push_back(Event::ChannelClosed(kind));
            self.texts.swap_remove(index);
        }
    }

    fn write(&mut self) {
        while let (Some(requests), Some(frame)) = (&self.requests, self.outbox.front_mut()) {
            match requests.try_write(frame) {
                Ok(length) => {
                    frame.advance(length);
                    if frame.is_empty() {
                        self.outbox.pop_front();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The child stopped listening. What it said before is still to be read, and the
                // end of the channel is noticed there.
                Err(_) => self.outbox.clear(),
            }
        }
    }
}

impl TextChannel {
    fn new(stream: UnixStream, kind: Channel) -> Self {
        Self {
            stream,
            kind,
            splitter: LineSplitter::default(),
        }
    }
}

fn line_event(kind: Channel, line: updraft_task_comms::line_splitter::Line) -> Event {
    match kind {
        Channel::Stdout => Event::StdLine(Output::Stdout, line),
        Channel::Stderr => Event::StdLine(Output::Stderr, line),
        Channel::Logs | Channel::ExtraLogs | Channel::Requests => Event::LogLine(line),
    }
}

async fn readable(stream: Option<&UnixStream>) {
    match stream {
        // An error shows again, and is dealt with, at the read.
        Some(stream) => drop(stream.readable().await),
        None => std::future::pending().await,
    }
}

async fn writable(stream: Option<&UnixStream>, wanted: bool) {
    match stream {
        Some(stream) if wanted => drop(stream.writable().await),
        _ => std::future::pending().await,
    }
}

async fn any_readable(channels: &[TextChannel]) -> (usize, ()) {
    std::future::poll_fn(|context| {
        for (index, channel) in channels.iter().enumerate() {
            if channel.stream.poll_read_ready(context).is_ready() {
                return std::task::Poll::Ready((index, ()));
            }
        }
        std::task::Poll::Pending
    })
    .await
}
