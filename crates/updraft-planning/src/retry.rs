//! Whether and when a failed task is tried again.
//!
//! Source: §7.6.

use jiff::{SignedDuration, Timestamp};
use sha1::{Digest, Sha1};
use updraft_model::serialized::Retries;
use updraft_model::{DagId, TaskId, TaskInstanceState};

#[cfg(test)]
mod tests;

/// Stands for a delay that is too large to compute, before the limits are applied.
const OVERFLOW_DELAY_SECS: f64 = 86_400.0;

/// A try that failed and waits for the next.
#[derive(Clone, Copy, Debug)]
pub struct FailedTry<'a> {
    pub dag_id: &'a DagId,
    pub task_id: &'a TaskId,
    pub logical_date: Option<Timestamp>,
    pub try_number: i32,
    pub end_date: Timestamp,
    /// From a retry policy; beats everything else and has no limit.
    pub delay_override_secs: Option<f64>,
    pub retries: &'a Retries,
    /// `[core] max_task_retry_delay`.
    pub max_task_retry_delay: SignedDuration,
}

/// Whether the *scheduler* may give a task instance another try when it finds it dead.
#[must_use]
pub fn is_eligible(
    state: TaskInstanceState,
    retries: i32,
    try_number: i32,
    max_tries: i32,
) -> bool {
    state == TaskInstanceState::Restarting || (retries != 0 && try_number <= max_tries)
}

/// The earliest moment after which the next try may start.
#[must_use]
pub fn next_retry_at(failed: &FailedTry<'_>) -> Timestamp {
    let at = failed.end_date.checked_add(delay(failed));
    // Beyond what a timestamp can hold is never.
    at.unwrap_or(Timestamp::MAX)
}

fn delay(failed: &FailedTry<'_>) -> SignedDuration {
    if let Some(secs) = failed.delay_override_secs {
        return SignedDuration::try_from_secs_f64(secs).unwrap_or(SignedDuration::MAX);
    }
    let retries = failed.retries;
    let factor = retries.exponential_backoff;
    if factor <= 0.0 || factor == 1.0 {
        return retries.delay;
    }
    let base = base_delay_secs(retries.delay, factor, failed.try_number);
    let spread = remainder(&jitter_hash(failed), base);
    let delay = SignedDuration::try_from_secs_f64(base + spread)
        .unwrap_or(SignedDuration::MAX)
        .min(failed.max_task_retry_delay);
    // Python takes a limit of zero for none.
    match retries.max_delay {
        Some(limit) if !limit.is_zero() => delay.min(limit),
        _ => delay,
    }
}

/// Whole seconds, at least one.
fn base_delay_secs(delay: SignedDuration, factor: f64, try_number: i32) -> f64 {
    // Not `powi`, which rounds differently from Python's power of floats.
    let power = factor.powf(f64::from(try_number.saturating_sub(1)));
    let base = (delay.as_secs_f64() * power).ceil();
    if base.is_finite() {
        base.max(1.0)
    } else {
        OVERFLOW_DELAY_SECS
    }
}

/// The same for every scheduler, so that two of them agree on the time.
fn jitter_hash(failed: &FailedTry<'_>) -> [u8; 20] {
    let text = format!(
        "{}#{}#{}#{}",
        failed.dag_id,
        failed.task_id,
        python_text(failed.logical_date),
        failed.try_number
    );
    Sha1::digest(text.as_bytes()).into()
}

/// The hash, as one large number, modulo a whole number.
fn remainder(hash: &[u8], modulus: f64) -> f64 {
    // Exact while 256 · modulus stays below 2^53; above that the delay is at its limit anyway.
    let step = |rest: f64, byte: &u8| (rest * 256.0 + f64::from(*byte)) % modulus;
    hash.iter().fold(0.0, step)
}

/// The instant as Python prints it: `2026-01-01 00:00:00+00:00`, or `None`.
fn python_text(instant: Option<Timestamp>) -> String {
    let Some(instant) = instant else {
        return "None".to_owned();
    };
    let fraction = if instant.subsec_microsecond() == 0 && instant.subsec_millisecond() == 0 {
        ""
    } else {
        "%.6f"
    };
    instant
        .strftime(&format!("%Y-%m-%d %H:%M:%S{fraction}+00:00"))
        .to_string()
}
