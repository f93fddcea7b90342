"""Proves that a file holds the right rows, whoever wrote it, in whatever order.

Every value is brought to one form (money to four decimals, rates to eight, empty and null alike),
every row is hashed, and the hashes are added up: equal sums and counts mean equal rows. A ZIP is
opened by Python's zipfile, everything else is read by DuckDB, which also sums the ledger itself.
"""
import pathlib
import zipfile

import duckdb

from .peer import DuckDb, sql_text


def normal(column, kind):
    """SQL that brings a column of either source to one text."""
    name = f'"{column}"'
    if kind in ("amount", "number"):
        name = f"CAST({name} AS DECIMAL(18,{4 if kind == 'amount' else 8}))"
    elif kind in ("integer", "boolean", "date"):
        name = f"CAST({name} AS {({'integer': 'BIGINT', 'boolean': 'BOOLEAN', 'date': 'DATE'})[kind]})"
    return f"coalesce(CAST({name} AS VARCHAR), '')"


def summed(db, source, fields):
    row = " || chr(31) || ".join(normal(*f) for f in fields)
    rows, digest = db.execute(f"SELECT count(*), sum(CAST(hash({row}) AS HUGEINT)) FROM {source}").fetchone()
    return {"rows": rows, "digest": str(digest)}


def of_ledger(files, fields, where):
    """What the rows of the ledger sum up to. `fields`: (column, type) of the file's columns."""
    select = DuckDb()
    columns = [c for c, _ in fields]
    return summed(select.db, "(" + select.select({"files": files, "columns": columns, "where": where}) + ")", fields)


def of_file(path, form, fields, scratch):
    """What a written file sums up to; `form` is zip, plain, gzip or pigz. `scratch` is a path for the text of a ZIP."""
    scratch = pathlib.Path(scratch)
    try:
        if form == "zip":
            unpack(path, scratch)
            path, packed = scratch, "none"
        else:
            packed = "none" if form == "plain" else "gzip"
        db = duckdb.connect()
        types = ", ".join(f"{sql_text(c)}: 'VARCHAR'" for c, _ in fields)
        with open_text(path, packed) as text:
            header = text.readline().strip().replace('"', "").split(",")
        if header != [c for c, _ in fields]:
            return {"rows": None, "digest": f"another header: {','.join(header)[:300]}"}
        source = (
            f"read_csv({sql_text(path)}, header=true, columns={{{types}}}, auto_detect=false, delim=',', quote='\"', "
            f"escape='\"', nullstr='', compression='{packed}', max_line_size=1048576)"
        )
        return summed(db, source, fields)
    finally:
        scratch.unlink(missing_ok=True)


def open_text(path, packed):
    import gzip
    return gzip.open(path, "rt", encoding="utf-8") if packed == "gzip" else open(path, encoding="utf-8")


def unpack(path, target):
    """The text of all entries, with the header once."""
    with zipfile.ZipFile(path) as archive, open(target, "wb") as out:
        for number, info in enumerate(archive.infolist()):
            with archive.open(info) as entry:
                header = entry.readline()
                if number == 0:
                    out.write(header)
                while piece := entry.read(1 << 20):
                    out.write(piece)
