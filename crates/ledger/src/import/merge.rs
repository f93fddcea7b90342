//! The merge: incoming rows and the ledger's rows, both sorted by key, into what stays, goes and
//! comes.
//!
//! Rules. A key has one row: the newer status time wins; an equal time with other content is a bad
//! row, and so are two differing rows of one key and time in one import. Rows without a payment id
//! have no key of their own: those of one participant, program and order type are a set, and the
//! set is replaced as a whole if the import names that group, unless the ledger's set is newer than
//! everything that the import has of the group. A status time that was not in the file does not
//! make a row another one: if all else is equal the ledger's row stays.
//!
//! Invariant: every incoming row is counted exactly once, as inserted, changed, unchanged or
//! rejected.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use payouts_model::Timestamp;

use super::block::{Gather, RowRef, Shape};
use super::existing::Existing;
use super::merged::Merged;
use super::output::{Action, Output};
use super::parse::DEFAULT_TIME;
use super::spills::{SpillReader, SpillWriter};
use super::{Error, values};

/// Marks of rows that wait for the end of their group.
const KEEP: u8 = 0x10;
const DROP: u8 = 0x20;
const ADD: u8 = 0x30;
const OLD_IN_SET: u8 = 0x40;
const NEW_IN_SET: u8 = 0x50;
const TAG: u8 = 0xf0;

/// How many rows did what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub inserted: u64,
    pub changed: u64,
    pub unchanged: u64,
    pub removed: u64,
}

/// A row that the merge refuses: the row, the first field in which it differs, and why.
pub(super) struct Refused<'a> {
    pub row: &'a RowRef,
    pub field: Option<usize>,
    pub reason: String,
}

/// Takes refused rows; an error ends the import.
pub(super) type Refuse<'a> = &'a mut dyn FnMut(Refused<'_>) -> Result<(), Error>;

/// The group (participant, program, order type) that the merge is in.
struct Group {
    head: RowRef,
    /// The newest status time of its incoming rows; `None`: the import does not name it.
    incoming: Option<Timestamp>,
    /// The newest status time of the ledger's set.
    set: Option<Timestamp>,
}

/// Rows that wait for the end of their group, in ledger order.
#[derive(Default)]
struct Waiting {
    rows: Vec<(RowRef, u8)>,
    spill: Option<SpillWriter>,
}

/// See the module.
pub(super) struct Merge<'a, 'o> {
    shape: &'a Arc<Shape>,
    output: &'a mut Output<'o>,
    names: &'a [String],
    refuse: Refuse<'a>,
    folder: PathBuf,
    waiting_max: usize,
    group: Option<Group>,
    waiting: Waiting,
    spills: usize,
    counts: Counts,
}

impl<'a, 'o> Merge<'a, 'o> {
    /// A merge into `output`. More than `waiting_max` rows of a group wait in `folder`.
    pub fn new(
        shape: &'a Arc<Shape>,
        output: &'a mut Output<'o>,
        names: &'a [String],
        refuse: Refuse<'a>,
        folder: PathBuf,
        waiting_max: usize,
    ) -> Self {
        Self {
            shape,
            output,
            names,
            refuse,
            folder,
            waiting_max,
            group: None,
            waiting: Waiting::default(),
            spills: 0,
            counts: Counts::default(),
        }
    }

    /// Merges everything.
    pub fn run(mut self, incoming: &mut Merged, existing: &mut Existing<'_>) -> Result<Counts, Error> {
        let mut news: Vec<RowRef> = Vec::new();
        let mut olds: Vec<RowRef> = Vec::new();
        loop {
            if self.bulk(incoming, existing)? {
                continue;
            }
            let old_first = match (incoming.peek(), existing.peek()) {
                (None, None) => break,
                (new, old) => new.is_none_or(|n| old.is_some_and(|o| o.key() < n.key())),
            };
            let head = if old_first { existing.peek() } else { incoming.peek() };
            let Some(head) = head.cloned() else { break };
            self.turn(&head, existing)?;
            if self.shape.in_set(&head) {
                self.take_set(&head, incoming, existing)?;
            } else if old_first {
                existing.next()?;
                self.put(&head, KEEP)?;
            } else {
                news.clear();
                olds.clear();
                while incoming.peek().is_some_and(|r| r.key() == head.key()) {
                    news.extend(incoming.next()?);
                }
                while existing.peek().is_some_and(|r| r.key() == head.key()) {
                    olds.extend(existing.next()?);
                }
                self.keyed(&mut news, &olds)?;
            }
        }
        self.flush()?;
        Ok(self.counts)
    }

    /// Where nothing of the ledger is left, adds the next rows that nothing can be said against at
    /// once; whether there were any.
    fn bulk(&mut self, incoming: &mut Merged, existing: &Existing<'_>) -> Result<bool, Error> {
        let waits = !self.waiting.rows.is_empty() || self.waiting.spill.is_some();
        let contested = self.group.as_ref().is_some_and(|g| g.set.is_some());
        if waits || contested || existing.peek().is_some() || !self.output.behind_all() {
            return Ok(false);
        }
        let Some((block, start, count)) = incoming.alone() else { return Ok(false) };
        // The rows have no bearing on others of their group: none of the ledger's are left. That
        // goes for sets, too: there is nothing to replace.
        self.group = None;
        self.output.append(&block, start, count)?;
        self.counts.inserted += count as u64;
        incoming.skip(count)?;
        Ok(true)
    }

    /// Begins a new group if `head` is not of the group so far.
    fn turn(&mut self, head: &RowRef, existing: &Existing<'_>) -> Result<(), Error> {
        let same = self.group.as_ref().is_some_and(|g| self.shape.same_group(&g.head, head));
        if !same {
            self.flush()?;
            self.group = Some(Group { head: head.clone(), incoming: None, set: None });
            return Ok(());
        }
        // Without a set in the ledger there is nothing to wait for.
        let contested = self.group.as_ref().is_some_and(|g| g.set.is_some())
            || existing.peek().is_some_and(|r| self.shape.same_group(r, head));
        if contested { Ok(()) } else { self.flush() }
    }

    /// Takes all rows of a key without payment id.
    fn take_set(&mut self, head: &RowRef, incoming: &mut Merged, existing: &mut Existing<'_>) -> Result<(), Error> {
        while existing.peek().is_some_and(|r| r.key() == head.key()) {
            if let Some(row) = existing.next()? {
                let time = self.shape.time(&row);
                if let Some(group) = &mut self.group {
                    group.set = group.set.max(Some(time));
                }
                self.wait(row, OLD_IN_SET)?;
            }
        }
        while incoming.peek().is_some_and(|r| r.key() == head.key()) {
            if let Some(row) = incoming.next()? {
                self.named(&row);
                let tag = NEW_IN_SET | row.mark();
                self.wait(row, tag)?;
            }
        }
        Ok(())
    }

    fn named(&mut self, row: &RowRef) {
        let time = self.shape.time(row);
        if let Some(group) = &mut self.group {
            group.incoming = group.incoming.max(Some(time));
        }
    }

    /// Decides about a key: `news` in the order they came, `olds` at most one in a sound ledger.
    fn keyed(&mut self, news: &mut [RowRef], olds: &[RowRef]) -> Result<(), Error> {
        for row in news.iter() {
            self.named(row);
        }
        let old = olds.last();
        if let (None, [row]) = (old, &*news) {
            self.counts.inserted += 1;
            return self.put(row, ADD);
        }
        news.sort_by_key(|r| self.shape.time(r));
        let mut winner: Option<&RowRef> = None;
        let mut good = 0;
        for same_time in news.chunk_by(|a, b| self.shape.time(a) == self.shape.time(b)) {
            if self.refused(same_time, old)? {
                continue;
            }
            good += same_time.len() as u64;
            let row = &same_time[0];
            let newer = old.is_none_or(|o| self.shape.time(o) < self.shape.time(row));
            let repeats = |o: &RowRef| {
                same_time.iter().any(|r| r.mark() & DEFAULT_TIME != 0) && self.shape.difference(o, row).is_none()
            };
            if newer && !old.is_some_and(repeats) {
                winner = Some(row);
            }
        }
        let winners = u64::from(winner.is_some());
        self.counts.unchanged += good - winners;
        for row in olds {
            self.put(row, if winner.is_some() { DROP } else { KEEP })?;
        }
        let Some(row) = winner else { return Ok(()) };
        if old.is_some() {
            self.counts.changed += 1;
        } else {
            self.counts.inserted += 1;
        }
        self.put(row, ADD)
    }

    /// Whether rows of one key and time contradict each other or the ledger; they are refused then.
    fn refused(&mut self, rows: &[RowRef], old: Option<&RowRef>) -> Result<bool, Error> {
        let shape = self.shape;
        let first = &rows[0];
        if let Some(other) = rows[1..].iter().find(|r| shape.difference(first, r).is_some()) {
            for row in rows {
                let against = if shape.difference(first, row).is_none() { other } else { first };
                let field = shape.difference(against, row);
                let place = format!("{}, line {}", self.names[against.file()], against.line());
                let reason = format!(
                    "another row has the same key and status time but other content ({}): keep one of them",
                    self.other_value(field, against, &place)
                );
                (self.refuse)(Refused { row, field, reason })?;
            }
            return Ok(true);
        }
        let Some(old) = old.filter(|o| shape.time(o) == shape.time(first)) else { return Ok(false) };
        let Some(field) = shape.difference(old, first) else { return Ok(false) };
        for row in rows {
            let other = self.other_value(Some(field), old, "the ledger");
            let reason = format!(
                "the same key and status time are there with other content ({other}): a changed row needs a newer status time"
            );
            (self.refuse)(Refused { row, field: Some(field), reason })?;
        }
        Ok(true)
    }

    fn other_value(&self, field: Option<usize>, row: &RowRef, place: &str) -> String {
        let Some(field) = field else { return place.to_owned() };
        let value = values::print(&self.shape.report.fields[field], &row.block.batch, field, row.row());
        match value {
            Some(value) => format!("{place} has {value:?}"),
            None => format!("{place} has nothing there"),
        }
    }

    /// Hands a decided row on, or lets it wait behind undecided ones.
    fn put(&mut self, row: &RowRef, tag: u8) -> Result<(), Error> {
        if self.waiting.rows.is_empty() && self.waiting.spill.is_none() {
            return Ok(self.output.apply(row, action(tag))?);
        }
        self.wait(row.clone(), tag)
    }

    fn wait(&mut self, row: RowRef, tag: u8) -> Result<(), Error> {
        self.waiting.rows.push((row, tag));
        if self.waiting.rows.len() < self.waiting_max {
            return Ok(());
        }
        if self.waiting.spill.is_none() {
            self.spills += 1;
            let path = self.folder.join(format!("group-{:05}", self.spills));
            self.waiting.spill = Some(SpillWriter::create(path, self.shape)?);
        }
        if let Some(spill) = &mut self.waiting.spill {
            for (row, tag) in self.waiting.rows.drain(..) {
                spill.push(&row, tag)?;
            }
        }
        Ok(())
    }

    /// Decides about the group's set and hands on all that waited.
    fn flush(&mut self) -> Result<(), Error> {
        let Waiting { rows, spill } = std::mem::take(&mut self.waiting);
        if rows.is_empty() && spill.is_none() {
            return Ok(());
        }
        let replace = self.group.as_ref().is_some_and(|g| g.incoming.is_some() && g.set <= g.incoming);
        let mut left = Left::default();
        let mut set: Vec<(RowRef, u8)> = Vec::new();
        let mut spilled: Option<SpillReader> = spill.map(SpillWriter::finish).transpose()?;
        let mut block = Vec::new().into_iter();
        let mut rows = rows.into_iter();
        loop {
            let item = match (block.next(), &mut spilled) {
                (Some(item), _) => Some(item),
                (None, Some(reader)) => match reader.block()? {
                    Some(next) => {
                        let items: Vec<(RowRef, u8)> =
                            (0..next.rows()).map(|i| RowRef::new(&next, i)).map(|r| (r.clone(), r.mark())).collect();
                        block = items.into_iter();
                        continue;
                    }
                    None => {
                        spilled = None;
                        continue;
                    }
                },
                (None, None) => rows.next(),
            };
            let ends_key = match (&item, set.first()) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some((row, tag)), Some((first, _))) => !in_set(*tag) || row.key() != first.key(),
            };
            if ends_key {
                self.decide_key(&mut set, replace, &mut left)?;
            }
            match item {
                None => break,
                Some((row, tag)) if in_set(tag) => set.push((row, tag)),
                Some((row, tag)) => self.output.apply(&row, action(tag))?,
            }
        }
        let changed = left.added.min(left.dropped);
        self.counts.changed += changed;
        self.counts.inserted += left.added - changed;
        self.counts.removed += left.dropped - changed;
        Ok(())
    }

    /// Decides about the part of a set that has one key; empties `set`.
    fn decide_key(&mut self, set: &mut Vec<(RowRef, u8)>, replace: bool, left: &mut Left) -> Result<(), Error> {
        let rows = std::mem::take(set);
        let (olds, news): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(_, tag)| tag & TAG == OLD_IN_SET);
        if !replace || news.is_empty() {
            self.counts.unchanged += news.len() as u64;
            left.dropped += if replace { olds.len() as u64 } else { 0 };
            for (row, _) in &olds {
                self.output.apply(row, if replace { Action::Drop } else { Action::Keep })?;
            }
            return Ok(());
        }
        let (kept, added) = self.pair(&olds, &news);
        let mut actions: Vec<(&RowRef, Action)> = Vec::new();
        for ((row, _), kept) in olds.iter().zip(&kept) {
            left.dropped += u64::from(!kept);
            actions.push((row, if *kept { Action::Keep } else { Action::Drop }));
        }
        for ((row, _), added) in news.iter().zip(&added) {
            if *added {
                left.added += 1;
                actions.push((row, Action::Add));
            } else {
                self.counts.unchanged += 1;
            }
        }
        self.in_order(actions)
    }

    /// Pairs equal rows: which of `olds` stay, which of `news` have no partner.
    fn pair(&self, olds: &[(RowRef, u8)], news: &[(RowRef, u8)]) -> (Vec<bool>, Vec<bool>) {
        let mut kept = vec![false; olds.len()];
        let mut added = vec![true; news.len()];
        let mut content = Vec::new();
        let mut by_content: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        for (i, (row, _)) in olds.iter().enumerate() {
            self.shape.content(row, &mut content);
            by_content.entry(content.clone()).or_default().push(i);
        }
        // Rows that have a time of their own choose first.
        for defaulted in [false, true] {
            for (j, (row, tag)) in
                news.iter().enumerate().filter(|(_, (_, tag))| (tag & DEFAULT_TIME != 0) == defaulted)
            {
                self.shape.content(row, &mut content);
                let Some(partners) = by_content.get_mut(&content) else { continue };
                let fits = |i: &usize| tag & DEFAULT_TIME != 0 || self.shape.time(&olds[*i].0) == self.shape.time(row);
                if let Some(place) = partners.iter().rposition(fits) {
                    kept[partners.swap_remove(place)] = true;
                    added[j] = false;
                }
            }
        }
        (kept, added)
    }

    /// Applies actions to rows of one key in complete ledger order.
    fn in_order(&mut self, actions: Vec<(&RowRef, Action)>) -> Result<(), Error> {
        if let [(row, action)] = actions[..] {
            return Ok(self.output.apply(row, action)?);
        }
        let mut gather = Gather::default();
        for (row, _) in &actions {
            gather.push(row, 0);
        }
        let batch = gather.take(self.shape)?;
        let rows = self.shape.order.rows(&batch)?;
        let mut order: Vec<usize> = (0..actions.len()).collect();
        // Of equal rows the ledger's come first: they can stay where they are.
        order.sort_by(|&a, &b| rows.row(a).cmp(&rows.row(b)));
        for i in order {
            self.output.apply(actions[i].0, actions[i].1)?;
        }
        Ok(())
    }
}

/// Rows of a set without a partner on the other side.
#[derive(Default)]
struct Left {
    added: u64,
    dropped: u64,
}

fn in_set(tag: u8) -> bool {
    matches!(tag & TAG, OLD_IN_SET | NEW_IN_SET)
}

fn action(tag: u8) -> Action {
    match tag & TAG {
        DROP => Action::Drop,
        ADD => Action::Add,
        _ => Action::Keep,
    }
}
