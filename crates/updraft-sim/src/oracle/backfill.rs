//! Backfills: how many of their runs run at once, and that each comes to its end.

use updraft_model::DagRunState;
use updraft_store::RunKey;

use super::Oracle;

impl Oracle {
    /// Reads the rows again. Their numbers have no gaps: nobody deletes one.
    pub(crate) async fn look_at_backfills(&mut self) {
        let mut reader = self.inspector.read().await.expect("the inspector reads");
        let open = self
            .backfills
            .iter()
            .filter(|(_, each)| each.completed_at.is_none());
        let mut ids: Vec<i64> = open.map(|(id, _)| *id).collect();
        let mut next = self.backfills.keys().next_back().map_or(1, |last| last + 1);
        while let Some(id) = ids.pop().or(Some(next)) {
            let found = reader.find_backfill(id).await.expect("the inspector reads");
            match found {
                Some(backfill) => drop(self.backfills.insert(id, backfill)),
                None if id == next => return,
                None => return self.violated(|| format!("backfill {id} is gone")),
            }
            next += i64::from(id == next);
        }
    }

    pub(crate) fn has_open_backfill(&self) -> bool {
        self.backfills
            .values()
            .any(|each| each.completed_at.is_none())
    }

    pub(crate) fn has_backfills(&self) -> bool {
        !self.backfills.is_empty()
    }

    /// The numbers of all.
    pub(crate) fn backfills(&self) -> Vec<i64> {
        self.backfills.keys().copied().collect()
    }

    pub(crate) fn some_backfill(&self, lot: u64) -> i64 {
        let lot = usize::try_from(lot).unwrap_or(0);
        let at = lot % self.backfills.len().max(1);
        self.backfills.keys().nth(at).copied().unwrap_or(1)
    }

    /// The scheduler started a run: its backfill, if it has one, must have had room and not been
    /// paused.
    pub(super) async fn check_backfill_of(&mut self, key: &RunKey) {
        let of_run = |key: &RunKey| self.runs.get(key).and_then(|each| each.run.backfill_id);
        let Some(id) = of_run(key) else { return };
        let mut reader = self.inspector.read().await.expect("the inspector reads");
        let backfill = reader.find_backfill(id).await.expect("the inspector reads");
        drop(reader);
        let Some(backfill) = backfill else { return };
        let runs = self.runs.values();
        let running = runs
            .filter(|each| each.run.backfill_id == Some(id))
            .filter(|each| each.run.state == DagRunState::Running)
            .count();
        let limit = backfill.max_active_runs;
        if i32::try_from(running).is_ok_and(|running| running > limit) {
            self.violated(|| {
                format!("backfill {id} has {running} running runs, max_active_runs is {limit}")
            });
        }
        if backfill.is_paused {
            self.violated(|| format!("{key:?} was started although backfill {id} is paused"));
        }
    }
}
