"""The upgrade that docs/operations.md describes, from another build of the service to this one.

upgrade.py OLDER NEWER WORK: data that the older binary made, stopped in order and by a kill, go on
under the newer one with nothing lost; then what the older one does with them.
"""
import hashlib
import json
import pathlib
import re
import shutil
import sqlite3
import sys

from faulty import FILTERS, FORMATS, Imports, Oracle, Place, demand, demand_owners, demand_store, verify_file

COMPLETED = 12
REFUSAL = "was written by another version of payouts"


def with_workers(place, workers):
    text = place.config.read_text()
    place.config.write_text(re.sub(r"workers = \d+", f"workers = {workers}", text))


def accept(place, number):
    text, where = FILTERS[number % len(FILTERS)]
    file_format = FORMATS[number % len(FORMATS)]
    status, _, body = place.ask(f"upgrade-{number}", text, file_format)
    demand(status == 202, "POST:", status, body)
    return json.loads(body)["requestId"], where, file_format


def manifest(place, request):
    status, _, text = place.call("GET", f"/v1.0/payouts/payments/{request}/manifest")
    demand(status == 200, "manifest of", request, status, text)
    return text


def link(place, request):
    status, export = place.see(request)
    demand(status == 200 and export["status"] == "Completed", request, status, export)
    return export["blobLocation"]


def path_of(link):
    return re.sub(r"^https?://[^/]*", "", link)


def heads(place):
    return re.findall(r'audit\.head"?[=:]\s*"?([0-9]+:[0-9a-f]+)', re.sub(r"\x1b\[[0-9;]*m", "", place.log_path.read_text()))


def whole(place, noted):
    place.good("doctor", "--data", place.data, "--deep", "--free-bytes-min", 0)
    demand(noted, "no head of the audit record in the log")
    return place.good("audit", "verify", "--data", place.data, *[a for head in noted for a in ("--head", head)])


def schema(data):
    with sqlite3.connect(f"file:{data}/payouts.db?mode=ro", uri=True, timeout=30) as db:
        return db.execute("SELECT max(version) FROM _sqlx_migrations").fetchone()[0]


def content(data):
    """What is in the database, whatever its file looks like."""
    with sqlite3.connect(f"file:{data}/payouts.db?mode=ro", uri=True, timeout=30) as db:
        return hashlib.sha256("\n".join(db.iterdump()).encode()).hexdigest()


class Before:
    """What the older binary made, and what it said about it."""

    def __init__(self, place, imports, end):
        place.make(20_000)
        place.good("grant", "--data", place.data, "--tenant", "tools", "--principal", "ann", "--participant", "1000042", "--program", "CSP Hoster")
        demand(place.start(), "the older one does not start")
        self.made = []
        for number in range(COMPLETED):
            if number in (3, 7):
                demand(imports.run()[2] == 0, "the older one does not import")
            made = accept(place, number)
            demand(place.until_ended(made[0])["status"] == "Completed", "the older one does not complete", made)
            self.made.append(made)
        self.links = {request: path_of(link(place, request)) for request, *_ in self.made}
        self.files = {request: place.call("GET", path)[2] for request, path in self.links.items()}
        self.manifests = {request: manifest(place, request) for request, *_ in self.made}
        place.good("hold", self.made[0][0], "--data", place.data)
        place.stop()
        # One is cut in the middle of its rows, one waits. A stop hands the first one back.
        self.waiting = [accept_running(place, COMPLETED), *self.queued(place, end)]
        self.grants = place.good("grants", "--data", place.data)
        self.heads = heads(place)
        self.schema = schema(place.data)

    def queued(self, place, end):
        with_workers(place, 0)
        demand(place.start(), "it does not start without workers")
        waiting = [accept(place, COMPLETED + 1 + n) for n in range(3)]
        place.kill() if end == "kill" else place.stop()
        with_workers(place, 2)
        return waiting


def accept_running(place, number):
    demand(place.start(plan="export.chunk=hang"), "it does not start")
    running = accept(place, number)
    while place.see(running[0])[1]["status"] != "Processing":
        pass
    # What hangs cannot be handed back in time; the lease says the same to the next one.
    place.kill()
    return running


def go_on(place, before, imports):
    """Everything that was there is there, and what waited is made."""
    demand(place.start(), "the newer one does not start")
    oracle = Oracle(place.data)
    rows = 0
    for request, where, file_format in before.made:
        demand(place.call("GET", before.links[request])[::2] == (200, before.files[request]), "a link that was out", request)
        demand(place.call("GET", path_of(link(place, request)))[2] == before.files[request], "another file", request)
        demand(manifest(place, request) == before.manifests[request], "another manifest", request)
        rows += verify_file(place, oracle, request, where, file_format)
    for request, where, file_format in before.waiting:
        ended = place.until_ended(request)
        demand(ended and ended["status"] == "Completed", "waited, and did not complete:", ended)
        rows += verify_file(place, oracle, request, where, file_format)
    for number, (request, *_) in enumerate([*before.made, *before.waiting]):
        demand(accept(place, number)[0] == request, "an idempotency key is forgotten:", number)
    demand(place.good("grants", "--data", place.data) == before.grants, "other grants")
    status, _, text = place.call("DELETE", f"/v1.0/payouts/payments/{before.made[0][0]}")
    demand(status == 409, "a hold is forgotten:", status, text)
    demand(imports.run()[2] == 0, "the newer one does not import")
    again = accept(place, 100)
    place.until_ended(again[0])
    rows += verify_file(place, Oracle(place.data), *again)
    imports.demand_all_or_nothing(Oracle(place.data))
    demand_owners(place)
    place.stop()
    demand_store(place.data)
    whole(place, before.heads)
    return rows


def go_back(place, older, newer, before):
    """The older one over data of the newer one: it refuses and changes nothing, or nothing has moved on."""
    place.binary = older
    found = content(place.data)
    if schema(place.data) == before.schema:
        demand(place.start(), "the tables are the same, and the older one does not start")
        demand(place.call("GET", before.links[before.made[0][0]])[0] == 200, "the older one does not know an Export")
        place.stop()
        said = "the tables are the same, and the older one works over them"
    else:
        at = place.log_path.stat().st_size
        demand(not place.start(), "the older one starts over newer tables")
        with open(place.log_path, encoding="utf-8") as log:
            log.seek(at)
            told = log.read()
        demand(REFUSAL in told, "the older one does not say why:", told)
        for command in (["grants"], ["sweep", "--dry-run"], ["import", "payments", "/dev/null"], ["audit", "verify"]):
            code, text = place.run(*command, "--data", place.data)
            demand(code not in (0, None) and REFUSAL in text, command, "by the older one:", code, text)
        said = re.sub(r"\s+", " ", told.split("---")[-1].split("\n", 1)[-1]).strip()
    demand(content(place.data) == found or schema(place.data) == before.schema, "the older one changed what it refused")
    place.binary = newer
    demand(place.start(), "the newer one does not start any more")
    demand(place.call("GET", path_of(link(place, before.made[0][0])))[2] == before.files[before.made[0][0]], "another file")
    place.stop()
    whole(place, before.heads)
    return said


def main():
    older, newer, work = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    for end in ("stop", "kill"):
        shutil.rmtree(work / end, ignore_errors=True)
        (work / end).mkdir(parents=True)
        place = Place(older, work / end / "data", work / end / "log")
        imports = Imports(place, work / end / "in")
        before = Before(place, imports, end)
        place.binary = newer
        rows = go_on(place, before, imports)
        after = schema(place.data)
        said = go_back(place, older, newer, before)
        print(f"after a {end}: tables of version {before.schema} became {after}; {len(before.made)} exports with their files, manifests and links "
              f"as they were, {len(before.waiting)} that waited completed, {rows} rows as DuckDB has them; doctor and audit found nothing")
        print(f"  the older one then: {said}")


if __name__ == "__main__":
    main()
