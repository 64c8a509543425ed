"""Contact sheet of what Segment found in a split, photo by photo: boxes with scores, masks, and refs' candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from ssc_core.drawing import style
from ssc_core.drawing.marks import scale, soften
from ssc_core.drawing.style import Colour
from ssc_core.files import atomic_path
from ssc_core.masks.store import Instances, MaskStore
from ssc_core.pictures import BadImage
from ssc_core.refer.ref import Ref
from ssc_core.refer.ref_table import open_photos, read_refs, refs_by_image
from ssc_core.refer.refs_digest import TableRefs
from ssc_core.report.sheet import Below, Beside, Box, Picture, Text, keep_end, render, text
from ssc_core.tables import read_frame
from ssc_core.wording import counted

COLOURS: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
"""Okabe and Ito's palette, told apart with any colour vision. An instance has one colour in all panels of its photo."""

SIDE = 260
"""Longer side of a picture, pixels."""

_GAP, _TEXT = 12, 13
_TAG = 14
"""Height of the tag with a box's class and score, pixels."""


def write_contact_sheet(
    *, refs: Path, nouns: Path, masks: Path, images: Path, split: str, out: Path, photos: int = 8, refs_a_photo: int = 2
) -> None:
    """Write a JPEG with ``photos`` photos of a split, evenly spaced over it, one per row.

    refs: refs.parquet; nouns: nouns.parquet, for what each ref asks for; masks: masks.h5; images: folder of the photos.
    refs_a_photo: refs of a photo whose candidates are shown. A photo that cannot be read leaves its place empty.
    Raises SscError when one of the tables is missing or damaged.
    """
    table = read_refs(refs, split)
    by_image = refs_by_image(table)
    read_photo = open_photos(refs, images)
    queries = read_frame(nouns, made_by="extract_nouns", columns=["ref_id", "query"])
    asked: dict[int, str] = dict(zip(queries["ref_id"].tolist(), queries["query"].tolist(), strict=True))
    with MaskStore.open(masks, with_masks=True) as store:
        TableRefs(refs, split).check(store)
        ids = store.image_ids
        shown = ids[np.linspace(0, len(ids) - 1, min(photos, len(ids))).round().astype(int)].tolist()
        rows = [_photo_row(store, i, by_image[i][:refs_a_photo], read_photo, asked) for i in shown]
        found = [len(store.candidates(ref)) for ref in store.ref_ids.tolist()]
    dataset = table["dataset"].iloc[0]
    without = sum(count == 0 for count in found)
    facts = (
        f"{counted(len(ids), 'photo')}, {counted(len(found), 'ref')}, {np.mean(found):.1f} candidates per ref, "
        f"{counted(without, 'ref')} without any"
    )
    head = [Text([f"{dataset}, {split}: boxes, masks and candidates"], 22, bold=True), _note(facts)]
    picture = render(Below([Below(head), *rows], _GAP), margin=24)
    with atomic_path(out) as temporary:
        Image.fromarray(picture).save(temporary, format="JPEG", quality=88, optimize=True)


def _photo_row(
    store: MaskStore, image_id: int, refs: Sequence[Ref], read_photo: Callable[[str], np.ndarray], asked: dict[int, str]
) -> Beside:
    found = store.instances(image_id)
    try:
        photo = scale(read_photo(refs[0].file_name), SIDE)
    except BadImage:
        height, width = store.image_size(image_id)
        photo = scale(np.full((height, width, 3), style.PANEL, np.uint8), SIDE)
    # (0, 0, 0) without rows, else all of the photo's size
    soft = [soften(mask, photo.shape[:2]) for mask in store.masks(found.rows)]
    names = [store.info.class_names[label] for label in found.labels]
    boxes = draw_boxes(photo, store.image_size(image_id), found, names)
    name = keep_end(refs[0].file_name, style.font(_TEXT, bold=True), SIDE)
    panels = [
        _panel(name, _count(len(found), "box"), boxes),
        _panel("Masks", _mask_note(found), draw_masks(photo, soft, range(len(soft)))),
    ]
    for ref in refs:
        own = (store.candidates(ref.ref_id).rows - (found.rows[0] if len(found) else 0)).tolist()
        note = f"asks for {asked[ref.ref_id] or 'nothing'}: {_count(len(own), 'candidate')}"
        panels.append(_panel(f"“{ref.sentences[0]}”", note, draw_masks(photo, soft, own)))
    return Beside(panels, _GAP)


def _panel(head: str, note: str, picture: np.ndarray) -> Box:
    """A picture with a bold line and a quiet one above it, in a column of the sheet."""
    words = Below([text(head, _TEXT, SIDE, bold=True), _note(note, SIDE)])
    return Box(Below([words, Picture(picture)], 4), least=(SIDE, 0))


def _note(words: str, width: float = float("inf")) -> Text:
    return text(words, _TEXT, width, colour=style.QUIET)


def draw_boxes(photo: np.ndarray, size: tuple[int, int], found: Instances, names: Sequence[str]) -> np.ndarray:
    """Boxes with class and score over a photo, best on top; RGB uint8.

    photo: RGB uint8, at any scale; size: (height, width) that the boxes refer to; names: class of each instance.
    """
    canvas = Image.fromarray(photo)
    draw = ImageDraw.Draw(canvas)
    face = style.font(11)
    factor = np.array([photo.shape[1] / size[1], photo.shape[0] / size[0]] * 2)
    height, width = photo.shape[:2]
    inside = np.array([width, height] * 2) - 1
    corners = np.clip((found.boxes_xyxy * factor).round(), 0, inside).astype(int).tolist()
    for i in reversed(range(len(found))):
        draw.rectangle(corners[i], outline=_colour(i), width=2)
    for i in reversed(range(len(found))):
        text = f"{names[i]} {found.box_scores[i]:.2f}"
        if face.getlength(text) + 6 > width:  # the score says more than the end of a name
            text = f"{found.box_scores[i]:.2f}"
        long, (x, y) = face.getlength(text) + 5, corners[i][:2]
        left, top = max(0, min(x, width - long - 1)), max(0, min(y, height - _TAG - 1))
        draw.rectangle((left, top, left + long, top + _TAG), fill=_colour(i))
        draw.text((left + 3, top + _TAG / 2), text, fill=style.ink_on(_colour(i)), font=face, anchor="lm")
    return np.asarray(canvas)


def draw_masks(photo: np.ndarray, soft: Sequence[np.ndarray], chosen: Sequence[int]) -> np.ndarray:
    """The chosen masks, each in its instance's colour, over a greyed photo; RGB uint8.

    soft: coverage (H, W) in 0..1 of every instance of the photo; chosen: indices into it.
    """
    picture = photo.mean(axis=2, keepdims=True) * 0.5 + photo * 0.25 + 40
    for i in chosen:
        amount = soft[i][..., None]
        picture = picture * (1 - amount) + (0.55 * photo + 0.45 * np.array(_colour(i))) * amount
    picture = np.ascontiguousarray(picture.round().clip(0, 255).astype(np.uint8))
    for i in chosen:
        edges, _ = cv2.findContours((soft[i] >= 0.5).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.polylines(picture, edges, True, _colour(i), 2, cv2.LINE_AA)
    return picture


def _mask_note(found: Instances) -> str:
    return f"predicted IoU {np.mean(found.mask_scores):.2f} in the mean" if len(found) else "none"


def _count(count: int, what: str) -> str:
    words = counted(count, what, "boxes" if what == "box" else "")
    return words if count else words.replace("0", "no", 1)


def _colour(index: int) -> Colour:
    return COLOURS[index % len(COLOURS)]
