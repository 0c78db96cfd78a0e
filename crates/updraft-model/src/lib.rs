//! `updraft-model`.
