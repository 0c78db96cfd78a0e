//! What makes a world: all of it follows from the seed, unless it is narrowed by hand.

use std::collections::BTreeSet;
use std::time::Duration;

use updraft_runtime::Dice;

use crate::faults::FaultKind;

const DAGS_MAX: usize = 3;

/// The parameters of one world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    pub seed: u64,
    pub hosts: usize,
    /// Numbers of the Dags.
    pub dags: Vec<usize>,
    pub faults: BTreeSet<FaultKind>,
    /// How long there is trouble and new runs begin.
    pub active: Duration,
    /// `[core] parallelism` of each process.
    pub parallelism: usize,
    /// Whether its runs must end as those of the same world without faults do.
    pub is_comparable: bool,
}

impl Setup {
    /// The world of a seed.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let mut dice = Dice::of_purpose(seed, "setup");
        let hosts = *dice.choose(&[1, 1, 2, 3]);
        let dags = (0..1 + dice.below(DAGS_MAX)).collect();
        let minutes = *dice.choose(&[10, 20, 40, 90]);
        let parallelism = *dice.choose(&[2, 8, 32]);
        // Some worlds see one kind of trouble only, most see several.
        let share = *dice.choose(&[0.1, 0.4, 0.7]);
        let is_comparable = dice.chance(0.5);
        let faults = FaultKind::ALL
            .into_iter()
            .filter(|_| dice.chance(share))
            .filter(|kind| !is_comparable || !kind.changes_the_aim())
            .collect();
        Self {
            seed,
            hosts,
            dags,
            faults,
            active: Duration::from_secs(60 * minutes),
            parallelism,
            is_comparable,
        }
    }

    /// The same world in which nothing goes wrong.
    #[must_use]
    pub fn without_faults(&self) -> Self {
        Self {
            faults: BTreeSet::new(),
            ..self.clone()
        }
    }

    /// The command that runs this world again.
    #[must_use]
    pub fn command(&self) -> String {
        let full = Self::of_seed(self.seed);
        let mut command = format!("cargo xtask sim --seed {}", self.seed);
        if self.hosts != full.hosts {
            command.push_str(&format!(" --hosts {}", self.hosts));
        }
        if self.dags != full.dags {
            let numbers: Vec<_> = self.dags.iter().map(ToString::to_string).collect();
            command.push_str(&format!(" --dags {}", numbers.join(",")));
        }
        if self.faults != full.faults {
            let names: Vec<_> = self.faults.iter().map(|kind| kind.name()).collect();
            let names = if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(",")
            };
            command.push_str(&format!(" --faults {names}"));
        }
        if self.active != full.active {
            command.push_str(&format!(" --minutes {}", self.active.as_secs() / 60));
        }
        command
    }
}
