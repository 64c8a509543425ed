"""Use ``ssc serve`` as a visitor would, in headless Chromium:

    python tests/unit/cli/check_page_in_browser.py http://127.0.0.1:7860 photo.jpg "the red car" screenshot.png

No test of the suite, since it needs a browser (``apt-get install chromium``), a running server and the package
``websockets``. It presses the button of the empty form, drops the photo, types the sentence, presses the button, waits
for the mask, and stops with a message when the page says nothing, or the console has errors.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import websockets

TYPE = """(() => {
  const box = document.querySelector("textarea");
  box.value = %s;
  box.dispatchEvent(new Event("input", {bubbles: true}));
})()"""
PRESS = """[...document.querySelectorAll("button")].find((one) => one.textContent.trim() === "Find it").click()"""
STATE = """JSON.stringify({
  images: [...document.querySelectorAll("img")].filter((one) => one.naturalWidth > 50).length,
  cells: [...document.querySelectorAll("td")].map((one) => one.textContent.trim()).filter(Boolean),
  text: document.body.innerText,
})"""

ANSWER = re.compile(r"(Looked for|The network marks|The mask is the network).*")


class Page:
    """A browser's page by the DevTools protocol."""

    def __init__(self, socket: Any) -> None:
        self._socket, self._ids = socket, itertools.count(1)
        self.errors: list[str] = []

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._ids)
        await self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(await self._socket.recv())
            self._note(message)
            if message.get("id") == number:
                return message["result"]

    async def js(self, expression: str) -> Any:
        return (await self.call("Runtime.evaluate", expression=expression))["result"].get("value")

    def _note(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.errors.append(str(parameters["exceptionDetails"].get("exception", {}).get("description"))[:300])
        if message.get("method") == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.errors.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}"[:300])


async def visit(page: Page, url: str, photo: Path, sentence: str, picture: Path) -> None:
    for domain in ("Page", "Runtime", "Log", "DOM"):
        await page.call(f"{domain}.enable")
    await page.call("Page.navigate", url=url)
    await _until(page, lambda state: "Find it" in state["text"], "the page did not appear")
    await page.js(PRESS)
    await _until(
        page, lambda state: "Give a photo and a sentence." in state["text"], "nothing says that the form is empty"
    )
    root = (await page.call("DOM.getDocument"))["root"]["nodeId"]
    field = await page.call("DOM.querySelector", nodeId=root, selector="input[type=file]")
    await page.call("DOM.setFileInputFiles", nodeId=field["nodeId"], files=[str(photo.resolve())])
    await _until(page, lambda state: state["images"] >= 1, "the photo was not taken")
    await page.js(TYPE % json.dumps(sentence))
    await page.js(PRESS)
    state = await _until(page, lambda state: ANSWER.search(state["text"]) and state["images"] >= 2, "no mask came")
    await asyncio.sleep(2)
    shot = await page.call("Page.captureScreenshot", captureBeyondViewport=True)
    picture.write_bytes(base64.b64decode(shot["data"]))
    print(ANSWER.search(state["text"])[0], state["cells"][:20])


async def _until(page: Page, wanted: Any, otherwise: str, seconds: int = 180) -> dict[str, Any]:
    for _ in range(seconds):
        state = json.loads(await page.js(STATE) or "{}")
        if state and wanted(state):
            return state
        await asyncio.sleep(1)
    sys.exit(f"{otherwise} in {seconds} s; the page says: {state.get('text', '')[:500]}")


async def main(url: str, photo: Path, sentence: str, picture: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("no chromium found; install it: apt-get install chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        options += ["--window-size=1280,1400", "--remote-debugging-port=0", f"--user-data-dir={profile}"]
        process = subprocess.Popen([browser, *options, "about:blank"], stderr=subprocess.DEVNULL)
        try:
            port = await _port(Path(profile))
            async with websockets.connect(await _target(port), max_size=2**26) as socket:
                page = Page(socket)
                await visit(page, url, photo, sentence, picture)
                errors = page.errors
        finally:
            process.terminate()
            process.wait(20)
    if errors:
        sys.exit(f"the console has errors: {errors}")


async def _port(profile: Path) -> int:
    for _ in range(120):
        note = profile / "DevToolsActivePort"
        if note.exists() and note.read_text().strip():
            return int(note.read_text().split()[0])
        await asyncio.sleep(1)
    sys.exit("chromium did not start")


async def _target(port: int) -> str:
    import urllib.request

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
        return next(one["webSocketDebuggerUrl"] for one in json.load(answer) if one["type"] == "page")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4])))
