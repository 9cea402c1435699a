//! Arguments from Python: bounded sequences copied out before the interpreter lock is released.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Longest batch of one call: a block of admissions or a vector of shares is far below it.
pub const MAX_BATCH: usize = 1 << 20;

/// A `ValueError` with this text.
pub fn refuse(text: &'static str) -> PyErr {
    PyValueError::new_err(text)
}

/// Copy every element of a Python sequence through `f`, at most [`MAX_BATCH`] of them.
pub fn collect<'py, T>(
    seq: &Bound<'py, PyAny>,
    mut f: impl FnMut(&Bound<'py, PyAny>) -> PyResult<T>,
) -> PyResult<Vec<T>> {
    let len = seq.len()?;
    if len > MAX_BATCH {
        return Err(refuse("too many elements in one batch"));
    }
    // Exactly one allocation: a growing vector would leave copies of secrets behind.
    let mut out = Vec::with_capacity(len);
    for item in seq.try_iter()? {
        if out.len() == len {
            return Err(refuse("the sequence changed while it was read"));
        }
        out.push(f(&item?)?);
    }
    Ok(out)
}

/// Exactly `N` bytes, or `ValueError` with `text`.
pub fn array<const N: usize>(data: &[u8], text: &'static str) -> PyResult<[u8; N]> {
    data.try_into().map_err(|_| refuse(text))
}

/// A Python `bytes` object of exactly `N` bytes.
pub fn bytes_array<const N: usize>(item: &Bound<'_, PyAny>, text: &'static str) -> PyResult<[u8; N]> {
    array(item.cast::<PyBytes>()?.as_bytes(), text)
}

/// Both sequences of a batch have one length.
pub fn same_length(a: usize, b: usize) -> PyResult<()> {
    if a == b {
        Ok(())
    } else {
        Err(refuse("the sequences differ in length"))
    }
}
