"""The report as a reader uses it, in headless Chromium, where there is one: a script that is added to a copy of the
page clicks, types and presses keys. Skipped without: ``apt-get install chromium``."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ssc_core.config.settings import Settings
from ssc_core.report.report_page import PhotoFolders, write_report
from ssc_core.report.select_table import Ways

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")

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

FRAME = """<body><iframe src="page.html" width="{width}" height="740"></iframe>
<script>onmessage = (message) => (document.body.dataset.outcome = message.data)</script></body>"""
"""A browser's window is at least 500 pixels wide, a frame in it is not."""


@pytest.mark.skipif(not BROWSER, reason="no Chromium here: apt-get install chromium")
@pytest.mark.parametrize("width", [pytest.param(1280, id="desk"), pytest.param(360, id="phone")])
def test_the_report_answers_a_reader(
    width: int, results: Path, config: Settings, photos_folder: Path, tmp_path: Path
) -> None:
    page = tmp_path / "index.html"
    write_report(results, config, PhotoFolders({"refcoco": photos_folder}), Ways({}), page)
    outcome, console = use(page.read_text(encoding="utf-8"), width, tmp_path)
    assert [check for check, value in outcome.items() if value is False] == []
    assert console == []
    assert outcome["outside"] == [], "fetched from elsewhere"
    assert outcome["width"] == width
    assert outcome["all"] > 1


def use(page: str, width: int, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """What CHECKS found in a window of a width, and what the browser's console says."""
    (folder / "page.html").write_text(page.replace("</body>", f"<script>{{{CHECKS}}}</script></body>"))
    frame = folder / "frame.html"
    frame.write_text(FRAME.format(width=width))
    options = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--dump-dom"),
        *("--window-size=1400,900", "--virtual-time-budget=5000", "--enable-logging=stderr"),
        f"--user-data-dir={folder}/profile",
    ]
    done = subprocess.run([BROWSER, *options, frame.as_uri()], capture_output=True, text=True, timeout=300, check=True)
    console = re.findall(r"CONSOLE.*", done.stderr)
    found = re.search(r'data-outcome="([^"]*)"', done.stdout)
    assert found is not None, f"the page's script did not come to its end; console: {console}"
    return json.loads(found[1].replace("&quot;", '"')), console
