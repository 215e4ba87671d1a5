"""A running container of the stand-in Docker: an image's own handler behind Lambda's local invoke address.

    python -m tests.build.container IMAGE FOLDER

unpacks IMAGE into FOLDER, and writes the port it listens on to FOLDER/port. What an image's RUN lines install
comes from this interpreter. Like the emulator in AWS's base images, it takes events as POSTs
to /2015-03-31/functions/function/invocations, and answers with what the handler returns.
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from sandbox.building import images

INVOCATIONS = "/2015-03-31/functions/function/invocations"


def main(image: Path, folder: Path) -> None:
    built: images.BuiltImage = pickle.loads(image.read_bytes())
    blobs = {blob.digest: blob.content for blob in built.blobs}
    images.unpack(built.manifest, blobs.__getitem__, folder / "files")
    config = json.loads(blobs[json.loads(built.manifest)["config"]["digest"]])["config"]
    os.environ |= dict(pair.split("=", 1) for pair in config["Env"])
    sys.path.insert(0, str(folder / "files/var/task"))
    module, _, name = config["Cmd"][0].rpartition(".")
    handler = getattr(importlib.import_module(module), name)

    class Invocations(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            event: Any = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = json.dumps(handler(event, None)).encode()
            self.send_response(200 if self.path == INVOCATIONS else 404)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    server = HTTPServer(("127.0.0.1", 0), Invocations)
    # Renamed, so that nobody reads half of it.
    (folder / "port.new").write_text(str(server.server_port))
    (folder / "port.new").rename(folder / "port")
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
