"""The part `pairs` of ci/soak: environments that differ in sixty ways and more, of which one or two make a scenario fail.

Each pair is drawn from a seed: services, what differs between them, which of it is the cause, and a scenario that sees only that.
The scenario looks at what a container really has (its mounts, user, limits, names…), never at what a file says.
"""
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
TOOL = TOP / "target/debug/prodmirror"
SHELL = "registry.shop.example/debian:bookworm"
NEWER = "registry.shop.example/debian:trixie"
# Two names of the same image, of this process alone, and removed at the end.
SAME = tuple(f"prodmirror-pairs/debian:{name}-{os.getpid()}" for name in ("one", "two"))
SERVICES = ("app", "front", "jobs")
LEAST = 60
# Runs that an answer may take: the ends, by halves to each cause, alone, the proof of each, the rest.
MOST = {1: 12, 2: 30}


class Pair:
    """Two environments while they are made."""

    def __init__(self, rng, dir):
        self.rng, self.dir = rng, dir
        self.sides = tuple({"services": {}, "configs": {}, "volumes": {}, "networks": {}, "secrets": {}} for _ in "ab")
        self.names = set()
        for name in SERVICES:
            self.service(name, self.sides)

    def service(self, name, sides):
        for side in sides:
            side["services"][name] = {
                "image": SHELL, "init": True, "command": ["sleep", "infinity"], "environment": {}, "labels": {},
                "volumes": [], "configs": [], "secrets": [], "tmpfs": [], "deploy": {"resources": {"limits": {}, "reservations": {}}},
            }

    def word(self):
        """A word that no other thing of the pair has."""
        while True:
            word = "".join(self.rng.choice("bdfgklmnprstvz") + self.rng.choice("aeiou") for _ in range(4))
            if word not in self.names:
                self.names.add(word)
                return word

    def file(self, letter, name, text):
        path = self.dir / letter / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return f"./{letter}/{name}"

    def both(self, service):
        return [side["services"][service] for side in self.sides]

    def field(self, service, name, a, b):
        for it, value in zip(self.both(service), (a, b)):
            if value is not None:
                it[name] = value


# What may differ. Each makes one difference, and gives the beginning of its label and a test for
# the shell of the service, which holds in B and not in A.


def env_value(p, s):
    name = p.word().upper()
    for it, value in zip(p.both(s), ("lax", "strict")):
        it["environment"][name] = value
    return f"{s}: env {name} ", f'test "${name}" = strict'


def env_missing(p, s):
    name = p.word().upper()
    p.both(s)[0]["environment"][name] = p.word()
    return f"{s}: env {name} ", f'test -z "${name}"'


def env_added(p, s):
    name = p.word().upper()
    p.both(s)[1]["environment"][name] = p.word()
    return f"{s}: env {name} ", f'test -n "${name}"'


def time_zone(p, s):
    p.both(s)[1]["environment"]["TZ"] = "EST5"
    return f"{s}: env TZ ", 'test "$(date +%Z)" = EST'


def config_content(p, s):
    name = p.word()
    for side, letter, value in zip(p.sides, "ab", ("lax", "strict")):
        side["configs"][name] = {"file": p.file(letter, f"{name}.conf", f"# settings\nmode = {value}\n")}
        side["services"][s]["configs"].append({"source": name, "target": f"/etc/{name}.conf"})
    return f"content of config {name} ", f"grep -q strict /etc/{name}.conf"


def config_missing(p, s):
    name = p.word()
    side = p.sides[0]
    side["configs"][name] = {"file": p.file("a", f"{name}.conf", "mode = lax\n")}
    side["services"][s]["configs"].append({"source": name, "target": f"/etc/{name}.conf"})
    return f"{s}: config /etc/{name}.conf ", f"test ! -e /etc/{name}.conf"


def bind_content(p, s):
    name = p.word()
    for it, letter, value in zip(p.both(s), "ab", ("lax", "strict")):
        p.file(letter, f"{name}/settings", value)
        it["volumes"].append(f"./{letter}/{name}:/srv/{name}:ro")
    return f"{s}: mount /srv/{name} ", f"grep -q strict /srv/{name}/settings"


def bind_missing(p, s):
    name = p.word()
    p.file("a", f"{name}/rates", "1")
    p.both(s)[0]["volumes"].append(f"./a/{name}:/srv/{name}:ro")
    return f"{s}: mount /srv/{name} ", f"test ! -e /srv/{name}/rates"


def volume_added(p, s):
    name = p.word()
    p.sides[1]["volumes"][name] = {}
    p.both(s)[1]["volumes"].append(f"{name}:/var/{name}")
    return f"{s}: mount /var/{name} ", f"grep -q ' /var/{name} ' /proc/mounts"


def tmpfs_added(p, s):
    name = p.word()
    p.both(s)[1]["tmpfs"].append(f"/var/{name}")
    return f"{s}: tmpfs /var/{name} ", f"grep -q ' /var/{name} tmpfs ' /proc/mounts"


def tmpfs_size(p, s):
    name = p.word()
    for it, size in zip(p.both(s), ("2m", "1m")):
        it["tmpfs"].append(f"/var/{name}:size={size}")
    return f"{s}: tmpfs /var/{name} ", f"grep -q ' /var/{name} tmpfs .*size=1024k' /proc/mounts"


def secret_missing(p, s):
    name = p.word()
    side = p.sides[0]
    side["secrets"][name] = {"file": p.file("a", f"{name}.txt", p.word())}
    side["services"][s]["secrets"].append(name)
    return f"{s}: secret /run/secrets/{name} ", f"test ! -e /run/secrets/{name}"


def image(p, s):
    p.field(s, "image", SHELL, NEWER)
    return f"{s}: image ", "grep -q trixie /etc/os-release"


def user(p, s):
    p.field(s, "user", *p.rng.choice([(None, "1000"), ("1001", "1000"), ("1001:1001", "1000:1001")]))
    return f"{s}: user ", 'test "$(id -u)" = 1000'


def read_only(p, s):
    p.field(s, "read_only", None, True)
    return f"{s}: read_only ", "grep -qE '^[^ ]+ / [^ ]+ ro[, ]' /proc/mounts"


def limit(name, a, b, test):
    def make(p, s):
        for it, value in zip(p.both(s), (a, b)):
            if value is not None:
                it["deploy"]["resources"]["limits"][name] = value
        return f"{s}: deploy.resources.limits.{name} ", test

    return make


def cgroup(first, second):
    """A file of the first or the second version of control groups."""
    return f"$(cat /sys/fs/cgroup/{first} 2>/dev/null || cat /sys/fs/cgroup/{second})"


def field(name, a, b, test):
    """A field as a whole."""

    def make(p, s):
        p.field(s, name, a, b)
        return f"{s}: {name} ", test

    return make


def labels(p, s):
    for it, letter in zip(p.both(s), "ab"):
        it["labels"][f"example.{p.word()}"] = letter
    return f"{s}: labels ", None


def same_image(p, s):
    p.field(s, "image", *SAME)
    return f"{s}: image ", None


def service_missing(p, s):
    name = p.word()
    p.service(name, p.sides[:1])
    return f"service {name}: ", f"! getent hosts {name} >/dev/null"


def service_added(p, s):
    """With a variable that names it, and one who waits for it: two differences that need it."""
    name = p.word()
    p.service(name, p.sides[1:])
    it = p.both(s)[1]
    it["environment"][f"{name.upper()}_URL"] = f"http://{name}:8080/"
    it.setdefault("depends_on", []).append(name)
    return f"service {name}: ", f"getent hosts {name} >/dev/null"


def networks(p, s):
    """Who is in which network: a peer that only A's service sees."""
    name = p.word()
    p.service(name, p.sides)
    for side, peer in zip(p.sides, ("inner", "outer")):
        side["networks"] = {"default": {}, "inner": {}, **({"outer": {}} if peer == "outer" else {})}
        side["services"][s]["networks"] = ["default", "inner"]
        side["services"][name]["networks"] = [peer]
    return "networks differs", f"! getent hosts {name} >/dev/null"


def sick(p, s):
    """A check that never holds: the stack does not start."""
    checks = [{"test": ["CMD", "test", "-e", path], "interval": "200ms", "timeout": "2s", "retries": 3} for path in ("/etc", "/ready")]
    p.field(s, "healthcheck", *checks)
    return f"{s}: healthcheck ", "sick"


# Of these a service has one each at most.
SINGLE = {
    "image": image,
    "same image": same_image,
    "user": user,
    "read-only root": read_only,
    "memory limit": limit("memory", "96m", "64m", f'test "{cgroup("memory/memory.limit_in_bytes", "memory.max")}" = 67108864'),
    "process limit": limit("pids", 90, 70, f'test "{cgroup("pids/pids.max", "pids.max")}" = 70'),
    "cpu limit": limit("cpus", "0.9", "0.7", None),
    "labels": labels,
    "time zone": time_zone,
    "limit of open files": field("ulimits", {"nofile": 600}, {"nofile": 500}, "grep -q 'Max open files  *500 ' /proc/1/limits"),
    "kernel parameter": field("sysctls", None, {"net.ipv4.tcp_syncookies": "0"}, 'test "$(cat /proc/sys/net/ipv4/tcp_syncookies)" = 0'),
    "host name": field("hostname", None, "prod-1", 'test "$(cat /proc/sys/kernel/hostname)" = prod-1'),
    "working directory": field("working_dir", None, "/var/lib", 'test "$(pwd)" = /var/lib'),
    "dropped capability": field("cap_drop", None, ["NET_RAW"], "test $((0x$(sed -n 's/^CapBnd:[[:space:]]*//p' /proc/self/status) >> 13 & 1)) = 0"),
    "command": field("command", ["sleep", "123456"], ["sleep", "654321"], "tr '\\0' ' ' </proc/1/cmdline | grep -q 654321"),
    "shared memory": field("shm_size", None, "32m", "grep -q ' /dev/shm .*size=32768k' /proc/mounts"),
    "known host": field("extra_hosts", None, ["partner.example:127.0.0.9"], "getent hosts partner.example | grep -q 127.0.0.9"),
    "group": field("group_add", None, ["2000"], "id -G | grep -qw 2000"),
    "time to stop": field("stop_grace_period", "2s", "3s", None),
    "signal to stop": field("stop_signal", "SIGTERM", "SIGINT", None),
    "restarts": field("restart", "no", "on-failure", None),
    "oom score": field("oom_score_adj", None, 100, "grep -qx 100 /proc/1/oom_score_adj"),
    "times of a check": field(
        "healthcheck", {"test": ["CMD", "true"], "interval": "2s"}, {"test": ["CMD", "true"], "interval": "3s", "retries": 4}, None
    ),
}
MANY = {
    "variable": env_value,
    "missing variable": env_missing,
    "added variable": env_added,
    "content of a config": config_content,
    "missing config": config_missing,
    "content of a mount": bind_content,
    "missing mount": bind_missing,
    "added volume": volume_added,
    "added tmpfs": tmpfs_added,
    "size of a tmpfs": tmpfs_size,
    "missing secret": secret_missing,
}
ONCE = {"missing service": service_missing, "added service": service_added, "networks": networks}
# These exclude each other in a service.
KEYS = {"same image": "image", "sick service": "times of a check"}


def draw(rng, dir, number):
    """Makes a pair in a directory: what was planted, as (kind, service, label, test)."""
    p = Pair(rng, dir)
    every = [(kind, make, s) for kind, make in SINGLE.items() for s in SERVICES]
    every += [(kind, make, rng.choice(SERVICES)) for kind, make in ONCE.items()]
    rng.shuffle(every)
    every = every[: rng.randint(36, 48)]
    every += [(kind, MANY[kind], rng.choice(SERVICES)) for kind in rng.choices(list(MANY), k=rng.randint(30, 36))]
    # A kind that no test can see is never the cause.
    blind = {"same image", "cpu limit", "labels", "time to stop", "signal to stop", "restarts", "times of a check"}
    count = 1 + number % 2
    if count == 1 and rng.random() < 0.15:
        every.insert(0, ("sick service", sick, rng.choice(SERVICES)))
        kinds = ["sick service"]
    else:
        # Of all kinds alike, not of those that occur often.
        kinds = rng.sample(sorted({kind for kind, _, _ in every} - blind), count)
    planted, taken = [], set()
    rng.shuffle(every)
    every.sort(key=lambda e: e[0] not in kinds)
    for kind, make, s in every:
        key = (KEYS.get(kind, kind), s)
        if kind not in MANY and key in taken:
            continue
        taken.add(key)
        label, test = make(p, s)
        if kind in kinds and all(kind != other for other, *_ in planted):
            planted.append((kind, s, label, test))
    for letter, side in zip("ab", p.sides):
        side = {k: v for k, v in side.items() if v}
        (dir / f"{letter}.compose.yaml").write_text(json.dumps(side, indent=1))
        secrets = {name: {"stub": "stand-in"} for name in side.get("secrets", {})}
        project = {"project": f"pairs-{number}", "production": [f"{letter}.compose.yaml"], "secrets": secrets}
        (dir / f"{letter}.mirror.yaml").write_text(json.dumps(project, indent=1))
    (dir / "s.yaml").write_text(json.dumps(scenario(planted), indent=1))
    return planted


def scenario(planted):
    """Fails only where all that was planted is there."""
    if planted[0][3] == "sick":
        return {"scenario": "it works", "steps": [{"exec": {"service": "app", "cmd": ["true"]}}]}
    steps = [{"exec": {"service": "app", "cmd": ["true"]}}]
    for i, (_, service, _, test) in enumerate(planted):
        line = f"if {test}; then echo bad; else echo good; fi"
        steps.append({"id": f"look{i}", "exec": {"service": service, "cmd": ["sh", "-c", line]}})
    seen = [f"steps.look{i}.stdout" for i in range(len(planted) - 1)] + ["stdout"]
    steps[-1]["expect"] = ["!(" + " && ".join(f'{s}.contains("bad")' for s in seen) + ")"]
    return {"scenario": "it works", "steps": steps}


def judge(report, planted):
    """The answer in labels, and what is wrong with it."""
    found = ((report or {}).get("answer", {}).get("outcome") or {}).get("found")
    if not found:
        return [], ["no cause was found"]
    wrong = []
    if len(found["causes"]) != 1:
        wrong.append(f"{len(found['causes'])} causes")
    if found["rest"] != "passes":
        wrong.append(f"B without it: {found['rest']}")
    cause = found["causes"][0]
    if cause["minimal"] != "proven":
        wrong.append(f"the proof is {cause['minimal']}")
    of = report["differences"]
    needed = [of[m["atom"]]["label"] for m in cause["members"] if m["part"] == "needed"]
    rest = [of[m["atom"]]["label"] for m in cause["members"] if m["part"] not in ("needed", "bound")]
    if rest:
        wrong.append(f"unclear: {rest}")
    missing = [label for _, _, label, _ in planted if not any(n.startswith(label) for n in needed)]
    if missing or len(needed) != len(planted):
        wrong.append(f"planted {[label.strip() for _, _, label, _ in planted]}, answered {needed}")
    if len(of) < LEAST:
        wrong.append(f"only {len(of)} differences were made")
    most = MOST[len(planted)]
    if len(report["runs"]) > most:
        wrong.append(f"{len(report['runs'])} runs, over {most}")
    return needed, wrong


def one(seed, number, keep):
    dir = pathlib.Path(tempfile.mkdtemp(prefix=f"soak-pairs-{number}-"))
    planted = draw(random.Random(f"{seed}-{number}"), dir, number)
    began = time.monotonic()
    command = [TOOL, "bisect", "a", "b", "s.yaml", "--report", "json=report.json"]
    done = subprocess.run(command, cwd=dir, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    took = time.monotonic() - began
    path = dir / "report.json"
    report = json.loads(path.read_text()) if path.exists() else None
    needed, wrong = judge(report, planted)
    if wrong or done.returncode:
        wrong.append(f"exit {done.returncode}")
        print(done.stdout + done.stderr, flush=True)
    if wrong and keep:
        print(f"what it was made of stays in {dir}", flush=True)
    else:
        shutil.rmtree(dir, ignore_errors=True)
    runs, count = (len(report["runs"]), len(report["differences"])) if report else (0, 0)
    kinds = " and ".join(kind for kind, *_ in planted)
    print(f"pair {number}: {kinds}: {'right' if not wrong else wrong}; {count} differences, {runs} runs, {took:.0f} s", flush=True)
    return {"number": number, "kinds": kinds, "causes": len(planted), "count": count, "runs": runs, "took": took, "wrong": wrong}


def pairs(given, report):
    print(f"pairs: seed {given.seed}", flush=True)
    for name in SAME:
        subprocess.run(["docker", "tag", SHELL, name], check=True)
    try:
        numbers = [int(n) for n in given.only] or list(range(1, (given.rounds or 10) + 1))
        all = [one(given.seed, number, given.keep) for number in numbers]
    finally:
        subprocess.run(["docker", "rmi", *SAME], check=True, stdout=subprocess.DEVNULL)
    right = sum(not pair["wrong"] for pair in all)
    report.append(f"- {right} of {len(all)} answers were exactly what was planted, each proven (seed {given.seed}).")
    for causes, text in ((1, "one cause"), (2, "two that only fail together")):
        some = [pair["runs"] for pair in all if pair["causes"] == causes]
        if some:
            report.append(f"- {text}: {statistics.median(some):g} runs in the middle, {max(some)} at most (limit {MOST[causes]}).")
    report += ["", "| pair | planted | differences | runs | seconds | answer |", "|---|---|---|---|---|---|"]
    for pair in all:
        answer = "right" if not pair["wrong"] else "; ".join(pair["wrong"])
        report.append(f"| {pair['number']} | {pair['kinds']} | {pair['count']} | {pair['runs']} | {pair['took']:.0f} | {answer} |")
    return right == len(all)
