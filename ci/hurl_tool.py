"""Hurl, for the scripts that compare with it: where HURL says, or built once into target/tools."""
import os
import pathlib
import subprocess

TOP = pathlib.Path(__file__).resolve().parent.parent
TOOLS = TOP / "target/tools"
VERSION = "8.0.1"
# What its build reads headers with, from Debian; nothing is installed.
CLANG = ["libclang1-14", "libclang-common-14-dev"]


def path():
    """The program, or None where it cannot be built."""
    given = os.environ.get("HURL")
    if given:
        return given
    program = TOOLS / "bin/hurl"
    if program.exists():
        return program
    install = ["cargo", "install", "hurl", "--version", VERSION, "--locked", "--root", TOOLS]
    for more in ({}, clang()):
        done = subprocess.run(install, env=os.environ | more, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if done.returncode == 0:
            return program
    return None


def clang():
    """Where a libclang of Debian is, unpacked into target/tools."""
    into = TOOLS / "clang"
    into.mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "download", *CLANG], cwd=into, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for package in into.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, into], check=True)
    libraries = into / "usr/lib/x86_64-linux-gnu"
    real = sorted(libraries.glob("libclang-14.so.14*"))
    if not real:
        return {}
    link = libraries / "libclang.so"
    if not link.exists():
        link.symlink_to(real[0].name)
    headers = into / "usr/lib/llvm-14/lib/clang/14.0.6/include"
    return {"LIBCLANG_PATH": str(libraries), "BINDGEN_EXTRA_CLANG_ARGS": f"-I{headers}"}
