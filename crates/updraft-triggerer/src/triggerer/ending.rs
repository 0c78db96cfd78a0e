//! The end: triggers are stopped and set free for others.

use futures_util::StreamExt as _;
use updraft_task_comms::session::triggerer::Event;

use super::{Triggerer, next_of};

impl Triggerer {
    /// Lets the child end in order, stores what it said last, and gives the triggers away.
    pub(super) async fn stop(mut self) {
        self.tell_child(Event::Stop).await;
        while self.runner.is_some() {
            tokio::select! {
                biased;
                Some(done) = self.calls.running.next() => self.on_done(done).await,
                event = next_of(&mut self.runner) => self.tell_child(event).await,
            }
        }
        self.rows.end().await;
    }
}
