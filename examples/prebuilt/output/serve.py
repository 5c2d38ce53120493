"""Serves the directory `site` beside it until SIGTERM."""

import signal
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

site = Path(__file__).parent / "site"
# As process 1 of a container it would ignore the signal.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
server = ThreadingHTTPServer(("", 8080), partial(SimpleHTTPRequestHandler, directory=site))
print(f"serving {site} on port 8080")
server.serve_forever()
