"""Imports the application's module as its server will, in the image that it will run in.

A module or a shared library that is missing ends the build. Whatever else an import needs (a setting, a database) the
image gets where it runs, so it is only printed.
"""

import importlib
import os
import re
import runpy
import shutil
import signal
import sys
import tempfile
import traceback

SECONDS = 60
scratch = []


def end(code):
    """Leaves nothing behind, and waits for no thread that the import started."""
    for directory in scratch:
        shutil.rmtree(directory, ignore_errors=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def too_long(_signal, _frame):
    print(f"slipway: the import was not done after {SECONDS} seconds; it is not waited for")
    end(0)


signal.signal(signal.SIGALRM, too_long)
signal.alarm(SECONDS)
name, given = sys.argv[1], sys.argv[2:]


def apart(place):
    """A copy of the place: what an import writes beside the modules is the running application's, and no part of the image."""
    scratch.append(tempfile.mkdtemp())
    # A directory that is itself a package is imported by its own name from the one above it.
    package = os.environ.get("SLIPWAY_PACKAGE")
    copy = os.path.join(scratch[0], package or "app")
    # The scratch directory may lie in the place itself.
    def needless(at, names):
        return {name for name in names if name in (".git", "node_modules") or os.path.join(at, name) in scratch}

    shutil.copytree(place, copy, symlinks=True, ignore=needless)
    os.chdir(copy)
    there = [copy + path[len(place):] if (path + "/").startswith(place + "/") else path for path in sys.path]
    if package:
        there.insert(0, scratch[0])
    sys.path[:] = there
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in there if path.startswith(scratch[0]))


def brought(error):
    """The file that whoever runs the application brings, where that is what an import missed."""
    of_package = re.match(r"cannot import name '(\w+)' from '([\w.]+)'", str(error))
    missed = f"{of_package[2]}.{of_package[1]}" if of_package else error.name if isinstance(error, ModuleNotFoundError) else None
    module = (missed or "").split(".")[::-1]
    for file in given:
        path = file.lstrip("/")[: -len(".py")].split("/")[::-1]
        if all(directory == package for directory, package in zip(path, module)):
            return file
    return None


try:
    apart(os.getcwd())
except (OSError, shutil.Error) as error:
    print(f"slipway: the import is tried where the modules lie: {error!r}")
sys.path.insert(0, os.getcwd())
# In the image it lies where Python has its own (`native.py`).
of_python = f"/opt/native/python{sys.version_info.major}.{sys.version_info.minor}/distutils"
if os.path.isdir(of_python):
    importlib.import_module("distutils").__path__.append(of_python)
code = 0
try:
    if name.endswith(".py"):
        sys.path.insert(0, os.path.dirname(os.path.abspath(name)))
        runpy.run_path(name, run_name="__slipway__")
    else:
        importlib.import_module(name)
except (ImportError, SyntaxError) as error:
    traceback.print_exc()
    file = brought(error)
    if file:
        print(f"slipway: importing `{name}` needs `{file}`, which Git ignores: whoever runs the image brings it")
    else:
        print(f"slipway: `{name}` cannot be imported: {error}")
        code = 1
except BaseException as error:
    traceback.print_exc()
    print(f"slipway: importing `{name}` needs something that is only there where it runs: {error!r}")
end(code)
