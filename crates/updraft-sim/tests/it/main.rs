//! Worlds, and what worlds have found.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic like tests; clippy knows only `#[test]` functions"
)]

mod found;
mod smoke;
