"""One other tool in a process of its own: reads commands, one JSON object a line, and answers so.

peer.py TOOL, where TOOL is duckdb, polars or chdb. The library is imported and its connection is
open before "ready" is said, so a command's seconds are the query alone, from its start until the
file is durable (fsync of it included). CPU seconds are those of this process and its children,
peak memory is the greatest resident size since the command began, the loaded library included.

Every tool runs in its fastest sensible form: all cores, the order of rows left to it where that is
faster (the service keeps it), level 1 where it has levels. DuckDB's gzip has no levels.

A filter is a list of [column, operator, value, kind], joined with and.
"""
import datetime
import decimal
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import time


def reset_peak():
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass  # The peak is then that of the whole life of the process, which is no less.


def peak_mb():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) / 1000


def cpu_seconds():
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def make_durable(path):
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def sql_text(value):
    return "'" + str(value).replace("'", "''") + "'"


class DuckDb:
    def __init__(self):
        import duckdb
        self.version = duckdb.__version__
        self.db = duckdb.connect()
        self.db.execute("SET TimeZone='UTC'")
        # With many runs over one file its footer is read once, as in the service.
        for setting in ("SET preserve_insertion_order=false", "SET parquet_metadata_cache=true"):
            try:
                self.db.execute(setting)
            except duckdb.Error as error:
                print(f"duckdb: {setting}: {error}", file=sys.stderr)

    def literal(self, value, kind):
        if kind == "instant":
            return f"TIMESTAMPTZ '{value}'"
        if kind == "date":
            return f"DATE '{value}'"
        return str(value) if kind == "amount" else sql_text(value)

    def condition(self, column, operator, value, kind):
        if operator == "in":
            return f'"{column}" IN ({", ".join(self.literal(v, kind) for v in value)})'
        return f'"{column}" {operator} {self.literal(value, kind)}'

    def select(self, spec):
        columns = ", ".join(f'"{c}"' for c in spec["columns"])
        files = ", ".join(map(sql_text, spec["files"]))
        where = " AND ".join(self.condition(*c) for c in spec["where"])
        return f"SELECT {columns} FROM read_parquet([{files}])" + (f" WHERE {where}" if where else "")

    def copy(self, spec):
        query, out, form = self.select(spec), spec["out"], spec["form"]
        if form == "pigz":
            return self.through_pigz(query, out)
        packed = ", COMPRESSION gzip" if form == "gzip" else ", COMPRESSION none"
        self.db.execute(f"COPY ({query}) TO {sql_text(out)} (FORMAT csv, HEADER{packed})")

    def through_pigz(self, query, out):
        # A named pipe, since DuckDB opens its target by name.
        pipe = out + ".pipe"
        os.mkfifo(pipe)
        try:
            with open(out, "wb") as target:
                shell = subprocess.Popen(["sh", "-c", 'exec pigz -1 -c < "$1"', "sh", pipe], stdout=target)
                try:
                    self.db.execute(f"COPY ({query}) TO {sql_text(pipe)} (FORMAT csv, HEADER, COMPRESSION none, USE_TMP_FILE false)")
                except Exception:
                    shell.kill()
                    raise
                finally:
                    code = shell.wait()
            if code:
                raise RuntimeError(f"pigz ended with {code}")
        finally:
            os.unlink(pipe)

    def sort(self, spec):
        """A CSV file to one sorted Parquet file, types given."""
        types = ", ".join(f"{sql_text(c)}: {sql_text(t)}" for c, t in spec["types"])
        order = ", ".join(f'"{c}"' for c in spec["order"])
        self.db.execute(
            f"COPY (SELECT * FROM read_csv({sql_text(spec['csv'])}, header=true, columns={{{types}}}) ORDER BY {order}) "
            f"TO {sql_text(spec['out'])} (FORMAT parquet, ROW_GROUP_SIZE 131072)"
        )


class Polars:
    def __init__(self):
        import polars
        self.pl, self.version = polars, polars.__version__

    def literal(self, value, kind):
        if kind == "instant":
            return self.pl.lit(datetime.datetime.fromisoformat(value), dtype=self.pl.Datetime("us", "UTC"))
        if kind == "date":
            return datetime.date.fromisoformat(value)
        return decimal.Decimal(value) if kind == "amount" else value

    def condition(self, column, operator, value, kind):
        field = self.pl.col(column)
        if operator == "in":
            return field.is_in([self.literal(v, kind) for v in value])
        value = self.literal(value, kind)
        return {
            "=": field.__eq__, "<>": field.__ne__, ">": field.__gt__, ">=": field.__ge__, "<": field.__lt__, "<=": field.__le__,
        }[operator](value)

    def copy(self, spec):
        frame = self.pl.scan_parquet(spec["files"])
        for condition in spec["where"]:
            frame = frame.filter(self.condition(*condition))
        packed = {"compression": "gzip", "compression_level": 1} if spec["form"] == "gzip" else {}
        frame.select(spec["columns"]).sink_csv(spec["out"], maintain_order=False, check_extension=False, **packed)


class ChDb:
    def __init__(self):
        import chdb
        self.version = chdb.__version__ if isinstance(chdb.__version__, str) else ".".join(map(str, chdb.__version__))
        self.db = chdb.connect(":memory:")
        self.db.query("SELECT 1")

    def literal(self, value, kind):
        if kind == "instant":
            return f"parseDateTime64BestEffort('{value}', 6, 'UTC')"
        if kind == "date":
            return f"toDate32('{value}')"
        return f"toDecimal64('{value}', 4)" if kind == "amount" else "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"

    def condition(self, column, operator, value, kind):
        if operator == "in":
            return f"`{column}` IN ({', '.join(self.literal(v, kind) for v in value)})"
        return f"`{column}` {operator} {self.literal(value, kind)}"

    def copy(self, spec):
        folders = {os.path.dirname(f) for f in spec["files"]}
        if len(folders) != 1:
            raise RuntimeError("the files lie in several folders")
        # {a} alone is taken literally, {a,b} as alternatives.
        names = [os.path.basename(f) for f in spec["files"]]
        pattern = f"{folders.pop()}/" + (names[0] if len(names) == 1 else "{" + ",".join(names) + "}")
        columns = ", ".join(f"`{c}`" for c in spec["columns"])
        where = " AND ".join(self.condition(*c) for c in spec["where"])
        packed = " COMPRESSION 'gzip' LEVEL 1" if spec["form"] == "gzip" else ""
        self.db.query(
            f"SELECT {columns} FROM file('{pattern}', Parquet)" + (f" WHERE {where}" if where else "")
            + f" INTO OUTFILE '{spec['out']}' TRUNCATE{packed} FORMAT CSVWithNames SETTINGS format_csv_null_representation=''"
        )


def answer(**members):
    # The libraries may print, too: answers are told apart by their first character.
    sys.stdout.write("\x1e" + json.dumps(members) + "\n")
    sys.stdout.flush()


def main():
    tool = {"duckdb": DuckDb, "polars": Polars, "chdb": ChDb}[sys.argv[1]]()
    answer(ready=True, version=tool.version)
    for line in sys.stdin:
        spec = json.loads(line)
        try:
            reset_peak()
            cpu, start = cpu_seconds(), time.perf_counter()
            getattr(tool, spec["do"])(spec)
            make_durable(spec["out"])
            seconds = time.perf_counter() - start
            answer(seconds=seconds, cpu=cpu_seconds() - cpu, peak_mb=peak_mb(), bytes=os.path.getsize(spec["out"]))
        except Exception as error:
            answer(failed=f"{type(error).__name__}: {error}"[:2000])


if __name__ == "__main__":
    main()
