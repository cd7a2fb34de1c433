//! The simulated provider: it keeps the contract when it has no quirks, and departs from it as each quirk and fault
//! says.

mod conformance;
