"""The backup and restore that docs/operations.md describes, tried under load with the very commands.

backup.py BINARY WORK OPERATIONS.md: exports and imports run while the backup's commands do; what is
restored must be whole and must hold everything that had been accepted, completed or imported before.
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

from faulty import FILTERS, FORMATS, Imports, Oracle, Place, demand, demand_owners, demand_store, verify_file


def commands(document, name):
    found = re.search(rf"<!-- {name} -->\n```sh\n(.*?)```", document, re.DOTALL)
    demand(found, f"the commands of '{name}' are not in the document")
    return found.group(1)


def shell(text, binary, **variables):
    env = {**os.environ, **{k: str(v) for k, v in variables.items()}, "PATH": f"{pathlib.Path(binary).parent}:{os.environ['PATH']}"}
    ran = subprocess.run(["sh", "-eu", "-c", text], env=env, capture_output=True, text=True)
    demand(ran.returncode == 0, "the commands failed with", ran.returncode, ran.stderr, ran.stdout, "\n", text)
    return ran.stdout + ran.stderr


class Load:
    """Asks and imports until it is told to stop."""

    def __init__(self, place, imports):
        self.place, self.imports = place, imports
        self.accepted, self.failed, self.done = [], [], threading.Event()
        self.threads = [threading.Thread(target=self.guarded, args=(step,), daemon=True) for step in (self.ask, self.ask, self.imports.run)]

    def ask(self):
        number = len(self.accepted)
        text, where = FILTERS[number % len(FILTERS)]
        status, _, body = self.place.ask(f"backup-{time.monotonic_ns()}", text, FORMATS[number % len(FORMATS)])
        demand(status == 202, "POST:", status, body)
        request = json.loads(body)["requestId"]
        self.place.until_ended(request)
        self.accepted.append((request, where, FORMATS[number % len(FORMATS)]))

    def guarded(self, step):
        try:
            while not self.done.is_set():
                step()
        except Exception as error:
            self.failed.append(repr(error))

    def until(self, exports, imports, bound_s=120):
        deadline = time.monotonic() + bound_s
        while len(self.accepted) < exports or len(self.imports.certain) < imports:
            demand(not self.failed, self.failed)
            demand(time.monotonic() < deadline, "too slow:", len(self.accepted), "exports,", len(self.imports.certain), "imports")
            time.sleep(0.02)

    def stop(self):
        self.done.set()
        for thread in self.threads:
            thread.join(120)
        demand(not self.failed, self.failed)


def main():
    binary, work, document = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]).read_text()
    work.mkdir(parents=True)
    place = Place(binary, work / "data", work / "log")
    place.make(20_000)
    imports = Imports(place, work / "in")
    demand(place.start(), "it does not start")
    load = Load(place, imports)
    for thread in load.threads:
        thread.start()
    load.until(exports=12, imports=3)
    before, certain = list(load.accepted), set(imports.certain)
    copy = work / "copy"
    shell(commands(document, "backup"), binary, DATA=place.data, COPY=copy)
    # More happens after it, which the copy need not have.
    load.until(exports=len(before) + 4, imports=len(certain) + 1)
    load.stop()
    place.stop()
    head = place.good("audit", "verify", "--data", copy)

    shell(commands(document, "restore"), binary, DATA=place.data, COPY=copy)
    demand(pathlib.Path(f"{place.data}.broken").is_dir(), "what was there before is gone")
    demand(place.start(), "it does not start from the copy")
    oracle = Oracle(place.data)
    rows = sum(verify_file(place, oracle, request, where, form) for request, where, form in before)
    # What was under way when the copy was made ends, too.
    ended = [place.until_ended(export["requestId"]) for export in place.all_exports()]
    demand(all(e["status"] == "Completed" for e in ended), "did not complete:", [e["error"] for e in ended])
    imports.certain = certain
    there = [number for number in sorted(certain) if oracle.imported(number)]
    demand(set(there) == certain, "imports", certain - set(there), "are not in the copy")
    demand(imports.run()[2] == 0, "imports do not work any more")
    whole = imports.demand_all_or_nothing(Oracle(place.data))
    files = demand_owners(place)
    place.stop()
    demand_store(place.data)
    place.good("doctor", "--data", place.data, "--deep", "--free-bytes-min", 0)
    place.good("audit", "verify", "--data", place.data)
    print(f"{len(before)} exports with {rows} rows and {len(certain)} imports were there before the backup and are there after it; "
          f"{len(ended)} exports and {files} files in all, {whole} imports, each whole; {head.strip().splitlines()[-1]}")


if __name__ == "__main__":
    main()
