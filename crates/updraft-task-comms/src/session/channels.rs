//! Which of a child's channels are still open.

/// A channel from the child to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Requests; the same socket carries our answers.
    Requests,
    Stdout,
    Stderr,
    Logs,
    /// A log channel made for [`Effect::SendLogChannel`](super::Effect::SendLogChannel).
    ExtraLogs,
}

/// Counts open channels.
#[derive(Debug, Default)]
pub(super) struct OpenChannels {
    pub(super) requests: bool,
    stdout: bool,
    stderr: bool,
    logs: bool,
    extra_logs: u32,
}

impl OpenChannels {
    /// The four channels of a new child.
    pub(super) fn of_new_child() -> Self {
        Self {
            requests: true,
            stdout: true,
            stderr: true,
            logs: true,
            extra_logs: 0,
        }
    }

    pub(super) fn add_extra_logs(&mut self) {
        self.extra_logs += 1;
    }

    pub(super) fn close(&mut self, channel: Channel) {
        match channel {
            Channel::Requests => self.requests = false,
            Channel::Stdout => self.stdout = false,
            Channel::Stderr => self.stderr = false,
            Channel::Logs => self.logs = false,
            Channel::ExtraLogs => self.extra_logs = self.extra_logs.saturating_sub(1),
        }
    }

    pub(super) fn close_all(&mut self) {
        *self = Self::default();
    }

    pub(super) fn all_closed(&self) -> bool {
        let Self {
            requests,
            stdout,
            stderr,
            logs,
            extra_logs,
        } = *self;
        !(requests || stdout || stderr || logs || extra_logs > 0)
    }
}
