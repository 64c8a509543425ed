"""The page of ``ssc serve``: a photo, a sentence, and what each model makes of them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssc_core.checkout import install
from ssc_core.errors import SscError
from ssc_core.pictures import BadImage
from ssc_core.predict.desk import EXAMPLE_SENTENCE, HEADERS, Desk, Shown, View, check_uploaded
from ssc_core.predict.exploring import MAX_CLASS_LETTERS, MAX_LETTERS, THRESHOLDS, Explorer
from ssc_core.predict.web_gate import Gate

WAITING = 20
"""Requests that may wait for their turn."""

KEPT_S = 3600
"""Seconds that photos and pictures stay on disk while the page runs."""

TOYS_NOTE = (
    "**Small models of the micro world answer here, which know drawings only.** What they say of a photo means nothing"
)


def build_page(explorer: Explorer, toys: Mapping[str, str] | None = None, *, allowed: bool = False) -> Any:
    """The page as a ``gradio.Blocks``. toys, allowed: see ``Desk``.

    Raises SscError when Gradio is not installed."""
    try:
        import gradio
    except ImportError as error:
        raise SscError(f"ssc serve needs Gradio: {install('serve')}") from error

    with gradio.Blocks(title="ssc", analytics_enabled=False, delete_cache=(KEPT_S // 6, KEPT_S)) as page:
        gradio.Markdown("# A photo and a sentence to a mask")
        gradio.Markdown(
            f"{TOYS_NOTE}{'.' if allowed else ', so they are asked about the example alone.'}", visible=bool(toys)
        )
        with gradio.Row():
            with gradio.Column():
                form = _lay_out_form(explorer)
            with gradio.Column():
                answer = _lay_out_answer(explorer)
        for one in (form.upload, form.sentence, form.asked, form.least, answer.number):
            _take_no_files_from_elsewhere(one)
        desk = Desk(explorer, Path(form.upload.GRADIO_CACHE), toys or {}, allowed=allowed)
        _connect(form, answer, desk)
    return page.queue(default_concurrency_limit=1, max_size=WAITING)


@dataclass(frozen=True, slots=True)
class _Form:
    """Gradio's components of what a visitor asks."""

    upload: Any
    sentence: Any
    button: Any
    example: Any
    asked: Any
    least: Any


@dataclass(frozen=True, slots=True)
class _Answer:
    """Gradio's components of what is shown; ``shown`` is a ``Shown`` or None."""

    message: Any
    title: Any
    mask: Any
    file: Any
    candidates: Any
    number: Any
    rows: Any
    shown: Any


def _lay_out_form(explorer: Explorer) -> _Form:
    import gradio

    upload = gradio.Image(type="filepath", label="Photo", sources=["upload", "clipboard"])
    _leave_unopened(upload)
    sentence = gradio.Textbox(label="Sentence", placeholder="woman on the left in blue", max_length=MAX_LETTERS)
    with gradio.Row():
        button = gradio.Button("Find it", variant="primary")
        example = gradio.Button("Try an example")
    asked = gradio.Textbox(
        label="Class that is looked for",
        info="Empty: that of the sentence's noun. Enter looks again.",
        max_length=MAX_CLASS_LETTERS,
        visible=explorer.finds_candidates,
    )
    least = gradio.Slider(
        *THRESHOLDS,
        value=explorer.threshold,
        step=0.01,
        label="Least score of a box",
        info="Lower: more candidates.",
        visible=explorer.threshold is not None,
    )
    least.preprocess = lambda value: value  # Gradio fails on what is no number; ``Wish`` says what is wrong
    gradio.Markdown("The example is a drawing, a scene of the micro world, and no photo.")
    return _Form(upload, sentence, button, example, asked, least)


def _lay_out_answer(explorer: Explorer) -> _Answer:
    import gradio

    segments = explorer.finds_candidates
    message, title = gradio.Markdown(), gradio.Markdown("Mask")
    # Gradio lays labels and buttons over the corners of pictures, where numbers may be; its button to share would
    # upload them
    bare: dict[str, Any] = {"interactive": False, "show_label": False}
    mask = gradio.Image(label="Mask", buttons=["fullscreen"], **bare)
    file = gradio.DownloadButton("Mask as PNG", interactive=False)
    gradio.Markdown("Candidates: click on one, or take its number", visible=segments)
    candidates = gradio.Image(label="Candidates", buttons=[], visible=segments, **bare)
    number = gradio.Radio([], label="Candidate", visible=segments)
    rows = gradio.Dataframe(headers=HEADERS, label="Scores", interactive=False, visible=segments)
    return _Answer(message, title, mask, file, candidates, number, rows, gradio.State())


def _connect(form: _Form, answer: _Answer, desk: Desk) -> None:
    """Let the page's controls do what ``desk`` makes of them."""
    import gradio

    def find(*asked: Any) -> Any:
        return _found(desk, *asked)

    def again(*asked: Any) -> Any:
        """Look again with another class or threshold, once something has been looked for."""
        return find(*asked) if asked[-1] is not None else gradio.skip()

    def choose(before: Shown | None, which: int) -> Any:
        return _other_view(lambda: desk.choose(before, which))

    def click(before: Shown | None, event: gradio.SelectData) -> Any:
        return _other_view(lambda: desk.click(before, event.index))

    click.__annotations__["event"] = gradio.SelectData  # Gradio reads it, and does not know what is local here
    asked = [form.upload, form.sentence, form.asked, form.least, answer.shown]
    pictures = [answer.mask, answer.title, answer.file, answer.candidates]
    outputs = [*pictures, answer.number, answer.rows, form.asked, answer.message, answer.shown]
    private: dict[str, Any] = {"outputs": outputs, "api_visibility": "private"}
    form.button.click(find, asked, outputs, api_name="find")
    form.sentence.submit(find, asked, **private)
    form.asked.submit(again, asked, **private)
    form.least.release(again, asked, **private)
    answer.number.input(choose, [answer.shown, answer.number], **private)
    answer.candidates.select(click, [answer.shown], **private)
    form.example.click(
        lambda: (desk.example(), EXAMPLE_SENTENCE, ""),
        None,
        [form.upload, form.sentence, form.asked],
        api_visibility="private",
    ).then(find, asked, **private)


def _found(desk: Desk, *asked: Any) -> tuple[Any, ...]:
    """What was looked for, or why it was not: a message, since for an error Gradio lays "Error" over every picture."""
    try:
        return _drawn(desk.find(*asked))
    except SscError as error:
        return _refused(str(error))


def _other_view(answer: Callable[[], View]) -> Any:
    """Another view of the answer; where there is none, the answer stays."""
    import gradio

    try:
        return _drawn(answer())
    except SscError as error:
        gradio.Warning(str(error))
        return gradio.skip()


def _drawn(view: View) -> tuple[Any, ...]:
    """Values of ``_connect``'s outputs."""
    import gradio

    numbers = gradio.Radio(choices=[row[0] for row in view.rows], value=view.chosen)
    offered = gradio.DownloadButton(value=str(view.file), interactive=True)
    pictures = view.mask, view.title, offered, view.candidates
    return *pictures, numbers, view.rows, view.shown.asked, view.message, view.shown


def _refused(why: str) -> tuple[Any, ...]:
    """The same without an answer: the old one would be of another photo or sentence."""
    import gradio

    numbers = gradio.Radio(choices=[], value=None)
    offered = gradio.DownloadButton(value=None, interactive=False)
    return None, "Mask", offered, None, numbers, [], gradio.skip(), f"**Not looked for.** {why}", None


def run_page(page: Any, listener: socket.socket, hosts: Iterable[str] = ()) -> None:
    """Serve ``build_page``'s page behind a ``Gate`` until the process is told to end.

    hosts: names besides local ones and the address that is asked, by which the page may be asked for.
    """
    import fastapi
    import gradio
    import uvicorn

    undescribed: dict[str, Any] = {"openapi_url": None}  # the page asks for no list of all that Gradio can be sent
    app = gradio.mount_gradio_app(
        fastapi.FastAPI(**undescribed),
        page,
        path="/",
        app_kwargs=undescribed,
        show_error=True,
        ssr_mode=False,
        footer_links=[],
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
            check_uploaded(Path(path), Path(component.GRADIO_CACHE))
        except BadImage as error:
            raise gradio.Error(str(error), print_exception=False) from error
        return await move(path)

    component.async_move_resource_to_block_cache = uploaded
