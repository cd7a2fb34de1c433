//! Ways to a broken promise that the larger bounds once found: fast enough to be gone again each time.

use stateright::Model as _;

use crate::deeds::{Place, What};
use crate::gate::{Event, Task};
use crate::model::Action::{self, Begin, Done, Leave, Meanwhile};
use crate::world::Trouble;
use crate::{NO_TROUBLE, PARTING, bounds};

/// What of the possible is nearest to a step of a way: its steps have other numbers when the engine takes one more or fewer.
fn nearest(wanted: &Action, possible: &[Action]) -> Option<Action> {
    let Meanwhile(step, event) = wanted else {
        return possible.iter().find(|action| *action == wanted).cloned();
    };
    let distance = |action: &Action| match action {
        Meanwhile(at, other) if other == event => Some(at.abs_diff(*step)),
        Meanwhile(..) | Action::Happen(_) | Begin(_) | Done | Leave => None,
    };
    let reachable = possible
        .iter()
        .filter_map(|action| Some((distance(action)?, action)));
    reachable
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, action)| action.clone())
}

/// Both calendars are known, and the mirror has linked what they hold.
const LINKED: [Action; 6] = [
    Begin(Task::Sync(0)),
    Done,
    Begin(Task::Sync(1)),
    Done,
    Begin(Task::Link),
    Done,
];

/// Goes this way from where all is linked, as far as the engine still offers it.
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
    for action in LINKED.iter().chain(way) {
        let mut possible = Vec::new();
        bounds.actions(&state, &mut possible);
        let taken = nearest(action, &possible);
        assert!(taken.is_some(), "{action:?} is none of {possible:?}");
        let next = taken.and_then(|taken| bounds.next_state(&state, taken));
        state = next.expect("it is possible");
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
