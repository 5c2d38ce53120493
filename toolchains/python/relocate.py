"""Moves a virtual environment to where the image has it.

`relocate.py compile DIRECTORY` compiles its packages; `relocate.py move DIRECTORY` writes the image's paths into its
settings and scripts. In a container it stands there already, and nothing changes; on a machine of somebody's it was
made elsewhere, with that machine's interpreter. `relocate.py name DIRECTORY PACKAGE` lets the application's directory be
imported as a package of that name.
"""

import base64
import compileall
import csv
import glob
import hashlib
import os
import py_compile
import sys

# In two parts: on a machine without mounts, paths in this text become that machine's.
PLACE = os.path.join("/opt", "venv")
APPLICATION = os.path.join("/", "app")
INTERPRETER = "/usr/bin/python%d.%d" % sys.version_info[:2]


def compile_packages(venv):
    # Bytecode that is checked by hash only when asked to: its bytes do not depend on the time of the build.
    # `force`: what `venv` compiled of pip itself is dated and would stay.
    compileall.compile_dir(
        os.path.join(venv, "lib"), quiet=2, force=True, stripdir=venv, prependdir=PLACE,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


def move(venv):
    programs = os.path.join(venv, "bin")
    changed = {}
    for name in sorted(os.listdir(programs)):
        path = os.path.join(programs, name)
        if os.path.islink(path):
            continue
        with open(path, "rb") as file:
            before = file.read()
        # A long first line is split over two by pip, and those who activate name it further below.
        after = before.replace(os.fsencode(venv), os.fsencode(PLACE)) if b"\0" not in before else before
        if after != before:
            with open(path, "wb") as file:
                file.write(after)
            changed[os.path.realpath(path)] = after
    link(programs)
    with open(os.path.join(venv, "pyvenv.cfg")) as file:
        lines = [line for line in file if line.split("=")[0].strip() not in ("home", "executable", "command")]
    with open(os.path.join(venv, "pyvenv.cfg"), "w") as file:
        file.write("home = /usr/bin\n")
        file.writelines(lines)
        file.write("executable = %s\ncommand = %s -m venv %s\n" % (INTERPRETER, INTERPRETER, PLACE))
    for folder, _, names in os.walk(os.path.join(venv, "lib")):
        if folder.endswith(".dist-info") and "RECORD" in names:
            record(os.path.join(folder, "RECORD"), changed)


def name(venv, package):
    # Beside the installed ones, and behind what lies in the working directory.
    for packages in glob.glob(os.path.join(venv, "lib", "python*", "site-packages")):
        path = os.path.join(packages, package)
        if not os.path.lexists(path):
            os.symlink(APPLICATION, path)


def link(programs):
    own = os.path.basename(INTERPRETER)
    for name, target in (("python", own), ("python3", own), (own, INTERPRETER)):
        path = os.path.join(programs, name)
        if os.path.lexists(path):
            os.remove(path)
        os.symlink(target, path)


def record(path, changed):
    """Hashes and sizes of what was changed (PyPA, "Recording installed projects")."""
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    packages = os.path.dirname(os.path.dirname(path))
    touched = False
    for row in rows:
        content = changed.get(os.path.realpath(os.path.join(packages, row[0]))) if row else None
        if content is not None:
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            row[1:] = ["sha256=" + digest, str(len(content))]
            touched = True
    if touched:
        with open(path, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


venv = sys.argv[2]
if sys.argv[1] == "compile":
    compile_packages(venv)
elif sys.argv[1] == "name":
    name(venv, sys.argv[3])
elif venv != PLACE:
    move(venv)
