//! `updraft-executor`.
