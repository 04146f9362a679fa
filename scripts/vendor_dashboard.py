"""Fetches the libraries of the dashboard from npm and writes them to ``dashboard/vendor``.

    python scripts/vendor_dashboard.py            # fetch what the lock names, verify, write
    python scripts/vendor_dashboard.py --check    # offline: are the files those of the lock?
    python scripts/vendor_dashboard.py --lock     # after a change of WANTED: also renew the lock

``dashboard/vendor/lock.json`` pins the version and the hash of every package, and the hash of every
file that is made of it. A page without a build step cannot resolve names of packages, so imports of
them are rewritten to files beside each other. Nothing else is changed.
"""

import argparse
import base64
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Final

VENDOR: Final = Path(__file__).parents[1] / "dashboard" / "vendor"
LOCK: Final = VENDOR / "lock.json"

WANTED: Final[dict[str, dict[str, str]]] = {
    "phoenix@1.8.16": {"priv/static/phoenix.min.js": "phoenix.js", "LICENSE.md": ""},
    "preact@11.2.0": {
        "dist/preact.mjs": "preact.js",
        "hooks/dist/hooks.mjs": "preact-hooks.js",
        "LICENSE": "",
    },
    "htm@3.1.1": {"dist/htm.mjs": "htm.js", "LICENSE": ""},
    "@preact/signals@2.11.4": {"dist/signals.mjs": "signals.js", "LICENSE": ""},
    "@preact/signals-core@1.14.5": {"dist/signals-core.mjs": "signals-core.js", "LICENSE": ""},
    "uplot@1.6.32": {
        "dist/uPlot.iife.min.js": "uplot.js",
        "dist/uPlot.min.css": "uplot.css",
        "LICENSE": "",
    },
    "@dagrejs/dagre@3.1.3": {
        "dist/dagre.esm.js": "dagre.js",
        "dist/dagre.esm.js.LEGAL.txt": "dagrejs-dagre.LEGAL.txt",
        "LICENSE": "",
    },
    "@fontsource-variable/geist@5.3.0": {
        "files/geist-latin-wght-normal.woff2": "geist.woff2",
        "LICENSE": "",
    },
}
"""Which files of which packages, and what they are called here; a licence is named by package."""

NAMES: Final = {
    "preact": "./preact.js",
    "preact/hooks": "./preact-hooks.js",
    "@preact/signals-core": "./signals-core.js",
}
"""Which file here a package's name stands for in an import."""

EXPORTS: Final = {
    "phoenix.js": "\nexport const { Channel, Presence, Socket } = Phoenix;\n",
    "uplot.js": "\nexport default uPlot;\n",
}
"""What makes a module of a classic script that defines one name."""


def main() -> int:
    """Check, or fetch and write; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare the files with the lock")
    parser.add_argument("--lock", action="store_true", help="renew the lock")
    options = parser.parse_args()
    if options.check:
        problems = differences()
        print("\n".join(problems) or "every file is as locked")
        return 1 if problems else 0
    locked: dict[str, Any] = {} if options.lock else json.loads(LOCK.read_text())
    VENDOR.mkdir(parents=True, exist_ok=True)
    written = {package: fetch(package, locked.get(package)) for package in WANTED}
    LOCK.write_text(json.dumps(written, indent=2, sort_keys=True) + "\n")
    return 0


def differences() -> list[str]:
    """Return a sentence for each file that is not what the lock says."""
    locked: dict[str, dict[str, Any]] = json.loads(LOCK.read_text())
    files = {name: digest for entry in locked.values() for name, digest in entry["files"].items()}
    wrong = [name for name, digest in files.items() if sha256(VENDOR / name) != digest]
    present = {path.name for path in VENDOR.iterdir()} - {LOCK.name}
    return [f"{name} is not as locked" for name in sorted(wrong)] + [
        f"{name} is not in the lock" for name in sorted(present - set(files))
    ]


def sha256(path: Path) -> str:
    """Return the hash of a file, empty when there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def fetch(package: str, locked: dict[str, Any] | None) -> dict[str, Any]:
    """Write the files of a package and return its entry of the lock.

    Args:
        package: ``name@version``.
        locked: Its entry so far; None trusts what npm sends.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", package, "--silent", "--pack-destination", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        archive = next(Path(folder).glob("*.tgz"))
        digest = hashlib.sha512(archive.read_bytes()).digest()
        integrity = "sha512-" + base64.b64encode(digest).decode()
        if locked is not None and locked["integrity"] != integrity:
            sys.exit(f"{package} is not the package that was locked")
        with tarfile.open(archive) as tar:
            members = {name: _content(tar, f"package/{name}") for name in WANTED[package]}
    files: dict[str, str] = {}
    for name, content in members.items():
        target = WANTED[package][name] or licence_name(package)
        (VENDOR / target).write_bytes(adapted(target, content))
        files[target] = sha256(VENDOR / target)
    return {"integrity": integrity, "files": files}


def _content(tar: tarfile.TarFile, name: str) -> bytes:
    reader = tar.extractfile(name)
    if reader is None:
        sys.exit(f"{name} is no file")
    return reader.read()


def licence_name(package: str) -> str:
    """Return what the licence of ``name@version`` is called here."""
    name = package[: package.rindex("@")].removeprefix("@").replace("/", "-")
    return f"{name}.LICENSE.txt"


def adapted(target: str, content: bytes) -> bytes:
    """Return a file with imports of packages made relative, and without a source map's name."""
    if not target.endswith(".js"):
        return content
    text = re.sub(r"\n//# sourceMappingURL=\S+\s*$", "\n", content.decode())
    text = re.sub(
        r"""((?:\bfrom|\bimport)\s*)(["'])([^"'./][^"']*)\2""",
        lambda found: f"{found[1]}{found[2]}{NAMES[found[3]]}{found[2]}",
        text,
    )
    return (text + EXPORTS.get(target, "")).encode()


if __name__ == "__main__":
    sys.exit(main())
