//! Questions.

use model::{CollectionId, ConnectionId, LinkId, MirrorId, OrganizationId, RecordId};

use super::Draw;
use crate::names::{Operation, Question, remote, space, uid};

impl Draw {
    pub(super) fn question(&mut self) -> Question {
        let limit = self.below(5);
        let after = self.chance(50).then(|| self.record());
        match self.below(20) {
            0 => Question::Connection(self.connection()),
            1 => Question::Collections(self.connection()),
            2 => Question::Collection(self.collection()),
            3 => Question::Known(self.collection()),
            4 | 5 => {
                let count = self.below(5);
                let remotes = (0..count).map(|_| remote(self.below(space::REMOTES))).collect();
                Question::Linked(self.collection(), remotes)
            }
            6 => Question::Link(self.link()),
            7 => Question::Record(self.record()),
            8 => Question::LinksOf(self.record()),
            9 => Question::DirtyLinks(self.connection(), self.moment(), limit),
            10 => Question::Raws(self.link()),
            11 => Question::OpenIntents(self.connection()),
            12 => Question::MirrorsOf(self.collection()),
            13 | 14 => Question::Joined(self.collection(), after, limit),
            15 => Question::Members(self.collection(), after, limit),
            16 => {
                let count = self.below(4);
                let uids = (0..count).map(|_| uid(self.below(space::OTHERS))).collect();
                Question::WithUid(self.collection(), uids)
            }
            17 => Question::Pairings(self.collection()),
            18 => Question::PairingsOf(self.record()),
            _ => Question::Conflict(self.conflict()),
        }
    }

    /// Everything that can be asked of both organizations.
    pub(crate) fn every_question(&self) -> Vec<Operation> {
        let mut all = Vec::new();
        for number in 0..space::CONNECTIONS {
            let id = ConnectionId::new(1, u128::from(number));
            all.extend([
                Question::Connection(id.clone()),
                Question::Collections(id.clone()),
                Question::DirtyLinks(id.clone(), i64::MAX, 99),
                Question::OpenIntents(id),
            ]);
        }
        for number in 0..space::COLLECTIONS {
            let id = CollectionId::new(1, u128::from(number));
            all.extend([
                Question::Collection(id.clone()),
                Question::Known(id.clone()),
                Question::Linked(id.clone(), (0..space::REMOTES).rev().map(remote).collect()),
                Question::MirrorsOf(id.clone()),
                Question::Joined(id.clone(), None, 99),
                Question::Members(id.clone(), None, 99),
                Question::WithUid(id.clone(), (0..space::OTHERS).map(uid).collect()),
                Question::Pairings(id.clone()),
            ]);
        }
        for number in 0..space::RECORDS {
            let id = RecordId::new(1, u128::from(number));
            all.extend([
                Question::Record(id.clone()),
                Question::LinksOf(id.clone()),
                Question::PairingsOf(id),
            ]);
        }
        for number in 0..space::LINKS {
            let id = LinkId::new(1, u128::from(number));
            all.extend([Question::Link(id.clone()), Question::Raws(id)]);
        }
        for number in 0..space::OTHERS {
            all.push(Question::Mirror(MirrorId::new(1, u128::from(number))));
        }
        let asked = |organization: &OrganizationId| {
            let organization = organization.clone();
            all.iter()
                .map(move |question| Operation::Ask(organization.clone(), question.clone()))
                .collect::<Vec<_>>()
        };
        self.organizations().iter().flat_map(asked).collect()
    }
}
