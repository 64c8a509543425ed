"""The library in a few names, which ``ssc_core`` itself has: photos and sentences in, masks out."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ssc_core.cli.config_files import read_config, values_to_tell
from ssc_core.cli.predict import PUBLISHED_BERT
from ssc_core.config.settings import Settings
from ssc_core.config.toys import label_stages, toys_in
from ssc_core.correct.both_ways import seen_both_ways
from ssc_core.correct.predictor import Predictor
from ssc_core.errors import SscError
from ssc_core.masks.resize import masks_at
from ssc_core.predict.run import PHOTOS_A_PASS
from ssc_core.predict.zero_shot import ZeroShot
from ssc_core.refer.images import load_image
from ssc_core.segment.coco import COCO_CLASSES
from ssc_core.toys import check_stages, refuse_toys
from ssc_core.wording import counted

log = logging.getLogger(__name__)

Photo: TypeAlias = "str | Path | np.ndarray"
"""A file, or pixels: RGB uint8 (H, W, 3)."""

_ALLOWED_BY = "`allow_toy_models=True`"


def load_config(*files: str | Path) -> Settings:
    """The default config with config files over it, in order, validated.

    Paths of models, and files that come with the project (``presets/paper.yaml``), are found from any folder.
    Raises SscError for a file that is missing or no YAML, and for mistakes in the config. Logs a warning of values that
    stay from the default, were chosen for drawings, and go with models that know photos.
    """
    paths = [Path(file) for file in files]
    for line in values_to_tell(paths):
        log.warning(line)
    return read_config(paths, find_models=True)


class Labeler:
    """Segment and Select: masks without any training, by the models of a config.

    config: of ``load_config``; None: the default, whose small models know drawings only, so that it is refused but for
    ``allow_toy_models``. classes: what nouns are projected to. Models are loaded once. Raises SscError when one cannot
    be built, and for toys.
    """

    def __init__(
        self,
        config: Settings | None = None,
        *,
        classes: Sequence[str] = COCO_CLASSES,
        device: str = "auto",
        threads: int = 2,
        allow_toy_models: bool = False,
    ) -> None:
        settings = config or load_config()
        if not allow_toy_models:
            check_stages(settings, label_stages(settings), "the photos", allowed_by=_ALLOWED_BY)
        self._model = ZeroShot(settings, class_names=classes, device=device, threads=threads)

    def __call__(self, photos: Sequence[Photo], sentences: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """A mask for every sentence, each of which means an object of its own. sentences: those of each photo.

        Returns bool (sentences, H, W) per photo, in its pixels; all False where nothing was found.
        Raises BadImage for a photo that cannot be read, and SscError for photos without sentences of their own, and
        for sentences that are blank or no text.
        """
        asked = zip(photos, _checked(photos, sentences), strict=True)
        return [self._answer(_pixels(photo), of) for photo, of in asked]

    def _answer(self, photo: np.ndarray, sentences: list[str]) -> np.ndarray:
        answers = self._model(photo, [[text] for text in sentences])
        return np.array([answer.mask(0) for answer in answers]).reshape(-1, *photo.shape[:2]).astype(bool)


class Network:
    """A trained network.

    checkpoint: ours, or a published LAVT or S+S+C file. bert: folder of its tokenizer; None: the one that it was
    trained with. batch: (photo, sentence) pairs that it sees at once, fewer when memory runs out. both_ways: look at
    each photo mirrored as well, left and right swapped in its English sentences: better masks in twice the time.
    Raises SscError when checkpoint or tokenizer cannot be used, and for a network that was trained from the micro
    world's small models, which knows drawings only, unless ``allow_toy_models``.
    """

    def __init__(
        self,
        checkpoint: str | Path,
        *,
        bert: str | None = None,
        device: str = "auto",
        threads: int = 2,
        batch: int = 32,
        both_ways: bool = False,
        allow_toy_models: bool = False,
    ) -> None:
        predictor = Predictor(
            Path(checkpoint), bert=bert, default_bert=PUBLISHED_BERT, device=device, threads=threads, samples=batch
        )
        if not allow_toy_models:
            refuse_toys(toys_in(predictor.settings.get("network", {}), "network"), "the photos", _ALLOWED_BY)
        self._predict = seen_both_ways(predictor) if both_ways else predictor

    def __call__(self, photos: Sequence[Photo], sentences: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """A mask for every sentence, as of a ``Labeler``: bool (sentences, H, W) per photo, in its pixels."""
        return list(self._masks(zip(photos, _checked(photos, sentences), strict=True)))

    def _masks(self, asked: Iterator[tuple[Photo, list[str]]]) -> Iterator[np.ndarray]:
        while part := list(islice(asked, PHOTOS_A_PASS)):
            images = [_pixels(photo) for photo, _ in part]
            for image, margins in zip(images, self._predict(images, [of for _, of in part]), strict=True):
                yield masks_at(margins, image.shape[:2])


def _checked(photos: Sequence[Photo], sentences: Sequence[Sequence[str]]) -> list[list[str]]:
    """The sentences of each photo. Raises SscError unless each photo has a list, and each sentence is a text."""
    if isinstance(photos, str | Path | np.ndarray) or any(isinstance(of, str) for of in sentences):
        raise SscError('give a list of photos, and a list of sentences for each: (["a.jpg"], [["the dog"]])')
    if len(photos) != len(sentences):
        raise SscError(
            f"{counted(len(photos), 'photo')} and {counted(len(sentences), 'list')} of sentences; each photo needs one"
        )
    lists = [list(of) for of in sentences]
    for photo, of in enumerate(lists):
        for number, text in enumerate(of):
            if not _is_text(text):
                raise SscError(f"sentences[{photo}][{number}] is {text!r:.100}, which is no text to look for")
    return [list(map(str, of)) for of in lists]  # NumPy's texts are some, too, but not to tokenizers


def _is_text(sentence: object) -> bool:
    """Whether there is something in it, and no half of a letter, of which UTF-8 has none."""
    return isinstance(sentence, str) and sentence.strip() != "" and not re.search("[\ud800-\udfff]", sentence)


def _pixels(photo: Photo) -> np.ndarray:
    if not isinstance(photo, np.ndarray):
        return load_image(Path(photo))
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or photo.size == 0:
        raise SscError(f"a photo of pixels is RGB uint8 (H, W, 3), none of them 0; this is {photo.dtype} {photo.shape}")
    return photo
