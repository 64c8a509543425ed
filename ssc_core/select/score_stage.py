"""score_candidates: the score of every candidate against every sentence of its ref."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from ssc_core.config.labelling import DEFAULT_SCORER, CompatSettings, ScoreSettings
from ssc_core.config.stages import STAGES
from ssc_core.errors import SscError
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import ScoreStoreWriter
from ssc_core.masks.store import MaskStore
from ssc_core.provenance import code_version
from ssc_core.refer.ref import Ref
from ssc_core.refer.ref_table import open_photos, read_refs, refs_by_image
from ssc_core.refer.refs_digest import digest_of, other_refs
from ssc_core.registry import BACKEND, VISUAL_PROMPT, model_digests, own_versions
from ssc_core.select.scorers import load_scorer
from ssc_core.select.scoring import Marker, Photo, score_photos
from ssc_core.wording import counted


def score_candidates(
    *,
    refs: Path,
    split: str,
    masks: Path,
    images: Path,
    out: Path,
    settings: ScoreSettings,
    compat: CompatSettings,
    scorer: str = DEFAULT_SCORER,
    device: str = "auto",
    threads: int = 1,
    batch_size: int | None = None,
) -> None:
    """Write ``out`` (scores.h5): for every ref of ``masks``, the score of each sentence and candidate.

    ``masks`` may be one shard of the split; a ref's candidates are those of ``read_candidates``. ``images`` is the
    folder that file names are relative to. A ref without candidates gets a (S, 0) block; one with a single candidate is
    scored like the others. scorer: its name in the config, stored with the scores, as is what the numbers are;
    batch_size: ``compute.batch.score``.

    Raises SscError when the masks hold a ref that is not of the split, or a photo cannot be read.
    """
    model = load_scorer(settings, compat, device=device, threads=threads, batch_size=batch_size)
    info = StoreInfo(
        class_names=(),
        settings={
            **settings.model_dump(mode="json"),
            **compat.model_dump(include=set(STAGES["score_candidates"].compat)),
            "scorer": scorer,
            "scale": model.scale,
        },
        code=" ".join(
            filter(
                None,
                [
                    code_version("ssc_core.select.score_stage"),
                    own_versions(BACKEND, settings.backend.name),
                    own_versions(VISUAL_PROMPT, *settings.prompts),
                ],
            )
        ),
        models=model_digests(settings.backend.settings, "score" if scorer == DEFAULT_SCORER else f"scorers.{scorer}"),
    )
    with MaskStore.open(masks, with_masks=True) as store, ScoreStoreWriter(out, info) as writer:
        known = _refs_of(store, read_refs(refs, split, images=store.image_ids), split)
        writer.refs = digest_of(known.values())
        if store.info.refs not in ("", writer.refs):
            raise other_refs(store, refs)
        marker = Marker(open_photos(refs, images, store.image_ids), store, model, merged=compat.merged_masks)
        for photo in score_photos(_photos(known, store), marker, threads):
            for ref, scores, areas in zip(photo.photo.refs, photo.scores, photo.areas, strict=True):
                writer.append_ref(ref.ref_id, scores, areas)


def _refs_of(store: MaskStore, table: pd.DataFrame, split: str) -> dict[int, Ref]:
    """The refs of the store, by id and in its order."""
    refs = {ref.ref_id: ref for members in refs_by_image(table).values() for ref in members}
    unknown = [ref_id for ref_id in store.ref_ids.tolist() if ref_id not in refs]
    if unknown:
        raise SscError(
            f"{store.path} has {counted(len(unknown), 'ref')} that the annotations do not have in split '{split}', "
            f"such as {unknown[0]}: was it made from other annotations? Delete it and run the same command again"
        )
    return {ref_id: refs[ref_id] for ref_id in store.ref_ids.tolist()}


def _photos(refs: Mapping[int, Ref], store: MaskStore) -> list[Photo]:
    photos = []
    for image_id in store.image_ids.tolist():
        if members := store.all_refs_of(image_id):
            ref, size = refs[members[0]], store.image_size(image_id)
            if size != (ref.height, ref.width):
                raise SscError(
                    f"{store.path} has masks of {size[0]} x {size[1]} pixels (height x width) for {ref.file_name}, "
                    f"which has {ref.height} x {ref.width}: was it made from other photos? Delete it and run the same "
                    "command again"
                )
            photos.append(Photo(ref.file_name, tuple(refs[member] for member in members)))
    return photos
