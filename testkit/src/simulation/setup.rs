//! What a schedule is played in: kind, topology, providers with their quirks, nodes. All of it follows from the seed.

use std::collections::BTreeSet;

use conflict::Rule;
use model::Kind;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::provider::Quirks;

/// How the mirrors join the providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topology {
    /// Two.
    Pair,
    /// One mirror for all.
    Set,
    /// The first with each of the others.
    Star,
    /// Each with the next.
    Chain,
    /// Each with the next, and the last with the first.
    Ring,
}

impl Topology {
    /// All there are.
    pub const ALL: [Self; 5] = [Self::Pair, Self::Set, Self::Star, Self::Chain, Self::Ring];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pair => "pair",
            Self::Set => "set",
            Self::Star => "star",
            Self::Chain => "chain",
            Self::Ring => "ring",
        }
    }

    /// The members of each mirror among so many providers.
    #[must_use]
    pub fn mirrors(self, providers: usize) -> Vec<Vec<usize>> {
        let chain = (1..providers).map(|next| vec![next - 1, next]);
        match self {
            Self::Pair => vec![vec![0, 1]],
            Self::Set => vec![(0..providers).collect()],
            Self::Star => (1..providers).map(|other| vec![0, other]).collect(),
            Self::Chain => chain.collect(),
            Self::Ring => chain.chain([vec![providers - 1, 0]]).collect(),
        }
    }
}

/// Where a schedule is played.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The kind of all records.
    pub kind: Kind,
    /// How the mirrors join the providers.
    pub topology: Topology,
    /// The providers, by what is odd about them.
    pub providers: Vec<Quirks>,
    /// Who is given right.
    pub rule: Rule,
    /// How wrong each node's clock is, in milliseconds; as many nodes as entries.
    pub skews_ms: Vec<i64>,
    /// Whether the providers already hold the same things when they are joined.
    pub overlapping: bool,
}

impl Setup {
    /// The setup of a seed.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let kind = if random.random_ratio(1, 4) {
            Kind::Contact
        } else {
            Kind::Event
        };
        let topology = Topology::ALL[random.random_range(0..Topology::ALL.len())];
        let count = match topology {
            Topology::Pair => 2,
            Topology::Set | Topology::Star | Topology::Chain | Topology::Ring => {
                [3, 3, 3, 4, 5][random.random_range(0..5)]
            }
        };
        let providers = (0..count).map(|_| Quirks::random(&mut random, kind)).collect();
        let rule = match random.random_range(0..10) {
            0..=5 => Rule::LastWriter,
            6 | 7 => Rule::HubWins,
            8 => Rule::RemoteWins,
            _ => Rule::Ask,
        };
        let nodes = [1, 1, 2, 3][random.random_range(0..4)];
        let skews_ms = (0..nodes).map(|_| random.random_range(-20_000..20_000)).collect();
        Self {
            kind,
            topology,
            providers,
            rule,
            skews_ms,
            overlapping: random.random_ratio(1, 4),
        }
    }

    /// The same, and no provider has this quirk.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        for quirks in &mut self.providers {
            if let Some(less) = quirks.without(name) {
                *quirks = less;
            }
        }
        self
    }

    /// The quirks that any of the providers has.
    #[must_use]
    pub fn quirks(&self) -> BTreeSet<&'static str> {
        self.providers.iter().flat_map(Quirks::active).collect()
    }
}
