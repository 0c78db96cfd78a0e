//! `updraft-timetable`.
