"""Keywords of WFDB waveforms: the names of their signals (``signal|mlii``). Comments of a header tell age, sex and drugs, and
are not indexed."""

from __future__ import annotations

from salus.records.info import Peek
from salus.records.waveform import HEADER_BYTES_MAX, parse_header, read_header
from salus.search.collecting import Collector


def collect(peek: Peek, found: Collector) -> None:
    """Collect the keywords of a header, or of a signal or annotation file with its header beside it.

    :raises FormatError: the header is malformed.
    """
    if peek.suffix == ".hea":
        peek.stream.seek(0)
        header = parse_header(peek.stream.read(HEADER_BYTES_MAX + 1))
    elif peek.folder is not None:
        header = read_header((peek.folder / peek.name).with_suffix(".hea"))
    else:
        return
    for signal in header.signals:
        found.code("signal", signal.description)
        found.words(signal.description)
