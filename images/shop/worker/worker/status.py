"""/health and /metrics of the worker."""

import http.server
import threading
import time

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


class Status:
    """Healthy while the consumer's loop goes round."""

    def __init__(self, patience_seconds=15):
        self._patience = patience_seconds
        self._beat = time.monotonic()

    def beat(self):
        self._beat = time.monotonic()

    def healthy(self):
        return time.monotonic() - self._beat < self._patience

    def serve(self, port):
        status = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # the name is the base class's
                if self.path == "/metrics":
                    self.answer(200, CONTENT_TYPE_LATEST, generate_latest())
                elif self.path == "/health" and status.healthy():
                    self.answer(200, "application/json", b'{"status":"ok"}')
                elif self.path == "/health":
                    self.answer(503, "application/json", b'{"status":"stuck"}')
                else:
                    self.answer(404, "text/plain", b"not found")

            def answer(self, code, kind, content):
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                """Requests for the status are not worth a line."""

        server = http.server.ThreadingHTTPServer(("0.0.0.0", port), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
