"""Give a release's README absolute links, and the project its addresses.

An index shows the README far from the files that it links to. Where the repository is public is
known to the workflow that releases it, and to no file here:

    python .ci/public_links.py https://HOST/OWNER/NAME TAG

README.md and pyproject.toml of the current folder are changed in place.
"""

import re
import sys
from pathlib import Path

_LINK = re.compile(r"(!?\[[^\]]*\]\()(?!\w+:|#)([^)\s]+)(?=\))")


def absolute(text: str, root: str, tag: str) -> str:
    """Markdown whose relative links lead to the files of a tag."""

    def replaced(link: re.Match[str]) -> str:
        path = link[2].partition("#")[0]
        kind = "raw" if link[1].startswith("!") else "tree" if Path(path).is_dir() else "blob"
        return f"{link[1]}{root}/{kind}/{tag}/{link[2]}"

    return _LINK.sub(replaced, text)


def main(root: str, tag: str) -> None:
    """Change the two files of the current folder."""
    readme, project = Path("README.md"), Path("pyproject.toml")
    readme.write_text(absolute(readme.read_text(encoding="utf-8"), root, tag), encoding="utf-8")
    urls = (
        f'[project.urls]\nRepository = "{root}"\n'
        f'Documentation = "{root}/blob/{tag}/docs/README.md"\n'
        f'Changelog = "{root}/blob/{tag}/CHANGELOG.md"\n\n'
    )
    place = "[project.optional-dependencies]"
    before, found, after = project.read_text(encoding="utf-8").partition(place)
    if not found:
        sys.exit(f"{project}: no {place} to put the addresses before.")
    project.write_text(before + urls + found + after, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"), sys.argv[2])
