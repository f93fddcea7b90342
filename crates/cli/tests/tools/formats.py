"""Three unzip programs and gzip on every kind of file; all hold the same text.

formats.py URL TOKEN [FILTER]
"""
import gzip
import hashlib
import io
import pathlib
import subprocess
import sys
import tempfile
import zipfile

from client import Client

client = Client(*sys.argv[1:3])
filter_text = sys.argv[3] if len(sys.argv) > 3 else None
query = client.filter_query(filter_text) + "&" if filter_text else ""
count = 0
for report in ("payments", "transactionhistory"):
    for text in ("csv", "tsv"):
        _, plain = client.export(report, query + f"fileFormat={text}")
        _, packed = client.export(report, query + f"fileFormat={text}.gz")
        assert gzip.decompress(packed) == plain, f"{report}: {text}.gz holds another text"
        for named in ([f"fileFormat={text}.zip", ""] if text == "csv" else [f"fileFormat={text}.zip"]):
            export, packed = client.export(report, query + named)
            manifest = client.manifest(report, export["requestId"])
            assert manifest["files"][0]["sha256"] == hashlib.sha256(packed).hexdigest()
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder) / "file.zip"
                path.write_bytes(packed)
                subprocess.run(["unzip", "-tqq", path], check=True)
                subprocess.run(["7z", "t", "-bso0", path], check=True)
                archive = zipfile.ZipFile(io.BytesIO(packed))
                assert archive.testzip() is None
                header = plain.split(b"\n", 1)[0] + b"\n"
                joined = header
                for entry, info in zip(manifest["files"][0]["entries"], archive.infolist(), strict=True):
                    body = archive.read(info)
                    assert info.filename == entry["name"] and info.date_time == (1980, 1, 1, 0, 0, 0)
                    assert hashlib.sha256(body).hexdigest() == entry["sha256"] and len(body) == entry["bytes"]
                    assert body.startswith(header)
                    other = subprocess.run(["unzip", "-p", path, info.filename], check=True, capture_output=True).stdout
                    assert other == body
                    other = subprocess.run(["7z", "e", "-so", "-bso0", path, info.filename], check=True, capture_output=True).stdout
                    assert other == body
                    joined += body[len(header):]
                assert joined == plain, f"{report}: the ZIP holds another text"
            count += 1
print(f"{count} passed, 0 failed")
