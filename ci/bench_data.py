"""What `ci/bench data` times: clones, databases on them, and masking."""
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
TOOL = TOP / "target/release/prodmirror"
STORE = "prodmirror-bench-store"
PLAIN = "prodmirror-bench-plain"
IMAGE = "registry.shop.example/postgres:15"
SERVICE = f"""
services:
  db:
    image: {IMAGE}
    user: postgres
    stop_signal: SIGINT
    environment: {{ POSTGRES_USER: shop, POSTGRES_DB: shop, POSTGRES_PASSWORD: stand-in }}
    volumes: ["data:/var/lib/postgresql/data"]
    healthcheck: {{ test: [CMD, pg_isready, -q, -h, 127.0.0.1, -U, shop], interval: 1s, retries: 60 }}
"""
SQL = "sql: {{ service: db, user: shop, password: stand-in, database: shop, query: \"{}\" }}"


def seed(gib):
    """Rows of a kilobyte in eight tables, so many that the cluster has so many GiB."""
    tables = "".join(
        f"CREATE TABLE t{i} AS SELECT n AS id, (SELECT string_agg(md5((n * 31 + k)::text), '') FROM generate_series(1, 28) k) AS text"
        f" FROM generate_series(1, {int(gib * 1024 * 1024 / 8 / 1.05)}) n;\nALTER TABLE t{i} ADD PRIMARY KEY (id);\n"
        for i in range(8)
    )
    return "SET synchronous_commit = off;\n" + tables


class Bench:
    def __init__(self, name, volumes="  data: {}", extra="", **scenarios):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"bench-{name}-"))
        (self.dir / "compose.yaml").write_text(f"{SERVICE}volumes:\n{volumes}\n")
        (self.dir / "mirror.yaml").write_text(f"project: bench-{name}\nproduction: [compose.yaml]\n{extra}")
        (self.dir / "scenarios").mkdir()
        for key, text in scenarios.items():
            (self.dir / f"scenarios/{key}.yaml").write_text(text)

    def tool(self, *args):
        env = {**os.environ, "PRODMIRROR_STORE": STORE, "NO_COLOR": "1"}
        done = subprocess.run([TOOL, *args], cwd=self.dir, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise SystemExit(f"bench: {' '.join(args)}: {done.stdout[-2000:]}{done.stderr[-4000:]}")
        return done

    def events(self):
        runs = sorted((self.dir / ".prodmirror/runs").iterdir(), key=lambda p: p.stat().st_mtime)
        return [json.loads(line) for line in (runs[-1] / "events.jsonl").read_text().splitlines()]


def volume(name, *command):
    subprocess.run(["docker", "run", "--rm", "-u", "0", "-v", f"{name}:/v", "--entrypoint", "sh", IMAGE, "-c", *command], check=True, stdout=subprocess.DEVNULL)


def clones(rounds, row):
    """1 GiB and 4 GiB in turn, each from the request to the engine's volume; and a copy of the larger."""
    tiny = "scenario: {0}\ndata: {{ data: bench-{1} }}\nsteps:\n  - exec: {{ service: db, cmd: [\"true\"] }}\n"
    bench = Bench("clones", a=tiny.format("small", 1), b=tiny.format("large", 4))
    bench.tool("run", "--repeat", str(rounds))
    took = {"bench-1": [], "bench-4": []}
    for event in bench.events():
        if event["event"] == "data":
            took[event["snapshot"]].append(event["took_ms"] / 1000)
    # The first one opened the store.
    small, large = took["bench-1"][1:], took["bench-4"]
    source = TOP / "target/bench-data"
    shutil.rmtree(source, ignore_errors=True)
    up = Bench("copy", extra="data: { data: { snapshot: bench-4 } }\n")
    up.tool("up", "-d")
    found = subprocess.run(["docker", "volume", "ls", "-q", "--filter", "name=bench-copy"], capture_output=True, text=True, check=True).stdout.split()
    db = subprocess.run(["docker", "ps", "-q", "--filter", "label=dev.prodmirror.role=service", "--filter", "name=bench-copy"], capture_output=True, text=True, check=True).stdout.strip()
    subprocess.run(["docker", "cp", "-a", f"{db}:/var/lib/postgresql/data", str(source)], check=True)
    up.tool("down")
    copies = []
    for _ in range(3):
        target = TOP / "target/bench-copy"
        shutil.rmtree(target, ignore_errors=True)
        began = time.perf_counter()
        subprocess.run(["cp", "-a", source, target], check=True)
        copies.append(time.perf_counter() - began)
        shutil.rmtree(target)
    shutil.rmtree(source)
    a, b = statistics.median(small), statistics.median(large)
    near = b - a <= 0.020
    ok = row("clone of 4 GiB", large, small, "of 1 GiB", 99 if near else 1.5)
    return row("clone of 4 GiB", large, copies, "cp -a", 1 / 50) and ok


def answers(rounds, row):
    """From the request to the first answer about every table."""
    every = ", ".join(f"(select id from t{i} limit 1)" for i in range(8))
    clone = Bench(
        "clone",
        extra="data: { data: { snapshot: bench-4 } }\n",
        a=f"scenario: a\nsteps:\n  - {SQL.format('select ' + every)}\n",
    )
    subprocess.run(["docker", "volume", "rm", "-f", PLAIN], stdout=subprocess.DEVNULL)
    volume(PLAIN, "cp -a /var/lib/postgresql/template/. /v/ && chown -R postgres /v && chmod 700 /v")
    plain = Bench(
        "plain",
        volumes=f"  data: {{ external: true, name: {PLAIN} }}",
        extra=f"allow: {{ volumes: {{ data: [external-volume] }} }}\nfidelity: {{ allow: {{ blocker: 99 }} }}\n",
        a=f"scenario: a\nsteps:\n  - {SQL.format('select 1').replace('user: shop', 'user: postgres').replace('database: shop', 'database: postgres')}\n",
    )
    subprocess.run(
        ["docker", "run", "--rm", "-v", f"{PLAIN}:/v", "--entrypoint", "sh", "-u", "postgres", IMAGE, "-c",
         "printf \"ALTER ROLE postgres PASSWORD 'stand-in';\\n\\n\" | postgres --single -E -j -D /v postgres"], check=True, stdout=subprocess.DEVNULL)
    times = {"clone": [], "plain": []}
    for _ in range(rounds):
        for name, bench in (("clone", clone), ("plain", plain)):
            bench.tool("run")
            events = bench.events()
            began = next(e["ms"] for e in events if e["event"] == "stack_starting")
            ended = next(e["ms"] for e in events if e["event"] == "step_finished")
            times[name].append((ended - began) / 1000)
    return row("PostgreSQL to its first answer", times["clone"], times["plain"], "empty, plain", 1.5)


INSERTS = (
    "create table if not exists rows (id bigint primary key, text text);"
    "insert into rows select n, md5(n::text) from generate_series(1, 200000) n; truncate rows; checkpoint;"
)


def inserts(rounds, row):
    """Rows by the second once each file was written to; on a clone and on a volume of the engine's."""
    clone = Bench("inserts", extra="data: { data: { snapshot: bench-1 } }\n")
    plain = Bench("emptied", extra="data: { data: { empty: true } }\n")
    rates = {"clone": [], "plain": []}
    firsts = []
    for name, bench in (("clone", clone), ("plain", plain)):
        bench.tool("up", "-d")
    try:
        run = lambda bench, sql: bench.tool("exec", "-T", "db", "psql", "-XqU", "shop", "-c", "\\timing on", "-c", sql).stdout
        first = run(clone, "update t0 set text = text where id % 1000 = 0")
        again = run(clone, "update t0 set text = text where id % 1000 = 1")
        firsts = [float(re.search(r"Time: ([\d.]+)", t)[1]) for t in (first, again)]
        for bench in (clone, plain):
            for sql in INSERTS.split(";")[:-1]:
                run(bench, sql)
        for i in range(rounds):
            for name, bench in (("clone", clone), ("plain", plain)):
                said = run(bench, f"insert into rows select n, md5(n::text) from generate_series({i * 300000 + 1}, {(i + 1) * 300000}) n")
                rates[name].append(float(re.search(r"Time: ([\d.]+)", said)[1]) / 1000)
    finally:
        clone.tool("down")
        plain.tool("down")
    print(f"  the first write to pages of a clone took {firsts[0]:.0f} ms, the next {firsts[1]:.0f} ms (655 rows each)")
    # A rate of 0.9 is a time of 1 / 0.9.
    return row("300,000 rows inserted, on a clone", rates["clone"], rates["plain"], "plain volume", 1 / 0.9)


PEOPLE = """
CREATE TABLE people (id bigint PRIMARY KEY, email text UNIQUE NOT NULL, name text NOT NULL CHECK (name <> ''), phone varchar(20), born date);
CREATE INDEX ON people (name);
INSERT INTO people SELECT n, 'person' || n || '@shop.test', 'Name ' || n, '+49 30 ' || n, date '1970-01-01' + (n % 10000)::int FROM generate_series(1, 1000000) n;
"""
BY_HAND = (
    "update people set email = 'u' || md5('key' || email) || '@example.com', name = 'Name ' || left(md5('key' || name), 8),"
    " phone = '+1555' || lpad((abs(hashtext('key' || phone)) % 10000000)::text, 7, '0'), born = born + (id % 61 - 30)::int"
)


def masks(rounds, row):
    """The same columns of a million rows: by rules, and by an UPDATE of somebody who knows SQL."""
    rules = "mask: { people.email: email, people.name: name, people.phone: phone, people.born: { shift: 30d, by: id } }"
    recipe = f"mask_key: {{ stub: key }}\nsnapshots:\n  bench-people: {{ script: people.sql, service: db }}\n  bench-masked: {{ snapshot: bench-people, service: db, {rules} }}\n"
    bench = Bench("masks", extra=recipe)
    (bench.dir / "people.sql").write_text(PEOPLE)
    bench.tool("snapshot", "create", "bench-people")
    hand = Bench("hand", extra="data: { data: { snapshot: bench-people } }\n")
    ours, theirs = [], []
    for _ in range(rounds):
        process = subprocess.Popen(
            [TOOL, "snapshot", "create", "bench-masked"], cwd=bench.dir, env={**os.environ, "PRODMIRROR_STORE": STORE, "NO_COLOR": "1"},
            stderr=subprocess.PIPE, text=True,
        )
        began = None
        for line in process.stderr:
            if line.startswith("masking"):
                began = time.perf_counter()
            elif began:
                ours.append(time.perf_counter() - began)
                began = None
        if process.wait():
            raise SystemExit("bench: masking failed")
        bench.tool("snapshot", "rm", "bench-masked")
        hand.tool("up", "-d")
        said = hand.tool("exec", "-T", "db", "psql", "-XqU", "shop", "-c", "\\timing on", "-c", "set synchronous_commit = off", "-c", BY_HAND).stdout
        theirs.append(float(re.findall(r"Time: ([\d.]+)", said)[-1]) / 1000)
        hand.tool("down")
    bench.tool("snapshot", "rm", "bench-people")
    return row("masking a million rows", ours, theirs, "UPDATE by hand", 1 / 0.8)


def data(rounds, row):
    made = Bench("made")
    for gib, rows in ((1, 1.0), (4, 4.0)):
        (made.dir / f"{gib}.sql").write_text(seed(rows))
        began = time.monotonic()
        made.tool("snapshot", "create", f"bench-{gib}", "--script", f"{gib}.sql", "--service", "db")
        size = json.loads(made.tool("snapshot", "inspect", f"bench-{gib}", "--format", "json").stdout)["content"]["bytes"]
        print(f"  made {size / 2**30:.2f} GiB in {time.monotonic() - began:.0f} s", flush=True)
    ok = True
    try:
        ok &= clones(rounds or 30, row)
        ok &= answers(min(rounds or 7, 7), row)
        ok &= inserts(min(rounds or 7, 7), row)
        ok &= masks(min(rounds or 3, 3), row)
    finally:
        made.tool("snapshot", "rm", "--force", "bench-1", "bench-4")
        subprocess.run(["docker", "volume", "rm", "-f", PLAIN], stdout=subprocess.DEVNULL)
    return ok
