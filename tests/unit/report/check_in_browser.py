"""Use a report as a reader would, in headless Chromium: ``python tests/unit/report/check_in_browser.py index.html``.

No test of the suite, since it needs a browser (``apt-get install chromium``). It clicks, types and presses keys with a
script added to a copy of the page, and stops with a message when something does not answer or the console has errors.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKS = """
const out = {};
const gallery = document.querySelector("details[open] [data-gallery]") || document.querySelector("[data-gallery]");
const cards = () => [...gallery.querySelectorAll(".example")].filter((card) => !card.hidden);
const press = (key) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
const words = gallery.querySelector("[data-text]");
const type = (text) => { words.value = text; words.dispatchEvent(new Event("input")); };
out.width = window.innerWidth;
out.all = cards().length;
const count = () => gallery.querySelector(".count").textContent;
out.count_is_shown = count().startsWith(`${out.all} of `);
const lacks = (tag) => cards().some((card) => !card.dataset.tags.split(" ").includes(tag));
const tags = [...gallery.querySelectorAll("[data-tag]")];
const tag = tags.find((button) => button.dataset.tag && lacks(button.dataset.tag));
tag.click();
out.tag_filters = cards().length < out.all && cards().every((card) => card.dataset.tags.includes(tag.dataset.tag));
gallery.querySelector('[data-tag=""]').click();
const first = cards()[0].querySelector("h4").textContent;
type(first.slice(1, -1).toUpperCase());
out.words_filter = cards().length >= 1 && cards().length < out.all;
type("no sentence says this");
out.nothing_found = cards().length === 0 && count().startsWith("0 of ");
type("");
const box = gallery.querySelector("[data-layer]");
const layer = () => getComputedStyle(gallery.querySelector(`path.${box.dataset.layer}`)).display;
box.click();
out.layer_hides = layer() === "none";
box.click();
out.layer_shows = layer() !== "none";
const dialog = document.querySelector("dialog");
const opener = cards()[0].querySelector("[data-open]");
opener.focus();
opener.click();
out.opens = dialog.open && dialog.querySelector("h2").textContent === first;
out.photo_is_shown = dialog.querySelector("use").getBoundingClientRect().width > 100;
press("ArrowRight");
out.arrow = dialog.querySelector("h2").textContent === cards()[1].querySelector("h4").textContent;
press("ArrowLeft");
dialog.querySelector("[data-close]").click();
out.closes = !dialog.open;
out.no_sideways_scroll = document.documentElement.scrollWidth <= window.innerWidth;
out.outside = [...document.querySelectorAll("[src],[href]")]
  .map((node) => node.getAttribute("src") || node.getAttribute("href"))
  .filter((target) => !target.startsWith("data:") && !target.startsWith("#"));
setTimeout(() => {
  out.focus_returns = document.activeElement === opener;
  parent.postMessage(JSON.stringify(out), "*");
}, 200);
"""


WIDTHS = {"desk": 1280, "phone": 360}

FRAME = """<body><iframe src="page.html" width="{width}" height="740"></iframe>
<script>onmessage = (message) => (document.body.dataset.outcome = message.data)</script></body>"""
"""A browser's window is at least 500 pixels wide, a frame in it is not."""


def main(page: Path) -> None:
    for name, width in WIDTHS.items():
        outcome, console = _run(page, width)
        print(f"{name}: {outcome}")
        wrong = [check for check, value in outcome.items() if value is False]
        if wrong or console or outcome["outside"] or not outcome["all"]:
            sys.exit(f"{page}, {name}: {wrong} failed; console: {console}; fetched from outside: {outcome['outside']}")


def _run(page: Path, width: int) -> tuple[dict[str, object], list[str]]:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("no chromium found; install it: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "page.html"
        copy.write_text(page.read_text(encoding="utf-8").replace("</body>", f"<script>{{{CHECKS}}}</script></body>"))
        frame = copy.with_name("frame.html")
        frame.write_text(FRAME.format(width=width))
        options = [
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--dump-dom"),
            *("--window-size=1400,900", "--virtual-time-budget=5000", "--enable-logging=stderr"),
            f"--user-data-dir={folder}/profile",
        ]
        command = [browser, *options, frame.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    console = re.findall(r"CONSOLE.*", done.stderr)
    found = re.search(r'data-outcome="([^"]*)"', done.stdout)
    if found is None:
        sys.exit(f"{page}: the page's script did not come to its end; console: {console}")
    return json.loads(found[1].replace("&quot;", '"')), console


if __name__ == "__main__":
    main(Path(sys.argv[1]))
