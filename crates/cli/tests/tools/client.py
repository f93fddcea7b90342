"""A plain client of the HTTP contract, and the ledger as an independent engine sees it.

Written against the published contract only; shares no code with the service.
"""
import json
import pathlib
import time
import urllib.error
import urllib.parse
import urllib.request

import duckdb


class Client:
    def __init__(self, url, token):
        self.url, self.token = url.rstrip("/"), token

    def call(self, method, url, body=None, headers=None):
        """Answers (status, headers, bytes); an HTTP error is an answer too."""
        request = urllib.request.Request(url, method=method, data=body, headers={"Authorization": f"Bearer {self.token}", **(headers or {})})
        while True:
            try:
                with urllib.request.urlopen(request, timeout=120) as answer:
                    return answer.status, answer.headers, answer.read()
            except urllib.error.HTTPError as error:
                if error.code != 429:
                    return error.code, error.headers, error.read()
                time.sleep(float(error.headers["Retry-After"]))

    def ask(self, report, query, body=None):
        """POSTs with a raw query string; answers the parsed body of the 202 or raises."""
        url = f"{self.url}/v1.0/payouts/{report}" + (f"?{query}" if query else "")
        headers = {"Content-Type": "application/json"} if body is not None else {}
        status, _, text = self.call("POST", url, json.dumps(body).encode() if body is not None else b"", headers)
        if status != 202:
            raise AssertionError(f"POST {report} {query[:2000]!r}: {status} {text.decode()[:2000]}")
        return json.loads(text)

    def wait(self, report, request_id):
        """Polls to the end; answers the Export."""
        url = f"{self.url}/v1.0/payouts/{report}/{request_id}"
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            status, _, text = self.call("GET", url, headers={"Prefer": "wait=30"})
            if status != 200:
                raise AssertionError(f"GET {request_id}: {status} {text.decode()[:2000]}")
            export = json.loads(text)
            if export["status"] in ("Completed", "Failed"):
                return export
        raise AssertionError(f"{request_id} did not end")

    def download(self, link):
        with urllib.request.urlopen(link, timeout=600) as answer:
            return answer.read()

    def export(self, report, query, body=None):
        """POST, wait, download: (Export, bytes)."""
        export = self.wait(report, self.ask(report, query, body)["requestId"])
        if export["status"] != "Completed":
            raise AssertionError(f"{report} {query[:500]!r}: {export['error']}")
        return export, self.download(export["value"][0]["blobLocation"])

    def manifest(self, report, request_id):
        status, _, text = self.call("GET", f"{self.url}/v1.0/payouts/{report}/{request_id}/manifest")
        assert status == 200, (status, text)
        return json.loads(text)

    def filter_query(self, text, **more):
        return urllib.parse.urlencode({"$filter": text, **more})


def data_files(table):
    """The files of the newest version of a Delta table, read from its JSON log."""
    table = pathlib.Path(table)
    files = {}
    for log in sorted((table / "_delta_log").glob("*.json")):
        for line in log.read_text().splitlines():
            action = json.loads(line)
            if "add" in action:
                files[action["add"]["path"]] = True
            if "remove" in action:
                files.pop(action["remove"]["path"], None)
    return [str(table / urllib.parse.unquote(path)) for path in files]


def connect(data, report):
    """DuckDB over the same Parquet files, UTC; the rows are the table `t` with a number `rid`."""
    db = duckdb.connect()
    db.execute("SET TimeZone='UTC'")
    names = ", ".join("'" + f.replace("'", "''") + "'" for f in data_files(pathlib.Path(data) / "ledger" / report))
    db.execute(f"CREATE TABLE t AS SELECT row_number() OVER () AS rid, * FROM read_parquet([{names}])")
    return db


COLUMNS = {
    "payments": ["participantID", "programName", "payoutOrderType", "paymentMethod", "paymentCurrencyCode", "paymentID", "paymentStatus", "payoutStatusUpdateTS", "totalPayment", "salesTax", "paymentDate"],
    "transactionhistory": ["earningId", "participantId", "programName", "paymentStatus", "payoutStatusUpdateTS", "earningAmount", "transactionAmount", "earningDate", "isPrivateOffer"],
}


def shown(value):
    """A DuckDB value as the contract prints it."""
    import datetime
    import decimal
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, decimal.Decimal):
        text = f"{value:.4f}"
        while text.endswith("0") and len(text.split(".")[1]) > 2:
            text = text[:-1]
        return text
    if isinstance(value, datetime.datetime):
        value = value.astimezone(datetime.timezone.utc) if value.tzinfo else value
        text = value.strftime("%Y-%m-%dT%H:%M:%S")
        return text + (f".{value.microsecond:06d}".rstrip("0") if value.microsecond else "") + "Z"
    if isinstance(value, datetime.date):
        return value.isoformat()
    return str(value)


def expected_rows(db, report, where):
    columns = ", ".join(f'"{c}"' for c in COLUMNS[report])
    return sorted(tuple(shown(v) for v in row) for row in db.execute(f"SELECT {columns} FROM t WHERE {where}").fetchall())


def exported_rows(data):
    import csv
    import io
    rows = list(csv.reader(io.StringIO(data.decode("utf-8"), newline="")))
    return rows[0], sorted(tuple(r) for r in rows[1:])


def difference(ours, theirs):
    from collections import Counter
    a, b = Counter(ours), Counter(theirs)
    return f"{len(ours)} rows exported, {len(theirs)} expected; only exported: {list((a - b))[:3]}; missing: {list((b - a))[:3]}"
