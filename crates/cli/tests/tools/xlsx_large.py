"""A workbook of more rows than a sheet holds: read by openpyxl as a stream and compared with the CSV
of the same export, row by row; the service's memory stays level while it is made.

xlsx_large.py BINARY DATA ROWS (made by sample)
"""
import csv
import datetime
import decimal
import itertools
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import openpyxl

from server import peak_mb, serving

SHEET_ROWS_MAX = 1_048_575
PEAK_MB_MAX = 400
binary, data, rows_wanted = sys.argv[1], sys.argv[2], int(sys.argv[3])
assert rows_wanted > SHEET_ROWS_MAX
FIELDS = pathlib.Path(__file__).parents[3] / "model" / "data" / "fields.csv"
KINDS = {field["column"]: field["type"] for field in csv.DictReader(FIELDS.open(encoding="utf-8")) if field["report"] == "payments"}


def value(kind, text):
    if text == "":
        return None
    if kind == "date":
        return datetime.datetime.fromisoformat(text)
    if kind in ("amount", "number"):
        return decimal.Decimal(text)
    return text


def same(found, wanted):
    if isinstance(wanted, decimal.Decimal):
        return not isinstance(found, str) and found is not None and decimal.Decimal(repr(found)) == wanted
    # The csv module cannot tell "" from nothing; xlsx.py can.
    return found == wanted or (found == "" and wanted is None)


with tempfile.TemporaryDirectory() as folder, serving(binary, data) as (url, process, token):
    folder = pathlib.Path(folder)
    seconds = {}
    for name in ("all.csv", "all.xlsx"):
        begin = time.monotonic()
        subprocess.run([binary, "export", "payments", "--url", url, "--filter", "paymentAmount gt -1e12", "--out", folder / name, "--manifest", folder / f"{name}.json"],
                       check=True, env={**os.environ, "PAYOUTS_TOKEN": token})
        seconds[name] = time.monotonic() - begin
        subprocess.run([binary, "verify", folder / name, "--manifest", folder / f"{name}.json"], check=True)
    peak = peak_mb(process)
    assert peak < PEAK_MB_MAX, f"peak of {peak:.0f} MB"
    book = openpyxl.load_workbook(folder / "all.xlsx", read_only=True)
    sheets = -(-rows_wanted // SHEET_ROWS_MAX)
    assert book.sheetnames == [f"payments-{n:03}" for n in range(1, sheets + 1)], book.sheetnames
    with (folder / "all.csv").open(encoding="utf-8", newline="") as text:
        wanted = csv.reader(text)
        header = next(wanted)
        kinds = [KINDS[name] for name in header]
        rows = 0
        for number, sheet in enumerate(book, 1):
            found = sheet.iter_rows(values_only=True)
            assert list(next(found)) == header, sheet.title
            here = 0
            for cells, texts in zip(found, itertools.islice(wanted, SHEET_ROWS_MAX)):
                here += 1
                for cell, kind, text in zip(cells, kinds, texts, strict=True):
                    assert same(cell, value(kind, text)), f"{sheet.title} row {here + 1}: {cell!r}, in the CSV {text!r}"
            assert next(found, None) is None, f"{sheet.title} has more rows"
            assert here == (SHEET_ROWS_MAX if number < sheets else rows_wanted - SHEET_ROWS_MAX * (sheets - 1)), (sheet.title, here)
            rows += here
        assert next(wanted, None) is None and rows == rows_wanted
    size = (folder / "all.xlsx").stat().st_size
    print(f"1 passed, 0 failed: {rows:,} rows in {sheets} sheets, {size / 1e6:.0f} MB, asked to checked in {seconds['all.xlsx']:.1f} s (CSV {seconds['all.csv']:.1f} s), peak {peak:.0f} MB")
