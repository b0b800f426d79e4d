"""An engine that has nothing, and a registry on loopback that both it and the first engine reach.

The second engine of ci/second-engine has a network of its own: 127.0.0.1 is another place there. Debian's `docker-registry` therefore
runs twice over one directory, here and in that engine's network, on the same port: what one engine pushed under `127.0.0.1:PORT/…`, the
other pulls by the same name and digest.
"""
import os
import pathlib
import socket
import subprocess
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent


def said(command, **more):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **more).stdout.strip()


def waited(what, is_so, seconds=30):
    until = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > until:
            raise SystemExit(f"reproduce: {what} took longer than {seconds} s")
        time.sleep(0.05)


class CleanEngine:
    """The second engine with the registries; ended on leaving. `name` keeps it apart from others that run at once."""

    def __init__(self, name="prodmirror-reproduce"):
        self.name = name
        self.env = {**os.environ, "SECOND_ENGINE_NAME": name}
        self.registries = []
        self.dir = tempfile.TemporaryDirectory(prefix="reproduce-registry-")

    def __enter__(self):
        try:
            self.host = said([TOP / "ci/second-engine", "up"], env=self.env)
            process = said(["docker", "inspect", "-f", "{{.State.Pid}}", self.name])
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.at = f"127.0.0.1:{free.getsockname()[1]}"
            config = pathlib.Path(self.dir.name) / "config.yml"
            config.write_text(
                f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {self.dir.name}/data}}}}\nhttp: {{addr: '{self.at}'}}\n"
            )
            inside = ["nsenter", "-t", process, "-n"]
            for prefix in [], inside:
                log = open(pathlib.Path(self.dir.name) / f"{len(self.registries)}.log", "wb")
                server = [*prefix, "docker-registry", "serve", config]
                self.registries.append(subprocess.Popen(server, stdout=log, stderr=log))
                asked = [*prefix, "bash", "-c", f"echo > /dev/tcp/127.0.0.1/{self.at.split(':')[1]}"]
                answers = lambda asked=asked: subprocess.run(asked, stderr=subprocess.DEVNULL).returncode == 0
                waited("the registry's start", answers)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for server in self.registries:
            server.terminate()
            server.wait()
        subprocess.run([TOP / "ci/second-engine", "down"], env=self.env, check=False)
        self.dir.cleanup()

    def push(self, image):
        """Pushes an image of the first engine; gives it a digest there."""
        name = f"{self.at}/{image.split('/', 1)[1]}"
        subprocess.run(["docker", "tag", image, name], check=True)
        subprocess.run(["docker", "push", "-q", name], check=True, stdout=subprocess.DEVNULL)
        return name

    def forget(self, names):
        """Takes the names away again that `push` gave to images of the first engine."""
        if names:
            subprocess.run(["docker", "rmi", *names], check=False, stdout=subprocess.DEVNULL)

    def environment(self):
        """To reach the engine that has nothing."""
        return {**os.environ, "DOCKER_HOST": self.host}

    def empty(self):
        """Removes all that the engine has: containers, volumes, networks and every image."""
        env = self.environment()
        containers = said(["docker", "ps", "-aq"], env=env).split()
        if containers:
            subprocess.run(["docker", "rm", "-fv", *containers], env=env, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["docker", "system", "prune", "-af", "--volumes"], env=env, check=True, stdout=subprocess.DEVNULL)
        # Named volumes are no waste to `prune`.
        volumes = said(["docker", "volume", "ls", "-q"], env=env).split()
        if volumes:
            subprocess.run(["docker", "volume", "rm", *volumes], env=env, check=True, stdout=subprocess.DEVNULL)
        left = said(["docker", "images", "-aq"], env=env) + said(["docker", "volume", "ls", "-q"], env=env)
        if left:
            raise SystemExit(f"reproduce: the engine still has {left}")
