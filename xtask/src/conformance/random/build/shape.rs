//! The shapes that blocks are put together in.

use crate::conformance::random::numbers::Numbers;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Chain,
    /// One block, some beside each other, one block.
    Diamond,
    /// Rows of so many blocks, each below some of the row above.
    Layers(usize),
    FanOut,
    FanIn,
    /// Each block below some of those before it.
    Random,
    /// Two chains that do not touch.
    Apart,
    /// No edges at all.
    Loose,
}

impl Shape {
    pub(super) fn random(numbers: &mut Numbers) -> Self {
        let width = numbers.between(2, 4);
        numbers.weighted(&[
            (12, Self::Chain),
            (20, Self::Diamond),
            (22, Self::Layers(width)),
            (12, Self::FanOut),
            (10, Self::FanIn),
            (20, Self::Random),
            (6, Self::Apart),
            (2, Self::Loose),
        ])
    }

    /// The blocks right above the one at `place` of `count`.
    pub(super) fn above(self, place: usize, count: usize, numbers: &mut Numbers) -> Vec<usize> {
        match self {
            _ if place == 0 => Vec::new(),
            Self::Chain => vec![place - 1],
            Self::Diamond if place == count - 1 && place > 1 => (1..place).collect(),
            Self::Diamond | Self::FanOut => vec![0],
            Self::FanIn if place == count - 1 => (0..place).collect(),
            Self::FanIn | Self::Loose => Vec::new(),
            Self::Layers(width) => {
                let row = place / width;
                if row == 0 {
                    return Vec::new();
                }
                let above: Vec<usize> = ((row - 1) * width..row * width).collect();
                numbers.some(&above, 1)
            }
            Self::Random => {
                let nearest = place.saturating_sub(4);
                let before: Vec<usize> = (nearest..place).collect();
                let mut some = numbers.some(&before, 0);
                some.truncate(3);
                some
            }
            Self::Apart if place == count / 2 => Vec::new(),
            Self::Apart => vec![place - 1],
        }
    }
}
