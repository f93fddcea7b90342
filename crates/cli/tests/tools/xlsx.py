"""Workbooks against the CSV of the same export, cell by cell: by openpyxl, and by LibreOffice if a
program is named.

xlsx.py URL TOKEN FILTER [SOFFICE]

FILTER is of payments; `true` is every row. Each value is compared by its type: ids and texts as
they are, null and "" apart; numbers as exact decimals of the shortest text of their float; days and
instants as such.
"""
import csv
import datetime
import decimal
import hashlib
import io
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.parse

import openpyxl

from client import Client

client = Client(*sys.argv[1:3])
filter_text = sys.argv[3]
soffice = sys.argv[4] if len(sys.argv) > 4 else None
FIELDS = pathlib.Path(__file__).parents[3] / "model" / "data" / "fields.csv"
KINDS = {(field["report"], field["column"]): field["type"] for field in csv.DictReader(FIELDS.open(encoding="utf-8"))}
UTC = datetime.timezone.utc


def records(text):
    """Rows of (text, quoted): the csv module cannot tell "" from nothing."""
    rows, row, value, quoted, i = [], [], [], False, 0
    while i < len(text):
        if text[i] == '"':
            quoted = True
            end = i + 1
            while True:
                close = text.index('"', end)
                value.append(text[end:close])
                if text[close + 1:close + 2] != '"':
                    break
                value.append('"')
                end = close + 2
            i = close + 1
        elif text[i] == "," or text[i] == "\r":
            row.append(("".join(value), quoted))
            value, quoted = [], False
            if text[i] == "\r":
                rows.append(row)
                row = []
                i += 1
            i += 1
        else:
            end = min(e for e in (text.find(",", i), text.find("\r", i)) if e >= 0)
            value.append(text[i:end])
            i = end
    return rows


def unescaped(text):
    """ECMA-376 part 1, 22.9.2.19; openpyxl leaves it as it is."""
    return re.sub(r"_x([0-9A-Fa-f]{4})_", lambda found: chr(int(found.group(1), 16)), text)


def expected(kind, text, quoted):
    """What a reader of the workbook must see."""
    if kind in ("id", "text", "enum", "guid"):
        return None if text == "" and not quoted else text
    if text == "":
        return None
    if kind == "boolean":
        return text == "true"
    if kind == "date":
        year = int(text[:-6])
        if year < 1900 or year > 9999 or text < "1900-03-01":
            return text
        return datetime.date.fromisoformat(text)
    if kind == "timestamp":
        instant = datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).replace(tzinfo=None)
        fine = instant.microsecond % 1000 == 0 or instant < datetime.datetime(2079, 6, 5)
        return instant if fine and instant >= datetime.datetime(1900, 3, 1) else text
    number = decimal.Decimal(text)
    digits = len(str(int(number.scaleb(8))).lstrip("-").rstrip("0"))
    return number if digits <= 15 else text


def same(kind, found, wanted):
    if isinstance(wanted, decimal.Decimal):
        return not isinstance(found, bool) and isinstance(found, (int, float)) and decimal.Decimal(repr(found)) == wanted
    if isinstance(wanted, datetime.datetime):
        # openpyxl reads to the millisecond; the sheet itself is checked below.
        return isinstance(found, datetime.datetime) and abs(found - wanted) <= datetime.timedelta(microseconds=501)
    if isinstance(wanted, datetime.date):
        return found == datetime.datetime(wanted.year, wanted.month, wanted.day)
    if isinstance(wanted, str) and isinstance(found, str):
        return unescaped(found) == wanted
    return type(found) is type(wanted) and found == wanted


def exact_instants(data, book, columns):
    """The instants of every sheet from its own digits, to the microsecond."""
    import zipfile

    instants = []
    archive = zipfile.ZipFile(io.BytesIO(data))
    for number in range(1, len(book.sheetnames) + 1):
        text = archive.read(f"xl/worksheets/sheet{number}.xml").decode()
        for row in re.findall(r"<row>(.*?)</row>", text, re.S)[1:]:
            cells = re.findall(r"<c/>|<c[ >].*?</c>", row, re.S)
            for column in columns:
                found = re.fullmatch(r'<c s="5"><v>([0-9.]+)</v></c>', cells[column])
                if found:
                    serial = float(found.group(1))
                    micros = round(serial % 1 * 86_400_000_000)
                    instants.append(datetime.datetime(1899, 12, 30) + datetime.timedelta(int(serial), microseconds=micros))
    return instants


def compare(report, query, sheet_rows_max=1_048_575):
    csv_export, text = client.export(report, query + "&fileFormat=csv")
    export, data = client.export(report, query + "&fileFormat=xlsx")
    again, second = client.export(report, query + "&fileFormat=xlsx")
    assert data == second, f"{report}: two equal exports, other bytes"
    manifest, plain = client.manifest(report, export["requestId"]), client.manifest(report, csv_export["requestId"])
    assert manifest["files"][0]["sha256"] == hashlib.sha256(data).hexdigest()
    for member in ("rowCount", "totals", "totalsByProgram", "dates", "columns"):
        assert manifest[member] == plain[member], f"{report}: {member} differs between formats"
    header, *rows = records(text.decode("utf-8"))
    names = [name for name, _ in header]
    kinds = [KINDS[report, name] for name in names]
    book = openpyxl.load_workbook(io.BytesIO(data))
    assert export["rowCount"] == len(rows)
    assert len(book.sheetnames) == max(1, -(-len(rows) // sheet_rows_max)), book.sheetnames
    cells = as_text = 0
    rest = iter(rows)
    for sheet in book:
        assert sheet.freeze_panes == "A2" and sheet.auto_filter.ref == sheet.dimensions, (sheet.freeze_panes, sheet.auto_filter.ref, sheet.dimensions)
        assert all(8 <= sheet.column_dimensions[cell.column_letter].width <= 60 for cell in sheet[1])
        found_rows = sheet.iter_rows()
        assert [cell.value for cell in next(found_rows)] == names and sheet["A1"].font.bold
        for found in found_rows:
            for cell, kind, (text, quoted) in zip(found, kinds, next(rest), strict=True):
                wanted = expected(kind, text, quoted)
                assert same(kind, cell.value, wanted), f"{report} {cell.coordinate} ({kind}): {cell.value!r}, in the CSV {text!r}"
                assert cell.data_type != "f", f"{cell.coordinate} is a formula"
                if isinstance(wanted, str) and kind not in ("id", "text", "enum", "guid"):
                    as_text += 1
                if isinstance(wanted, (datetime.date, datetime.datetime)):
                    assert cell.is_date, cell.number_format
                if kind in ("id", "text", "enum", "guid") and wanted is not None:
                    assert cell.number_format == "@", cell.number_format
                cells += 1
    assert next(rest, None) is None
    warned = [w["message"] for w in manifest["warnings"] if w["code"] == "ValuesAsText"]
    assert warned == [w["message"] for w in export["warnings"] if w["code"] == "ValuesAsText"]
    assert (as_text > 0) == (len(warned) == 1) and (not warned or warned[0].startswith(f"{as_text} ")), (as_text, warned)
    at = [i for i, kind in enumerate(kinds) if kind == "timestamp"]
    wanted = [expected("timestamp", *row[i]) for row in rows for i in at]
    assert exact_instants(data, book, at) == [w for w in wanted if isinstance(w, datetime.datetime)]
    if soffice:
        by_libreoffice(report, data, names, kinds, rows)
    print(f"{report}: {len(rows)} rows, {len(book.sheetnames)} sheets, {cells} cells as in the CSV, {as_text} of them text for want of digits")


def by_libreoffice(report, data, names, kinds, rows):
    """The same by LibreOffice, which writes what it read as CSV."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "book.xlsx"
        path.write_bytes(data)
        # Comma, quotes, UTF-8, values as they are and not as they are shown, a file for each sheet.
        target = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,true,false,false,false,false,-1"
        subprocess.run(
            [soffice, f"-env:UserInstallation=file://{folder}/profile", "--headless", "--convert-to", target, "--outdir", folder, path],
            check=True, stdout=subprocess.DEVNULL, timeout=1800,
        )
        files = sorted(pathlib.Path(folder).glob("book-*.csv"))
        found = []
        for file in files:
            with file.open(encoding="utf-8", newline="") as text:
                header, *more = csv.reader(text)
            assert header == names
            found += more
        assert len(found) == len(rows), (len(found), len(rows))
        for number, (left, right) in enumerate(zip(found, rows, strict=True)):
            for value, kind, (text, quoted), name in zip(left, kinds, right, names, strict=True):
                wanted = expected(kind, text, quoted)
                if isinstance(wanted, decimal.Decimal):
                    good = decimal.Decimal(value) == wanted
                elif isinstance(wanted, datetime.datetime):
                    # Written out by seconds.
                    good = abs(datetime.datetime.fromisoformat(value) - wanted) <= datetime.timedelta(seconds=1)
                elif isinstance(wanted, datetime.date):
                    good = value == wanted.isoformat()
                elif isinstance(wanted, bool):
                    good = value == str(wanted).upper()
                else:
                    good = value.replace("\r\n", "\n").replace("\r", "\n") == (wanted or "").replace("\r\n", "\n").replace("\r", "\n")
                assert good, f"{report} row {number + 1}, {name} by LibreOffice: {value!r}, in the CSV {text!r}"


def excel_profile(report, query):
    """`csv.excel` holds what the CSV holds, once its signs and guards are taken off."""
    _, text = client.export(report, query + "&fileFormat=csv")
    header, *rows = records(text.decode("utf-8"))
    names = [name for name, _ in header]
    kinds = [KINDS[report, name] for name in names]
    for more, separator, sign in [("", ",", "."), ("&decimal=comma", ";", ","), ("&separator=tab&decimal=%2C", "\t", ",")]:
        export, data = client.export(report, f"{query}&fileFormat=csv.excel{more}")
        assert data.startswith(b"\xef\xbb\xbf") and data.count(b"\xef\xbb\xbf") == 1
        found_header, *found = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=separator)
        assert found_header == names and len(found) == len(rows) == export["rowCount"]
        for left, right in zip(found, rows, strict=True):
            for value, kind, (plain, _) in zip(left, kinds, right, strict=True):
                if kind in ("amount", "number"):
                    good = value == plain.replace(".", sign)
                elif kind in ("id", "text", "enum", "guid"):
                    number = re.fullmatch(r"[+-]?\d+([.,]\d+)?", plain)
                    dangerous = re.match(r"'*[=+\-@\t\r\n]", plain) and not number
                    good = value == ("'" + plain if dangerous else plain)
                    assert number or not re.match(r"[=+\-@\t\r\n]", value), f"a formula got through: {value!r}"
                else:
                    good = value == plain
                assert good, f"{report} ({kind}): {value!r}, in the CSV {plain!r}"
    print(f"{report}: {len(rows)} rows as csv.excel")


for report, chosen in (("payments", filter_text), ("transactionhistory", "true")):
    query = "$filter=" + urllib.parse.quote(chosen)
    if report == "payments":
        query += "&$select=*,payoutOrderType,payoutStatusUpdateTS"
    compare(report, query)
    if not soffice:
        excel_profile(report, query)
query = "$filter=" + urllib.parse.quote("enrollmentParticipantId eq 'nobody'")
compare("payments", query)
