//! A store of equal-sized nodes addressed by 31-bit indices.

const CHUNK: usize = 4096;
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
    /// Put a value in a free place and give its index.
    pub fn insert(&mut self, value: T) -> usize {
        if let Some(index) = self.free.pop() {
            *self.get_mut(index as usize) = value;
            return index as usize;
        }
        if self.len == self.chunks.len() * CHUNK {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        self.chunks[self.len / CHUNK].push(value);
        self.len += 1;
        assert!(self.len <= CAPACITY, "the arena is full");
        self.len - 1
    }

    /// The value at an index.
    pub fn get(&self, index: usize) -> &T {
        &self.chunks[index / CHUNK][index % CHUNK]
    }

    /// The value at an index, to change.
    pub fn get_mut(&mut self, index: usize) -> &mut T {
        &mut self.chunks[index / CHUNK][index % CHUNK]
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
