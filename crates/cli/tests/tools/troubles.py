"""A full disk, a read-only disk, a locked store, a damaged ledger, a clock that jumps: what was accepted
ends, with its file or with a reason, and afterwards everything works again.

troubles.py BINARY WORK [TROUBLE...]: all of them, or those that are named. What needs a mount is done
by another way too, so that something runs everywhere.
"""
import contextlib
import json
import os
import pathlib
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time

from faulty import FILTERS, Gone, Imports, Oracle, Place, Violation, demand, demand_owners, demand_store, sealed, verify_file

EVERYTHING, EVERYTHING_SQL = FILTERS[0]
HOUR_MS = 3_600_000


def asked(place, key, text=EVERYTHING, file_format="csv"):
    """The id of what was accepted."""
    status, _, body = place.ask(key.replace(" ", "-"), text, file_format)
    demand(status == 202, "POST", key, status, body)
    return json.loads(body)["requestId"]


def fails_with(place, key, codes, bound_s=60):
    export = place.until_ended(asked(place, key), bound_s)
    code = (export["error"] or {}).get("code")
    demand(export["status"] == "Failed" and code in codes, key, "should have failed with one of", codes, "and is", export["status"], export["error"])
    demand(not sealed(place.data)[1], "something half written stays", sealed(place.data))
    return code


def works(place, key):
    """An export is made and right."""
    request_id = asked(place, key)
    export = place.until_ended(request_id, 60)
    demand(export["status"] == "Completed", key, export["error"])
    return verify_file(place, Oracle(place.data), request_id, EVERYTHING_SQL, "csv")


def whole(place):
    demand_owners(place)
    demand_store(place.data)
    place.stop()


@contextlib.contextmanager
def mounted(folder, size):
    """A small file system of its own; None where nothing can be mounted."""
    folder.mkdir(parents=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True).returncode == 0
    if not done:
        print(f"SKIPPED what needs a mount ({folder.name}): not permitted here")
    try:
        yield done
    finally:
        if done:
            subprocess.run(["umount", "-l", folder], check=True)


def remount(folder, how):
    subprocess.run(["mount", "-o", f"remount,{how}", folder], check=True, capture_output=True)


def full_disk(binary, folder):
    with mounted(folder / "disk", "24m") as mount:
        if mount:
            full_mount(binary, folder)
    # A limit on the size of files, which every user may set.
    place = Place(binary, folder / "data", folder / "log")
    place.make(20_000)

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
    demand(place.start(preexec=limited), "it does not start with a limit on files")
    fails_with(place, "limited", ["StorageFull"])
    place.stop()
    for point in ("blob.create", "blob.write", "blob.sync", "blob.rename"):
        demand(place.start(f"{point}=full@1"), "it does not start")
        fails_with(place, f"full-{point}", ["StorageFull"])
        works(place, f"room-{point}")
        whole(place)
    print("a full disk: by a limit and at every step of writing a file, StorageFull; the next export is whole")


def full_mount(binary, folder):
    disk = folder / "disk"
    place = Place(binary, disk / "data", folder / "log-mount")
    place.config = folder / "mount.toml"
    place.config.write_text((disk / "data.toml").read_text())
    place.make(10_000)
    # Room that the operator can make: files that came first keep what is left of the disk.
    reserve = disk / "reserve"
    reserve.write_bytes(b"x" * (4 << 20))
    demand(place.start(), "it does not start")
    ids, refused = [], 0
    for number in range(40):
        status, _, body = place.ask(f"key-{number}", EVERYTHING, "csv")
        demand(status in (202, 500, 503), "POST on a full disk answered", status, body)
        refused += status != 202
        ids += [json.loads(body)["requestId"]] if status == 202 else []
        if number % 4 == 3:
            time.sleep(0.2)
    # Not a byte is left, for the store neither.
    filler = disk / "filler"
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    with contextlib.suppress(Gone):
        refused += place.ask("without-room", EVERYTHING, "csv")[0] != 202
    filler.unlink()
    reserve.unlink()
    ends = [place.until_ended(i) for i in ids]
    failed = [e for e in ends if e["status"] == "Failed"]
    demand(failed and all(e["error"]["code"] in ("StorageFull", "AttemptsExhausted") for e in failed), "on a full disk:", [e["error"] for e in failed][:3])
    oracle = Oracle(place.data)
    for export in ends:
        if export["status"] == "Completed":
            verify_file(place, oracle, export["requestId"], EVERYTHING_SQL, "csv")
    # An import has no room either; then some is made.
    code, text = Imports(place, folder / "in").run()[2:]
    for export in ends:
        place.call("DELETE", f"/v1.0/payouts/payments/{export['requestId']}")
    works(place, "room again")
    whole(place)
    print(f"a full file system: {len(ids)} accepted, {refused} refused, {len(failed)} failed with a reason, {len(ends) - len(failed)} whole; "
          f"an import ended with {code}; with room again everything works")


def read_only_disk(binary, folder):
    place = Place(binary, folder / "data", folder / "log")
    place.make(2000)
    demand(place.start("blob.create=read-only@1+"), "it does not start")
    fails_with(place, "read-only", ["AttemptsExhausted"])
    place.stop()
    with mounted(folder / "data" / "files" / "x", "1m") as mount:
        pass
    if mount:
        shutil.rmtree(folder / "data" / "files")
        with mounted(folder / "data" / "files", "16m"):
            demand(place.start(), "it does not start")
            works(place, "writable")
            remount(place.data / "files", "ro")
            fails_with(place, "not-writable", ["AttemptsExhausted"])
            remount(place.data / "files", "rw")
            works(place, "writable again")
            whole(place)
        with mounted(folder / "disk", "16m"):
            other = Place(binary, folder / "disk" / "data", folder / "log-disk")
            other.config = folder / "disk.toml"
            other.config.write_text((folder / "disk" / "data.toml").read_text())
            other.make(100)
            remount(folder / "disk", "ro")
            at = other.log_path.stat().st_size if other.log_path.exists() else 0
            demand(not other.start(), "it starts where nothing can be written")
            said = other.log_path.read_text()[at:]
            demand(other.process.wait() in (1, 2) and "ead-only" in said and "panicked" not in said, "it says:", said)
            remount(folder / "disk", "rw")
            demand(other.start(), "it does not start where everything can be written again")
            works(other, "writable")
            whole(other)
    else:
        demand(place.start(), "it does not start")
        works(place, "writable again")
        whole(place)
    print("a read-only disk: exports fail with a reason, a start is refused with one; writable again, everything works")


def locked_store(binary, folder):
    place = Place(binary, folder / "data", folder / "log", lease_ms=2000)
    place.make(3000)
    for seconds in (4, 17):
        demand(place.start(), "it does not start")
        # One is under way when the lock is taken, others are asked for while it is held.
        first = asked(place, f"before-{seconds}")
        lock = sqlite3.connect(place.data / "payouts.db", isolation_level=None, timeout=10)
        lock.execute("BEGIN IMMEDIATE")
        answers = []

        def ask(number, seconds=seconds, answers=answers):
            try:
                status, _, body = place.call("POST", f"/v1.0/payouts/payments?$filter=paymentId=1{number}&fileFormat=csv", {"Idempotency-Key": f"locked-{seconds}-{number}"}, timeout=60)
                answers.append((status, body))
            except Gone as gone:
                answers.append((0, str(gone)))
        threads = [threading.Thread(target=ask, args=(n,)) for n in range(5)]
        for thread in threads:
            thread.start()
        status, _, _ = place.call("GET", f"/v1.0/payouts/payments/{first}")
        demand(status == 200, "reading waits for a writer:", status)
        time.sleep(seconds)
        lock.execute("ROLLBACK")
        lock.close()
        for thread in threads:
            thread.join()
        demand(len(answers) == 5 and all(s in (202, 500, 503) for s, _ in answers), "while the store was locked:", answers)
        accepted = [json.loads(b)["requestId"] for s, b in answers if s == 202]
        demand(seconds > 10 or len(accepted) == 5, "a lock of", seconds, "s refuses requests:", answers)
        for request_id in [first, *accepted]:
            export = place.until_ended(request_id)
            demand(export["status"] == "Completed", "after a lock:", export)
        works(place, f"after-{seconds}")
        # Refused is refused: the same keys are accepted once, now.
        for number in range(5):
            asked(place, f"again-{seconds}-{number}", f"paymentId eq '1{number}'")
        demand(len(place.all_exports()) == len({e["requestId"] for e in place.all_exports()}), "an export is listed twice")
        for export in place.all_exports():
            place.until_ended(export["requestId"])
        whole(place)
        print(f"a store locked for {seconds} s: {len(accepted)} of 5 accepted, all of them and the one under way completed")


def damaged_ledger(binary, folder):
    place = Place(binary, folder / "data", folder / "log")
    place.make(20_000)
    demand(place.start(), "it does not start")
    works(place, "sound")
    place.stop()
    oracle = Oracle(place.data)
    [name] = oracle.files(oracle.newest())
    file = oracle.table / name
    bytes_before = file.read_bytes()
    commit = oracle.commits()[-1]
    commit_before = commit.read_bytes()
    middle = len(bytes_before) // 2
    damages = [
        ("missing", lambda: file.unlink(), ["SnapshotGone"]),
        ("cut in half", lambda: file.write_bytes(bytes_before[:middle]), ["SnapshotGone", "LedgerUnreadable", "AttemptsExhausted"]),
        ("empty", lambda: file.write_bytes(b""), ["SnapshotGone", "LedgerUnreadable", "AttemptsExhausted"]),
        ("a torn footer", lambda: file.write_bytes(bytes_before[:-600] + bytes(600)), ["LedgerUnreadable", "AttemptsExhausted"]),
    ]
    found = []
    for what, damage, codes in damages:
        # Damaged before the start (nothing is cached) and while it runs.
        damage()
        started = place.start()
        if started:
            found.append(f"{what}: {fails_with(place, what, codes)}")
            file.write_bytes(bytes_before)
            works(place, f"{what} mended")
            damage()
            after = place.until_ended(asked(place, f"{what} at work"))
            demand(after["status"] == "Failed" or what != "missing", what, "while it runs:", after["status"])
            if after["status"] == "Completed":
                file.write_bytes(bytes_before)
                verify_file(place, Oracle(place.data), after["requestId"], EVERYTHING_SQL, "csv")
            file.write_bytes(bytes_before)
            whole(place)
        else:
            said = place.log_path.read_text().rsplit("--- start", 1)[1]
            demand("panicked" not in said and "ledger" in said, what, "it says:", said)
            found.append(f"{what}: the start is refused")
            file.write_bytes(bytes_before)
    for what, text in (("a torn commit", commit_before[:len(commit_before) // 2]), ("an empty commit", b"")):
        commit.write_bytes(text)
        if place.start():
            found.append(f"{what}: {fails_with(place, what, ['SnapshotGone', 'LedgerUnreadable', 'AttemptsExhausted'])}")
            place.kill()
        else:
            said = place.log_path.read_text().rsplit("--- start", 1)[1]
            demand("panicked" not in said, what, "it says:", said)
            found.append(f"{what}: the start is refused")
        code, text = Imports(place, folder / f"in-{len(found)}").run()[2:]
        demand(code == 1 and "panicked" not in text, "an import over", what, "ends with", code, text)
        commit.write_bytes(commit_before)
    demand(place.start(), "it does not start with a mended ledger")
    works(place, "mended")
    whole(place)
    print("a damaged ledger: " + "; ".join(found))


def jumping_clock(binary, folder):
    place = Place(binary, folder / "data", folder / "log", lease_ms=2000)
    place.make(3000)
    clock = folder / "clock"

    def set_hours(hours):
        (folder / "clock.new").write_text(str(int(hours * HOUR_MS)))
        os.replace(folder / "clock.new", clock)
    set_hours(0)
    demand(place.start(f"clock={clock}"), "it does not start")
    links = []
    for number, hours in enumerate([2, -2, 24, 0, -24, 0]):
        waiting = [asked(place, f"clock-{number}-{i}") for i in range(6)]
        set_hours(hours)
        waiting += [asked(place, f"clock-{number}-{i}-after") for i in range(2)]
        for request_id in waiting:
            export = place.until_ended(request_id, 30)
            demand(export["status"] == "Completed", "the clock is", hours, "h off:", export)
        verify_file(place, Oracle(place.data), waiting[0], EVERYTHING_SQL, "csv")
        links += [place.see(waiting[0])[1]["blobLocation"]] if hours <= 0 else []
    set_hours(2)
    for link in links:
        status, _, _ = place.call("GET", link)
        demand(status in (403, 410, 401, 404), "a link is good two hours later:", status)
    place.stop()
    # A retry is due by a clock that was far ahead, and a lease was given by one.
    for plan, what in (("blob.create=error@1", "a retry"), ("export.chunk=hang@1", "a lease")):
        set_hours(24)
        demand(place.start(f"clock={clock},{plan}"), "it does not start")
        request_id = asked(place, f"ahead-{plan}")
        deadline = time.monotonic() + 20
        while place.see(request_id)[1]["status"] == "Queued":
            demand(time.monotonic() < deadline, "nobody begins with it")
        if what == "a lease":
            # A node that does not come back: its leases end by the clock alone.
            place.kill()
            (place.data / "node").unlink()
            set_hours(0)
            demand(place.start(f"clock={clock}"), "it does not start")
        else:
            set_hours(0)
        export = place.until_ended(request_id, 30)
        demand(export["status"] == "Completed", "after", what, "that a clock far ahead has set:", export)
        whole(place)
    print("a clock that jumps by two hours and by a day, forward and back: all completed; links, retries and leases keep their time")


TROUBLES = {"full": full_disk, "readonly": read_only_disk, "locked": locked_store, "ledger": damaged_ledger, "clock": jumping_clock}


def main():
    binary, work = sys.argv[1], pathlib.Path(sys.argv[2])
    shutil.rmtree(work, ignore_errors=True)
    for name in sys.argv[3:] or TROUBLES:
        began = time.monotonic()
        (work / name).mkdir(parents=True)
        TROUBLES[name](binary, work / name)
        print(f"{name} took {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    try:
        main()
    except Violation as violation:
        print(f"VIOLATED  {violation}")
        sys.exit(1)
