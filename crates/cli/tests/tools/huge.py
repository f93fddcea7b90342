"""A ZIP whose text is over 4 GiB: three unzip programs read it, and every entry verifies.

huge.py BINARY DATA (made by sample, with enough earnings)
"""
import hashlib
import pathlib
import subprocess
import sys
import tempfile
import urllib.request
import zipfile

from client import Client
from server import serving

binary, data = sys.argv[1:3]
with serving(binary, data) as (url, process, token), tempfile.TemporaryDirectory() as folder:
    client = Client(url, token)
    query = client.filter_query("earningAmountUSD gt -1e12")
    export = client.wait("transactionhistory", client.ask("transactionhistory", query)["requestId"])
    assert export["status"] == "Completed", export
    path = pathlib.Path(folder) / "huge.zip"
    with urllib.request.urlopen(export["blobLocation"]) as answer, path.open("wb") as out:
        while piece := answer.read(1 << 20):
            out.write(piece)
    manifest = client.manifest("transactionhistory", export["requestId"])
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    assert digest.hexdigest() == manifest["files"][0]["sha256"]
    archive = zipfile.ZipFile(path)
    text = rows = 0
    for entry, info in zip(manifest["files"][0]["entries"], archive.infolist(), strict=True):
        digest = hashlib.sha256()
        with archive.open(info) as body:
            while piece := body.read(1 << 20):
                digest.update(piece)
        assert digest.hexdigest() == entry["sha256"], info.filename
        text, rows = text + info.file_size, rows + entry["rows"]
    assert rows == int(export["rowCount"])
    assert text > 4 << 30, f"only {text} bytes of text: give it more rows"
    subprocess.run(["unzip", "-tqq", path], check=True)
    subprocess.run(["7z", "t", "-bso0", path], check=True)
    print(f"1 passed, 0 failed: {text / 2**30:.2f} GiB of text in {len(manifest['files'][0]['entries'])} entries, {path.stat().st_size / 1e6:.0f} MB, accepted by Python, Info-ZIP and 7-Zip")
