"""BLAKE3, slow and obvious, after its paper (O'Connor, Aumasson, Neves, Wilcox-O'Hearn, 2020), 32 bytes out."""

from __future__ import annotations

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
CHUNK_START, CHUNK_END, PARENT, ROOT, DERIVE_CONTEXT, DERIVE_MATERIAL = 1, 2, 4, 8, 32, 64
CHUNK_BYTES, BLOCK_BYTES = 1024, 64
MASK = 0xFFFFFFFF

Words = tuple[int, ...]


def mix(v: list[int], a: int, b: int, c: int, d: int, x: int, y: int) -> None:
    """The quarter round G (section 2.2)."""
    for word, turn_d, turn_b in ((x, 16, 12), (y, 8, 7)):
        v[a] = (v[a] + v[b] + word) & MASK
        v[d] = turn(v[d] ^ v[a], turn_d)
        v[c] = (v[c] + v[d]) & MASK
        v[b] = turn(v[b] ^ v[c], turn_b)


def turn(word: int, by: int) -> int:
    return (word >> by | word << (32 - by)) & MASK


def compress(chain: Words, block: bytes, counter: int, flags: int) -> Words:
    """The compression function, cut to the eight words that chain (section 2.2)."""
    m = words(block.ljust(BLOCK_BYTES, b"\0"))
    v = [*chain, *IV[:4], counter & MASK, counter >> 32, len(block), flags]
    for _ in range(7):
        for i in range(4):
            mix(v, i, 4 + i, 8 + i, 12 + i, m[2 * i], m[2 * i + 1])
        for i in range(4):
            mix(v, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, m[8 + 2 * i], m[9 + 2 * i])
        m = tuple(m[i] for i in PERMUTATION)
    return tuple(v[i] ^ v[i + 8] for i in range(8))


def words(data: bytes) -> Words:
    return tuple(int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4))


def packed(chain: Words) -> bytes:
    return b"".join(word.to_bytes(4, "little") for word in chain)


def subtree(key: Words, data: bytes, first_chunk: int, mode: int, root: int) -> Words:
    """Chaining value of a subtree: the left one holds the largest power of two of chunks that leaves some (section 2.1)."""
    if len(data) <= CHUNK_BYTES:
        blocks = [data[i : i + BLOCK_BYTES] for i in range(0, len(data), BLOCK_BYTES)] or [b""]
        chain = key
        for i, block in enumerate(blocks):
            last = i == len(blocks) - 1
            flags = mode | (CHUNK_START if i == 0 else 0) | ((CHUNK_END | root) if last else 0)
            chain = compress(chain, block, first_chunk, flags)
        return chain
    chunks = -(-len(data) // CHUNK_BYTES)
    left = 1 << (chunks - 1).bit_length() - 1
    children = packed(subtree(key, data[: left * CHUNK_BYTES], first_chunk, mode, 0))
    children += packed(subtree(key, data[left * CHUNK_BYTES :], first_chunk + left, mode, 0))
    return compress(key, children, 0, mode | PARENT | root)


def blake3(data: bytes) -> bytes:
    """Hash, 32 bytes."""
    return packed(subtree(IV, data, 0, 0, ROOT))


def derive_key(context: str, material: bytes) -> bytes:
    """Key derivation, 32 bytes (section 2.3)."""
    key = words(packed(subtree(IV, context.encode(), 0, DERIVE_CONTEXT, ROOT)))
    return packed(subtree(key, material, 0, DERIVE_MATERIAL, ROOT))
