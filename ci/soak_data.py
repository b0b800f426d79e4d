"""Counted repeats with data of production's size: what `ci/soak data` does."""
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
TOOL = TOP / "target/debug/prodmirror"
STORE = "prodmirror-soak-store"

DATABASE = """
services:
  db:
    image: registry.shop.example/postgres:15
    user: postgres
    stop_signal: SIGINT
    environment: { POSTGRES_USER: shop, POSTGRES_DB: shop, POSTGRES_PASSWORD: stand-in }
    command: [postgres, -c, shared_buffers=128MB, -c, log_min_duration_statement=-1]
    volumes: ["data:/var/lib/postgresql/data"]
    healthcheck: { test: [CMD, pg_isready, -q, -h, 127.0.0.1, -U, shop], interval: 1s, retries: 60 }
volumes:
  data: {}
"""
LOOKER = """
services:
  look:
    image: registry.shop.example/python:3.11
    init: true
    command: [sleep, infinity]
    volumes: ["data:/data:ro"]
volumes:
  data: {}
"""
# Everything of a tree in one hash: names, owners, modes, times of change, and every byte.
HASH = """
import hashlib, os
total = hashlib.sha256()
for top, dirs, files in os.walk('/data'):
    dirs.sort()
    for name in sorted(files):
        path = os.path.join(top, name)
        s = os.lstat(path)
        one = hashlib.sha256()
        with open(path, 'rb') as f:
            while piece := f.read(1 << 20): one.update(piece)
        total.update(f'{path} {s.st_mode} {s.st_uid} {s.st_gid} {s.st_size} {s.st_mtime_ns} {one.hexdigest()}'.encode())
print(total.hexdigest())
"""
# What a scenario does to a database: rows changed, added and removed, a table rewritten, then all of it checked.
WRITES = """
scenario: writes, and the database is sound
timeout: 10m
steps:
  - timeout: 5m
    sql:
      service: db
      user: shop
      password: stand-in
      database: shop
      query: update orders set state = 'cancelled' where id % 1009 = 3
  - timeout: 5m
    sql: { service: db, user: shop, password: stand-in, database: shop, query: "delete from order_items where order_id % 997 = 5" }
  - timeout: 5m
    exec: { service: db, cmd: [pg_amcheck, -U, shop, -j, "2", --install-missing, shop] }
"""


class Project:
    """A directory with a mirror of one service."""

    def __init__(self, name, compose, snapshot=None, extra="", scenario=None):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"soak-{name}-"))
        (self.dir / "compose.yaml").write_text(compose)
        data = f"data: {{ data: {{ snapshot: {snapshot} }} }}\n" if snapshot else ""
        (self.dir / "mirror.yaml").write_text(f"project: soak-{name}\nproduction: [compose.yaml]\n{data}{extra}")
        if scenario:
            (self.dir / "scenarios").mkdir()
            (self.dir / "scenarios/a.yaml").write_text(scenario)

    def tool(self, *args, host=None, check=True):
        env = {**os.environ, "PRODMIRROR_STORE": STORE, "NO_COLOR": "1"}
        if host:
            env["DOCKER_HOST"] = host
        done = subprocess.run([TOOL, *args], cwd=self.dir, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if check and done.returncode:
            raise SystemExit(f"soak: {' '.join(map(str, args))}: exit {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-6000:]}")
        return done

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def docker(*args, host=None, check=True):
    env = {**os.environ, **({"DOCKER_HOST": host} if host else {})}
    done = subprocess.run(["docker", *args], env=env, capture_output=True, text=True)
    if check and done.returncode:
        raise SystemExit(f"soak: docker {' '.join(args)}: {done.stderr}")
    return done.stdout.strip()


def from_a_real_dump(report):
    """A million orders, made by a database, dumped by its pg_dump, and loaded from the dump."""
    made = Project("made", DATABASE)
    shutil.copy(TOP / "production/snapshots/orders.sql", made.dir / "orders.sql")
    made.tool("snapshot", "create", "soak-made", "--script", "orders.sql", "--service", "db")
    up = Project("dumped", DATABASE, snapshot="soak-made")
    up.tool("up", "-d")
    up.tool("exec", "-T", "db", "pg_dump", "-U", "shop", "-Fc", "-Z", "1", "-f", "/tmp/orders.dump", "shop")
    up.tool("cp", "db:/tmp/orders.dump", str(made.dir / "orders.dump"))
    up.tool("down")
    made.tool("snapshot", "rm", "soak-made")
    size = (made.dir / "orders.dump").stat().st_size
    began = time.monotonic()
    made.tool("snapshot", "create", "soak-orders", "--dump", "orders.dump", "--service", "db")
    took = time.monotonic() - began
    manifest = json.loads(made.tool("snapshot", "inspect", "soak-orders", "--format", "json").stdout)
    rows = {t["name"]: t["rows"] for t in manifest["databases"][0]["tables"]}
    assert rows["public.orders"] == 1_000_000, rows
    report.append(
        f"- a dump of a million orders ({size >> 20} MiB, `pg_dump -Fc`) became a snapshot of {manifest['content']['bytes'] >> 20} MiB"
        f" in {took:.0f} s: loaded, measured, sealed."
    )
    up.remove()
    return made


def verified(project):
    project.tool("snapshot", "verify", "soak-orders")


def repeated(name, compose, scenario, rounds):
    project = Project(name, compose, snapshot="soak-orders", scenario=scenario)
    began = time.monotonic()
    done = project.tool("run", "--repeat", str(rounds), check=False)
    took = time.monotonic() - began
    passed = re.search(r"(\d+) passed", done.stderr)
    passed = int(passed[1]) if passed else 0
    if passed != rounds:
        print(done.stderr[-4000:], flush=True)
    clones = [int(ms) for ms in re.findall(r"\(btrfs, (\d+) ms\)", done.stderr)]
    project.remove()
    return passed, took, clones


def killed(report, rng, kills):
    """The database in mid-write, and the store's helper: then a new clone, and the snapshot is intact."""
    project = Project("killed", DATABASE, snapshot="soak-orders")
    good = 0
    for i in range(kills):
        project.tool("up", "-d")
        db = docker("ps", "-q", "--filter", "label=dev.prodmirror.project=soak-killed-mirror", "--filter", "label=dev.prodmirror.role=service")
        docker("exec", "-d", db, "psql", "-U", "shop", "-d", "shop", "-c", "update orders set total_cents = total_cents + 1")
        time.sleep(rng.uniform(0.2, 3))
        victim = db if i % 2 == 0 else docker("ps", "-q", "--filter", "label=dev.prodmirror.project=soak-killed-mirror", "--filter", "label=dev.prodmirror.role=store")
        docker("kill", "-s", "KILL", victim)
        project.tool("down")
        verified(project)
        project.tool("up", "-d")
        count = project.tool("exec", "-T", "db", "psql", "-XAtqU", "shop", "-c", "select count(*), sum(total_cents) > 0 from orders").stdout.strip()
        project.tool("down")
        good += count == "1000000|t"
        print(f"data: kill {i + 1}: {count}", flush=True)
    report.append(
        f"- `kill -9` of the database in mid-write and of the store's helper, in turn: {good} of {kills} times the snapshot was intact"
        " and a new clone answered."
    )
    project.remove()
    return good == kills


def engine_killed(report):
    """A second engine that dies in mid-write."""
    small = Project("second", DATABASE, snapshot="soak-small")
    (small.dir / "small.sql").write_text(
        "create table orders as select n as id, repeat('x', 200) as note from generate_series(1, 100000) n;\n"
    )
    host = subprocess.run([TOP / "ci/second-engine", "up"], capture_output=True, text=True, check=True).stdout.strip()
    good = False
    try:
        subprocess.run([TOP / "ci/second-engine", "load", "registry.shop.example/postgres:15"], check=True, stdout=subprocess.DEVNULL)
        small.tool("snapshot", "create", "soak-small", "--script", "small.sql", "--service", "db", host=host)
        small.tool("up", "-d", host=host)
        db = docker("ps", "-q", "--filter", "label=dev.prodmirror.role=service", host=host)
        docker("exec", "-d", db, "psql", "-U", "shop", "-d", "shop", "-c", "update orders set note = md5(id::text)", host=host)
        time.sleep(0.5)
        docker("kill", "-s", "KILL", "prodmirror-second-engine")
        docker("start", "prodmirror-second-engine")
        host = subprocess.run([TOP / "ci/second-engine", "up"], capture_output=True, text=True, check=True).stdout.strip()
        small.tool("down", host=host)
        small.tool("snapshot", "verify", "soak-small", host=host)
        small.tool("up", "-d", host=host)
        told = small.tool("exec", "-T", "db", "psql", "-XAtqU", "shop", "-c", "select count(*), max(length(note)) from orders", host=host).stdout.strip()
        kind = small.tool("snapshot", "create", "soak-again", "--mirror", "data", host=host).stderr
        small.tool("down", host=host)
        good = told == "100000|200"
        kind = re.search(r"\((btrfs|overlay|copies)\)", kind)
        report.append(
            f"- `kill -9` of a second engine (Docker 26.1) in mid-write: the snapshot was {'intact, and a new clone answered' if good else 'damaged: ' + told}"
            f" ({kind[1] if kind else '?'})."
        )
    finally:
        subprocess.run([TOP / "ci/second-engine", "down"], check=True)
        small.remove()
    return good


def data(given, report):
    rng = random.Random(given.seed)
    rounds = given.rounds or 100
    project = from_a_real_dump(report)
    verified(project)
    first = Project("hash", LOOKER, snapshot="soak-orders")
    first.tool("up", "-d")
    wanted = first.tool("exec", "-T", "look", "python3", "-c", HASH).stdout.strip()
    first.tool("down")
    first.remove()
    same = (
        f"scenario: all bytes are equal\ntimeout: 10m\nsteps:\n  - timeout: 5m\n    exec: {{ service: look, cmd: [python3, -c, {json.dumps(HASH)}] }}\n"
        f"    expect: [ exit_code == 0, {{ stdout: {{ contains: {wanted} }} }} ]\n"
    )
    equal, took, clones = repeated("equal", LOOKER, same, rounds)
    middle = sorted(clones)[len(clones) // 2] if clones else 0
    report.append(
        f"- {equal} of {rounds} clones in a row had all bytes equal ({took:.0f} s; a clone took {middle} ms in the middle, {max(clones, default=0)} at most)."
    )
    sound, took, _ = repeated("writes", DATABASE, WRITES, rounds)
    report.append(f"- {sound} of {rounds} scenarios wrote to a clone of their own, and `pg_amcheck` found nothing ({took:.0f} s).")
    verified(project)
    report.append("- the snapshot was then what its manifest says.")
    ok = equal == rounds and sound == rounds
    ok &= killed(report, rng, 6)
    ok &= engine_killed(report)
    verified(project)
    project.tool("snapshot", "rm", "soak-orders")
    project.remove()
    return ok
