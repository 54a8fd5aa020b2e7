"""The functions' deployment packages, built without Docker: what a function imports and nothing
else, unzipped.

Libraries are wheels that pip picks for Lambda's platform, as pinned in
`lambdas/FUNCTION/requirements.txt`. Of the project's own modules those are packed that the handler
imports, at once or later, and the data that they read.

The same inputs give the same bytes, on whichever machine and at whatever time, so that an unchanged
function is not deployed again. For that reason they hold no bytecode: only an interpreter of the
function's own version can compile it, and even two of the same version need not agree on its bytes
(https://github.com/python/cpython/issues/98819). It would save 0.06 s of a cold start of 0.2 s, and
the heartbeat keeps the responder warm.

A package is never run in place, which would write bytecode into it: copy it first.
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

from connection_guard.configuration.guard.guard_configuration import Architecture
from connection_guard.errors import ConfigurationError

# The Python version of the functions' runtime.
PYTHON = "3.13"

ROOT = Path(__file__).parents[3]
LAMBDAS = ROOT / "lambdas"
CACHE = ROOT / ".cache" / "packages"

# Folders of data, each by the module that reads it.
POSTGRESQL = "connection_guard.adapters.postgresql"
DATA = {
    f"{POSTGRESQL}.login": f"{POSTGRESQL}.roots",
    f"{POSTGRESQL}.guard_session": f"{POSTGRESQL}.sql",
}

# Lambda's operating system, Amazon Linux 2023, has glibc 2.34:
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
GLIBC = ("manylinux_2_28", "manylinux2014")
MACHINES = {Architecture.ARM64: "aarch64", Architecture.X86_64: "x86_64"}

# What pip notes of an installation, with absolute paths in it; and scripts, which name pip's own
# interpreter. The rest of *.dist-info stays: Amazon Inspector knows libraries by its METADATA, and
# licences have to come along.
NOTES = (
    "*.dist-info/RECORD",
    "*.dist-info/INSTALLER",
    "*.dist-info/REQUESTED",
    "*.dist-info/direct_url.json",
    "bin",
)


def build_package(
    function: str, architecture: Architecture, data: Mapping[str, bytes], *, python: str = PYTHON
) -> Path:
    """The folder that holds the unzipped package of `function` (a folder in `lambdas`); built where
    it is not there.

    `data` are the files that this deployment adds, by the names that they have in the package's
    root. `python` is the version that it is to run under: psycopg2 is compiled for each. Raises
    ConfigurationError where its libraries cannot be had.
    """
    files = {
        path.relative_to(LAMBDAS).as_posix(): path.read_bytes() for path in _own_files(function)
    } | dict(data)
    libraries = _libraries(function, MACHINES[architecture], python)

    def build(package: Path) -> None:
        shutil.copytree(libraries, package)
        for name, content in files.items():
            path = package / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    return _built_once(build, {"libraries": libraries.name.encode(), **files})


def _own_files(function: str) -> Iterator[Path]:
    """Also imports inside functions count, and those for type checkers alone."""
    finder = ModuleFinder(path=[str(LAMBDAS)])
    finder.import_hook(f"{function}.handler")
    for name, module in finder.modules.items():
        file: str | None = getattr(module, "__file__", None)  # None: built into the interpreter
        if file is not None:
            yield Path(file)
        if name in DATA:
            yield from (LAMBDAS / DATA[name].replace(".", "/")).iterdir()


def _libraries(function: str, machine: str, python: str) -> Path:
    """Kept apart from what is packed with them, so that a changed line or other data need no
    package index.
    """
    requirements = LAMBDAS / function / "requirements.txt"

    def build(folder: Path) -> None:
        _install(requirements, folder, machine, python)
        for pattern in NOTES:
            for path in folder.glob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    return _built_once(
        build,
        {
            "requirements": requirements.read_bytes(),
            "machine": machine.encode(),
            "python": python.encode(),
        },
    )


def _install(requirements: Path, folder: Path, machine: str, python: str) -> None:
    place = (
        f"{requirements.relative_to(ROOT)}: cannot be installed for Python {python} on {machine}"
    )
    if find_spec("pip") is None:
        raise ConfigurationError(
            f"{place}: pip is missing from the environment of {sys.executable}: run `python -m "
            "ensurepip` in it (`uv venv` leaves pip out unless it is called with --seed)"
        )
    pip = subprocess.run(  # noqa: S603 - nobody's input
        [
            *(
                sys.executable,
                "-m",
                "pip",
                "install",
                "--disable-pip-version-check",
                "--no-input",
                "--no-compile",
            ),
            *(
                "--target",
                str(folder),
                "--requirement",
                str(requirements),
                "--no-deps",
                "--only-binary=:all:",
            ),
            *(
                "--implementation",
                "cp",
                "--python-version",
                python,
                "--abi",
                f"cp{python.replace('.', '')}",
            ),
            *(f"--platform={glibc}_{machine}" for glibc in GLIBC),
        ],
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
            f"{place}: {problem}; pin what exists, and see that pip reaches its package index"
        )


def _built_once(build: Callable[[Path], None], inputs: Mapping[str, bytes]) -> Path:
    """What `build` puts into a folder, in the folder that the inputs, and how this module goes
    about it, give its name.

    It is built beside, and takes its name when it is whole: an interrupted build or another at work
    does no harm.
    """
    digest = hashlib.sha256()
    for name, content in sorted({"built by": Path(__file__).read_bytes(), **inputs}.items()):
        digest.update(f"{name} {len(content)}\n".encode() + content)
    built = CACHE / digest.hexdigest()
    if not built.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="unfinished-", dir=CACHE) as beside:
            folder = Path(beside) / "built"
            build(folder)
            _make_readable(folder)
            try:
                folder.rename(built)
            except OSError:
                if not built.is_dir():  # else another build was faster, with the same result
                    raise
    return built


def _make_readable(folder: Path) -> None:
    """By Lambda's own user, whatever umask the builder has."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
