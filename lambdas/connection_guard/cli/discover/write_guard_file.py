"""Read guard.toml byte for byte, and write it as a whole or not at all."""

import os
import stat
import tempfile
from pathlib import Path

from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.configuration.toml.readers import MistakeError
from connection_guard.configuration.toml.text_file import read_text


def read_guard_file(path: Path) -> str:
    """Return the text with its own line ends, an empty one where there is no file yet.

    Raise UserMistakeError where there is something that cannot be read, or not be written again.
    """
    if not path.exists():
        if not path.parent.is_dir():
            raise UserMistakeError(f"{path.parent} is not a folder; create it, or correct --guard")
        return ""
    try:
        read_text(path)
    except MistakeError as mistake:
        raise UserMistakeError(str(mistake)) from mistake
    return path.read_bytes().decode()


def write_guard_file(path: Path, text: str, before: str) -> None:
    """Replace the file, whose mode stays, unless it no longer is as it was read.

    Raise UserMistakeError where it cannot be written; it then is as it was.
    """
    file = path.resolve()  # the file that a link leads to, and not the link
    mode = stat.S_IMODE(file.stat().st_mode) if file.exists() else _mode_of_new_files()
    if read_guard_file(path) != before:
        raise UserMistakeError(f"{path} was changed meanwhile, and is left alone; run this again")
    if not mode & stat.S_IWUSR or (file.exists() and not os.access(file, os.W_OK)):
        raise UserMistakeError(f"{path} is read-only; allow writing: chmod u+w {path}")
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            dir=file.parent, prefix=f".{file.name}.", delete=False
        ) as written:
            temporary = Path(written.name)
            written.write(text.encode())
            written.flush()
            os.fsync(written.fileno())
        temporary.chmod(mode)
        temporary.replace(file)
    except OSError as error:
        raise UserMistakeError(
            f"{path} cannot be written: {error.strerror}; correct the permissions of its folder"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _mode_of_new_files() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
