"""The sources as a build takes them, and pip without a network."""

import subprocess
import sys
from pathlib import Path

from tests.helpers.sources import ROOT


def copied(to: Path, links: bool) -> Path:
    """The sources in a folder of their own, since a build leaves files beside them.

    links: whether git makes symbolic links; without, a link is a file that holds its target.
    """
    tracked = ["git", "-C", str(ROOT), "ls-files", "-z", "-co", "--exclude-standard"]
    listed = subprocess.run(tracked, capture_output=True, check=True).stdout.decode()
    for name in listed.split("\0"):
        file, copy = ROOT / name, to / name
        if name and (file.is_file() or file.is_symlink()):
            copy.parent.mkdir(parents=True, exist_ok=True)
            if not file.is_symlink():
                copy.write_bytes(file.read_bytes())
            elif links:
                copy.symlink_to(file.readlink())
            else:
                copy.write_text(file.readlink().as_posix())
    return to


def packages() -> list[str]:
    """Folders of installed packages, without what else an environment may add to the path."""
    return [path for path in sys.path if path.endswith("site-packages")]


def pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, *map(str, arguments), *offline], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
