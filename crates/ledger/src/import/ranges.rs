//! Ranges of keys side by side, with what is wrong told in order.
//!
//! Invariants: bad rows are handed on in the order of the ranges, whichever thread finds them
//! first, and few of them are held back; the error of the first range that has one is the error.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::Error;
use super::rejects::BadRow;

/// Bad rows of a range that may wait for its turn.
const HELD_MAX: usize = 1000;

/// Takes bad rows.
pub(super) type Take<'a> = &'a mut (dyn FnMut(BadRow) -> Result<(), Error> + Send);

/// Merges the range of a number; it is handed what takes its bad rows.
pub(super) type One<'a, T> =
    &'a (dyn Fn(usize, &mut dyn FnMut(BadRow) -> Result<(), Error>) -> Result<T, Error> + Sync);

struct State<'a> {
    /// The range whose bad rows are handed on as they come.
    turn: usize,
    /// Those of ranges that ended before their turn.
    ended: BTreeMap<usize, Vec<BadRow>>,
    take: Take<'a>,
    errors: BTreeMap<usize, Error>,
}

struct Turns<'a> {
    state: Mutex<State<'a>>,
    moved: Condvar,
}

impl<'a> Turns<'a> {
    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands on the bad rows of range `number` when it is its turn; `false`: another one failed.
    fn hand_on(&self, number: usize, held: &mut Vec<BadRow>) -> Result<bool, Error> {
        let waits = |s: &mut State<'_>| s.turn != number && s.errors.is_empty();
        let mut state = self.moved.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
        if state.turn != number {
            return Ok(false);
        }
        held.drain(..).try_for_each(|bad| (state.take)(bad))?;
        Ok(true)
    }

    fn end(&self, number: usize, outcome: Result<Vec<BadRow>, Error>) {
        let mut state = self.lock();
        match outcome {
            Ok(held) => {
                state.ended.insert(number, held);
                let mut turn = state.turn;
                while let Some(held) = state.ended.remove(&turn) {
                    let taken = held.into_iter().try_for_each(|bad| (state.take)(bad));
                    if let Err(error) = taken {
                        state.errors.insert(turn, error);
                        break;
                    }
                    turn += 1;
                }
                state.turn = turn;
            }
            Err(error) => {
                state.errors.insert(number, error);
            }
        }
        drop(state);
        self.moved.notify_all();
    }
}

/// Ends a range; a panic in it ends it, too, so that nobody waits for it.
struct End<'t, 'a> {
    turns: &'t Turns<'a>,
    number: usize,
    open: bool,
}

impl End<'_, '_> {
    fn now(mut self, outcome: Result<Vec<BadRow>, Error>) {
        self.open = false;
        self.turns.end(self.number, outcome);
    }

    fn silently(mut self) {
        self.open = false;
    }
}

impl Drop for End<'_, '_> {
    fn drop(&mut self) {
        if self.open {
            let error = crate::Error::Invalid("a part of the import ended without an outcome".into());
            self.turns.end(self.number, Err(error.into()));
        }
    }
}

/// Does `one` with each of `count` ranges on all cores. What was done, in order, also after an error.
pub(super) fn run<T: Send>(count: usize, take: Take<'_>, one: One<'_, T>) -> (Vec<T>, Result<(), Error>) {
    let state = State { turn: 0, ended: BTreeMap::new(), take, errors: BTreeMap::new() };
    let turns = Turns { state: Mutex::new(state), moved: Condvar::new() };
    let next = AtomicUsize::new(0);
    let done = Mutex::new(BTreeMap::new());
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count || !turns.lock().errors.is_empty() {
                return;
            }
            let mut held = Vec::new();
            let mut stopped = false;
            let end = End { turns: &turns, number, open: true };
            let outcome = one(number, &mut |bad| {
                held.push(bad);
                if held.len() >= HELD_MAX && !turns.hand_on(number, &mut held)? {
                    stopped = true;
                    return Err(Error::Ledger(crate::Error::Invalid("another part of the import failed".into())));
                }
                Ok(())
            });
            match outcome {
                Ok(value) => {
                    done.lock().unwrap_or_else(PoisonError::into_inner).insert(number, value);
                    end.now(Ok(held));
                }
                Err(_) if stopped => return end.silently(),
                Err(error) => end.now(Err(error)),
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8).min(count);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let state = turns.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    let error = state.errors.into_values().next();
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    (done.into_values().collect(), error.map_or(Ok(()), Err))
}
