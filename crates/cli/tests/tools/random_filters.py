"""Random filters over all fields and operators: the service against DuckDB and exact Python.

random_filters.py URL TOKEN DATA COUNT SEED

Each filter is made as a tree and written twice: as OData, with the dialect's freedoms (case of
names and keywords, quoted numbers, bare dates), and as SQL in which nulls mean what the dialect
says. Arithmetic is not given to SQL: exact fractions evaluate it row by row, and SQL sees the set
of rows that it selects.
"""
import csv
import datetime
import pathlib
import random
import sys
from fractions import Fraction

from client import COLUMNS, Client, connect, difference, expected_rows, exported_rows

url, token, data, count, seed = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
client, rnd = Client(url, token), random.Random(seed)
HERE = pathlib.Path(__file__).resolve()
TYPES = {}
for row in csv.DictReader((HERE.parents[3] / "model" / "data" / "fields.csv").open()):
    TYPES.setdefault(row["report"], []).append(row)
OPS = {"eq": "=", "ne": "<>", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def any_case(word):
    return rnd.choice([word, word, word.upper(), word.capitalize(), word.lower()])


def keyword(word):
    return rnd.choice([word, word, word, word.upper(), word.capitalize()])


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def canonical(expression):
    return f"(CASE WHEN regexp_full_match({expression}, '[0-9]+') THEN coalesce(nullif(ltrim({expression}, '0'), ''), '0') ELSE {expression} END)"


class Oracle:
    """One report: its fields, values that occur, and the two writings of a filter."""

    def __init__(self, report):
        self.report, self.db, self.pools, self.leaves = report, connect(data, report), {}, 0
        self.fields = {f["column"]: f for f in TYPES[report]}
        self.rows = None

    def name(self, field):
        names = [field["column"]] + ([field["filter_name"]] if field["filter_name"] else [])
        return any_case(rnd.choice(names))

    def pool(self, column):
        if column not in self.pools:
            rows = self.db.execute(f'SELECT DISTINCT "{column}" FROM t WHERE "{column}" IS NOT NULL ORDER BY 1 LIMIT 3000').fetchall()
            self.pools[column] = [r[0] for r in rows]
        return self.pools[column]

    def some(self, column):
        pool = self.pool(column)
        return rnd.choice(pool) if pool else None

    def of_type(self, *kinds):
        return rnd.choice([f for f in self.fields.values() if f["type"] in kinds and self.pool(f["column"])] or [next(iter(self.fields.values()))])

    # Leaves: each answers (odata, sql), sql three-valued as in the dialect.

    def null_test(self):
        field = rnd.choice(list(self.fields.values()))
        op, sql = rnd.choice([("eq", "IS NULL"), ("ne", "IS NOT NULL")])
        return f"{self.name(field)} {keyword(op)} {keyword('null')}", f'("{field["column"]}" {sql})'

    def number(self):
        field = self.of_type("amount", "number", "integer")
        column = field["column"]
        value = self.some(column) or 0
        value = rnd.choice([value, value, 0, rnd.randint(-100, 10000), f"{rnd.uniform(-500, 5000):.2f}", f"{rnd.uniform(-5, 5):.9f}", "1e30", "-1e-30"])
        literal, op = str(value), rnd.choice(list(OPS))
        sql_value = f"({Fraction(literal).numerator}::DOUBLE/1)" if "e" in literal else f"{literal}::DECIMAL(38,10)"
        if literal == "1e30":
            sql = {"eq": "false", "ne": "true", "gt": "false", "ge": "false"}.get(op, f'("{column}" IS NOT NULL)')
        elif literal == "-1e-30":
            base = {"eq": "false", "ne": "true", "gt": ">= 0", "ge": ">= 0", "lt": "< 0", "le": "< 0"}[op]
            sql = base if base in ("true", "false") else f'coalesce("{column}" {base}, false)'
        else:
            sql = self.compare(f'"{column}"::DECIMAL(38,10)', op, sql_value)
        if rnd.random() < 0.15 and "e" not in literal:
            literal = quoted(literal)
        if rnd.random() < 0.15 and not literal.startswith("'"):
            mirrored = {"eq": "eq", "ne": "ne", "gt": "lt", "ge": "le", "lt": "gt", "le": "ge"}[op]
            return f"{literal} {keyword(mirrored)} {self.name(field)}", sql
        return f"{self.name(field)} {keyword(op)} {literal}", sql

    @staticmethod
    def compare(left, op, right):
        if op == "eq":
            return f"({left} IS NOT DISTINCT FROM {right})"
        if op == "ne":
            return f"({left} IS DISTINCT FROM {right})"
        return f"coalesce({left} {OPS[op]} {right}, false)"

    def text(self):
        field = self.of_type("text")
        value, op = self.some(field["column"]), rnd.choice(list(OPS))
        if value is None:
            return self.null_test()
        return f"{self.name(field)} {keyword(op)} {quoted(value)}", self.compare(f'"{field["column"]}"', op, quoted(value))

    def enumerated(self):
        field = self.of_type("enum")
        value, op = rnd.choice(field["values"].split("|")), rnd.choice(["eq", "ne", "="])
        sql = self.compare(f'lower("{field["column"]}")', "eq" if op == "=" else op, quoted(value.lower()))
        value = rnd.choice([value, value.lower(), value.upper()])
        return f"{self.name(field)}{op}{quoted(value)}" if op == "=" else f"{self.name(field)} {op} {quoted(value)}", sql

    def guid(self):
        field = self.of_type("guid")
        value = self.some(field["column"])
        if field["type"] != "guid" or value is None:
            return self.text()
        op = rnd.choice(["eq", "ne"])
        literal = rnd.choice([value, value.upper(), quoted(value), quoted(value.upper())])
        return f"{self.name(field)} {op} {literal}", self.compare(f'lower("{field["column"]}")', op, quoted(value.lower()))

    def id(self):
        field = self.of_type("id")
        value, op = self.some(field["column"]), rnd.choice(["eq", "ne"])
        if value is None:
            return self.null_test()
        digits = value.isdigit()
        literal = rnd.choice([value, value.lstrip("0") or "0", "00" + value]) if digits else value
        sql = self.compare(canonical(f'"{field["column"]}"'), op, quoted((value.lstrip("0") or "0") if digits else value))
        literal = literal if digits and rnd.random() < 0.5 else quoted(literal)
        return f"{self.name(field)} {op} {literal}", sql

    def listed(self):
        field = self.of_type("id", "text", "enum", "amount", "date")
        column, kind = field["column"], field["type"]
        values = [v for v in (self.some(column) for _ in range(rnd.choice([0, 1, 2, 5, 40]))) if v is not None]
        if kind == "id":
            left, right = canonical(f'"{column}"'), [quoted((v.lstrip("0") or "0") if v.isdigit() else v) for v in values]
            shown = [quoted(v) for v in values]
        elif kind == "enum":
            left, right, shown = f'lower("{column}")', [quoted(v.lower()) for v in values], [quoted(v) for v in values]
        elif kind == "amount":
            left, right, shown = f'"{column}"', [f"{v}::DECIMAL(38,4)" for v in values], [str(v) for v in values]
        elif kind == "date":
            left, right, shown = f'"{column}"', [f"DATE '{v}'" for v in values], [str(v) for v in values]
        else:
            left, right, shown = f'"{column}"', [quoted(v) for v in values], [quoted(v) for v in values]
        sql = f"coalesce({left} IN ({', '.join(right)}), false)" if right else "false"
        return f"{self.name(field)} {keyword('in')} ({', '.join(shown)})", sql

    def date(self):
        field = self.of_type("date")
        value, op = self.some(field["column"]), rnd.choice(list(OPS))
        if value is None:
            return self.null_test()
        literal = rnd.choice([str(value), quoted(str(value))])
        return f"{self.name(field)} {op} {literal}", self.compare(f'"{field["column"]}"', op, f"DATE '{value}'")

    def date_with_instant(self):
        field = self.of_type("date")
        value, op = self.some(field["column"]), rnd.choice(list(OPS))
        if value is None:
            return self.null_test()
        at = rnd.choice(["00:00:00Z", "23:16:31.009Z", "00:00:00.0000001Z"])
        day = f"TIMESTAMP '{value} 00:00:00'"
        right = day if at == "00:00:00Z" else f"TIMESTAMP '{value} 00:00:01'"  # anything within the day
        return f"{self.name(field)} {op} {value}T{at}", self.compare(f'"{field["column"]}"::TIMESTAMP', op, right)

    def instant(self):
        field = self.of_type("timestamp")
        value, op = self.some(field["column"]), rnd.choice(list(OPS))
        value = value.astimezone(datetime.timezone.utc)
        column = f'"{field["column"]}"'
        if rnd.random() < 0.5:
            day = value.date()
            first, last = f"TIMESTAMPTZ '{day} 00:00:00+00'", f"TIMESTAMPTZ '{day + datetime.timedelta(days=1)} 00:00:00+00'"
            within = f"({column} >= {first} AND {column} < {last})"
            sql = {"ge": f"{column} >= {first}", "lt": f"{column} < {first}", "le": f"{column} < {last}", "gt": f"{column} >= {last}", "eq": within, "ne": f"NOT {within}"}[op]
            return f"{self.name(field)} {op} {rnd.choice([str(day), quoted(str(day))])}", f"({sql})"
        hours = rnd.choice([0, 0, 2, -7])
        local = value.astimezone(datetime.timezone(datetime.timedelta(hours=hours)))
        zone = "Z" if hours == 0 else f"{hours:+03d}:00"
        literal = local.strftime("%Y-%m-%dT%H:%M:%S") + f".{local.microsecond:06d}" + rnd.choice(["", "0"]) + zone
        return f"{self.name(field)} {op} {literal}", self.compare(column, op, f"TIMESTAMPTZ '{value.strftime('%Y-%m-%d %H:%M:%S.%f')}+00'")

    def boolean(self):
        fields = [f for f in self.fields.values() if f["type"] == "boolean"]
        if not fields:
            return self.enumerated()
        field = fields[0]
        column = f'"{field["column"]}"'
        if rnd.random() < 0.4:
            return self.name(field), column
        op, value = rnd.choice(["eq", "ne"]), rnd.choice(["true", "false"])
        return f"{self.name(field)} {op} {value}", self.compare(column, op, value)

    def two_fields(self):
        kind = rnd.choice(["amount", "date", "text"])
        fields = [f for f in self.fields.values() if f["type"] == kind]
        a, b, op = rnd.choice(fields), rnd.choice(fields), rnd.choice(list(OPS))
        return f"{self.name(a)} {op} {self.name(b)}", self.compare(f'"{a["column"]}"', op, f'"{b["column"]}"')

    def text_function(self):
        field = self.of_type("text", "enum")
        column, name, value = f'"{field["column"]}"', self.name(field), self.some(field["column"])
        if not value:
            return self.null_test()
        start = rnd.randrange(len(value))
        piece = value[start : start + rnd.randint(1, 4)]
        which = rnd.choice(["contains", "startswith", "endswith", "length", "indexof", "substring", "tolower", "toupper", "trim", "concat"])
        if which == "contains":
            return f"contains({name}, {quoted(piece)})", f"contains({column}, {quoted(piece)})"
        if which == "startswith":
            return f"startswith({name},{quoted(value[:3])})", f"starts_with({column}, {quoted(value[:3])})"
        if which == "endswith":
            return f"EndsWith({name},{quoted(value[-3:])})", f"suffix({column}, {quoted(value[-3:])})"
        if which == "length":
            op, n = rnd.choice(list(OPS)), len(value) + rnd.choice([-1, 0, 1])
            return f"length({name}) {op} {n}", self.compare(f"length({column})", op, str(n))
        if which == "indexof":
            op = rnd.choice(list(OPS))
            return f"indexof({name}, {quoted(piece)}) {op} {start}", self.compare(f"(strpos({column}, {quoted(piece)}) - 1)", op, str(start))
        if which == "substring":
            if rnd.random() < 0.5:
                return f"substring({name}, {start}) eq {quoted(value[start:])}", self.compare(f"substring({column}, {start + 1})", "eq", quoted(value[start:]))
            return f"substring({name}, {start}, 2) eq {quoted(value[start:start + 2])}", self.compare(f"substring({column}, {start + 1}, 2)", "eq", quoted(value[start : start + 2]))
        if which in ("tolower", "toupper"):
            if not value.isascii():
                return self.null_test()
            changed, sql = (value.lower(), "lower") if which == "tolower" else (value.upper(), "upper")
            return f"{which}({name}) eq {quoted(changed)}", self.compare(f"{sql}({column})", "eq", quoted(changed))
        if which == "trim":
            return f"trim({name}) ne {quoted(value.strip())}", self.compare(f"trim({column})", "ne", quoted(value.strip()))
        return f"concat(concat({name}, '-'), 'x') eq {quoted(value + '-x')}", self.compare(f"({column} || '-' || 'x')", "eq", quoted(value + "-x"))

    def date_function(self):
        field = self.of_type("date", "timestamp")
        column, value = field["column"], self.some(field["column"])
        if value is None:
            return self.null_test()
        parts = ["year", "month", "day"] + (["hour", "minute", "second", "date"] if field["type"] == "timestamp" else [])
        part, op = rnd.choice(parts), rnd.choice(list(OPS))
        if part == "date":
            day = value.astimezone(datetime.timezone.utc).date()
            return f"date({self.name(field)}) {op} {day}", self.compare(f'CAST("{column}" AS DATE)', op, f"DATE '{day}'")
        number = getattr(value.astimezone(datetime.timezone.utc) if isinstance(value, datetime.datetime) else value, part)
        return f"{part}({self.name(field)}) {op} {number}", self.compare(f'{part}("{column}")', op, str(number))

    # Arithmetic, evaluated exactly here.

    def load(self):
        if self.rows is None:
            columns = [f["column"] for f in self.fields.values() if f["type"] in ("amount", "number", "integer")]
            cells = ", ".join(f'"{c}"' for c in columns)
            self.rows = []
            for rid, *values in self.db.execute(f"SELECT rid, {cells} FROM t").fetchall():
                self.rows.append((rid, {c: None if v is None else Fraction(v) for c, v in zip(columns, values)}))
        return self.rows

    def term(self, depth):
        """(odata, function of a row to Fraction or None)"""
        if depth == 0 or rnd.random() < 0.2:
            if rnd.random() < 0.65:
                field = self.of_type("amount", "number", "integer")
                return self.name(field), lambda row, c=field["column"]: row[c]
            literal = rnd.choice([str(rnd.randint(0, 20)), f"{rnd.uniform(0, 50):.3f}", "0", "2", "1.5e2"])
            return literal, lambda row, v=Fraction(literal): v
        which = rnd.choice(["add", "sub", "mul", "divby", "mod", "negate", "round", "floor", "ceiling"])
        a_text, a = self.term(depth - 1)
        if which == "negate":
            return f"-({a_text})", lambda row: None if a(row) is None else -a(row)
        if which in ("round", "floor", "ceiling"):
            def rounded(row):
                v = a(row)
                if v is None:
                    return None
                if which == "floor":
                    return Fraction(v.numerator // v.denominator)
                if which == "ceiling":
                    return Fraction(-(-v.numerator // v.denominator))
                return half_up(v, 0)
            return f"{which}({a_text})", rounded
        b_text, b = self.term(depth - 1)

        def evaluate(row):
            x, y = a(row), b(row)
            if x is None or y is None:
                return None
            if which == "add":
                return x + y
            if which == "sub":
                return x - y
            if which == "mul":
                return x * y
            if y == 0:
                return None
            if which == "divby":
                return half_up(x / y, 10)
            whole = abs(x) // abs(y)
            return x - (whole if (x < 0) == (y < 0) else -whole) * y
        return f"({a_text} {keyword(which)} {b_text})", evaluate

    def arithmetic(self):
        left_text, left = self.term(rnd.randint(1, 3))
        right_text, right = self.term(rnd.choice([0, 0, 1]))
        op = rnd.choice(list(OPS))

        def truth(row):
            x, y = left(row), right(row)
            if op in ("eq", "ne"):
                return (x == y) == (op == "eq")
            if x is None or y is None:
                return False
            return {"gt": x > y, "ge": x >= y, "lt": x < y, "le": x <= y}[op]
        chosen = [(rid,) for rid, row in self.load() if truth(row)]
        self.leaves += 1
        leaf = f"leaf{self.leaves}"
        self.db.execute(f"CREATE OR REPLACE TEMP TABLE {leaf} AS SELECT unnest(?::BIGINT[]) AS rid", [[r[0] for r in chosen]])
        return f"{left_text} {keyword(op)} {right_text}", f"(rid IN (SELECT rid FROM {leaf}))"

    def leaf(self):
        return rnd.choice([self.null_test, self.number, self.number, self.text, self.enumerated, self.guid, self.id, self.id, self.listed, self.listed,
                           self.date, self.date_with_instant, self.instant, self.instant, self.boolean, self.two_fields, self.text_function, self.text_function, self.date_function, self.arithmetic, self.arithmetic])()

    def tree(self, depth):
        if depth == 0 or rnd.random() < 0.25:
            return self.leaf()
        which = rnd.choice(["and", "or", "and", "or", "not"])
        a_text, a_sql = self.tree(depth - 1)
        if which == "not":
            return f"{keyword('not')} ({a_text})", f"(NOT {a_sql})"
        b_text, b_sql = self.tree(depth - 1)
        return f"({a_text}) {keyword(which)} ({b_text})", f"({a_sql} {which.upper()} {b_sql})"


def half_up(value, decimals):
    """Rounded to `decimals`, halves away from zero."""
    scaled = abs(value) * 10**decimals
    whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return Fraction(whole if value >= 0 else -whole, 10**decimals)


oracles = [Oracle("payments"), Oracle("transactionhistory")]
failures = selective = 0
for number in range(count):
    oracle = oracles[number % 2]
    text, sql = oracle.tree(rnd.choice([0, 1, 2, 2, 3]))
    try:
        body = {"filter": text} if number % 5 == 0 else None
        more = "fileFormat=csv&$select=" + ",".join(COLUMNS[oracle.report])
        query = more if body else client.filter_query(text) + "&" + more
        _, file = client.export(oracle.report, query, body)
        _, ours = exported_rows(file)
        theirs = expected_rows(oracle.db, oracle.report, sql)
        assert ours == theirs, difference(ours, theirs)
        selective += bool(theirs)
    except AssertionError as error:
        failures += 1
        print(f"FAIL {number} {oracle.report}\n  $filter={text}\n  WHERE {sql}\n  {error}", flush=True)
print(f"{count - failures} passed, {failures} failed")
print(f"{selective} of {count} filters selected rows; seed {seed}")
sys.exit(1 if failures or selective * 3 < count else 0)
