//! Lenses: vendor JSON and iCalendar to the model and back, from one declaration. No I/O.
