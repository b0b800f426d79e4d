"""A stand-in for the risk service: nobody is a risk."""

import http.server
import json


class Scores(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):  # the name is the base class's
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        text = json.dumps({"score": 0}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


if __name__ == "__main__":
    try:
        http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Scores).serve_forever()
    except KeyboardInterrupt:
        pass
