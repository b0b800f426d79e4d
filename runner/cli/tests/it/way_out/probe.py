"""Tries every way to reach a host that one can try from inside of a container.

Arguments: PORT ADDRESS... Each attempt says its own name, by which a listener knows it. Prints
the attempts that were answered, as a JSON list.
"""
import fcntl, json, socket, struct, sys

port = int(sys.argv[1])
reached = []


def interface(name, code):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        return fcntl.ioctl(s.fileno(), code, struct.pack("256s", name.encode()))


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def datagram(source, destination, text):
    udp = struct.pack("!HHHH", 40000, port, 8 + len(text), 0) + text
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0,
                       socket.inet_aton(source), socket.inet_aton(destination))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + udp


def attempt(how, to, act):
    name = f"{how} {to}"
    try:
        if act(name.encode()):
            reached.append(name)
    except OSError as e:
        print(f"{name}: {e}", file=sys.stderr)


def tcp(to):
    def act(text):
        with socket.create_connection((to, port), timeout=3) as s:
            s.sendall(text)
            return bool(s.recv(100))
    return act


def udp(to):
    def act(text):
        family = socket.AF_INET6 if ":" in to else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as s:
            s.settimeout(0.3)
            s.connect((to, port))
            s.send(text)
            return bool(s.recv(100))
    return act


def raw(to):
    def act(text):
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as s:
            s.sendto(datagram(own, to, text), (to, 0))
    return act


def frame(to):
    def act(text):
        mac = interface("eth0", 0x8927)[18:24]
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
            s.bind(("eth0", 0))
            s.send(b"\xff" * 6 + mac + b"\x08\x00" + datagram(own, to, text))
    return act


own = socket.inet_ntoa(interface("eth0", 0x8915)[20:24])
mask = struct.unpack("!I", interface("eth0", 0x891B)[20:24])[0]
gateway = socket.inet_ntoa(struct.pack("!I", (struct.unpack("!I", socket.inet_aton(own))[0] & mask) + 1))
for to in [gateway, *sys.argv[2:]]:
    attempt("tcp", to, tcp(to))
    attempt("udp", to, udp(to))
    if to[0].isdigit() and ":" not in to:
        attempt("raw", to, raw(to))
        attempt("frame", to, frame(to))
print(json.dumps(reached))
