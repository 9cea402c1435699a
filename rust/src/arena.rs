//! A store of equal-sized nodes addressed by 31-bit indices.
//!
//! Chunks are large and in huge pages where the system gives them: nodes are visited at random, and with ordinary pages
//! nearly every visit to a large arena waits for the page tables too. Memory is taken only as a chunk fills.

/// Bytes of one chunk: huge pages are aligned, so all but the last of its eight lie inside wherever it begins.
const CHUNK_BYTES: usize = 16 << 20;
/// Indices have 31 bits: the top bit and the last one of a reference mean something else.
const CAPACITY: usize = (1 << 31) - 1;

/// Nodes in chunks of fixed size: it grows without copying, and freed places are used again.
pub struct Arena<T> {
    chunks: Vec<Vec<T>>,
    free: Vec<u32>,
    len: usize,
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: Vec::new(), len: 0 }
    }
}

impl<T> Arena<T> {
    const CHUNK: usize = CHUNK_BYTES / size_of::<T>();

    /// Put a value in a free place and give its index.
    pub fn insert(&mut self, value: T) -> usize {
        if let Some(index) = self.free.pop() {
            *self.get_mut(index as usize) = value;
            return index as usize;
        }
        if self.len == self.chunks.len() * Self::CHUNK {
            self.chunks.push(in_huge_pages(Vec::with_capacity(Self::CHUNK)));
        }
        self.chunks[self.len / Self::CHUNK].push(value);
        self.len += 1;
        assert!(self.len <= CAPACITY, "the arena is full");
        self.len - 1
    }

    /// The value at an index.
    pub fn get(&self, index: usize) -> &T {
        &self.chunks[index / Self::CHUNK][index % Self::CHUNK]
    }

    /// The value at an index, to change.
    pub fn get_mut(&mut self, index: usize) -> &mut T {
        &mut self.chunks[index / Self::CHUNK][index % Self::CHUNK]
    }

    /// Give a place back; its value stays until the place is used again.
    pub fn remove(&mut self, index: usize) {
        self.free.push(index as u32);
    }

    /// Values alive.
    pub fn live(&self) -> usize {
        self.len - self.free.len()
    }
}

/// Ask for huge pages under an empty vector's memory; a system that has none goes on with ordinary ones.
#[cfg(target_os = "linux")]
fn in_huge_pages<T>(chunk: Vec<T>) -> Vec<T> {
    const HUGE_PAGE: usize = 2 << 20;
    let begin = chunk.as_ptr() as usize;
    let (first, end) =
        (begin.next_multiple_of(HUGE_PAGE), (begin + chunk.capacity() * size_of::<T>()) / HUGE_PAGE * HUGE_PAGE);
    if first < end {
        // SAFETY: the range lies inside the vector's own allocation, and MADV_HUGEPAGE changes no byte of it.
        unsafe { libc::madvise(first as *mut libc::c_void, end - first, libc::MADV_HUGEPAGE) };
    }
    chunk
}

#[cfg(not(target_os = "linux"))]
fn in_huge_pages<T>(chunk: Vec<T>) -> Vec<T> {
    chunk
}
