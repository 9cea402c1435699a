//! Merging sorted runs of pages into one run: entries are compared and copied as they are encoded.
//!
//! A page is the canonical encoding of a tuple of (key, value or None); `src/salus/ledger/storage/runs.py` says which
//! pages to read and where the new ones go.

use std::ops::Range;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::args::refuse;
use crate::codec::Writer;
use crate::key_prefixes::KeyPrefixes;

const KEY_BYTES: usize = 32;
/// Most runs merged at once: the storage merges sixteen, and all of them when it lists everything.
const MAX_SOURCES: usize = 4096;
const MALFORMED: &str = "it is not a tuple of keys with their values";

/// One encoded entry in its page.
struct Entry {
    whole: Range<usize>,
    deleted: bool,
}

/// Where an entry's key stands: after the head of its tuple and its own.
fn key_of(page: &[u8], entry: &Entry) -> Range<usize> {
    let start = entry.whole.start + 10;
    debug_assert!(start + KEY_BYTES <= page.len());
    start..start + KEY_BYTES
}

/// A big-endian length behind a tag.
fn head(page: &[u8], at: usize, tag: u8) -> Option<usize> {
    let head = page.get(at..at.checked_add(5)?)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    (head[0] == tag).then_some(length as usize)
}

/// The entries of a page, or nothing if it is no page.
fn entries_of(page: &[u8]) -> Option<Vec<Entry>> {
    let count = head(page, 0, b't')?;
    let mut entries = Vec::with_capacity(count.min(page.len() / KEY_BYTES));
    let mut at = 5;
    for _ in 0..count {
        let start = at;
        let key_fits = head(page, at, b't')? == 2 && head(page, at + 5, b'b')? == KEY_BYTES;
        at += 10 + KEY_BYTES;
        let deleted = *page.get(at)? == b'n';
        at = if deleted { at + 1 } else { (at + 5).checked_add(head(page, at, b'b')?)? };
        if !key_fits || at > page.len() {
            return None;
        }
        entries.push(Entry { whole: start..at, deleted });
    }
    (at == page.len()).then_some(entries)
}

/// One run being read: its loaded page, and how far it is used up.
#[derive(Default)]
struct Source {
    page: Vec<u8>,
    entries: Vec<Entry>,
    next: usize,
    last_key: Option<[u8; KEY_BYTES]>,
    ended: bool,
}

impl Source {
    fn key(&self) -> Option<&[u8]> {
        self.entries.get(self.next).map(|entry| &self.page[key_of(&self.page, entry)])
    }

    fn wants(&self) -> bool {
        !self.ended && self.next == self.entries.len()
    }

    fn load(&mut self, page: &[u8]) -> Result<(), &'static str> {
        let entries = entries_of(page).ok_or(MALFORMED)?;
        let mut last = self.last_key;
        for entry in &entries {
            let key = page[key_of(page, entry)].try_into().ok();
            if key <= last {
                return Err("its keys do not ascend");
            }
            last = key;
        }
        *self = Self { page: page.to_vec(), entries, next: 0, last_key: last, ended: false };
        Ok(())
    }
}

/// Several runs, oldest first, becoming one.
#[pyclass(module = "salus._native")]
pub struct RunMerge {
    sources: Vec<Source>,
    drop_deleted: bool,
    entries_a_page: usize,
    open: Vec<u8>,
    open_count: usize,
    prefixes: Vec<u32>,
    done: bool,
}

impl RunMerge {
    /// Take the smallest key out of every source that has it; the newest entry goes to the output. None: all are used up.
    fn take(&mut self) -> Option<()> {
        let (mut best, mut holder): (Option<&[u8]>, usize) = (None, 0);
        for (number, source) in self.sources.iter().enumerate() {
            if let Some(key) = source.key() {
                if best.is_none_or(|smallest| key <= smallest) {
                    (best, holder) = (Some(key), number);
                }
            }
        }
        let key: [u8; KEY_BYTES] = best?.try_into().ok()?;
        let newest = &self.sources[holder];
        let entry = &newest.entries[newest.next];
        if !(entry.deleted && self.drop_deleted) {
            self.open.extend_from_slice(&newest.page[entry.whole.clone()]);
            self.open_count += 1;
            self.prefixes.push(u32::from_be_bytes([key[0], key[1], key[2], key[3]]));
        }
        for source in &mut self.sources {
            if source.key() == Some(&key[..]) {
                source.next += 1;
            }
        }
        Some(())
    }

    fn close_page(&mut self) -> Vec<u8> {
        let mut page = Writer(Vec::with_capacity(5 + self.open.len()));
        page.tuple(self.open_count);
        page.0.append(&mut self.open);
        self.open_count = 0;
        page.0
    }

    fn run(&mut self, budget: usize) -> (Vec<Vec<u8>>, usize) {
        let (mut pages, mut handled) = (Vec::new(), 0);
        while handled < budget && !self.done && !self.sources.iter().any(Source::wants) {
            if self.take().is_none() {
                self.done = true;
                if self.open_count > 0 {
                    pages.push(self.close_page());
                }
                break;
            }
            handled += 1;
            if self.open_count == self.entries_a_page {
                pages.push(self.close_page());
            }
        }
        (pages, handled)
    }

    fn source(&mut self, number: usize) -> PyResult<&mut Source> {
        self.sources.get_mut(number).filter(|s| s.wants()).ok_or_else(|| refuse("that source wants no page"))
    }
}

#[pymethods]
impl RunMerge {
    #[new]
    fn new(sources: usize, entries_a_page: usize, drop_deleted: bool) -> PyResult<Self> {
        if sources > MAX_SOURCES || entries_a_page == 0 {
            return Err(refuse("too many sources, or pages without entries"));
        }
        let sources = (0..sources).map(|_| Source::default()).collect();
        let (open, prefixes) = (Vec::new(), Vec::new());
        Ok(Self { sources, drop_deleted, entries_a_page, open, open_count: 0, prefixes, done: false })
    }

    fn wants(&self) -> Vec<usize> {
        (0..self.sources.len()).filter(|&number| self.sources[number].wants()).collect()
    }

    fn feed(&mut self, source: usize, page: &[u8]) -> PyResult<()> {
        self.source(source)?.load(page).map_err(refuse)
    }

    fn end(&mut self, source: usize) -> PyResult<()> {
        self.source(source)?.ended = true;
        Ok(())
    }

    fn step<'py>(&mut self, py: Python<'py>, budget: usize) -> (Vec<Bound<'py, PyBytes>>, usize) {
        let (pages, handled) = py.detach(|| self.run(budget));
        (pages.iter().map(|page| PyBytes::new(py, page)).collect(), handled)
    }

    #[getter]
    fn done(&self) -> bool {
        self.done
    }

    fn prefixes(&self) -> KeyPrefixes {
        KeyPrefixes::of(self.prefixes.clone())
    }
}
