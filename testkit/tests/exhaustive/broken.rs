//! Worlds that break a rule on purpose, at the ports: a checker that finds nothing there would find nothing anywhere.

use connector_sdk::{Action, Write};
use sync::ports::Effect;

/// Which rule is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Broken {
    /// None: this is the engine as it is.
    Nothing,
    /// Nothing is written down before a write is sent.
    NoIntent,
    /// A record is taken apart while a write of it is under way.
    NoWriterLock,
    /// Writes forget the version that was read.
    Unconditional,
    /// The store forgets that a record was deleted.
    ForgottenTombstone,
    /// The cursor is committed before the page that it stands behind.
    CursorFirst,
    /// A write's success is recorded before it is made.
    OutcomeFirst,
}

impl Broken {
    /// The batch as the broken hub commits it.
    pub(crate) fn spoil(self, mut effects: Vec<Effect>) -> Vec<Effect> {
        match self {
            Self::NoIntent => effects.retain(|effect| !matches!(effect, Effect::OpenIntent(_))),
            Self::NoWriterLock => effects.retain(|effect| !matches!(effect, Effect::ExpectNoIntent(_))),
            Self::ForgottenTombstone => {
                for effect in &mut effects {
                    if let Effect::UpdateRecord(record) = effect {
                        record.deleted = false;
                    }
                }
            }
            Self::Nothing | Self::Unconditional | Self::CursorFirst | Self::OutcomeFirst => {}
        }
        effects
    }

    /// The write as the broken hub sends it.
    pub(crate) fn spoil_write(self, mut write: Write) -> Write {
        if self == Self::Unconditional
            && let Action::Update { target, .. } | Action::Delete { target } = &mut write.action
        {
            target.version = None;
        }
        write
    }
}
