"""What bundles cost: writing one for a failing scenario, and running it again from one."""
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent

FAILS = """scenario: the last of five answers otherwise
steps:
  - exec: { service: c, cmd: [redis-cli, ping] }
    expect: stdout == "PONG\\n"
  - id: asked
    exec: { service: e, cmd: [redis-cli, ping] }
    expect: stdout == "GONE\\n"
"""


def timed(command, code, **kw):
    """Runs a command that must end with this code; the seconds, and when it ended."""
    began = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kw)
    took = time.perf_counter() - began
    ended = time.time()
    if done.returncode != code:
        sys.exit(f"bench: {' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout[-3000:]}")
    return took, ended


def last_run(top):
    return max((top / ".prodmirror/runs").iterdir(), key=lambda p: p.name)


def after_the_case(top, ended):
    """From the end of the last run's case to the end of the process: all that a bundle adds is in it, and the start
    of the stack, which is never twice the same, is not."""
    events = last_run(top) / "events.jsonl"
    at = {e["event"]: e["ms"] for e in map(json.loads, events.read_text().splitlines())}
    return (at["run_finished"] - at["case_finished"]) / 1000 + ended - events.stat().st_mtime


def seconds(many):
    return f"{statistics.median(many) * 1000:.0f} ms ({min(many) * 1000:.0f}-{max(many) * 1000:.0f})"


def manifest(bundle):
    return json.loads(subprocess.check_output(["tar", "-xOzf", bundle, "bundle.json"]))


def told(name, text, over):
    print(f"{name:34} {text}   {'OVER' if over else 'ok'}", flush=True)
    return not over


def repro(tool, rounds):
    """One failing scenario on five services without data: with and without a bundle in turn, and from the bundle."""
    bundle = None
    without, with_bundle, again, more, longer, own = [], [], [], [], [], []
    with tempfile.TemporaryDirectory() as tmp, tempfile.TemporaryDirectory() as empty:
        top = pathlib.Path(tmp)
        (top / "mirror.yaml").write_text("project: bench-repro\nproduction: [compose.yaml]\n")
        (top / "compose.yaml").write_text((TOP / "ci/bench.d/chain.compose.yaml").read_text())
        (top / "scenarios").mkdir()
        (top / "scenarios/a.yaml").write_text(FAILS)
        for turn in range(rounds + 1):
            modes = ["never", "on-failure"] if turn % 2 else ["on-failure", "never"]
            took, after = {}, {}
            for mode in modes:
                took[mode], ended = timed([tool, "run", "--bundle", mode], 1, cwd=top)
                after[mode] = after_the_case(top, ended)
                found = list(last_run(top).glob("*.bundle"))
                if len(found) != (mode != "never"):
                    sys.exit(f"bench: --bundle {mode} left {len(found)} bundles")
                bundle = found[0] if found else bundle
            took["again"], _ = timed([tool, "repro", bundle], 0, cwd=empty)
            if not turn:
                # The first finds nothing warm.
                continue
            without.append(took["never"])
            with_bundle.append(took["on-failure"])
            again.append(took["again"])
            more.append(after["on-failure"] - after["never"])
            longer.append(took["again"] - took["on-failure"])
            own.append(took["again"] - manifest(bundle)["run"]["took_ms"] / 1000)
    print(f"  run without a bundle {seconds(without)}, with one {seconds(with_bundle)}, repro {seconds(again)}, n={rounds}")
    ok = told("repro: what writing a bundle adds", f"{seconds(more)}   limit 300 ms", statistics.median(more) > 0.3)
    ok &= told("repro: against the whole run", f"{seconds(longer)} longer   limit 2000 ms", statistics.median(longer) > 2)
    print(f"  against the steps alone, without start and end of the stack: {seconds(own)} longer, no limit", flush=True)
    return ok
