//! The searching node's table: for each scope its records and their tags, and which of them a key of a tag finds.
//!
//! A candidate costs one AES block and one look-up among its own tags. What an owner puts on the chain slows nobody's look-ups
//! but those of the owner's own records: there is no bucket that a stranger's tags can fill.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::{PoisonError, RwLock};

use aes::cipher::BlockCipherEncrypt;
use aes::{Aes256Enc, Block};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::args::{self, refuse};
use crate::pool;
use crate::tag_keys::{cipher, TagKeys, EVERY_SCOPE};

type Rid = [u8; 16];
type Tag = [u8; 16];

/// Fewest and most tags of a record; powers of two (the words of a record twice: for readers and discoverable).
const TAGS: std::ops::RangeInclusive<usize> = 8..=2048;
/// Most records of one table: their ids and fingerprints then fill about a gigabyte.
const MAX_RECORDS: usize = 1 << 24;
/// Candidates that one thread takes at a time.
const TASK: usize = 8192;
/// Tasks of one thread below which a search is not worth splitting.
const TASK_GRAIN: usize = 4;
/// Blocks that are encrypted together, so that the rounds of several overlap.
const BLOCKS: usize = 32;
/// Tasks whose columns are fetched together, and the candidates up to which a task is small.
const GROUP: usize = 16;
const SMALL: usize = 128;

/// The records of one scope, column by column: a search reads ids and fingerprints only, one after the other.
struct Scope {
    name: [u8; 32],
    rids: Vec<Rid>,
    /// For each record the end of its tags; they start where the record before ends.
    ends: Vec<u32>,
    /// The first two bytes of each tag.
    prints: Vec<u16>,
    tags: Vec<Tag>,
}

fn print_of(tag: &Tag) -> u16 {
    u16::from_le_bytes([tag[0], tag[1]])
}

/// Grow by an eighth, not by doubling: the columns are most of a node's memory.
fn make_room<T>(column: &mut Vec<T>, more: usize) {
    if column.capacity() - column.len() < more {
        column.reserve_exact(more.max(column.len() / 8));
    }
}

impl Scope {
    fn new(name: [u8; 32]) -> Self {
        Self { name, rids: Vec::new(), ends: Vec::new(), prints: Vec::new(), tags: Vec::new() }
    }

    fn start(&self, record: usize) -> usize {
        record.checked_sub(1).map_or(0, |before| self.ends[before] as usize)
    }

    fn push(&mut self, rid: Rid, tags: &[Tag]) -> PyResult<()> {
        let end = u32::try_from(self.tags.len() + tags.len()).map_err(|_| refuse("the scope is full"))?;
        make_room(&mut self.rids, 1);
        make_room(&mut self.ends, 1);
        make_room(&mut self.prints, tags.len());
        make_room(&mut self.tags, tags.len());
        self.rids.push(rid);
        self.ends.push(end);
        self.prints.extend(tags.iter().map(print_of));
        self.tags.extend_from_slice(tags);
        Ok(())
    }

    fn remove(&mut self, record: usize) {
        let (from, to) = (self.start(record), self.ends[record] as usize);
        self.rids.remove(record);
        self.ends.remove(record);
        for end in &mut self.ends[record..] {
            *end -= (to - from) as u32;
        }
        self.prints.drain(from..to);
        self.tags.drain(from..to);
    }

    /// Whether the record has the tag: fingerprints eight at a time, the tags themselves only where one is equal.
    fn has(&self, record: usize, tag: &Tag) -> bool {
        let (from, to) = (self.start(record), self.ends[record] as usize);
        let print = print_of(tag);
        self.prints[from..to].as_chunks::<8>().0.iter().enumerate().any(|(i, eight)| {
            eight.iter().fold(false, |any, p| any | (*p == print)) && self.tags[from + 8 * i..][..8].contains(tag)
        })
    }

    /// Append the records `from..to` that have the tag of this key.
    fn find(&self, key: &Aes256Enc, from: usize, to: usize, found: &mut Vec<Rid>) {
        let mut blocks = [Block::default(); BLOCKS];
        for start in (from..to).step_by(BLOCKS) {
            let rids = &self.rids[start..to.min(start + BLOCKS)];
            let tags = &mut blocks[..rids.len()];
            for (block, rid) in tags.iter_mut().zip(rids) {
                block.0 = *rid;
            }
            key.encrypt_blocks(tags);
            for (i, tag) in tags.iter().enumerate() {
                if self.has(start + i, &tag.0) {
                    found.push(rids[i]);
                }
            }
        }
    }

    /// Read a byte of every cache line that a small search will need. Of many small scopes each lies somewhere else: asked for
    /// one by one, the processor waits for memory most of the time; asked for together, the waits overlap.
    fn fetch(&self, from: usize, to: usize) -> u64 {
        if to - from > SMALL {
            return 0; // long columns are read ahead by the processor itself
        }
        let prints = &self.prints[self.prints.len().min(TAGS.start() * from)..];
        let rids = self.rids[from..to].iter().step_by(4).map(|rid| u64::from(rid[0]));
        let ends = self.ends[from..to].iter().step_by(16).map(|end| u64::from(*end));
        let prints = prints.iter().step_by(32).take(SMALL).map(|print| u64::from(*print));
        rids.chain(ends).chain(prints).fold(0, u64::wrapping_add)
    }

    fn memory_bytes(&self) -> usize {
        16 * (self.rids.capacity() + self.tags.capacity()) + 4 * self.ends.capacity() + 2 * self.prints.capacity()
    }
}

#[derive(Default)]
struct Table {
    scopes: Vec<Scope>,
    numbers: HashMap<[u8; 32], u32>,
    /// Scope of each record. Its keys are chosen by owners, hence the standard library's keyed hash.
    records: HashMap<Rid, u32>,
}

/// A part of the work of one search: some candidates of one scope under one key.
struct Task<'a> {
    item: u32,
    key: &'a [u8; 32],
    scope: &'a Scope,
    from: usize,
    to: usize,
}

impl Table {
    fn tasks<'a>(&'a self, keys: &'a TagKeys) -> Vec<Task<'a>> {
        let mut tasks = Vec::new();
        for (item, (name, key)) in keys.items().enumerate() {
            let mut add = |scope: &'a Scope| {
                for from in (0..scope.rids.len()).step_by(TASK) {
                    let to = scope.rids.len().min(from + TASK);
                    tasks.push(Task { item: item as u32, key, scope, from, to });
                }
            };
            if *name == EVERY_SCOPE {
                self.scopes.iter().for_each(&mut add);
            } else if let Some(number) = self.numbers.get(name) {
                add(&self.scopes[*number as usize]);
            }
        }
        tasks
    }

    fn search(&self, keys: &TagKeys, limit: usize) -> Vec<(u32, Rid)> {
        let tasks = self.tasks(keys);
        let found = pool::chunks(tasks.len(), TASK_GRAIN, |from, to| {
            let mut matches = Vec::new();
            let mut rids = Vec::new();
            let mut ready: Option<(u32, Aes256Enc)> = None;
            for group in tasks[from..to].chunks(GROUP) {
                black_box(group.iter().fold(0, |sum, task| task.scope.fetch(task.from, task.to) ^ sum));
                for task in group {
                    // Tasks of one key follow each other: those of a large scope, and all of a key for every scope.
                    let (_, key) = match ready.take().filter(|(item, _)| *item == task.item) {
                        Some(same) => ready.insert(same),
                        None => ready.insert((task.item, cipher(task.key))),
                    };
                    task.scope.find(key, task.from, task.to, &mut rids);
                    matches.extend(rids.drain(..).map(|rid| (task.item, rid)));
                }
                if matches.len() >= limit {
                    break;
                }
            }
            matches
        });
        let mut matches: Vec<(u32, Rid)> = found.into_iter().flatten().collect();
        matches.truncate(limit);
        matches
    }
}

/// Check the form of a record's tags: a power of two of them, ascending, none twice.
fn checked_tags(tags: &[u8]) -> PyResult<&[Tag]> {
    let (tags, rest) = tags.as_chunks::<16>();
    if !rest.is_empty() || !tags.len().is_power_of_two() || !TAGS.contains(&tags.len()) {
        return Err(refuse("a record has 8 to 2,048 tags of 16 bytes, a power of two of them"));
    }
    if !tags.is_sorted_by(|a, b| a < b) {
        return Err(refuse("tags ascend, and none occurs twice"));
    }
    Ok(tags)
}

#[pyfunction]
pub fn check_tags(tags: &[u8]) -> PyResult<()> {
    checked_tags(tags).map(|_| ())
}

/// Scopes, records and tags, held in memory; whoever owns it stores them.
#[pyclass(frozen, module = "salus._native")]
pub struct IndexTable(RwLock<Table>);

impl IndexTable {
    fn read<R>(&self, f: impl FnOnce(&Table) -> R) -> R {
        f(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<R>(&self, f: impl FnOnce(&mut Table) -> R) -> R {
        f(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

#[pymethods]
impl IndexTable {
    #[new]
    fn new() -> Self {
        Self(RwLock::default())
    }

    fn add(&self, py: Python<'_>, scope: &[u8], rid: &[u8], tags: &[u8]) -> PyResult<()> {
        let scope = args::array::<32>(scope, "a scope has 32 bytes")?;
        let rid = args::array::<16>(rid, "a record's id has 16 bytes")?;
        let tags = checked_tags(tags)?;
        if scope == EVERY_SCOPE {
            return Err(refuse("no scope is all zeros"));
        }
        py.detach(|| {
            self.write(|table| {
                if table.records.contains_key(&rid) {
                    return Err(refuse("the record is in the index already"));
                }
                if table.records.len() >= MAX_RECORDS {
                    return Err(refuse("the index is full"));
                }
                let next = table.scopes.len();
                let number = *table.numbers.entry(scope).or_insert(next as u32);
                if number as usize == next {
                    table.scopes.push(Scope::new(scope));
                }
                table.scopes[number as usize].push(rid, tags)?;
                table.records.insert(rid, number);
                Ok(())
            })
        })
    }

    fn remove(&self, py: Python<'_>, rid: &[u8]) -> PyResult<bool> {
        let rid = args::array::<16>(rid, "a record's id has 16 bytes")?;
        Ok(py.detach(|| {
            self.write(|table| {
                let Some(number) = table.records.remove(&rid) else { return false };
                let scope = &mut table.scopes[number as usize];
                if let Some(record) = scope.rids.iter().position(|other| *other == rid) {
                    scope.remove(record);
                }
                true
            })
        }))
    }

    fn search<'py>(&self, py: Python<'py>, keys: &TagKeys, limit: usize) -> PyResult<Vec<(u32, Bound<'py, PyBytes>)>> {
        if limit == 0 || limit > args::MAX_BATCH {
            return Err(refuse("a search gives 1 to 2^20 records"));
        }
        let found = py.detach(|| self.read(|table| table.search(keys, limit)));
        Ok(found.iter().map(|(item, rid)| (*item, PyBytes::new(py, rid))).collect())
    }

    fn scopes<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.read(|table| {
            let held = table.scopes.iter().filter(|scope| !scope.rids.is_empty());
            let mut names: Vec<&[u8; 32]> = held.map(|scope| &scope.name).collect();
            names.sort_unstable();
            names.into_iter().map(|name| PyBytes::new(py, name)).collect()
        })
    }

    #[allow(clippy::type_complexity)]
    fn entries<'py>(
        &self,
        py: Python<'py>,
        scope: &[u8],
        from_record: usize,
        count: usize,
    ) -> PyResult<Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)>> {
        let name = args::array::<32>(scope, "a scope has 32 bytes")?;
        Ok(self.read(|table| {
            let Some(scope) = table.numbers.get(&name).map(|number| &table.scopes[*number as usize]) else {
                return Vec::new();
            };
            let to = scope.rids.len().min(from_record.saturating_add(count));
            let entry = |i: usize| {
                let tags = scope.tags[scope.start(i)..scope.ends[i] as usize].as_flattened();
                (PyBytes::new(py, &scope.rids[i]), PyBytes::new(py, tags))
            };
            (from_record..to).map(entry).collect()
        }))
    }

    fn scope_of<'py>(&self, py: Python<'py>, rid: &[u8]) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let rid = args::array::<16>(rid, "a record's id has 16 bytes")?;
        Ok(self.read(|table| {
            let number = table.records.get(&rid)?;
            Some(PyBytes::new(py, &table.scopes[*number as usize].name))
        }))
    }

    fn memory_bytes(&self) -> usize {
        self.read(|table| {
            let columns: usize = table.scopes.iter().map(Scope::memory_bytes).sum();
            let maps = table.numbers.capacity() * 37 + table.records.capacity() * 21;
            columns + maps + table.scopes.capacity() * size_of::<Scope>()
        })
    }

    fn __len__(&self) -> usize {
        self.read(|table| table.records.len())
    }

    fn __repr__(&self) -> &'static str {
        "IndexTable(..)"
    }
}
