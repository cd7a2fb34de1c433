//! The model that the checker explores: the hub at rest, a job under a script, and the end of it all.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use stateright::{Model, Property};

use crate::broken::Broken;
use crate::deeds::{Place, What};
use crate::gate::{Event, Played, Script, Task, edit_at_hub, play};
use crate::world::{Trouble, World};

/// Rounds of one sync per side within which all has to be quiet (K of invariant 1).
const ROUNDS: usize = 4;

/// How much may happen, and what is broken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) trouble: Trouble,
    /// What people do.
    pub(crate) habits: &'static [What],
    pub(crate) broken: Broken,
}

/// Where the world stands. Two states are the same when their keys are.
#[derive(Debug, Clone)]
pub(crate) enum State {
    /// No job runs.
    Rest(Arc<Rest>),
    /// A job that ran under a script which may still grow.
    Job(Arc<Job>),
    /// Left alone until nothing moves any more.
    End(Arc<Rest>),
}

#[derive(Debug)]
pub(crate) struct Rest {
    world: World,
    key: u64,
}

#[derive(Debug)]
pub(crate) struct Job {
    from: Arc<Rest>,
    task: Task,
    script: Script,
    played: Played,
}

/// What takes one state to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Something happens while no job runs.
    Happen(Event),
    /// A job begins.
    Begin(Task),
    /// The same job, but this also happens, at this step.
    Meanwhile(usize, Event),
    /// The job ends, in good order or in a crash.
    Done,
    /// No more trouble: the hub is left alone with its providers.
    Leave,
}

impl Rest {
    fn new(world: World) -> Arc<Self> {
        let mut hasher = DefaultHasher::new();
        world.canonical().hash(&mut hasher);
        let key = hasher.finish();
        Arc::new(Self { world, key })
    }
}

impl State {
    pub(crate) fn world(&self) -> &World {
        match self {
            Self::Rest(rest) | Self::End(rest) => &rest.world,
            Self::Job(job) => &job.played.world,
        }
    }

    fn keeps(&self, invariant: u8) -> bool {
        let violations = &self.world().violations;
        violations.iter().all(|broken| broken.invariant != invariant)
    }

    fn met(&self, what: &str) -> bool {
        self.world().met.contains(what)
    }
}

impl State {
    fn key(&self) -> (u8, u64, Option<(Task, &Script)>) {
        match self {
            Self::Rest(rest) => (0, rest.key, None),
            Self::Job(job) => (1, job.from.key, Some((job.task, &job.script))),
            Self::End(rest) => (2, rest.key, None),
        }
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

/// Something happens to a world at rest.
fn happen(world: &World, event: Event) -> World {
    let mut next = world.clone();
    match event {
        Event::Deed(Place::Provider(side), what) => next.act(side, what),
        Event::Deed(Place::Hub, what) => next = edit_at_hub(world, what),
        Event::Arrival(side) => next.arrive(side),
        Event::Expiry(side) => {
            next.remotes[side].epoch += 1;
            next.trouble.expiries -= 1;
        }
        Event::Overlap(_) | Event::AnswerLost | Event::HeldUp | Event::Crash => {}
    }
    next
}

/// What can happen to a world at rest.
fn possible(world: &World) -> Vec<Event> {
    let mut events = Vec::new();
    if world.trouble.deeds > 0 {
        for place in [Place::Provider(0), Place::Provider(1), Place::Hub] {
            if world.inhabited(place) {
                events.extend(world.deeds_at(place));
            }
        }
    }
    for side in 0..2 {
        if world.remotes[side].in_flight.is_some() {
            events.push(Event::Arrival(side));
        }
        if world.trouble.expiries > 0 {
            events.push(Event::Expiry(side));
        }
    }
    events
}

/// Runs both sides in turn, and links what is to be linked, until a round writes nothing and changes nothing, and judges what is there then. A write
/// that is still held up never arrives.
fn leave(world: &World) -> World {
    let mut world = world.clone();
    for remote in &mut world.remotes {
        remote.in_flight = None;
    }
    let mut before = world.canonical();
    for _ in 0..ROUNDS {
        let writes = world.writes();
        for side in 0..2 {
            world = play(&world, &Task::Sync(side), &Script::new()).world;
        }
        if world.shelf.linking {
            world = play(&world, &Task::Link, &Script::new()).world;
        }
        let now = world.canonical();
        if now == before && world.writes() == writes {
            world.judge();
            return world;
        }
        before = now;
    }
    world.judge();
    world.accuse(2, format!("not quiet after {ROUNDS} rounds"));
    world
}

impl Model for Bounds {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let fresh = World::new(self.trouble, self.habits, self.broken);
        vec![State::Rest(Rest::new(fresh))]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        match state {
            State::Rest(rest) => {
                actions.extend(possible(&rest.world).into_iter().map(Action::Happen));
                for side in 0..2 {
                    actions.push(Action::Begin(Task::Sync(side)));
                    if rest
                        .world
                        .shelf
                        .pushes
                        .contains(&crate::world::connection_id(side))
                    {
                        actions.push(Action::Begin(Task::Push(side)));
                    }
                }
                if rest.world.shelf.linking {
                    actions.push(Action::Begin(Task::Link));
                }
                actions.push(Action::Leave);
            }
            State::Job(job) => {
                actions.push(Action::Done);
                if job.played.crashed {
                    return;
                }
                // The script grows at its end: every script is reached by exactly one way.
                let from = match job.script.last() {
                    Some((step, last)) if last.is_before() => *step,
                    Some((step, _)) => step + 1,
                    None => 0,
                };
                for (step, taken) in job.played.taken.iter().enumerate().skip(from) {
                    actions.extend(taken.events.iter().map(|event| Action::Meanwhile(step, *event)));
                }
            }
            State::End(_) => {}
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        match (state, action) {
            (State::Rest(rest), Action::Happen(event)) => {
                Some(State::Rest(Rest::new(happen(&rest.world, event))))
            }
            (State::Rest(rest), Action::Begin(task)) => Some(begun(rest, task, Script::new())),
            (State::Rest(rest), Action::Leave) => Some(State::End(Rest::new(leave(&rest.world)))),
            (State::Job(job), Action::Meanwhile(step, event)) => {
                let mut script = job.script.clone();
                script.push((step, event));
                Some(begun(&job.from, job.task, script))
            }
            (State::Job(job), Action::Done) => Some(State::Rest(Rest::new(job.played.world.clone()))),
            (State::Rest(_), Action::Meanwhile(..) | Action::Done)
            | (State::Job(_), Action::Happen(_) | Action::Begin(_) | Action::Leave)
            | (State::End(_), _) => None,
        }
    }

    /// What always holds; and, so that it does not hold for want of trouble, what the exploration must have met.
    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("1 convergence", |_, state: &State| state.keeps(1)),
            Property::always("2 quiescence", |_, state: &State| state.keeps(2)),
            Property::always("3 no lost update", |_, state: &State| state.keeps(3)),
            Property::always("4 no resurrection", |_, state: &State| state.keeps(4)),
            Property::always("8 effectively once", |_, state: &State| state.keeps(8)),
            Property::always("9 no stale write", |_, state: &State| state.keeps(9)),
        ];
        let trouble = self.trouble;
        let mut expect = |holds: bool, property| properties.extend(holds.then_some(property));
        let met = Property::sometimes;
        expect(
            trouble.crashes > 0,
            met("a crash", |_, state: &State| state.met("a crash")),
        );
        expect(
            trouble.losses > 0,
            met("a lost answer", |_, state: &State| {
                state.met("an answer was lost")
            }),
        );
        expect(
            trouble.losses > 0,
            met("a late write", |_, state: &State| {
                state.met("a late write took effect")
            }),
        );
        expect(
            trouble.crashes + trouble.losses > 0,
            met("a create found by its probe", |_, state: &State| {
                state.met("a create was found by its probe")
            }),
        );
        expect(
            trouble.deeds > 1,
            met("a contested write", |_, state: &State| {
                state.met("a write was contested")
            }),
        );
        expect(
            trouble.deeds > 0,
            met("a page planned anew", |_, state: &State| {
                state.met("a commit was stale")
            }),
        );
        expect(
            trouble.deeds > 1,
            met("a logged conflict", |_, state: &State| {
                !state.world().shelf.store.conflicts().is_empty()
            }),
        );
        let parts = self.habits.contains(&What::Part);
        expect(
            parts,
            met("a record taken apart", |_, state: &State| {
                state.met("a record taken apart")
            }),
        );
        expect(
            parts,
            met("a record that was not taken apart", |_, state: &State| {
                state.met("a record that was not taken apart")
            }),
        );
        expect(
            trouble.overlaps > 0,
            met("two jobs at once", |_, state: &State| {
                state.met("two jobs ran at once")
            }),
        );
        properties
    }
}

fn begun(from: &Arc<Rest>, task: Task, script: Script) -> State {
    let played = play(&from.world, &task, &script);
    State::Job(Arc::new(Job {
        from: from.clone(),
        task,
        script,
        played,
    }))
}
