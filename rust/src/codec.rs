//! The canonical value encoding of `salus.codec`: None, u64, bytes, text and tuples, bounded, no second encoding of anything.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyList, PyString, PyTuple};

use crate::args::refuse;

/// Deepest nesting of tuples.
pub const MAX_DEPTH: usize = 16;
/// Largest encoding of one value.
pub const MAX_ENCODED_BYTES: usize = 64 * 1024 * 1024;
/// Most elements of one tuple.
pub const MAX_ITEMS: usize = 1 << 20;
/// Tag and length of a byte string, a text or a tuple.
const HEAD_BYTES: usize = 5;

const TOO_LARGE: &str = "the encoding is larger than 64 MiB";
const TOO_DEEP: &str = "tuples are nested deeper than 16";
const TOO_MANY: &str = "a tuple has more than 2^20 elements";
const CUT_OFF: &str = "the encoding is cut off";

/// Builds an encoding piece by piece; the caller keeps counts and contents in step.
#[derive(Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    /// Head of a tuple of `count` values, which follow.
    pub fn tuple(&mut self, count: usize) -> &mut Self {
        self.0.push(b't');
        self.0.extend_from_slice(&(count as u32).to_be_bytes());
        self
    }

    /// An integer.
    pub fn int(&mut self, value: u64) -> &mut Self {
        self.0.push(b'i');
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// A byte string, shorter than 2^32.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.sized(b'b', value)
    }

    /// A text.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.sized(b's', value.as_bytes())
    }

    fn sized(&mut self, tag: u8, value: &[u8]) -> &mut Self {
        self.0.push(tag);
        self.0.extend_from_slice(&(value.len() as u32).to_be_bytes());
        self.0.extend_from_slice(value);
        self
    }
}

fn put(out: &mut Writer, value: &Bound<'_, PyAny>, depth: usize) -> PyResult<()> {
    if value.is_exact_instance_of::<PyBytes>() {
        let bytes = value.cast::<PyBytes>()?.as_bytes();
        check_room(out, HEAD_BYTES + bytes.len())?;
        out.bytes(bytes);
    } else if value.is_exact_instance_of::<PyInt>() {
        check_room(out, 9)?;
        out.int(value.extract::<u64>().map_err(|_| refuse("the integer is outside 0..2^64"))?);
    } else if value.is_exact_instance_of::<PyString>() {
        let text = value.cast::<PyString>()?.to_str().map_err(|_| refuse("the text is not Unicode"))?;
        check_room(out, HEAD_BYTES + text.len())?;
        out.text(text);
    } else if value.is_none() {
        check_room(out, 1)?;
        out.0.push(b'n');
    } else if value.is_exact_instance_of::<PyTuple>() {
        let tuple = value.cast::<PyTuple>()?;
        put_head(out, tuple.len(), depth)?;
        for item in tuple.iter_borrowed() {
            put(out, &item, depth + 1)?;
        }
    } else if value.is_exact_instance_of::<PyList>() {
        let list = value.cast::<PyList>()?;
        let count = list.len();
        put_head(out, count, depth)?;
        for i in 0..count {
            put(out, &list.get_item(i)?, depth + 1)?;
        }
    } else {
        return Err(refuse("only None, int, bytes, str and tuples of these can be encoded"));
    }
    Ok(())
}

/// Whether `count` more bytes fit: exactly what decoding accepts, so that whatever decodes can be encoded again.
fn check_room(out: &Writer, count: usize) -> PyResult<()> {
    if out.0.len().saturating_add(count) > MAX_ENCODED_BYTES {
        return Err(refuse(TOO_LARGE));
    }
    Ok(())
}

fn put_head(out: &mut Writer, count: usize, depth: usize) -> PyResult<()> {
    if depth >= MAX_DEPTH {
        return Err(refuse(TOO_DEEP));
    }
    if count > MAX_ITEMS {
        return Err(refuse(TOO_MANY));
    }
    check_room(out, HEAD_BYTES)?;
    out.tuple(count);
    Ok(())
}

#[pyfunction]
pub fn encode_value<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let mut out = Writer(Vec::with_capacity(256));
    put(&mut out, value, 0)?;
    Ok(PyBytes::new(value.py(), &out.0))
}

/// Reads an encoding from its start.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> PyResult<&'a [u8]> {
        if count > self.0.len() {
            return Err(refuse(CUT_OFF));
        }
        let (head, tail) = self.0.split_at(count);
        self.0 = tail;
        Ok(head)
    }

    fn length(&mut self) -> PyResult<usize> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize)
    }

    fn value<'py>(&mut self, py: Python<'py>, depth: usize) -> PyResult<Bound<'py, PyAny>> {
        match self.take(1)?[0] {
            b'n' => Ok(py.None().into_bound(py)),
            b'i' => {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(self.take(8)?);
                Ok(u64::from_be_bytes(bytes).into_pyobject(py)?.into_any())
            }
            b'b' => {
                let length = self.length()?;
                Ok(PyBytes::new(py, self.take(length)?).into_any())
            }
            b's' => {
                let length = self.length()?;
                let text = std::str::from_utf8(self.take(length)?).map_err(|_| refuse("the text is not UTF-8"))?;
                Ok(PyString::new(py, text).into_any())
            }
            b't' => {
                if depth >= MAX_DEPTH {
                    return Err(refuse(TOO_DEEP));
                }
                let count = self.length()?;
                if count > MAX_ITEMS {
                    return Err(refuse(TOO_MANY));
                }
                // Every element takes at least one byte, so a false count cannot reserve memory.
                if count > self.0.len() {
                    return Err(refuse(CUT_OFF));
                }
                let mut items = Vec::with_capacity(count);
                for _ in 0..count {
                    items.push(self.value(py, depth + 1)?);
                }
                Ok(PyTuple::new(py, items)?.into_any())
            }
            _ => Err(refuse("unknown type tag")),
        }
    }
}

#[pyfunction]
pub fn decode_value<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    if data.len() > MAX_ENCODED_BYTES {
        return Err(refuse(TOO_LARGE));
    }
    let mut reader = Reader(data);
    let value = reader.value(py, 0)?;
    if !reader.0.is_empty() {
        return Err(refuse("bytes follow the value"));
    }
    Ok(value)
}
