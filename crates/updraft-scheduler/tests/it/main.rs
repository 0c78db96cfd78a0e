//! A scheduler on a store of its own, taken step by step through simulated time.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic like tests; clippy knows only `#[test]` functions"
)]

mod failures;
mod machine;
#[path = "../../../updraft-execution/tests/it/scene.rs"]
#[expect(dead_code, reason = "the tests of the execution crate use the rest")]
mod scene;
