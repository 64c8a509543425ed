"""The page of ``ssc serve``: a photo, a sentence, and what each model makes of them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
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

    segments, threshold = explorer.finds_candidates, explorer.threshold
    with gradio.Blocks(title="ssc", analytics_enabled=False, delete_cache=(KEPT_S // 6, KEPT_S)) as page:
        gradio.Markdown("# A photo and a sentence to a mask")
        gradio.Markdown(
            f"{TOYS_NOTE}{'.' if allowed else ', so they are asked about the example alone.'}", visible=bool(toys)
        )
        with gradio.Row():
            with gradio.Column():
                upload = gradio.Image(type="filepath", label="Photo", sources=["upload", "clipboard"])
                _leave_unopened(upload)
                sentence = gradio.Textbox(
                    label="Sentence", placeholder="woman on the left in blue", max_length=MAX_LETTERS
                )
                with gradio.Row():
                    button = gradio.Button("Find it", variant="primary")
                    example = gradio.Button("Try an example")
                asked = gradio.Textbox(
                    label="Class that is looked for",
                    info="Empty: that of the sentence's noun. Enter looks again.",
                    max_length=MAX_CLASS_LETTERS,
                    visible=segments,
                )
                least = gradio.Slider(
                    *THRESHOLDS,
                    value=threshold,
                    step=0.01,
                    label="Least score of a box",
                    info="Lower: more candidates.",
                    visible=threshold is not None,
                )
                least.preprocess = lambda value: value  # Gradio fails on what is no number; ``Wish`` says what is wrong
                gradio.Markdown("The example is a drawing, a scene of the micro world, and no photo.")
            with gradio.Column():
                message, title = gradio.Markdown(), gradio.Markdown("Mask")
                # Gradio lays labels and buttons over the corners of pictures, where numbers may be; its button to
                # share would upload them
                shown: dict[str, Any] = {"interactive": False, "show_label": False}
                mask = gradio.Image(label="Mask", buttons=["fullscreen"], **shown)
                file = gradio.DownloadButton("Mask as PNG", interactive=False)
                gradio.Markdown("Candidates: click on one, or take its number", visible=segments)
                candidates = gradio.Image(label="Candidates", buttons=[], visible=segments, **shown)
                number = gradio.Radio([], label="Candidate", visible=segments)
                rows = gradio.Dataframe(headers=HEADERS, label="Scores", interactive=False, visible=segments)
        for one in (upload, sentence, asked, least, number):
            _take_no_files_from_elsewhere(one)
        answered = gradio.State()
        desk = Desk(explorer, Path(upload.GRADIO_CACHE), toys or {}, allowed=allowed)

        def drawn(view: View) -> tuple[Any, ...]:
            numbers = gradio.Radio(choices=[row[0] for row in view.rows], value=view.chosen)
            offered = gradio.DownloadButton(value=str(view.file), interactive=True)
            pictures = view.mask, view.title, offered, view.candidates
            return *pictures, numbers, view.rows, view.shown.asked, view.message, view.shown

        # A refusal is a message: for an error, Gradio lays "Error" over every picture of the page.

        def refused(why: str) -> tuple[Any, ...]:
            """No answer: the old one would be of another photo or sentence."""
            numbers, offered = (
                gradio.Radio(choices=[], value=None),
                gradio.DownloadButton(value=None, interactive=False),
            )
            return None, "Mask", offered, None, numbers, [], gradio.skip(), f"**Not looked for.** {why}", None

        def find(*form: Any) -> tuple[Any, ...]:
            try:
                return drawn(desk.find(*form))
            except SscError as error:
                return refused(str(error))

        def other(answer: Callable[[], View]) -> Any:
            """Another view of the answer; where there is none, the answer stays."""
            try:
                return drawn(answer())
            except SscError as error:
                gradio.Warning(str(error))
                return gradio.skip()

        def again(*form: Any) -> Any:
            return find(*form) if form[-1] is not None else gradio.skip()

        def choose(before: Shown | None, which: int) -> Any:
            return other(lambda: desk.choose(before, which))

        def click(before: Shown | None, event: gradio.SelectData) -> Any:
            return other(lambda: desk.click(before, event.index))

        form: list[Any] = [upload, sentence, asked, least, answered]
        outputs = [mask, title, file, candidates, number, rows, asked, message, answered]
        private: dict[str, Any] = {"outputs": outputs, "api_visibility": "private"}
        button.click(find, form, outputs, api_name="find")
        sentence.submit(find, form, **private)
        asked.submit(again, form, **private)
        least.release(again, form, **private)
        number.input(choose, [answered, number], **private)
        click.__annotations__["event"] = gradio.SelectData  # Gradio reads it, and does not know what is local here
        candidates.select(click, [answered], **private)
        example.click(
            lambda: (desk.example(), EXAMPLE_SENTENCE, ""), None, [upload, sentence, asked], api_visibility="private"
        ).then(find, form, **private)
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
            check_uploaded(Path(path), Path(component.GRADIO_CACHE))
        except BadImage as error:
            raise gradio.Error(str(error), print_exception=False) from error
        return await move(path)

    component.async_move_resource_to_block_cache = uploaded
