//! Ways to a broken promise that the larger bounds once found: fast enough to be gone again each time.

use stateright::Model as _;

use crate::deeds::{Place, What};
use crate::gate::{Event, Task};
use crate::model::Action::{self, Begin, Done, Leave, Meanwhile};
use crate::world::Trouble;
use crate::{NO_TROUBLE, PARTING, bounds};

/// Goes this way. Every step has to be there still: a way that the engine no longer offers shows nothing.
fn go(way: &[Action]) {
    let bounds = crate::Bounds {
        habits: PARTING,
        ..bounds(Trouble {
            deeds: 2,
            losses: 1,
            ..NO_TROUBLE
        })
    };
    let mut state = bounds.init_states().remove(0);
    for action in way {
        let mut possible = Vec::new();
        bounds.actions(&state, &mut possible);
        assert!(possible.contains(action), "{action:?} of {possible:?}");
        state = bounds.next_state(&state, action.clone()).expect("it is possible");
        let broken = &state.world().violations;
        assert!(broken.is_empty(), "{action:?}: {broken:?}");
    }
}

const fn at_first(what: What) -> Event {
    Event::Deed(Place::Provider(1), what)
}

#[test]
fn a_delete_after_an_edit_of_what_came_late_stands() {
    go(&[
        Begin(Task::Sync(0)),
        Done,
        Begin(Task::Sync(1)),
        Done,
        Begin(Task::Link),
        Done,
        Begin(Task::Push(1)),
        Meanwhile(11, Event::HeldUp),
        Done,
        Begin(Task::Sync(1)),
        Meanwhile(16, Event::Arrival(1)),
        Meanwhile(18, at_first(What::Title)),
        Meanwhile(24, Event::Deed(Place::Hub, What::Delete)),
        Done,
        Begin(Task::Sync(1)),
        Done,
        Begin(Task::Push(0)),
        Done,
        Begin(Task::Push(1)),
        Done,
        Leave,
    ]);
}

#[test]
fn a_delete_of_what_came_late_doubles_nothing() {
    go(&[
        Begin(Task::Sync(0)),
        Done,
        Begin(Task::Sync(1)),
        Done,
        Begin(Task::Link),
        Done,
        Begin(Task::Sync(1)),
        Meanwhile(20, Event::Deed(Place::Hub, What::Title)),
        Meanwhile(21, Event::HeldUp),
        Done,
        Begin(Task::Sync(0)),
        Done,
        Begin(Task::Sync(1)),
        Meanwhile(16, Event::Arrival(1)),
        Meanwhile(18, at_first(What::Delete)),
        Done,
        Begin(Task::Sync(0)),
        Done,
        Begin(Task::Sync(1)),
        Done,
        Begin(Task::Push(1)),
        Done,
        Begin(Task::Sync(1)),
        Done,
        Begin(Task::Sync(0)),
        Done,
        Leave,
    ]);
}
