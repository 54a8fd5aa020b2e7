"""Read a file that a person wrote, or say what keeps it from being read."""

from pathlib import Path

from connection_guard.configuration.toml.readers import MistakeError
from connection_guard.core.words import printable


def read_text(path: Path, if_missing: str = "create it, or correct its path") -> str:
    """Return the text of the file; raise MistakeError with its path and what to do.

    `if_missing` is what to do where there is no such file.
    """
    name = printable(str(path))
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise MistakeError(f"{name} does not exist; {if_missing}") from error
    except IsADirectoryError as error:
        raise MistakeError(f"{name} is a folder; name the file in it") from error
    except UnicodeDecodeError as error:
        raise MistakeError(
            f"{name} is not UTF-8 text (byte {error.start}); save it as UTF-8"
        ) from error
    except OSError as error:
        raise MistakeError(
            f"{name} cannot be read: {error.strerror}; correct its path or its permissions"
        ) from error
