"""Kills the real binary, again and again, and then looks whether anything was lost.

kills.py BINARY WORK KILLS [SEED]: first, unless KILLS is above 0 and WORK ends in "random", every point of
the life of an export and of an import once, with a kill and with an error; then, unless KILLS is 0,
so many kills at random moments and points, under random load.
Whatever happens follows from the seed, except for what the threads' timing decides.
"""
import collections
import json
import pathlib
import random
import shutil
import sys
import threading
import time

from faulty import FILTERS, FORMATS, Gone, Imports, Oracle, Place, Violation, demand, demand_owners, demand_store, verify_file

HANGS = ["export.chunk", "export.claimed", "blob.sync", "export.accept", "export.flip"]
DAY_MS = 86_400_000


class Request:
    """What is known of one idempotency key."""

    def __init__(self, key, number):
        self.key = key
        text, self.where = FILTERS[number % len(FILTERS)]
        # A condition that holds for every row, so that the list tells whose Export it is.
        self.filter = f"({text}) and programName ne '{key}'"
        self.format = FORMATS[number % len(FORMATS)]
        self.id = None
        self.deleting = self.deleted = self.tried = False


class Load:
    """Random requests, and what was answered to them."""

    def __init__(self, place, imports, rnd):
        self.place, self.imports, self.rnd = place, imports, rnd
        self.requests, self.lock = {}, threading.Lock()
        self.failed, self.done = [], False
        self.answers = collections.Counter()
        self.granted = []

    def new(self):
        with self.lock:
            number = len(self.requests)
            request = self.requests[f"key-{number}"] = Request(f"key-{number}", number)
        return request

    def post(self, request):
        request.tried = True
        status, headers, text = self.place.ask(request.key, request.filter, request.format)
        self.answers[f"POST {status}"] += 1
        if status == 202:
            found = json.loads(text)["requestId"]
            demand(request.id in (None, found) or headers.get("Idempotency-Replayed") is None and self.ended_badly(request),
                   request.key, "was", request.id, "and is now", found)
            request.id = found
        else:
            demand(status in (500, 503), "POST answered", status, text)

    def ended_badly(self, request):
        """Its key is free again once it has failed."""
        status, export = self.place.see(request.id)
        return status == 200 and export["status"] == "Failed"

    def look(self, request):
        status, export = self.place.see(request.id)
        self.answers[f"GET {status}"] += 1
        if status == 404:
            demand(request.deleting, request.key, request.id, "was accepted and is not there")
        elif status == 200 and export["status"] == "Completed" and export["blobLocation"]:
            status, _, data = self.place.call("GET", export["blobLocation"])
            self.answers[f"file {status}"] += 1
            demand(status != 200 or len(data) == int(export["fileSizeBytes"]), request.key, "downloads short")
            demand(status in (200, 500, 503) or request.deleting, request.key, "is Completed, its file answers", status)
        else:
            demand(status in (200, 500, 503), "GET answered", status, export)

    def delete(self, request):
        request.deleting = True
        status, _, text = self.place.call("DELETE", f"/v1.0/payouts/payments/{request.id}")
        self.answers[f"DELETE {status}"] += 1
        demand(status in (200, 404, 500, 503), "DELETE answered", status, text)
        request.deleted = request.deleted or status in (200, 404)

    def step(self, rnd):
        known = [r for r in list(self.requests.values()) if r.id and not r.deleting]
        unsure = [r for r in list(self.requests.values()) if r.tried and not r.id]
        dice = rnd.random()
        if dice < 0.45 or not known:
            self.post(self.new())
        elif dice < 0.6:
            self.post(rnd.choice(unsure or known))
        elif dice < 0.9:
            self.look(rnd.choice(known))
        else:
            self.delete(rnd.choice(known))

    def client(self, seed):
        rnd = random.Random(seed)
        while not self.done:
            try:
                self.step(rnd)
            except Gone:
                self.answers["no answer"] += 1
                time.sleep(0.02)
            except Violation as violation:
                self.failed.append(str(violation))
                return
            time.sleep(rnd.random() * 0.03)

    def commands(self, seed, points):
        """Imports and grants beside the service, some of them killed too."""
        rnd = random.Random(seed)
        while not self.done:
            plan = f"{rnd.choice([p for p in points if p.startswith('import.')])}={rnd.choice(['kill', 'error', 'full'])}@{rnd.randint(1, 2)}" if rnd.random() < 0.6 else None
            _, _, code, text = self.imports.run(plan=plan)
            self.answers[f"import {'done' if code == 0 else 'killed' if code and code < 0 else 'refused'}"] += 1
            tenant = f"tenant-{len(self.granted)}"
            code, text = self.place.run("grant", "--data", self.place.data, "--tenant", tenant, "--participant", 1000042, "--program", "CSP Hoster")
            if code == 0:
                self.granted.append(tenant)
            elif "locked" not in text:
                self.failed.append(f"grant: {code} {text}")
            time.sleep(rnd.random() * 0.5)


def settle(place, load, imports):
    """After everything: a start without faults, and every invariant."""
    demand(place.start(), "it does not start any more")
    oracle = Oracle(place.data)
    for request in load.requests.values():
        if request.tried and not request.id:
            load.post(request)
    ended, files, rows = collections.Counter(), 0, 0
    for request in load.requests.values():
        if not request.id:
            continue
        export = place.until_ended(request.id)
        if export is None:
            demand(request.deleting, request.key, request.id, "is lost")
            ended["deleted"] += 1
            continue
        demand(not request.deleted, request.key, "came back after DELETE")
        ended[export["status"]] += 1
        if export["status"] == "Failed":
            error = export["error"] or {}
            demand(error.get("code") and error.get("message"), request.key, "failed without a reason")
            ended[error["code"]] += 1
            continue
        rows += verify_file(place, oracle, request.id, request.where, request.format)
        files += 1
        if not request.deleting:
            before = request.id
            load.post(request)
            demand(request.id == before, request.key, "was accepted twice:", before, request.id)
    by_key = collections.Counter()
    for export in place.all_exports():
        [key] = [k for k in export["requestQueryString"].split("'") if k.startswith("key-")]
        by_key[key] += export["status"] != "Failed"
    demand(not [k for k, n in by_key.items() if n > 1], "accepted twice:", [k for k, n in by_key.items() if n > 1])
    owners = demand_owners(place)
    demand(owners == by_key.total(), "files:", owners, "Completed:", by_key.total())
    demand_store(place.data)
    granted = place.good("grants", "--data", place.data)
    demand(all(f"{t}," in granted for t in load.granted), "a grant is lost")
    # An import that ends well takes away what killed ones left.
    demand(imports.run()[2] == 0, "imports do not work any more")
    oracle = Oracle(place.data)
    whole = imports.demand_all_or_nothing(oracle)
    oracle.demand_whole()
    place.stop()
    return files, rows, whole, ended


def life(place, imports, folder, plan):
    """One import run; or one export asked for and deleted, and files and rows expired. Answers the points reached."""
    trace = folder / "trace"
    trace.unlink(missing_ok=True)
    clock = folder / "clock"
    clock.write_text("0")
    more = f"trace={trace},clock={clock}"
    if plan.startswith("import."):
        imports.run(plan=f"{plan},{more}", timeout=5)
        return set(trace.read_text().split())
    ids, answered = [], []
    keys = [f"life-{time.monotonic_ns()}-{i}" for i in range(3)]

    def request(key, filter_text="paymentAmount gt 0"):
        status, _, text = place.ask(key, filter_text, "csv")
        answered.append(status)
        if status == 202:
            ids.append(json.loads(text)["requestId"])
        return status == 202
    if place.start(f"{plan},{more}"):
        try:
            if request(keys[0]):
                place.until_ended(ids[-1], 5)
                place.call("DELETE", f"/v1.0/payouts/payments/{ids[0]}", timeout=5)
        except (Gone, Violation):
            answered.append("gone")
    place.kill()
    # The same key again, whatever became of the first: the answer counts.
    demand(place.start(), "it does not start after", plan)
    demand(request(keys[1]), "POST after", plan, answered)
    for request_id in ids:
        place.until_ended(request_id, 30)
    place.kill()
    # Past its retention, both of the file and of the row.
    for days in (31, 3000) if plan.startswith(("sweep.", "blob.delete")) else ():
        clock.write_text(str(days * DAY_MS))
        if place.start(f"{plan},{more}"):
            deadline = time.monotonic() + 5
            while place.alive() and time.monotonic() < deadline:
                if f"{plan.split('=')[0]}\n" in (trace.read_text() if trace.exists() else ""):
                    break
                time.sleep(0.02)
        place.kill()
    clock.write_text("0")
    return set(trace.read_text().split()) if trace.exists() else set()


def every_point(binary, folder):
    """Each point with a kill and with an error; after each everything still works."""
    folder.mkdir()
    place = Place(binary, folder / "data", folder / "log", lease_ms=1000)
    place.make(500)
    imports = Imports(place, folder / "in")
    reached = set()
    for point in (points := place.points()):
        for action in ("kill", "error"):
            if point == "sweep.garbage":
                # A sealed file whose row is never turned: the next attempt writes another one.
                place.start("export.sealed=kill")
                try:
                    place.ask(f"garbage-{action}", "paymentAmount gt 1", "csv")
                    place.process.wait(20)
                except Gone:
                    pass
                place.kill()
            seen = life(place, imports, folder, f"{point}={action}@1")
            reached |= seen
            demand(point in seen, point, "was not reached; only", sorted(seen))
    # What is left over belongs to somebody.
    demand(place.start(), "it does not start any more")
    for export in place.all_exports():
        place.until_ended(export["requestId"])
    demand_owners(place)
    demand_store(place.data)
    demand(imports.run()[2] == 0, "imports do not work any more")
    oracle = Oracle(place.data)
    whole = imports.demand_all_or_nothing(oracle)
    oracle.demand_whole()
    place.stop()
    print(f"{len(points)} points, each with a kill and an error: all reached; {whole} of {imports.count} imports are in, each whole", flush=True)


def plan_of(rnd, points):
    """What the next run of the service meets: (plan, seconds until it is killed at the latest)."""
    own = [p for p in points if not p.startswith("import.")]
    rules = []
    dice = rnd.random()
    if dice < 0.5:
        rules.append(f"{rnd.choice(own)}=kill@{rnd.randint(1, 12)}")
    if rnd.random() < 0.3:
        rules.append(f"{rnd.choice(own)}={rnd.choice(['error', 'full', 'read-only'])}@{rnd.randint(1, 6)}")
    if rnd.random() < 0.15:
        rules.append(f"{rnd.choice(HANGS)}=hang@{rnd.randint(1, 6)}")
    return ",".join(rules) or None, rnd.uniform(0.02, 1.6)


def random_kills(binary, folder, kills, rnd, rows):
    folder.mkdir()
    place = Place(binary, folder / "data", folder / "log")
    place.make(rows)
    # Small ones: every file that is verified at the end holds a part of what all of them brought in.
    imports = Imports(place, folder / "in", rows=60)
    points = place.points()
    load = Load(place, imports, rnd)
    threads = [threading.Thread(target=load.client, args=(rnd.random(),), daemon=True) for _ in range(3)]
    threads.append(threading.Thread(target=load.commands, args=(rnd.random(), points), daemon=True))
    # Nobody asks before there is an address.
    place.url = "http://127.0.0.1:9"
    for thread in threads:
        thread.start()
    by_point = by_time = 0
    for number in range(kills):
        plan, seconds = plan_of(rnd, points)
        if place.start(plan):
            deadline = time.monotonic() + seconds
            while place.alive() and time.monotonic() < deadline and not load.failed:
                time.sleep(0.005)
        died = not place.alive()
        by_point, by_time = by_point + died, by_time + (not died)
        place.kill()
        demand(not load.failed, f"after kill {number + 1} ({plan}):", load.failed)
        if (number + 1) % 100 == 0:
            print(f"{number + 1} kills, {load.answers.total()} requests so far", flush=True)
    load.done = True
    for thread in threads:
        thread.join(90)
    demand(not load.failed, load.failed)
    files, seen, whole, ended = settle(place, load, imports)
    print(f"{kills} kills ({by_time} at a moment, {by_point} at a point); {load.answers.total()} requests: {dict(sorted(load.answers.items()))}")
    print(f"{len(load.requests)} keys, none lost, none doubled: {dict(ended)}")
    print(f"{files} files with {seen} rows verified against manifests and DuckDB; {whole} of {imports.count} imports are in, each whole; {len(load.granted)} grants")


def main():
    binary, work, kills = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else random.SystemRandom().randrange(1 << 32)
    rnd = random.Random(seed)
    print(f"seed {seed}", flush=True)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    began = time.monotonic()
    if not (kills and work.name.endswith("random")):
        every_point(binary, work / "points")
        print(f"every point took {time.monotonic() - began:.0f} s", flush=True)
    if kills:
        random_kills(binary, work / "kills", kills, rnd, 1500)
    print(f"all of it took {time.monotonic() - began:.0f} s; seed {seed}")
    shutil.rmtree(work)


if __name__ == "__main__":
    try:
        main()
    except Violation as violation:
        print(f"VIOLATED  {violation}")
        sys.exit(1)
