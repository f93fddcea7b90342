"""The Azure Storage library on a file link: whole, by range, and resumed.

azure_download.py LINK SHA256 SIZE
"""
import hashlib
import sys

from azure.storage.blob import BlobClient

link, sha256, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
blob = BlobClient.from_blob_url(link)
properties = blob.get_blob_properties()
assert properties.size == size, (properties.size, size)
digest, got = hashlib.sha256(), 0
for chunk in blob.download_blob().chunks():
    digest.update(chunk)
    got += len(chunk)
assert got == size, f"{got} of {size} bytes"
assert digest.hexdigest() == sha256, "another SHA-256"
whole = blob.download_blob(max_concurrency=4).readall()
assert hashlib.sha256(whole).hexdigest() == sha256, "another SHA-256 with four connections"
for offset, length in [(0, 1), (1, 1000), (size // 2, 4096), (size - 10, 10), (size - 1, 1)]:
    part = blob.download_blob(offset=offset, length=length).readall()
    assert part == whole[offset : offset + length], (offset, length)
print(f"1 passed, 0 failed: {size} bytes whole, by range, with four connections")
