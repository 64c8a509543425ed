"""Datasets of a layout of the user's own: a function that the config names, behind a checker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ssc_core.checkers import Checker, describe
from ssc_core.config.sources import DatasetSource
from ssc_core.files import check_inside_folder
from ssc_core.plugins import load_function
from ssc_core.refer.records import ImageRecord, RefData, RefRecord, Sentence
from ssc_core.registry import LAYOUT


def read_own(source: DatasetSource) -> RefData:
    """All refs that the reader ``source.layout`` yields for ``source``; photos lie in ``source.images``.

    Raises SscError when the name does not resolve, or a ref is not as ``ssc_core.refer.records`` has it.
    """
    refs = CheckedReader(load_function(LAYOUT, source.layout), source.layout)(source)
    categories = {ref.category_id: ref.category for ref in refs if ref.category_id}
    return RefData(refs=refs, images_folder=source.images_folder, categories=categories)


class CheckedReader(Checker):
    """A reader: what it yields are refs of the right types, with ids of their own, or SscError says which is not."""

    kind = "layout"
    page = "docs/extending.md"

    def __call__(self, source: DatasetSource) -> tuple[RefRecord, ...]:
        """The refs, in the reader's order."""
        found = self._backend(source)
        if not isinstance(found, Iterable):
            self._fail("", f"{describe(found)}, not ssc_core.refer.records.RefRecord, one by one")
        return tuple(self._each(found))

    def _each(self, refs: Iterable[Any]) -> Iterator[RefRecord]:
        ref_ids: set[int] = set()
        sent_ids: set[int] = set()
        for number, ref in enumerate(refs, start=1):
            if problem := _wrong_record(ref):
                self._fail("", f"{problem} as ref number {number}")
            own = [sentence.sent_id for sentence in ref.sentences]
            if ref.ref_id in ref_ids or len({*own} - sent_ids) < len(own):
                self._fail("", f"a ref_id or sent_id a second time, in ref number {number} (ref_id {ref.ref_id})")
            check_inside_folder(ref.image.file_name, ref.where)
            ref_ids.add(ref.ref_id)
            sent_ids.update(own)
            yield ref


def _wrong_record(ref: Any) -> str:
    """What is wrong with a record; nothing for a good one."""
    if not isinstance(ref, RefRecord):
        return f"{describe(ref)}, not an ssc_core.refer.records.RefRecord,"
    if not isinstance(ref.image, ImageRecord):
        return f"{describe(ref.image)} as image, not an ImageRecord,"
    if not isinstance(ref.sentences, tuple) or not all(isinstance(one, Sentence) for one in ref.sentences):
        return "sentences that are no tuple of Sentence"
    numbers = [(key, getattr(ref, key)) for key in ("ref_id", "ann_id", "category_id")]
    numbers += [(f"image.{key}", getattr(ref.image, key)) for key in ("image_id", "height", "width")]
    numbers += [("sent_id", one.sent_id) for one in ref.sentences]
    texts = [(key, getattr(ref, key)) for key in ("where", "split", "category")] + [("file_name", ref.image.file_name)]
    texts += [(key, getattr(one, key)) for one in ref.sentences for key in ("text", "raw")]
    for key, value in numbers:
        if type(value) is not int or not 0 <= value < 2**63:
            return f"{key} {value!r:.60}, not a whole number (int) from 0,"
    for key, value in texts:
        if not isinstance(value, str):
            return f"{key} {value!r:.60}, not a text,"
    if not ref.split or not ref.image.height or not ref.image.width:
        return "an empty split, or a photo without height or width,"
    return ""
