"""Serves a data folder and runs another tool against it.

serve_and_run.py BINARY DATA TOOL ARGUMENTS... : the tool is called with URL TOKEN DATA ARGUMENTS...
"""
import pathlib
import subprocess
import sys

from server import serving

binary, data, tool, *arguments = sys.argv[1:]
with serving(binary, data) as (url, _, token):
    sys.exit(subprocess.run([sys.executable, pathlib.Path(__file__).parent / tool, url, token, data, *arguments]).returncode)
