"""The HTTP server of an archive: an API under /api/v1 and a web page.

    request ─ guard ─ access ─┬─ api ────┐
                              └─ pages ──┴─ library ─ work (processes with limits)
                                           jobs ─ Archive.index

settings    what the server was started with         problems   errors as RFC 9457 documents
access      tokens and their scopes                  guard      limits, headers, request log around every request
metrics     counts for Prometheus                    work       what reads drawings, in worker processes
library     the archive, uploads, searches           jobs       long work in the background
models      what the API answers                     api, pages the paths
app         all of it together

Glossary
--------
upload      a drawing that a client sent: bytes in memory for a while under an id that cannot be guessed, never a file.
reference   what names a drawing in a request: an id of the archive, or that of an upload.
"""
