"""Keywords of tables and of variant calls.

CSV: the words of its header, and, of columns that hold codes, the codes and their displays. VCF (4.x): the gene symbols of the
usual annotations, and the dbSNP ids of its variants. Values of other columns, names of samples and comments are not indexed.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import Final

from salus.records.info import Peek
from salus.records.tables import COLUMNS_MAX, LINES_MAX, lines
from salus.search.code_systems import known, resembling, short_name
from salus.search.collecting import Collector
from salus.search.keyword import normalise

_CODE_COLUMNS: Final = ("code", "concept_code")
_SYSTEM_COLUMNS: Final = ("system", "code_system", "codesystem", "coding_system", "vocabulary", "vocabulary_id")
_DISPLAY_COLUMNS: Final = ("display", "description", "concept_name")
"""Taken for displays only beside a column of codes: elsewhere a description is narrative."""

_DBSNP: Final = re.compile(r"rs\d{1,12}")
_GENE: Final = re.compile(r"[A-Za-z][A-Za-z0-9.-]{1,23}")
_GENES: Final = frozenset({"GENE", "GENEINFO", "GENE_NAME", "SYMBOL", "Gene.refGene"})
"""INFO keys with gene symbols: ClinVar and dbSNP (``BRCA1:672|NBR2:10230``), ANNOVAR, and callers that say it plainly."""
_SNPEFF_GENE: Final = 3
"""Place of the gene's name in an entry of ANN (variant annotations in VCF, version 1.0)."""
_VEP_FORMAT: Final = re.compile(r"##INFO=<ID=CSQ,.{0,2000}Format: ([\w|]{1,4000})")
_ENTRIES_MAX: Final = 256
"""Annotations of one variant that are read: one for each transcript and allele."""


def collect_csv(peek: Peek, found: Collector) -> None:
    """Collect the keywords of a table.

    :raises FormatError: a line is too long.
    """
    rows = csv.reader(lines(peek))
    header = [normalise(name) for name in next(rows, [])[:COLUMNS_MAX]]
    for name in header:
        found.words(name.replace("_", " "))
    names = [name.replace(" ", "_") for name in header]
    columns = _code_columns(names)
    system_at = _first(names, _SYSTEM_COLUMNS)
    displays = [names.index(name) for name in _DISPLAY_COLUMNS if name in names] if columns else []
    for row in rows if columns else ():
        for at, named in columns:
            code = _at(row, at)
            system = named or _at(row, system_at)
            for one in (system,) if system else resembling(normalise(code)) or ("",):
                found.code(one, code)
        for at in displays:
            found.words(_at(row, at))
    if rows.line_num >= LINES_MAX:
        found.cut_off(f"only its first {LINES_MAX:,} lines were searched for keywords")


def _code_columns(names: list[str]) -> list[tuple[int, str]]:
    """(place, code system) of the columns with codes; "" where another column, or the code's own form, tells the system."""
    columns = []
    for at, name in enumerate(names):
        stem = name.removesuffix("_code")
        # Other names of a system count only before ``_code``: ``wc`` alone is rather a white count than an ATC code.
        system = name if stem == name else short_name(stem.replace("_", " "))
        if name in _CODE_COLUMNS:
            columns.append((at, ""))
        elif known(system):
            columns.append((at, system))
    return columns


def collect_vcf(peek: Peek, found: Collector) -> None:
    """Collect the keywords of variant calls.

    :raises FormatError: a line is too long.
    """
    vep_gene = -1
    number = 0
    for line in lines(peek, "replace"):
        number += 1
        if line.startswith("#"):
            form = _VEP_FORMAT.match(line)
            if form is not None:
                vep_gene = _first(form[1].split("|"), ("SYMBOL",))
            continue
        fields = line.rstrip("\r\n").split("\t", 8)
        if len(fields) < 8:
            continue
        for one in fields[2].split(";"):
            if _DBSNP.fullmatch(one):
                found.code_of_many("dbsnp", one)
        for symbol in _genes(fields[7], vep_gene):
            if _GENE.fullmatch(symbol):
                found.words(symbol)
    if number >= LINES_MAX:
        found.cut_off(f"only its first {LINES_MAX:,} lines were searched for keywords")


def _genes(info: str, vep_gene: int) -> Iterator[str]:
    for item in info.split(";"):
        key, _, value = item.partition("=")
        if key in _GENES:
            yield from (one.partition(":")[0] for one in re.split(r"[|,]", value, maxsplit=_ENTRIES_MAX)[:_ENTRIES_MAX])
        elif key in ("ANN", "CSQ"):
            place = _SNPEFF_GENE if key == "ANN" else vep_gene
            yield from (_at(one.split("|"), place) for one in value.split(",", _ENTRIES_MAX)[:_ENTRIES_MAX])


def _first(names: list[str], wanted: tuple[str, ...]) -> int:
    return next((names.index(name) for name in wanted if name in names), -1)


def _at(row: list[str], place: int) -> str:
    return row[place].strip() if 0 <= place < len(row) else ""
