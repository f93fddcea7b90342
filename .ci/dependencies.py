"""Checks of the dependency tree that need no network: sources, licences, versions that must agree."""
import json
import subprocess
import sys

ALLOWED = {
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-1-Clause", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0",
    "CDLA-Permissive-2.0", "ISC", "MIT", "MIT-0", "MPL-2.0", "NCSA", "OpenSSL", "Unicode-3.0", "Unlicense", "WTFPL", "Zlib", "bzip2-1.0.6",
}
# One version of each: two of them would not fit together, or would double the build.
SINGLE = ["arrow", "arrow-array", "parquet", "object_store", "datafusion", "deltalake-core", "sqlx", "tokio", "axum", "rustls", "zlib-rs", "libsqlite3-sys", "chrono"]

metadata = json.loads(subprocess.run(["cargo", "metadata", "--format-version", "1", "--offline", "--locked", "--all-features", "--filter-platform", "x86_64-unknown-linux-gnu"], check=True, capture_output=True).stdout)
problems = []


def allowed(expression):
    """An SPDX expression: `OR` needs one allowed side, `AND` both."""
    expression = expression.replace("/", " OR ").strip()
    tokens = expression.replace("(", " ( ").replace(")", " ) ").split()

    def parse_or(i):
        left, i = parse_and(i)
        while i < len(tokens) and tokens[i] == "OR":
            right, i = parse_and(i + 1)
            left = left or right
        return left, i

    def parse_and(i):
        left, i = parse_one(i)
        while i < len(tokens) and tokens[i] == "AND":
            right, i = parse_one(i + 1)
            left = left and right
        return left, i

    def parse_one(i):
        if tokens[i] == "(":
            value, i = parse_or(i + 1)
            return value, i + 1
        name = tokens[i]
        if i + 2 < len(tokens) and tokens[i + 1] == "WITH":
            return f"{name} WITH {tokens[i + 2]}" in ALLOWED or name in ALLOWED, i + 3
        return name in ALLOWED, i + 1

    return parse_or(0)[0]


versions = {}
for package in metadata["packages"]:
    versions.setdefault(package["name"], set()).add(package["version"])
    if package["source"] is None:
        continue
    if not package["source"].startswith("registry+https://github.com/rust-lang/crates.io-index"):
        problems.append(f"{package['name']}: comes from {package['source']}, not from the registry")
    licence = package["license"]
    if not licence and not package["license_file"]:
        problems.append(f"{package['name']}: states no licence")
    if licence and not allowed(licence):
        problems.append(f"{package['name']}: licence {licence} is not on the list")
for name in SINGLE:
    if len(versions.get(name, ())) != 1:
        problems.append(f"{name}: one version expected, found {sorted(versions.get(name, ()))}")
for problem in problems:
    print(f"error: {problem}", file=sys.stderr)
print(f"{len(metadata['packages'])} packages checked, {len(problems)} problems")
sys.exit(1 if problems else 0)
