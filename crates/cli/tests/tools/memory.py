"""Peak memory of the whole service while it exports every payment, and the time from the Export.

memory.py BINARY FOLDER ROWS...
"""
import datetime
import pathlib
import subprocess
import sys

from client import Client
from server import peak_mb, serving

binary, folder, sizes = sys.argv[1], pathlib.Path(sys.argv[2]), [int(n) for n in sys.argv[3:]]
peaks = {}
for rows in sizes:
    data = folder / f"memory-{rows}"
    subprocess.run([binary, "sample", "--data", data, "--rows", str(rows)], check=True)
    for file_format in ("", "csv"):
        with serving(binary, data) as (url, process, token):
            client = Client(url, token)
            # A filter that every row passes: with none, the export is the last three years.
            query = client.filter_query("paymentAmount gt -1e12") + (f"&fileFormat={file_format}" if file_format else "")
            export = client.wait("payments", client.ask("payments", query)["requestId"])
            assert export["status"] == "Completed" and export["rowCount"] in (rows, str(rows)), export
            peak = peak_mb(process)
            begin, end = (datetime.datetime.fromisoformat(export[k][:26] + "+00:00") for k in ("requestDateTime", "completedDateTime"))
            seconds = (end - begin).total_seconds()
            peaks[rows, file_format] = peak
            print(f"{rows:>12,} rows  {file_format or 'zip':4} {int(export['fileSizeBytes']) / 1e6:9.1f} MB  {seconds:7.2f} s  peak {peak:6.1f} MB", flush=True)
failures = 0
for file_format in ("", "csv"):
    least, most = peaks[sizes[0], file_format], peaks[sizes[-1], file_format]
    ratio = max(least, most) / min(least, most)
    good = ratio <= 1.2 and max(least, most) < 400
    failures += not good
    print(f"{'ok' if good else 'FAIL'}: {file_format or 'zip'}: {sizes[-1]:,} rows peak at {most / least:.2f} of {sizes[0]:,} rows")
print(f"{2 - failures} passed, {failures} failed")
sys.exit(1 if failures else 0)
