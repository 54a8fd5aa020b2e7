"""Write the pictures of docs/commands anew, one per verb, of what it really shows:
`make pictures`.
"""

import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from clients.lab.lab_errors import UnavailableError
from clients.lab.turned_server import library
from tests.pictures import account_scenes, file_scenes, live_scenes
from tests.support.cli.running import ROOT

IMAGES = ROOT / "docs" / "commands" / "images"

SCENES: Mapping[str, Callable[[Path], str]] = {
    "discover": account_scenes.discover,
    "doctor": live_scenes.doctor,
    "top": live_scenes.top,
    "plan": live_scenes.plan,
    "terminate": live_scenes.terminate,
    "replay": file_scenes.replay,
    "budget": file_scenes.budget,
    "audit": live_scenes.audit,
    "incidents": account_scenes.incidents,
    "redrive": account_scenes.redrive,
    "drill": file_scenes.drill,
    "pause": live_scenes.pause,
    "resume": live_scenes.resume,
    "notify-test": account_scenes.notify_test,
}
"""How each verb's picture is made, in a folder that is empty before."""


def main() -> None:
    """Write those of the verbs that are named, or else all."""
    try:
        library()
    except UnavailableError as error:
        sys.exit(f"the pictures cannot be made: {error}")
    if unknown := [verb for verb in sys.argv[1:] if verb not in SCENES]:
        sys.exit(f"there is no picture of {', '.join(unknown)}; there are: {', '.join(SCENES)}")
    IMAGES.mkdir(exist_ok=True)
    for verb in sys.argv[1:] or SCENES:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder).chmod(0o755)  # a server runs as another user where this runs as root
            (IMAGES / f"{verb}.svg").write_text(SCENES[verb](Path(folder)))
        sys.stdout.write(f"docs/commands/images/{verb}.svg\n")


if __name__ == "__main__":
    main()
