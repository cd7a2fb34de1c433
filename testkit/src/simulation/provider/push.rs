//! Writing, as the network lets it: what is lost, doubled or late.

use async_trait::async_trait;
use connector_sdk::{Action, Applied, Context, Error, ErrorKind, Push, RemoteCollection, Write};

use super::connector::SimConnector;
use super::fault::{Answer, Operation, Trouble};
use super::pull::is_there;
use super::quirks::Creation;
use super::state::{Late, State};
use super::write;

#[async_trait]
impl Push for SimConnector {
    async fn apply(
        &self,
        ctx: &Context,
        collection: &RemoteCollection,
        writes: &[Write],
    ) -> Vec<Result<Applied, Error>> {
        writes.iter().map(|one| self.one(ctx, collection, one)).collect()
    }

    async fn probe(
        &self,
        _ctx: &Context,
        collection: &RemoteCollection,
        write: &Write,
    ) -> Result<Option<Applied>, Error> {
        self.provider.read(Operation::Probe, "probe", |state| {
            is_there(state, collection, "probe")?;
            let id = match state.quirks.creation {
                Creation::ClientId => write::chosen_id(&write.intent),
                Creation::Marker => match state.markers.get(write.intent.as_str()) {
                    Some((_, id)) => id.clone(),
                    None => return Ok(None),
                },
                Creation::Blind => {
                    return Err(Error::new(
                        ErrorKind::Unsupported,
                        "probe",
                        "nothing tells which object a create made",
                    ));
                }
            };
            let shown = state.show(&collection.id.0, &id);
            let deleted = state.shelf(&collection.id.0).tombstones.contains_key(&id);
            Ok(match shown {
                Some(object) => Some(Applied::Stored(Box::new(object))),
                None => deleted.then_some(Applied::Gone),
            })
        })
    }
}

impl SimConnector {
    fn one(&self, ctx: &Context, collection: &RemoteCollection, write: &Write) -> Result<Applied, Error> {
        let name = match &write.action {
            Action::Create { .. } => "push.create",
            Action::Update { .. } => "push.update",
            Action::Delete { .. } => "push.delete",
        };
        if let Action::Update { target, changed, .. } = &write.action
            && changed.is_empty()
        {
            // Nothing to send: the object is read.
            return self.provider.read(Operation::Fetch, name, |state| {
                is_there(state, collection, name)?;
                write::as_it_is(state, &collection.id.0, &write.part, target)
            });
        }
        let mut state = self.provider.operate();
        let trouble = state.trouble(Operation::Write);
        let outcome = match trouble {
            Some(Trouble::Before(answer)) => Err(answer.error(name)),
            Some(Trouble::Late { operations }) => {
                state.delay(operations, ctx, collection, write);
                Err(Answer::Timeout.error(name))
            }
            Some(Trouble::After(answer)) => {
                carry_out(&mut state, ctx, collection, write).and(Err(answer.error(name)))
            }
            Some(Trouble::Doubled) if is_repeatable(&state, write) => {
                let first = carry_out(&mut state, ctx, collection, write);
                first.and_then(|_| carry_out(&mut state, ctx, collection, write))
            }
            Some(Trouble::Doubled) | None => carry_out(&mut state, ctx, collection, write),
        };
        if let Ok(Applied::Stored(object)) = &outcome {
            state.show(&collection.id.0, &object.id);
        }
        outcome
    }
}

pub(super) fn carry_out(
    state: &mut State,
    ctx: &Context,
    collection: &RemoteCollection,
    write: &Write,
) -> Result<Applied, Error> {
    is_there(state, collection, "push")?;
    write::carry_out(state, ctx, collection, write)
}

/// A write takes effect long after its caller was told that nobody knows of it.
pub(super) fn arrive(state: &mut State, late: &Late) {
    let before = state.log.len();
    let _answer = carry_out(state, &late.ctx, &late.collection, &late.write);
    for write in state.log.iter_mut().skip(before) {
        write.late = true;
    }
}

/// Whether a proxy may send the request twice.
fn is_repeatable(state: &State, write: &Write) -> bool {
    !matches!(write.action, Action::Create { .. }) || state.quirks.creation != Creation::Blind
}
