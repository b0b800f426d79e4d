"""A small site as it is behind a gateway: it insists on its own name, and its ids differ from run to run."""
import base64, hashlib, json, os, random, time
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOME = "http://web:8000"
ids = random.SystemRandom()
sessions, orders = {}, {}


class Site(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def say(self, status, body=b"", kind="application/json", **headers):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def session(self):
        cookies = SimpleCookie(self.headers.get("Cookie", ""))
        return sessions.get(cookies["sid"].value) if "sid" in cookies else None

    def read(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        whole = b""
        while size := int(self.rfile.readline(), 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def answer(self):
        body = self.read()
        path = self.path.split("?")[0]
        if self.headers["Host"] != "web:8000":
            return self.say(421, {"error": self.headers["Host"]})
        if path == "/login" and self.command == "POST":
            sid = "%032x" % ids.getrandbits(128)
            sessions[sid] = body.decode()
            cookie = f"sid={sid}; Path=/; Domain=web; Secure; HttpOnly; SameSite=None"
            return self.say(303, Location=HOME + "/home", Set_Cookie=cookie)
        if path == "/health":
            return self.say(200, {"ok": True})
        if path == "/a.css":
            return self.say(200, b"a{}", "text/css")
        if path == "/kept":
            if self.headers.get("If-None-Match"):
                return self.say(304, ETag='"1"')
            return self.say(200, {"kept": False}, ETag='"1"', Cache_Control="max-age=600")
        if path == "/bytes":
            return self.say(200, bytes(range(256)), "application/octet-stream")
        if path == "/upload":
            return self.say(200, {"size": len(body), "sha": hashlib.sha256(body).hexdigest()})
        if path == "/away":
            return self.say(302, Location="https://elsewhere.example/login")
        if path == "/big":
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for _ in range(64):
                self.wfile.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
            return
        if path == "/endless":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"1\r\nx\r\n")
                    time.sleep(0.01)
            except OSError:
                return
        if path == "/drop":
            self.close_connection = True
            return
        if path == "/ws" and self.headers.get("Upgrade", "").lower() == "websocket":
            key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.send_header("Sec-WebSocket-Accept", accept)
            self.end_headers()
            self.close_connection = True
            while piece := self.connection.recv(100):
                self.connection.sendall(piece)
            return
        if self.session() is None:
            return self.say(401, {"error": "who are you?"})
        if path == "/home":
            return self.say(200, {"user": "ann", "cart_id": ids.randrange(10**9, 10**10)})
        if path == "/orders" and self.command == "POST":
            if self.headers.get("Origin") != HOME or "127.0.0.1" in self.headers.get("Referer", ""):
                return self.say(403, {"error": "from another site"})
            order = json.loads(body)
            order["id"] = ids.randrange(10**9, 10**10)
            orders[str(order["id"])] = order
            return self.say(201, order, Location=f"/orders/{order['id']}")
        if path.startswith("/orders/") and path[8:] in orders:
            return self.say(200, orders[path[8:]])
        self.say(404, {"error": "not found"})

    do_GET = do_HEAD = do_POST = do_PUT = answer

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("", 8000), Site).serve_forever()
