"""The power goes out: only what was synced is there afterwards. Is what was promised there?

power_loss.py BINARY WORK [SEED]: records every write, sync, rename and deletion of the real service and of
imports (strace), together with the answers that went out. Then it plays the record: after every sync
and every answer the power goes out, and three disks are left over: one that kept only what was synced,
and two that kept a random part of the rest as well. On each, all that was promised until then must be
there. Last it proves itself: the record is played again as if one kind of sync had never been done, and
each time the loss must be found.
"""
import collections
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import sqlite3
import sys

from faulty import FILTERS, FORMATS, Imports, Place, Violation, demand

CALLS = "openat,open,creat,close,write,pwrite64,writev,pwritev,sendto,sendmsg,fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,ftruncate,lseek,dup,dup2,dup3,fcntl,rmdir,fallocate,copy_file_range,sendfile,sync_file_range,socket,accept4"
SIMPLE = {"n": "\n", "t": "\t", "r": "\r", "v": "\v", "f": "\f", '"': '"', "\\": "\\"}

# How a frame of Zstandard begins (RFC 8878): manifests are kept as one.
ZSTD_FRAME = bytes.fromhex("28b52ffd")


def unescape(text):
    return bytes.fromhex(text.replace("\\x", ""))


def strings(args):
    return [unescape(found) for found in re.findall(r'"((?:\\x[0-9a-f]{2})*)"', args)]


class Trace:
    """strace's lines as whole calls in the order in which they ended."""

    def __init__(self, path):
        self.path = path

    def __iter__(self):
        begun = {}
        for line in open(self.path, encoding="ascii", errors="replace"):
            found = re.match(r"(\d+) +(?:\d+\.\d+ )?(.*)", line.rstrip("\n"))
            if not found:
                continue
            thread, rest = found.groups()
            if rest.endswith("<unfinished ...>"):
                begun[thread] = rest[: -len("<unfinished ...>")]
                continue
            resumed = re.match(r"<\.\.\. \w+ resumed>(.*)", rest)
            if resumed:
                rest = begun.pop(thread, "") + resumed.group(1)
            call = re.match(r"(\w+)\((.*)\)\s+= (-?\d+|0x[0-9a-f]+)", rest)
            if call:
                name, args, result = call.group(1), call.group(2).strip(), call.group(3)
                if not result.startswith("-"):
                    yield name, args, int(result, 0)


class Inode:
    """A file: its bytes, those that are durable, and what was written since."""

    def __init__(self):
        self.bytes, self.durable, self.pending = bytearray(), b"", []

    def write(self, offset, data):
        if len(self.bytes) < offset:
            self.bytes.extend(bytes(offset - len(self.bytes)))
        self.bytes[offset:offset + len(data)] = data
        self.pending.append((offset, bytes(data)))

    def truncate(self, length):
        del self.bytes[length:]
        self.bytes.extend(bytes(length - len(self.bytes)))
        self.pending.append((length, None))

    def sync(self):
        self.durable, self.pending = bytes(self.bytes), []

    def after_cut(self, rnd):
        """Its bytes after the power was cut; `rnd` keeps some of what was not synced."""
        if rnd is None or not self.pending:
            return self.durable
        kept = bytearray(self.durable)
        for offset, data in self.pending:
            if rnd.random() < 0.5:
                continue
            if data is None:
                del kept[offset:]
                kept.extend(bytes(offset - len(kept)))
                continue
            data = data[: rnd.randrange(len(data) + 1)] if rnd.random() < 0.3 else data
            kept.extend(bytes(max(0, offset - len(kept))))
            kept[offset:offset + len(data)] = data
        return bytes(kept)


class Disk:
    """Folders below a root with what is durable of them. `ignored(kind, path)` leaves a sync out."""

    def __init__(self, root, ignored=lambda kind, path: False):
        self.root, self.ignored = str(root), ignored
        # Names by folder: those that are seen, those that are durable, and the changes in between.
        self.names = {"": {}}
        self.durable = {"": {}}
        self.changes = collections.defaultdict(list)
        self.syncs = collections.Counter()

    def inside(self, path):
        path = os.path.normpath(path)
        if path == self.root:
            return ""
        return path[len(self.root) + 1:] if path.startswith(self.root + "/") else None

    def load(self):
        """What was there before the record begins is durable."""
        for folder, _, files in os.walk(self.root):
            key = self.inside(folder)
            self.names.setdefault(key, {})
            if key:
                parent, name = os.path.split(key)
                self.names[parent][name] = key
            for name in files:
                inode = Inode()
                inode.bytes = bytearray(pathlib.Path(folder, name).read_bytes())
                inode.sync()
                self.names[key][name] = inode
        self.durable = {k: dict(v) for k, v in self.names.items()}

    def get(self, path):
        folder, name = os.path.split(path)
        return self.names.get(folder, {}).get(name)

    def set(self, path, thing):
        folder, name = os.path.split(path)
        if thing is None:
            self.names[folder].pop(name, None)
        else:
            self.names[folder][name] = thing
        self.changes[folder].append((name, thing))

    def mkdir(self, path):
        self.names[path] = {}
        self.durable.setdefault(path, {})
        self.set(path, path)

    def sync(self, path, thing):
        kind = "folder" if isinstance(thing, str) else "file"
        self.syncs[kind, path] += 1
        if self.ignored(kind, path):
            return
        if kind == "folder":
            self.durable[thing] = dict(self.names[thing])
            self.changes[thing].clear()
        else:
            thing.sync()

    def leave(self, target, rnd=None):
        """Writes into `target` what a power cut leaves."""
        shutil.rmtree(target, ignore_errors=True)
        waiting = [("", pathlib.Path(target))]
        while waiting:
            folder, place = waiting.pop()
            place.mkdir()
            names = dict(self.durable.get(folder, {}))
            for name, thing in self.changes[folder]:
                # A file system keeps the order of the changes of one folder, up to some point.
                if rnd is None or rnd.random() < 0.2:
                    break
                names.pop(name, None) if thing is None else names.__setitem__(name, thing)
            for name, thing in names.items():
                if isinstance(thing, str):
                    waiting.append((thing, place / name))
                else:
                    (place / name).write_bytes(thing.after_cut(rnd))


class Player:
    """Plays a record over a disk and gathers what was promised."""

    def __init__(self, disk):
        self.disk = disk
        self.open = {}
        self.accepted, self.completed, self.deleted = set(), {}, set()
        self.imports, self.told = set(), b""

    def play(self, trace):
        """Yields after every sync and every promise: what the power may cut off."""
        for name, args, result in trace:
            if self.step(name, args, result):
                yield name

    def path(self, text):
        return self.disk.inside(os.fsdecode(text))

    def step(self, name, args, result):
        disk = self.disk
        number = re.match(r"(\d+)", args)
        opened = self.open.get(int(number.group(1))) if number else None
        if name in ("openat", "open", "creat"):
            self.begin(args, result)
        elif name in ("socket", "accept4"):
            self.open.pop(result, None)
        elif name == "close":
            self.open.pop(int(number.group(1)), None)
        elif name in ("dup", "dup2", "dup3") or name == "fcntl" and "F_DUPFD" in args:
            self.open.pop(result, None)
            if opened:
                self.open[result] = opened
        elif name in ("write", "writev", "sendto", "sendmsg", "pwrite64", "pwritev"):
            data = b"".join(strings(args))
            if opened is None:
                return self.promised(data)
            demand(len(data) >= result, "the record is cut:", name, args[:80])
            at = int(re.search(r", (\d+)$", args).group(1)) if name == "pwrite64" else None
            path, inode, state = opened
            at = (len(inode.bytes) if state["append"] else state["at"]) if at is None else at
            inode.write(at, data[:result])
            if name != "pwrite64":
                state["at"] = at + result
        elif name == "lseek" and opened and not isinstance(opened[1], str):
            opened[2]["at"] = result
        elif name == "ftruncate" and opened:
            opened[1].truncate(int(re.search(r", (\d+)$", args).group(1)))
        elif name in ("fsync", "fdatasync") and opened:
            disk.sync(opened[0], opened[1])
            return True
        elif name in ("rename", "renameat", "renameat2", "link", "linkat"):
            old, new = (self.path(s) for s in strings(args))
            if old is not None and new is not None and disk.get(old) is not None:
                disk.set(new, disk.get(old))
                if name.startswith("rename"):
                    disk.set(old, None)
        elif name in ("unlink", "unlinkat", "rmdir"):
            path = self.path(strings(args)[0])
            if path:
                disk.set(path, None)
        elif name in ("mkdir", "mkdirat"):
            path = self.path(strings(args)[0])
            if path:
                disk.mkdir(path)
        elif opened and name in ("fallocate", "copy_file_range", "sendfile"):
            demand(name == "sendfile", name, "is not known to this tool")
        return False

    def begin(self, args, result):
        self.open.pop(result, None)
        path = self.path(strings(args)[0])
        if path is None:
            return
        thing = path if path in self.disk.names else self.disk.get(path)
        if thing is None:
            if "O_CREAT" not in args:
                return
            thing = Inode()
            self.disk.set(path, thing)
        elif "O_TRUNC" in args and not isinstance(thing, str):
            thing.truncate(0)
        self.open[result] = (path, thing, {"at": 0, "append": "O_APPEND" in args})

    def promised(self, data):
        """An answer or a line that tells of something durable."""
        before = (len(self.accepted), len(self.completed), len(self.deleted), len(self.imports))
        if b"HTTP/1.1 20" in data[:16]:
            found = re.search(rb'"requestId":"([0-9a-f-]{36})".*?"status":"(\w+)"', data, re.S)
            if found and data.startswith(b"HTTP/1.1 202"):
                self.accepted.add(found.group(1).decode())
            if found and found.group(2) == b"Completed":
                self.completed.setdefault(found.group(1).decode(), None)
            digest = re.search(rb'"sha256":"([0-9a-f]{64})"', data)
            asked = re.search(rb'"requestId":"([0-9a-f-]{36})"', data)
            if digest and asked and asked.group(1).decode() in self.completed:
                self.completed[asked.group(1).decode()] = digest.group(1).decode()
        # A line may be written in pieces.
        self.told = (self.told + data[-200:])[-400:]
        self.imports.update(int(number) for number in re.findall(rb"the ledger is at version (\d+) now", self.told))
        return before != (len(self.accepted), len(self.completed), len(self.deleted), len(self.imports))


def check(data, player):
    """What must hold on the disk that is left over."""
    data = pathlib.Path(data)
    rows = {}
    if (data / "payouts.db").exists() and (player.accepted or player.completed):
        with sqlite3.connect(data / "payouts.db") as db:
            demand(db.execute("PRAGMA integrity_check").fetchone() == ("ok",), "the store is damaged")
            rows = {i: found for i, *found in db.execute("SELECT id, status, file_fence, file, manifest_zstd FROM exports")}
        db.close()
    for request_id in player.accepted:
        demand(request_id in rows, "was answered 202 and is gone:", request_id)
    for request_id, (status, fence, info, manifest) in rows.items():
        demand(request_id not in player.completed or status == "Completed", "was shown Completed and is", status)
        if status == "Completed" and fence is not None:
            file = data / "files" / request_id[:2] / f"{request_id}.{fence}"
            demand(file.exists(), "Completed without its file:", request_id)
            demand(manifest and manifest.startswith(ZSTD_FRAME), "Completed without its manifest:", request_id)
            demand(hashlib.sha256(file.read_bytes()).hexdigest() == json.loads(info)["sha256"], "Completed, and its file is another one:", request_id)
    demand(not set(player.completed) - set(rows), "was shown Completed and is gone")
    log = data / "ledger" / "payments" / "_delta_log"
    versions = sorted(int(p.stem) for p in log.glob("0*.json"))
    demand(versions == list(range(len(versions))), "the ledger's log has holes:", versions)
    demand(not player.imports or max(player.imports) < len(versions), "an import said it was done and is gone: version", max(player.imports, default=0))
    for version in versions:
        text = (log / f"{version:020}.json").read_text()
        demand(text.endswith("\n") and '"add"' in text, "version", version, "is a commit without its content")
        for line in text.splitlines():
            add = json.loads(line).get("add")
            if add:
                file = log.parent / add["path"]
                demand(file.exists() and file.stat().st_size == add["size"], "version", version, "names a file that is not whole:", add["path"])
                demand(file.read_bytes()[-4:] == b"PAR1", "version", version, "names a file without an end:", add["path"])
    hint = log / "_last_checkpoint"
    for checkpoint in log.glob("*.checkpoint.parquet"):
        demand(checkpoint.read_bytes()[-4:] == b"PAR1", "a checkpoint is not whole:", checkpoint.name)
    if hint.exists():
        version = json.loads(hint.read_text())["version"]
        demand((log / f"{version:020}.checkpoint.parquet").exists(), "the log points at a checkpoint that is gone")


def record(binary, work, rounds):
    """A service and imports under strace; answers the records in their order and the place."""
    place = Place(binary, work / "data", work / "log")
    place.make(400)
    shutil.copytree(place.data, work / "before")
    imports = Imports(place, work / "in")
    traces = []

    def strace():
        traces.append(work / f"trace-{len(traces)}")
        return ["strace", "-f", "-qq", "-xx", "-s", "40000000", "-e", f"trace={CALLS}", "-o", str(traces[-1])]

    def serve(first):
        demand(place.start(wrap=strace(), wait_s=120), "it does not start under strace")
        ids = []
        for number in range(6):
            text, _ = FILTERS[(first + number) % len(FILTERS)]
            status, _, body = place.ask(f"power-{first}-{number}", text, FORMATS[number % len(FORMATS)])
            demand(status == 202, "POST", status, body)
            ids.append(json.loads(body)["requestId"])
        for request_id in ids:
            demand(place.until_ended(request_id)["status"] == "Completed", request_id)
            place.call("GET", f"/v1.0/payouts/payments/{request_id}/manifest")
        place.call("DELETE", f"/v1.0/payouts/payments/{ids[0]}")
        deleted.append(ids[0])
        # strace itself holds signals off: the service gets it, and ends in order.
        os.killpg(place.process.pid, signal.SIGTERM)
        place.process.wait(60)

    def bring_in():
        _, path, _ = imports.file(120)
        plain = place.binary
        wrapped = strace()
        place.binary = wrapped[0]
        code, text = place.run(*wrapped[1:], plain, "import", "payments", path, "--data", place.data)
        place.binary = plain
        demand(code == 0, "import under strace:", code, text)
    deleted = []
    for number in range(rounds):
        serve(number * 6)
        for _ in range(6):
            bring_in()
    return place, traces, set(deleted)


def play(before, root, traces, target, rnd, deleted, ignored=None, step=1, kept=None):
    """Cuts the power after every `step`-th sync or promise and checks; answers how often."""
    disk = Disk(root, ignored or (lambda kind, path: False))
    disk.root = str(before)
    disk.load()
    disk.root = str(root)
    player = Player(disk)
    cuts = 0
    for trace in traces:
        player.open = {}
        for number, what in enumerate(player.play(Trace(trace))):
            if number % step:
                continue
            for chance in (None, rnd, rnd) if rnd else (None,):
                disk.leave(target, chance)
                player.accepted -= deleted
                for request_id in deleted:
                    player.completed.pop(request_id, None)
                try:
                    check(target, player)
                except (Violation, sqlite3.DatabaseError, json.JSONDecodeError) as error:
                    raise Violation(f"after cut {cuts} (a {what} in {trace.name}; {'a random rest kept' if chance else 'only what was synced'}): {error!r}") from None
                cuts += 1
                if kept is not None and cuts % kept["every"] == 0:
                    kept["check"](target, player)
    return cuts, disk, player


# Every kind of sync that the product does, by what is synced.
MUTATIONS = {
    "the store's log": lambda kind, path: path == "payouts.db-wal",
    "a file's bytes": lambda kind, path: kind == "file" and path.startswith("files/partial/"),
    "a file's name": lambda kind, path: kind == "folder" and re.fullmatch(r"files/[0-9a-f]{2}", path),
    "the name of a file's folder": lambda kind, path: kind == "folder" and path == "files",
    "a ledger file's bytes": lambda kind, path: kind == "file" and path.startswith("ledger/payments/part-"),
    "a ledger file's name": lambda kind, path: kind == "folder" and path == "ledger/payments",
    "a commit's bytes": lambda kind, path: kind == "file" and path.startswith("ledger/payments/_delta_log/"),
    "a commit's name": lambda kind, path: kind == "folder" and path == "ledger/payments/_delta_log",
}


def main():
    binary, work = sys.argv[1], pathlib.Path(sys.argv[2]).absolute()
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    rnd = random.Random(seed)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    place, traces, deleted = record(binary, work, 2)
    started = collections.Counter()

    def start(target, player):
        """The real service over what is left: it starts, and shows what was promised."""
        after = Place(binary, work / "after", work / "log-after")
        shutil.rmtree(after.data, ignore_errors=True)
        shutil.copytree(target, after.data)
        # What is recorded has no modes; keys that others can read are refused.
        for key in (after.data / "keys").rglob("*"):
            key.chmod(0o700 if key.is_dir() else 0o600)
        after.token = place.token
        # Without the development issuer's key of the record no token is good.
        demand(after.start(), "the service does not start over what is left")
        for request_id in sorted(player.accepted):
            export = after.until_ended(request_id, 30)
            demand(export and export["status"] == "Completed", "promised, and after the cut it is", export)
            started["exports"] += 1
        after.stop()
        started["starts"] += 1
    cuts, disk, player = play(work / "before", place.data, traces, work / "left", rnd, deleted, kept={"every": 97, "check": start})
    demand(len(player.accepted) >= 10 and len(player.completed) >= 10 and len(player.imports) >= 12, "too little was recorded:", len(player.accepted), len(player.completed), len(player.imports))
    print(f"{cuts} power cuts: {len(player.accepted)} accepted, {len(player.completed)} completed, {len(player.imports)} imports; nothing promised is lost; "
          f"{started['starts']} of the disks served from, {started['exports']} exports seen there", flush=True)
    for what, ignored in MUTATIONS.items():
        demand([p for k, p in disk.syncs if ignored(k, p)], "no sync of this kind was recorded:", what)
        try:
            play(work / "before", place.data, traces, work / "left", None, deleted, ignored)
        except Violation as violation:
            print(f"without syncing {what}: found, {str(violation)[:160]}", flush=True)
            continue
        raise Violation(f"without syncing {what}, no loss is found: the check is blind")
    shutil.rmtree(work)


if __name__ == "__main__":
    try:
        main()
    except Violation as violation:
        print(f"VIOLATED  {violation}")
        sys.exit(1)
