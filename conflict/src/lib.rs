//! Three-way field merge and policies. Pure: no I/O, no clock.
