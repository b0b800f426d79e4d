"""A stand-in for the payment provider: every charge that carries a key goes through, but for one customer's."""

import http.server
import json
import uuid


DECLINED = 900402


class Provider(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):  # the name is the base class's
        asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        key = self.headers.get("Authorization", "").removeprefix("Bearer").strip()
        if self.path != "/v1/charges":
            self.answer(404, {"error": "no such resource"})
        elif not key:
            self.answer(401, {"error": "no API key was given"})
        elif asked.get("customer") == DECLINED:
            self.answer(402, {"error": "card declined"})
        else:
            self.answer(201, {"id": f"ch_{uuid.uuid4().hex[:16]}", "status": "succeeded", "amount": asked.get("amount")})

    def answer(self, code, content):
        text = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


if __name__ == "__main__":
    try:
        http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Provider).serve_forever()
    except KeyboardInterrupt:
        pass
