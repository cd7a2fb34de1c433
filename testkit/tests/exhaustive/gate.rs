//! The gate: every step that a running engine takes at its ports passes here, one at a time and numbered, and here a
//! script lets other things happen before it, to it, and after it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use connector_sdk::ErrorKind;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use model::{ConnectionId, JobId};
use serde_json::{Map, Value};
use sync::ports::StoreError;
use sync::state::{ClaimedJob, Fence, JobTask, Origin};
use sync::{EditError, Engine, Progress};
use tokio_util::sync::CancellationToken;

use crate::deeds::{Place, What};
use crate::ports::Port;
use crate::remote::refused;
use crate::world::{World, connection_id, mirror_id, organization};

/// What can happen beside the engine's own steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Event {
    /// Somebody edits or deletes.
    Deed(Place, What),
    /// A write that was held up reaches this provider.
    Arrival(usize),
    /// The provider forgets its cursors.
    Expiry(usize),
    /// A worker runs a whole job of the other connection.
    Overlap(usize),
    /// The write takes effect, and its answer is lost.
    AnswerLost,
    /// The write is held up, and its sender gives up.
    HeldUp,
    /// The process dies right after the step.
    Crash,
}

impl Event {
    /// Whether it happens before the step, and so leaves room for more at the same step.
    pub(crate) const fn is_before(self) -> bool {
        match self {
            Self::Deed(..) | Self::Arrival(_) | Self::Expiry(_) | Self::Overlap(_) => true,
            Self::AnswerLost | Self::HeldUp | Self::Crash => false,
        }
    }
}

/// What sort of step it is, and so what makes a difference if it happens just there. Anything else that could happen
/// between two steps comes to the same as if it happened before the next step that can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Reads what nobody else writes.
    Settled,
    /// Reads the record or its links.
    Read,
    /// Writes to the store.
    Commit,
    /// Reads at a provider.
    Ask(usize),
    /// Writes at a provider.
    Tell(usize),
}

/// A step that was taken, and what could have happened just there.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) events: Vec<Event>,
}

/// Events by the number of the step at which they happen.
pub(crate) type Script = Vec<(usize, Event)>;

struct Inside {
    world: World,
    taken: Vec<Taken>,
    script: Script,
    next: usize,
    dead: bool,
    /// The connection whose job runs.
    side: usize,
    /// A write that a broken hub has reported and not yet sent.
    unsent: Option<(usize, connector_sdk::Write)>,
}

pub(crate) struct Gate {
    inside: Mutex<Inside>,
}

/// A job that ran under a script.
#[derive(Debug, Clone)]
pub(crate) struct Played {
    pub(crate) world: World,
    pub(crate) taken: Vec<Taken>,
    pub(crate) crashed: bool,
}

struct Unwatched;

impl Progress for Unwatched {
    fn report(&self, _: u64, _: Option<u64>) {}
}

/// Runs one job from its beginning to its end, or to the crash that the script brings.
pub(crate) fn play(world: &World, task: &Task, script: &Script) -> Played {
    let mut world = world.clone();
    world.now_ms += 3_600_000;
    let (job, side) = task.claimed(&mut world);
    let gate = Arc::new(Gate {
        inside: Mutex::new(Inside {
            world,
            taken: Vec::new(),
            script: script.clone(),
            next: 0,
            dead: false,
            side,
            unsent: None,
        }),
    });
    let engine = engine(&gate, false);
    let ran = Gate::job(&engine, &job).now_or_never();
    drop(engine);
    let mut inside = gate.lock();
    assert!(
        inside.dead || ran.is_some(),
        "the engine waits for something that is no port"
    );
    if ran.is_some() {
        inside.send_late();
    }
    if inside.dead {
        // Its lease runs out, and somebody claims it again.
        match job.task {
            JobTask::Push { connection } => drop(inside.world.shelf.pushes.insert(connection)),
            JobTask::Mirror { .. } => inside.world.shelf.linking = true,
            // It can be begun at any time anyway.
            JobTask::Sync { .. } | JobTask::Poll { .. } | JobTask::Inbox { .. } | JobTask::Unlink { .. } => {}
        }
    }
    Played {
        world: inside.world.clone(),
        taken: inside.taken.clone(),
        crashed: inside.dead,
    }
}

/// Lets somebody edit through the API, between two jobs.
pub(crate) fn edit_at_hub(world: &World, what: What) -> World {
    let gate = Arc::new(Gate {
        inside: Mutex::new(Inside {
            world: world.clone(),
            taken: Vec::new(),
            script: Vec::new(),
            next: 0,
            dead: false,
            side: 0,
            unsent: None,
        }),
    });
    gate.at_hub(what)
        .now_or_never()
        .expect("an edit waits for nothing but the store");
    gate.lock().world.clone()
}

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Task {
    /// Pull, then push.
    Sync(usize),
    /// Push what is dirty.
    Push(usize),
    /// Link what the mirror's calendars hold.
    Link,
}

impl Task {
    /// The job, as the queue hands it out.
    fn claimed(self, world: &mut World) -> (ClaimedJob, usize) {
        let (side, task) = match self {
            Self::Sync(side) => {
                let task = JobTask::Sync {
                    connection: connection_id(side),
                    discover: false,
                    approve_deletes: false,
                };
                (side, task)
            }
            Self::Push(side) => {
                let connection: ConnectionId = connection_id(side);
                world.shelf.pushes.remove(&connection);
                (side, JobTask::Push { connection })
            }
            Self::Link => {
                world.shelf.linking = false;
                (0, JobTask::Mirror { mirror: mirror_id() })
            }
        };
        let id = JobId::new(1, 1);
        let job = ClaimedJob {
            organization: organization(),
            fence: Fence {
                job: id.clone(),
                token: 1,
            },
            id,
            task,
            attempts: 0,
            webhook: None,
        };
        (job, side)
    }
}

fn engine(gate: &Arc<Gate>, unseen: bool) -> Engine {
    let port = Arc::new(Port {
        gate: gate.clone(),
        unseen,
    });
    Engine::new(port.clone(), port.clone(), port.clone(), port)
}

impl Inside {
    /// A broken hub sends what it has long reported.
    fn send_late(&mut self) {
        if let Some((side, write)) = self.unsent.take() {
            // Whatever comes of it, nobody listens.
            let _ = self.world.remotes[side].apply(&write);
            self.world.watch();
        }
    }

    /// What could happen just here.
    fn possible(&self, step: Step) -> Vec<Event> {
        let (trouble, mut events) = (self.world.trouble, Vec::new());
        let mut deeds = |place| {
            if trouble.deeds > 0 && self.world.inhabited(place) {
                events.extend(self.world.deeds_at(place));
            }
        };
        let asked = match step {
            Step::Ask(side) | Step::Tell(side) => {
                deeds(Place::Provider(side));
                Some(side)
            }
            Step::Read | Step::Commit => {
                deeds(Place::Hub);
                None
            }
            Step::Settled => None,
        };
        if let Some(side) = asked
            && self.world.remotes[side].in_flight.is_some()
        {
            events.push(Event::Arrival(side));
        }
        let shared = matches!(step, Step::Read | Step::Commit);
        if shared && trouble.overlaps > 0 {
            events.push(Event::Overlap(1 - self.side));
        }
        if let Step::Tell(side) = step
            && trouble.losses > 0
        {
            events.push(Event::AnswerLost);
            if self.world.remotes[side].in_flight.is_none() {
                events.push(Event::HeldUp);
            }
        }
        if matches!(step, Step::Tell(_) | Step::Commit) && trouble.crashes > 0 {
            events.push(Event::Crash);
        }
        events
    }
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the world without taking a step.
    pub(crate) fn peek<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        look(&mut self.lock().world)
    }

    async fn job(engine: &Engine, job: &ClaimedJob) {
        // A job that failed is tried again: every job can be begun at any time here.
        let _ = engine.run(job, &Unwatched, &CancellationToken::new()).await;
    }

    /// Takes a step: first whatever the script puts before it. What is to happen to the step itself.
    pub(crate) async fn step(self: &Arc<Self>, step: Step) -> Option<Event> {
        let at = {
            let mut inside = self.lock();
            if let Step::Ask(_) | Step::Tell(_) = step {
                inside.send_late();
            }
            inside.taken.push(Taken { events: Vec::new() });
            inside.taken.len() - 1
        };
        loop {
            let event = {
                let mut inside = self.lock();
                let event = inside
                    .script
                    .get(inside.next)
                    .filter(|(number, _)| *number == at)
                    .map(|(_, event)| *event);
                if !event.is_some_and(Event::is_before) {
                    inside.taken[at].events = inside.possible(step);
                }
                inside.next += usize::from(event.is_some());
                event
            };
            match event {
                Some(event) if event.is_before() => self.happen(event).await,
                fate => return fate,
            }
        }
    }

    /// Something happens between two steps. Boxed, since it may run a job that takes steps itself.
    fn happen(self: &Arc<Self>, event: Event) -> BoxFuture<'static, ()> {
        let gate = self.clone();
        async move {
            match event {
                Event::Deed(Place::Provider(side), what) => gate.lock().world.act(side, what),
                Event::Deed(Place::Hub, what) => gate.at_hub(what).await,
                Event::Arrival(side) => gate.lock().world.arrive(side),
                Event::Expiry(side) => gate.lock().world.remotes[side].epoch += 1,
                Event::Overlap(side) => gate.overlap(side).await,
                Event::AnswerLost | Event::HeldUp | Event::Crash => {}
            }
        }
        .boxed()
    }

    async fn overlap(self: &Arc<Self>, side: usize) {
        let (job, before) = {
            let mut inside = self.lock();
            inside.world.trouble.overlaps -= 1;
            inside.world.met.insert("two jobs ran at once");
            let before = std::mem::replace(&mut inside.side, side);
            (Task::Sync(side).claimed(&mut inside.world).0, before)
        };
        Self::job(&engine(self, false), &job).await;
        self.lock().side = before;
    }

    /// A client of the API takes the second provider's object out of the record, if it is in it.
    async fn part(self: &Arc<Self>) {
        let second = {
            let world = &mut self.lock().world;
            world.trouble.deeds -= 1;
            world.second_link()
        };
        let Some(second) = second else { return };
        match engine(self, true).unlink(&organization(), &second.id).await {
            Ok(_) => self.peek(|world| {
                world.met.insert("a record taken apart");
                world.parted = Some(second.is_there());
            }),
            // A write is under way, or there is nothing to take apart.
            Err(EditError::Store(StoreError::Stale(_)) | EditError::Invalid(_)) => self.peek(|world| {
                world.met.insert("a record that was not taken apart");
            }),
            Err(error) => unreachable!("{error}"),
        }
    }

    /// A client of the API edits or deletes the record: one transaction, as far as anyone can see.
    async fn at_hub(self: &Arc<Self>, what: What) {
        if what == What::Part {
            return self.part().await;
        }
        let prepared = {
            let world = &mut self.lock().world;
            world.shelf.live().map(|record| {
                world.trouble.deeds -= 1;
                let value = world.deeds.add(Place::Hub, what, &record.content.fields, true);
                (record.id, value)
            })
        };
        let Some((record, value)) = prepared else { return };
        let engine = engine(self, true);
        let origin = Origin::Api("person".to_owned());
        let done = match what.field() {
            Some(field) => {
                let patch: Map<String, Value> = [(field.to_owned(), value)].into_iter().collect();
                let patched = engine.patch(&organization(), &record, None, patch, origin).await;
                patched.map(|_| ())
            }
            None => engine.delete(&organization(), &record, None, origin).await,
        };
        done.expect("the record is there and nobody is in the way");
    }

    /// The process is gone: nothing after this is reached.
    async fn die(&self) {
        {
            let mut inside = self.lock();
            inside.dead = true;
            inside.unsent = None;
            inside.world.trouble.crashes -= 1;
            inside.world.met.insert("a crash");
        }
        futures::future::pending::<()>().await;
    }

    /// A step at the store or a read at a provider.
    pub(crate) async fn take<T>(self: &Arc<Self>, step: Step, act: impl FnOnce(&mut World) -> T + Send) -> T {
        let fate = self.step(step).await;
        let answer = self.peek(act);
        if fate == Some(Event::Crash) {
            self.die().await;
        }
        answer
    }

    /// A write at a provider.
    pub(crate) async fn tell(
        self: &Arc<Self>,
        side: usize,
        write: &connector_sdk::Write,
    ) -> Result<connector_sdk::Applied, connector_sdk::Error> {
        let fate = self.step(Step::Tell(side)).await;
        if fate == Some(Event::HeldUp) {
            let mut inside = self.lock();
            inside.world.trouble.losses -= 1;
            inside.world.remotes[side].in_flight = Some(inside.world.broken.spoil_write(write.clone()));
            inside.world.met.insert("a write was held up");
            return Err(refused(ErrorKind::Unavailable, "push"));
        }
        let answer = {
            let mut inside = self.lock();
            let write = inside.world.broken.spoil_write(write.clone());
            inside.carry_out(side, write)
        };
        match fate {
            Some(Event::Crash) => {
                self.die().await;
                answer
            }
            Some(Event::AnswerLost) => {
                let mut inside = self.lock();
                inside.world.trouble.losses -= 1;
                inside.world.met.insert("an answer was lost");
                Err(refused(ErrorKind::Unavailable, "push"))
            }
            Some(
                Event::Deed(..) | Event::Arrival(_) | Event::Expiry(_) | Event::Overlap(_) | Event::HeldUp,
            )
            | None => {
                if let Ok(connector_sdk::Applied::Stored(object)) = &answer {
                    self.peek(|world| world.remotes[side].show(&object.id));
                }
                answer
            }
        }
    }
}

impl Inside {
    fn carry_out(
        &mut self,
        side: usize,
        write: connector_sdk::Write,
    ) -> Result<connector_sdk::Applied, connector_sdk::Error> {
        if self.world.broken == crate::broken::Broken::OutcomeFirst {
            let assumed = self.world.remotes[side].clone().apply(&write);
            self.unsent = Some((side, write));
            return assumed;
        }
        let answer = self.world.remotes[side].apply(&write);
        match &answer {
            Ok(_) => {}
            Err(error) if error.kind == ErrorKind::VersionConflict => {
                self.world.met.insert("a write was contested");
            }
            Err(_) => {
                self.world.met.insert("a write was refused");
            }
        }
        self.world.watch();
        answer
    }
}
