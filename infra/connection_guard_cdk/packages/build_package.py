"""The functions' deployment packages, built without Docker: only what a function imports, unzipped.

Libraries are wheels that pip selects for Lambda's platform, as pinned in the function's
`requirements.txt`. The project's own modules are those that the handler imports,
at once or later, with the data that they read.

The same inputs give the same bytes, on any machine and at any time, so that an unchanged function
is not deployed again. For that reason a package holds no bytecode: only an interpreter of the
function's own version can compile it, and even two of the same version need not agree on its bytes
(https://github.com/python/cpython/issues/98819). Bytecode would save 0.06 s of a cold start of
0.2 s, and the heartbeat keeps the responder warm.

Copy a package before you run it: running it would write bytecode into it.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from modulefinder import ModuleFinder
from pathlib import Path
from pkgutil import iter_modules

import connection_guard
from connection_guard.configuration.guard.guard_configuration import Architecture
from connection_guard.errors import ConfigurationError

# The Python version of the functions' runtime.
PYTHON = "3.13"

# The folders of the functions and of the package that they import: one and the same in a clone,
# whereas a wheel has the functions among the data of this package (see pyproject.toml).
_IN_WHEEL = Path(__file__).parents[1] / "functions"
FUNCTIONS = _IN_WHEEL if _IN_WHEEL.is_dir() else Path(__file__).parents[3] / "lambdas"
LIBRARY = Path(connection_guard.__file__).parents[1]

# The folder of data that a module reads.
POSTGRESQL = "connection_guard.adapters.postgresql"
DATA = {
    f"{POSTGRESQL}.login": f"{POSTGRESQL}.roots",
    f"{POSTGRESQL}.guard_session": f"{POSTGRESQL}.sql",
}

# Lambda's operating system, Amazon Linux 2023, has glibc 2.34:
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
GLIBC = ("manylinux_2_28", "manylinux2014")
MACHINES = {Architecture.ARM64: "aarch64", Architecture.X86_64: "x86_64"}

# What pip records about an installation contains absolute paths, and scripts contain the path of
# pip's own interpreter. The rest of *.dist-info stays: Amazon Inspector identifies libraries by
# their METADATA, and licences have to be distributed with them.
RECORDS = (
    "*.dist-info/RECORD",
    "*.dist-info/INSTALLER",
    "*.dist-info/REQUESTED",
    "*.dist-info/direct_url.json",
    "bin",
)


def build_package(
    function: str,
    architecture: Architecture,
    data: Mapping[str, bytes],
    folder: Path,
    *,
    python: str = PYTHON,
) -> Path:
    """Return the folder that holds the unzipped package of `function`, "responder" or "reporter",
    and build it in `folder` if it is not there.

    `data` are the files that this deployment adds, by their names in the package's root. `python`
    is the version that it is to run under: psycopg2 is compiled for each. Raises ConfigurationError
    where its libraries cannot be installed.
    """
    files = {**_own_files(function), **data}
    libraries = _libraries(function, MACHINES[architecture], python, folder)

    def build(package: Path) -> None:
        shutil.copytree(libraries, package)
        for name, content in files.items():
            path = package / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    return _built_once(build, {"libraries": libraries.name.encode(), **files}, folder)


def _own_files(function: str) -> dict[str, bytes]:
    """Return the files that the handler needs, also for imports inside functions and for type
    checkers only, by their names in the package.
    """
    own = (function, connection_guard.__name__)
    # Where this project is installed, all that is installed is beside it.
    others = [each.name for each in iter_modules([str(LIBRARY)]) if each.name not in own]
    finder = ModuleFinder(path=[str(FUNCTIONS), str(LIBRARY)], excludes=others)
    finder.import_hook(f"{function}.handler")
    files = [path for name, module in finder.modules.items() for path in _files_of(name, module)]
    return {
        path.relative_to(
            FUNCTIONS if path.is_relative_to(FUNCTIONS) else LIBRARY
        ).as_posix(): path.read_bytes()
        for path in files
    }


def _files_of(name: str, module: object) -> Iterator[Path]:
    file: str | None = getattr(module, "__file__", None)  # None: built into the interpreter
    if file is not None:
        yield Path(file)
    if name in DATA:
        yield from (LIBRARY / DATA[name].replace(".", "/")).iterdir()


def _libraries(function: str, machine: str, python: str, folder: Path) -> Path:
    """Return the folder of the libraries, which is built separately from the package, so that a
    changed line or other data need no package index.
    """
    requirements = FUNCTIONS / function / "requirements.txt"

    def build(libraries: Path) -> None:
        _install(requirements, libraries, machine, python)
        for pattern in RECORDS:
            for path in libraries.glob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    return _built_once(
        build,
        {
            "requirements": requirements.read_bytes(),
            "machine": machine.encode(),
            "python": python.encode(),
        },
        folder,
    )


def _install(requirements: Path, folder: Path, machine: str, python: str) -> None:
    place = (
        f"{requirements.relative_to(FUNCTIONS.parent)}: cannot be installed for Python {python} on "
        f"{machine}"
    )
    if find_spec("pip") is None:
        raise ConfigurationError(
            f"{place}: pip is missing from the environment of {sys.executable}: run `python -m "
            "ensurepip` in it (`uv venv` leaves pip out unless it is called with --seed)"
        )
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    command += ["--no-compile", "--no-deps", "--only-binary=:all:"]
    command += [f"--target={folder}", f"--requirement={requirements}"]
    command += ["--implementation=cp", f"--python-version={python}"]
    command += [f"--abi=cp{python.replace('.', '')}"]
    command += [f"--platform={glibc}_{machine}" for glibc in GLIBC]
    pip = subprocess.run(  # noqa: S603 - no argument is a user's input
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if pip.returncode != 0:
        last_line = (
            pip.stderr.strip().splitlines() or [f"pip ended with status {pip.returncode}"]
        )[-1]
        problem = last_line.removeprefix("ERROR: ")
        raise ConfigurationError(
            f"{place}: {problem}; pin versions that exist, and check that pip can reach its "
            "package index"
        )


def _built_once(build: Callable[[Path], None], inputs: Mapping[str, bytes], folder: Path) -> Path:
    """Return a folder in `folder` with what `build` puts into it; its name is a digest of the
    inputs and of this module.

    It is built under another name and renamed when it is complete: neither an interrupted build nor
    a concurrent one does any harm.
    """
    digest = hashlib.sha256()
    for name, content in sorted({"built by": Path(__file__).read_bytes(), **inputs}.items()):
        digest.update(f"{name} {len(content)}\n".encode() + content)
    built = folder / digest.hexdigest()
    if not built.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".gitignore").write_text("*\n")  # it is in somebody's project
        with tempfile.TemporaryDirectory(prefix="unfinished-", dir=folder) as beside:
            unfinished = Path(beside) / "built"
            build(unfinished)
            _make_readable(unfinished)
            try:
                unfinished.rename(built)
            except OSError:
                if not built.is_dir():  # otherwise another build was faster, with the same result
                    raise
    return built


def _make_readable(folder: Path) -> None:
    """Make the files readable for Lambda's own user, independent of the builder's umask."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
