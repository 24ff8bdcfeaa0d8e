"""How many packages and megabytes the core install brings.

Makes a temporary environment, installs the core with constraints.txt, and counts what lies there except pip and
setuptools. Exits with 1 above the goals.

    python benchmarks/install_size.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from collections import Counter
from pathlib import Path

MOST_PACKAGES = 60
MOST_MB = 700
_NOT_OURS = {"pip", "setuptools"}
_ROOT = Path(__file__).resolve().parents[1]

#: Runs inside the new environment: every installed file with the distribution that brought it.
_LIST_FILES = """
import importlib.metadata as m, json, pathlib
print(json.dumps({d.name: [str(pathlib.Path(f.locate())) for f in d.files or []] for d in m.distributions()}))
"""


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="modelwright-size-") as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        install = [python, "-m", "pip", "install", "--quiet", "-c", str(_ROOT / "constraints.txt"), str(_ROOT)]
        # What a user gets includes bytecode, also where this shell asks Python not to write any.
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        subprocess.run(install, check=True, env=environment)
        listed = subprocess.run([python, "-c", _LIST_FILES], check=True, capture_output=True, text=True).stdout
        sizes: Counter[str] = Counter()
        for name, files in json.loads(listed).items():
            if name.lower() not in _NOT_OURS:
                sizes[name] += sum(Path(file).stat().st_size for file in files if Path(file).is_file())
    total_mb = sum(sizes.values()) / 1e6
    print(f"Python {sys.version.split()[0]}: {len(sizes)} packages (goal {MOST_PACKAGES}), {total_mb:.0f} MB (goal {MOST_MB})")
    for name, size in sizes.most_common(12):
        print(f"  {size / 1e6:7.1f} MB  {name}")
    return int(len(sizes) > MOST_PACKAGES or total_mb > MOST_MB)


if __name__ == "__main__":
    sys.exit(main())
