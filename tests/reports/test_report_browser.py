"""The report in a browser: it draws, and fits a phone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path

import pytest

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)

#: Stands in a page around the reports, since the reports themselves run no script.
MEASURE = """
<script>
addEventListener("load", () => {
  const found = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, view = page.documentElement;
    const boxed = e => e.closest(".scroll, .scrolls, pre");
    const out = [...page.body.querySelectorAll("*")].filter(e => !boxed(e.parentElement) && !e.closest("svg, .unseen")
      && e.getBoundingClientRect().right > view.clientWidth + 1);
    return {
      name: frame.dataset.name, asked: frame.width, seen: view.clientWidth, needed: view.scrollWidth,
      outside: out.map(e => e.tagName + "." + e.className).slice(0, 5),
      charts: [...page.querySelectorAll("svg")].filter(e => e.getBoundingClientRect().width > 100).length,
      title: page.title,
    };
  });
  document.body.innerHTML = "<pre id=found></pre>";
  document.getElementById("found").textContent = "FOUND" + JSON.stringify(found) + "END";
});
</script>
"""


@pytest.fixture(scope="session")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.fail("No Chromium on the PATH: the report cannot be checked in a browser. Install the package 'chromium'.")
    return found


def _browse(chromium: str, folder: Path, *options: str) -> str:
    command = [chromium, *FLAGS, f"--user-data-dir={folder / 'profile'}", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_report_scrolls_sideways_on_desktop_or_phone(chromium: str, pages: dict[str, str], tmp_path: Path) -> None:
    frames = "".join(
        f'<iframe data-name="{name}" width="{width}" height="900" style="border:0" srcdoc="{escape(page)}"></iframe>'
        for name, page in pages.items()
        for width in (390, 1280)
    )
    (tmp_path / "all.html").write_text(f"<!doctype html><meta charset=utf-8>{MEASURE}<body>{frames}</body>", encoding="utf-8")

    dom = _browse(chromium, tmp_path, "--dump-dom", "--virtual-time-budget=20000", f"file://{tmp_path / 'all.html'}")

    match = re.search(r"FOUND(\[.*\])END", dom, flags=re.DOTALL)
    assert match is not None, dom[-500:]
    found = json.loads(unescape(match[1]))
    assert len(found) == 2 * len(pages)
    for frame in found:
        assert frame["seen"] == int(frame["asked"]), frame
        assert frame["needed"] <= frame["seen"], frame
        assert frame["outside"] == [], frame
        assert frame["charts"] == pages[frame["name"]].count("<svg"), frame


def test_report_draws(chromium: str, pages: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(pages["binary"], encoding="utf-8")
    picture = tmp_path / "report.png"

    _browse(chromium, tmp_path, f"--screenshot={picture}", "--window-size=1280,2000", f"file://{tmp_path / 'report.html'}")

    content = picture.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(content[16:20]), int.from_bytes(content[20:24])) == (1280, 2000)
    assert len(content) > 60_000
