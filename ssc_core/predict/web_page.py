"""The page of ``ssc serve``: a photo, a sentence, and what each model makes of them."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssc_core.checkout import install
from ssc_core.errors import SscError
from ssc_core.files import path_inside
from ssc_core.masks.resize import resize_nearest
from ssc_core.pictures import BadImage
from ssc_core.predict.web_gate import Gate
from ssc_core.refer.images import load_image
from ssc_core.report.overlay import candidates_overlay, overlay

if TYPE_CHECKING:
    from ssc_core.correct.predictor import Predictor
    from ssc_core.predict.zero_shot import ZeroShot

SIDE = 800
"""Longer side of the pictures, pixels."""

MAX_LETTERS = 1000
"""Of a sentence."""

WAITING = 20
"""Requests that may wait for their turn."""

KEPT_S = 3600
"""Seconds that photos and pictures stay on disk while the page runs."""

HEADERS = ["candidate", "score", "box score", "% of the photo", "chosen"]


@dataclass(frozen=True, slots=True)
class View:
    """What the page shows. mask, candidates: RGB uint8, None where no such model runs; rows: as ``HEADERS``."""

    mask: np.ndarray | None
    candidates: np.ndarray | None
    rows: list[list[Any]]
    message: str


def look(photo: np.ndarray, sentence: str, network: Predictor | None, zero_shot: ZeroShot | None) -> View:
    """Ask the models for one sentence. photo: RGB uint8 (H, W, 3). The mask is the network's, else Select's."""
    mask, candidates, rows, messages = None, None, [], []
    if zero_shot is not None:
        answer = zero_shot(photo, [[sentence]])[0]
        pick = int(answer.chosen[0])
        mask = answer.mask(0)
        candidates = candidates_overlay(photo, list(answer.masks), None if pick < 0 else pick, side=SIDE)
        rows = [
            [
                index + 1,
                round(float(answer.scores[0, index]), 2),
                round(float(answer.box_scores[index]), 2),
                round(100 * float(one.mean()), 1),
                "yes" if index == pick else "",
            ]
            for index, one in enumerate(answer.masks)
        ]
        messages.append(f"Looked for “{answer.query}”: {len(rows)} candidate{'' if len(rows) == 1 else 's'}.")
    if network is not None:
        mask = resize_nearest(network([photo], [[sentence]])[0][0], photo.shape[:2])
        messages.append(f"The network marks {100 * mask.mean():.1f} % of the photo.")
    if mask is None:
        raise SscError("no model to ask")
    if not mask.any():
        messages.append("The mask is empty.")
    return View(overlay(photo, mask, side=SIDE), candidates, rows, " ".join(messages))


def read_upload(path: Path, folder: Path) -> np.ndarray:
    """A visitor's photo, RGB uint8 (H, W, 3). folder: of uploads; ``path`` is what the visitor says.

    Raises BadImage as ``load_image``, and for a path outside of ``folder``.
    """
    try:
        _check_uploaded(path, folder)
        return load_image(path)
    except BadImage as error:
        raise BadImage(str(error).replace(str(path), path.name)) from error  # where it lies is not the visitor's


TOYS_NOTE = (
    "**Small models of the micro world answer here, which know drawings only.** What they say of a photo means nothing."
)


def build_page(network: Predictor | None, zero_shot: ZeroShot | None, *, toys: bool = False) -> Any:
    """The page as a ``gradio.Blocks``. toys: it says that the models know drawings only.

    Raises SscError when Gradio is not installed."""
    try:
        import gradio
    except ImportError as error:
        raise SscError(f"ssc serve needs Gradio: {install('serve')}") from error

    def answer(photo: str | None, sentence: str | None) -> tuple[Any, ...]:
        words = " ".join((sentence or "").split())
        try:
            if photo is None or not words:
                raise SscError("Give a photo and a sentence.")
            if len(words) > MAX_LETTERS:
                raise SscError(f"The sentence has {len(words)} letters; up to {MAX_LETTERS} are taken.")
            view = look(read_upload(Path(photo), Path(upload.GRADIO_CACHE)), words, network, zero_shot)
        except SscError as error:
            raise gradio.Error(str(error), print_exception=False) from error
        return view.mask, view.candidates, view.rows, view.message

    with gradio.Blocks(title="ssc", analytics_enabled=False, delete_cache=(KEPT_S // 6, KEPT_S)) as page:
        gradio.Markdown("# A photo and a sentence to a mask")
        gradio.Markdown(TOYS_NOTE, visible=toys)
        with gradio.Row():
            with gradio.Column():
                upload = gradio.Image(type="filepath", label="Photo", sources=["upload", "clipboard"])
                _leave_unopened(upload)
                sentence = gradio.Textbox(
                    label="Sentence", placeholder="woman on the left in blue", max_length=MAX_LETTERS
                )
                for one in (upload, sentence):
                    _take_no_files_from_elsewhere(one)
                button = gradio.Button("Find it", variant="primary")
            with gradio.Column():
                message = gradio.Markdown()
                # Gradio lays labels and buttons over the corners of pictures, where numbers may be; its button to
                # share would upload them
                shown: dict[str, Any] = {"interactive": False, "show_label": False}
                gradio.Markdown("Mask" if network is None else "Mask of the network")
                mask = gradio.Image(label="Mask", buttons=["download", "fullscreen"], **shown)
                gradio.Markdown("Candidates", visible=zero_shot is not None)
                candidates = gradio.Image(label="Candidates", buttons=[], visible=zero_shot is not None, **shown)
                rows = gradio.Dataframe(
                    headers=HEADERS, label="Scores", interactive=False, visible=zero_shot is not None
                )
        outputs = [mask, candidates, rows, message]
        button.click(answer, [upload, sentence], outputs, api_name="find")
        sentence.submit(answer, [upload, sentence], outputs, api_visibility="private")
    return page.queue(default_concurrency_limit=1, max_size=WAITING)


def run_page(page: Any, listener: socket.socket, hosts: Iterable[str] = ()) -> None:
    """Serve ``build_page``'s page behind a ``Gate`` until the process is told to end.

    hosts: names besides local ones and the address that is asked, by which the page may be asked for.
    """
    import fastapi
    import gradio
    import uvicorn

    app = gradio.mount_gradio_app(
        fastapi.FastAPI(openapi_url=None), page, path="/", show_error=True, ssr_mode=False, footer_links=[]
    )
    page.has_launched = True  # Gradio checks where files are taken from after its own launch only
    config = uvicorn.Config(Gate(app, hosts), log_level="warning", timeout_graceful_shutdown=2)
    uvicorn.Server(config).run(sockets=[listener])


def _leave_unopened(upload: Any) -> None:
    """Gradio would open a photo with all that Pillow knows; ``read_upload`` opens it with what we name."""
    upload.preprocess = lambda value: None if value is None else value.path


def _take_no_files_from_elsewhere(component: Any) -> None:
    """A visitor may name any file as an input: Gradio copies it from this machine or gets it from an address."""
    import gradio

    move = component.async_move_resource_to_block_cache

    async def uploaded(path: Any) -> Any:
        try:
            _check_uploaded(Path(path), Path(component.GRADIO_CACHE))
        except BadImage as error:
            raise gradio.Error(str(error), print_exception=False) from error
        return await move(path)

    component.async_move_resource_to_block_cache = uploaded


def _check_uploaded(path: Path, folder: Path) -> None:
    """Raise BadImage for a file that was not uploaded. An address is no absolute path."""
    try:
        inside = path.is_absolute() and path_inside(folder, path)
    except SscError:
        inside = False
    if not inside:
        raise BadImage("Upload the photo itself.")
