//! What a search over the index costs at least: setting up a key, one AES block, one look-up in a table, each alone in a loop.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::hint::black_box;
use std::time::Instant;

use aes::cipher::BlockCipherEncrypt;
use aes::Block;
use sha2::{Digest, Sha512};

use crate::tag_keys::cipher;

/// Keys and blocks that a loop goes through.
const INPUTS: usize = 512;
/// Largest table: entries of the largest index that is measured.
const MAX_ENTRIES: usize = 1 << 20;

/// Tags are random already: their first bytes are as good a hash as any, and the cheapest.
#[derive(Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

fn tag(n: u64) -> [u8; 16] {
    // Two rounds of splitmix64: uniform enough for a table, and cheap for a million of them.
    let mut out = [0; 16];
    for (half, place) in out.as_chunks_mut::<8>().0.iter_mut().zip(1..) {
        let mut z = (n * 2 + place).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        *half = (z ^ (z >> 31)).to_le_bytes();
    }
    out
}

fn keys() -> Vec<[u8; 32]> {
    (0..INPUTS).map(|n| Sha512::digest(n.to_be_bytes()).first_chunk::<32>().copied().unwrap_or_default()).collect()
}

/// Seconds of `iterations` look-ups of absent tags, which cost one probe, in a table of `entries` tags.
fn look_up(entries: usize, iterations: usize) -> f64 {
    let table: HashMap<[u8; 16], u32, BuildHasherDefault<FirstBytes>> =
        (0..entries as u64).map(|n| (tag(n), n as u32)).collect();
    let wanted: Vec<[u8; 16]> = (0..iterations as u64).map(|n| tag(n + MAX_ENTRIES as u64)).collect();
    let start = Instant::now();
    let found = wanted.iter().filter(|tag| table.contains_key(black_box(*tag))).count();
    black_box(found);
    start.elapsed().as_secs_f64()
}

/// Seconds of a loop over one of the three, or `None` if the name is another's.
pub fn bench_index(name: &str, iterations: usize) -> Option<f64> {
    let keys = keys();
    match name {
        "aes_key" => {
            let start = Instant::now();
            for i in 0..iterations {
                black_box(cipher(black_box(&keys[i % INPUTS])));
            }
            Some(start.elapsed().as_secs_f64())
        }
        "aes_block" => {
            let (cipher, mut blocks) = (cipher(&keys[0]), [Block::default(); INPUTS]);
            let start = Instant::now();
            for _ in 0..iterations.div_ceil(INPUTS) {
                cipher.encrypt_blocks(black_box(&mut blocks));
            }
            // Whole batches were done: scale to what was asked for.
            Some(start.elapsed().as_secs_f64() * iterations as f64 / (iterations.div_ceil(INPUTS) * INPUTS) as f64)
        }
        _ => {
            let entries =
                name.strip_prefix("table_look_up_")?.parse().ok().filter(|n| (1..=MAX_ENTRIES).contains(n))?;
            Some(look_up(entries, iterations))
        }
    }
}
