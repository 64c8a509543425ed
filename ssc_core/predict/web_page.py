"""The page of ``ssc serve``: a photo, a sentence, and what each model makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssc_core.errors import SscError
from ssc_core.masks.resize import resize_nearest
from ssc_core.report.overlay import candidates_overlay, overlay

if TYPE_CHECKING:
    from ssc_core.correct.predictor import Predictor
    from ssc_core.predict.zero_shot import ZeroShot

SIDE = 800
"""Longer side of the pictures, pixels."""

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


def build_page(network: Predictor | None, zero_shot: ZeroShot | None) -> Any:
    """The page as a ``gradio.Blocks``. Raises SscError when Gradio is not installed."""
    try:
        import gradio
    except ImportError as error:
        raise SscError("ssc serve needs Gradio: pip install 'ssc[serve]'") from error

    def answer(photo: np.ndarray | None, sentence: str) -> tuple[Any, ...]:
        if photo is None or not sentence.strip():
            raise gradio.Error("Give a photo and a sentence.")
        try:
            view = look(photo, " ".join(sentence.split()), network, zero_shot)
        except SscError as error:
            raise gradio.Error(str(error)) from error
        return view.mask, view.candidates, view.rows, view.message

    with gradio.Blocks(title="ssc", analytics_enabled=False) as page:
        gradio.Markdown("# A photo and a sentence to a mask")
        with gradio.Row():
            with gradio.Column():
                photo = gradio.Image(type="numpy", image_mode="RGB", label="Photo", sources=["upload", "clipboard"])
                sentence = gradio.Textbox(label="Sentence", placeholder="woman on the left in blue")
                button = gradio.Button("Find it", variant="primary")
            with gradio.Column():
                message = gradio.Markdown()
                shown = {
                    "interactive": False,
                    "buttons": ["download", "fullscreen"],
                }  # without Gradio's upload to share
                mask = gradio.Image(label="Mask" if network is None else "Mask of the network", **shown)
                candidates = gradio.Image(label="Candidates", visible=zero_shot is not None, **shown)
                rows = gradio.Dataframe(
                    headers=HEADERS, label="Scores", interactive=False, visible=zero_shot is not None
                )
        outputs = [mask, candidates, rows, message]
        button.click(answer, [photo, sentence], outputs, api_name="find")
        sentence.submit(answer, [photo, sentence], outputs, api_name=False)
    return page
