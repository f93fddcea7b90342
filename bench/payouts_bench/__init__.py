"""The bench: this service beside other tools, on the same machine, files and disk.

`main` reads the command line and runs the cases; `cases` are the exports that are timed, `posts`
the requests per second, `loading` the way in; `service` drives the real binary, `peers` and `peer`
the other tools; `check` proves that all of them wrote the same rows; `report` and `picture` show.
"""
