"""Download and unpack a Slicer: get_slicer.py release|nightly -o FOLDER. Prints the program to start.

In a GitHub workflow it is also the variable SLICER of the steps that follow.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import urllib.parse
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

#: Answers /find?os=...&stability=... with a JSON document: download_url, sha512, name, version, revision.
SERVER = "https://download.slicer.org"
#: sys.platform -> the server's name for it, and what its package is called here: not as the program beside it.
PLATFORMS = {"linux": ("linux", "package.tar.gz"), "darwin": ("macosx", "package.dmg"), "win32": ("win", "package.exe")}
CHUNK = 1 << 20


class NoSlicer(Exception):
    """It cannot be had; the message says why."""


def find(server: str, system: str, stability: str) -> dict[str, Any]:
    """Return what the server says of the newest Slicer for a system."""
    query = urllib.parse.urlencode({"os": system, "stability": stability})
    try:
        with urllib.request.urlopen(f"{server}/find?{query}", timeout=60) as answer:
            found = json.load(answer)
    except (OSError, ValueError) as error:
        raise NoSlicer(f"{server} does not say where Slicer is ({error}); try again later.") from error
    if not found.get("download_url") or not found.get("sha512"):
        raise NoSlicer(f"{server} answers without an address or a SHA-512; look at what it says.")
    return found


def download(url: str, sha512: str, path: Path) -> None:
    """Download a file and compare its SHA-512."""
    digest = hashlib.sha512()
    try:
        with urllib.request.urlopen(url, timeout=300) as answer, open(path, "wb") as file:
            while chunk := answer.read(CHUNK):
                digest.update(chunk)
                file.write(chunk)
    except OSError as error:
        raise NoSlicer(f"{url} cannot be downloaded ({error}); try again later.") from error
    if digest.hexdigest() != sha512.lower():
        raise NoSlicer(f"{url} is not what the server announced: its SHA-512 is {digest.hexdigest()}.")


def unpack(package: Path, folder: Path) -> Path:
    """Unpack or install a package and return the program to start."""
    if package.suffix == ".exe":
        # An NSIS installer: /S asks nothing; /D= has to be last and takes no quotes.
        subprocess.run(f'"{package}" /S /D={folder}', check=True)
        return _only(folder.glob("Slicer.exe"), package)
    if package.suffix == ".dmg":
        mounted = folder / "mounted"
        mounted.mkdir()
        subprocess.run(["hdiutil", "attach", "-nobrowse", "-quiet", "-mountpoint", mounted, package], check=True)
        app = _only(mounted.glob("*.app"), package)
        shutil.copytree(app, folder / app.name, symlinks=True)
        subprocess.run(["hdiutil", "detach", "-quiet", mounted], check=True)
        return folder / app.name / "Contents" / "MacOS" / "Slicer"
    with tarfile.open(package) as archive:
        archive.extractall(folder, filter="tar")
    return _only(folder.glob("*/Slicer"), package)


def _only(found: Iterable[Path], package: Path) -> Path:
    paths = list(found)
    if len(paths) != 1:
        raise NoSlicer(f"{package.name} does not hold one Slicer: {[path.name for path in paths]}.")
    return paths[0]


def get(server: str, stability: str, folder: Path, platform: str = sys.platform) -> Path:
    """Find, download, check and unpack a Slicer into the new folder ``folder``; returns the program to start."""
    system, name = PLATFORMS[platform]
    found = find(server, system, stability)
    print(f"Slicer {found.get('version')} (revision {found.get('revision')}), {found.get('name')}", flush=True)
    folder.mkdir(parents=True)
    package = folder / name
    try:
        download(urllib.parse.urljoin(server, found["download_url"]), found["sha512"], package)
        program = unpack(package, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    package.unlink()
    return program


def main(arguments: list[str]) -> int:
    """Get a Slicer; returns 0, or 1 with a sentence where that fails."""
    parser = argparse.ArgumentParser(description="Download and unpack a Slicer.")
    parser.add_argument("stability", choices=["release", "nightly"])
    parser.add_argument("-o", "--output", metavar="FOLDER", type=Path, required=True, help="a folder that is not there")
    parser.add_argument("--server", default=SERVER, help="default: %(default)s")
    given = parser.parse_args(arguments)
    if given.output.exists():
        parser.error(f"{given.output} exists already; name a new folder.")
    try:
        program = get(given.server, given.stability, given.output.resolve())
    except NoSlicer as error:
        print(f"get_slicer.py: {error}", file=sys.stderr)
        return 1
    print(program)
    if "GITHUB_ENV" in os.environ:
        with open(os.environ["GITHUB_ENV"], "a", encoding="utf-8") as file:
            file.write(f"SLICER={program}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
