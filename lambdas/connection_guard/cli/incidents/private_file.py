"""Files for what is not everybody's to read: sessions, addresses, and what the guard was sent."""

import os
from pathlib import Path

from connection_guard.cli.terminal.mistakes import UserMistakeError
from connection_guard.core.words import printable, quoted


def save_private(folder: Path, name: str, body: bytes) -> Path:
    """Write a file that only its owner can read, in a folder that is made where it is missing.

    `name` is a path below the folder. Return the file's; raise UserMistakeError where it leads out
    of the folder, or cannot be written.
    """
    path = folder.joinpath(*name.split("/"))
    if not all(part.strip(".") and part.isprintable() for part in name.split("/")):
        raise UserMistakeError(f"{quoted(name)} is no path below {folder}: it is not saved")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(body)
    except OSError as error:
        problem = printable(f"{path}: {error.strerror or error}")
        raise UserMistakeError(f"{problem}; name another folder with --save") from error
    return path
