"""Finds the shared libraries that built wheels load and the run image lacks.

`native.py missing DIRECTORY` runs in the run image and writes what its loader does not find and what it has;
`native.py copy DIRECTORY` runs in the build image and copies what is missing, with what that needs in turn.

Debian keeps most of Python's own `distutils` in a package beside the interpreter, which the run image lacks: it is copied too
where something imports it.
"""

import glob
import json
import os
import shutil
import subprocess
import sys

NOTE = ".slipway-native.json"
# What speaks of `distutils` to build distributions, and brings its own.
BUILDERS = {"pip", "setuptools", "pkg_resources", "wheel", "_distutils_hack", "cffi", "Cython", "numpy", "tests"}
LOADER = next(iter(sorted(glob.glob("/lib64/ld-linux*.so.*") + glob.glob("/lib/ld-linux*.so.*"))), None)


def loads(path):
    """Soname and where the loader finds it, or None."""
    # As `ldd` asks: with `--list` the loader gives up at the first library of a program that is missing.
    asking = {**os.environ, "LD_TRACE_LOADED_OBJECTS": "1"}
    listed = subprocess.run([LOADER, path], capture_output=True, text=True, env=asking)
    for line in listed.stdout.splitlines():
        name, arrow, rest = line.strip().partition(" => ")
        if arrow:
            yield name, None if rest.startswith("not found") else rest.split(" (")[0]


def libraries(directory):
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            # Programs too: uWSGI, say, is one that loads libpython.
            if not os.path.islink(path) and (".so" in name or os.access(path, os.X_OK)):
                with open(path, "rb") as file:
                    if file.read(4) == b"\x7fELF":
                        yield path


def speaks(folder):
    """Whether a module below a directory imports `distutils`."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in BUILDERS and not name.startswith(".")]
        for name in names:
            if name.endswith(".py") and name != "setup.py":
                with open(os.path.join(place, name), "rb") as file:
                    text = file.read()
                if b"import distutils" in text or b"from distutils" in text:
                    return True
    return False


def lacks_distutils(directory):
    python = os.path.join(directory, "bin", "python")
    if sys.version_info >= (3, 12) or not os.path.exists(python):
        return False  # Python has none since 3.12.
    asked = subprocess.run([python, "-c", "import distutils.util"], capture_output=True, cwd="/")
    return asked.returncode != 0 and (speaks(os.getcwd()) or speaks(directory))


def missing(directory):
    lacking = sorted({name for path in libraries(directory) for name, where in loads(path) if where is None})
    folders = glob.glob("/usr/lib/*-linux-gnu*") + glob.glob("/lib/*-linux-gnu*") + ["/usr/lib", "/lib"]
    there = sorted({name for folder in folders if os.path.isdir(folder) for name in os.listdir(folder)})
    # A library that another wheel ships is found once that wheel has loaded it.
    shipped = {os.path.basename(path) for path in libraries(directory)}
    with open(os.path.join(directory, NOTE), "w") as file:
        lacking = [name for name in lacking if name not in shipped]
        json.dump({"missing": lacking, "there": there, "distutils": lacks_distutils(directory)}, file)


def copy(directory, target):
    note = os.path.join(directory, NOTE)
    if not os.path.exists(note):
        return  # Nobody looked into the run image: there is no Engine to run it.
    with open(note) as file:
        found = json.load(file)
    os.remove(note)
    own = f"python{sys.version_info.major}.{sys.version_info.minor}/distutils"
    if found["distutils"] and os.path.isdir(os.path.join("/usr/lib", own)):
        shutil.copytree(os.path.join("/usr/lib", own), os.path.join(target, own), ignore=shutil.ignore_patterns("__pycache__"))
        print("slipway: `distutils` is copied from the build image")
    there = set(found["there"])
    cache = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True).stdout
    known = {}
    for line in cache.splitlines():
        name, arrow, path = line.strip().partition(" => ")
        if arrow:
            known.setdefault(name.split(" ")[0], path)
    wanted = [(name, known.get(name)) for name in found["missing"]]
    copied = set()
    while wanted:
        name, path = wanted.pop()
        if name in copied or path is None:
            if path is None:
                print(f"slipway: `{name}` is in neither image; what loads it may not work")
            continue
        copied.add(name)
        shutil.copyfile(os.path.realpath(path), os.path.join(target, name))
        print(f"slipway: `{name}` is copied from the build image")
        wanted.extend((needed, where) for needed, where in loads(path) if needed not in there)


if LOADER and sys.argv[1] == "missing":
    missing(sys.argv[2])
elif LOADER:
    copy(sys.argv[2], sys.argv[3])
