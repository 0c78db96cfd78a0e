//! `updraft-testkit`.
