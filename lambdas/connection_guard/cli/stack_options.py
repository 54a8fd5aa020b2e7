"""The options that name the stack of a guard.toml, for a verb of `connection-guard`."""

import shlex
import sys
from pathlib import Path

from connection_guard.configuration.guard.guard_file import read_configuration
from connection_guard.errors import ConfigurationError


def main() -> None:
    """Print them; exit with a line per mistake where the file has any."""
    try:
        target = read_configuration(Path(sys.argv[1])).target
    except ConfigurationError as mistakes:
        sys.exit(str(mistakes))
    print(shlex.join(["--stack", target.stack_name, "--region", target.region]))


if __name__ == "__main__":
    main()
