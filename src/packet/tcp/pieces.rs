//! Bytes of a direction that wait for what comes before them.

use std::collections::BTreeMap;

/// What a piece costs beside its bytes, about: its place in the tree and its allocation.
pub(super) const OVERHEAD: usize = 64;

/// A piece grows up to this length by what follows it directly; so a long run costs few pieces, and none is copied often.
const LARGE: usize = 64 * 1024;

/// A stretch of a segment: bytes, or a number of bytes that were sent and not captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Bytes(&'a [u8]),
    Cut(u64),
}

impl Part<'_> {
    pub(super) fn len(self) -> u64 {
        match self {
            Self::Bytes(bytes) => wide(bytes.len()),
            Self::Cut(length) => length,
        }
    }

    /// The first `at` bytes, and what follows them.
    pub(super) fn split(self, at: u64) -> (Self, Self) {
        match self {
            Self::Bytes(bytes) => {
                let at = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                let (one, two) = bytes.split_at_checked(at).unwrap_or((bytes, &[]));
                (Self::Bytes(one), Self::Bytes(two))
            }
            Self::Cut(length) => {
                let at = at.min(length);
                (Self::Cut(at), Self::Cut(length.saturating_sub(at)))
            }
        }
    }
}

#[derive(Debug)]
enum Piece {
    Bytes(Vec<u8>),
    Cut(u64),
}

impl Piece {
    fn part(&self) -> Part<'_> {
        match self {
            Self::Bytes(bytes) => Part::Bytes(bytes),
            Self::Cut(length) => Part::Cut(*length),
        }
    }

    fn cost(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len().saturating_add(OVERHEAD),
            Self::Cut(_) => OVERHEAD,
        }
    }
}

/// The pieces by their places. None overlaps another: what came first stays.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    pieces: BTreeMap<u64, Piece>,
    cost: usize,
}

impl Pieces {
    /// Memory that they take, about, in bytes.
    pub(super) const fn cost(&self) -> usize {
        self.cost
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Place of the first.
    pub(super) fn start(&self) -> Option<u64> {
        self.pieces.first_key_value().map(|(at, _)| *at)
    }

    /// Place after the last.
    pub(super) fn end(&self) -> Option<u64> {
        self.pieces.last_key_value().map(|(at, piece)| at.saturating_add(piece.part().len()))
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Shows the first piece, if it begins at `at`, and forgets it; gives what `show` gives.
    pub(super) fn take<T>(&mut self, at: u64, show: impl FnOnce(Part<'_>) -> T) -> Option<T> {
        let first = self.pieces.first_entry().filter(|first| *first.key() == at)?;
        let piece = first.remove();
        self.cost = self.cost.saturating_sub(piece.cost());
        Some(show(piece.part()))
    }

    /// Keeps what of `part` no piece holds yet.
    pub(super) fn keep(&mut self, mut at: u64, mut part: Part<'_>) {
        while part.len() > 0 {
            let held =
                self.pieces.range(..=at).next_back().map_or(0, |(start, p)| start.saturating_add(p.part().len()));
            if held > at {
                (_, part) = part.split(held.saturating_sub(at));
                at = held;
                continue;
            }
            let room = self.pieces.range(at..).next().map_or(u64::MAX, |(next, _)| next.saturating_sub(at));
            let (now, rest) = part.split(room);
            self.put(at, now);
            at = at.saturating_add(now.len());
            part = rest;
        }
    }

    /// Keeps `part` where there is room for it.
    fn put(&mut self, at: u64, part: Part<'_>) {
        let piece = match part {
            Part::Cut(length) => Piece::Cut(length),
            Part::Bytes(more) => {
                if let Some((start, Piece::Bytes(bytes))) = self.pieces.range_mut(..at).next_back()
                    && start.saturating_add(wide(bytes.len())) == at
                    && bytes.len() < LARGE
                {
                    bytes.extend_from_slice(more);
                    self.cost = self.cost.saturating_add(more.len());
                    return;
                }
                Piece::Bytes(more.to_vec())
            }
        };
        self.cost = self.cost.saturating_add(piece.cost());
        self.pieces.insert(at, piece);
    }
}

pub(super) fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
