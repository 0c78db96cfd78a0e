//! `updraft-dag-processor`.
