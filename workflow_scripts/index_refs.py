"""Rule index_refs: annotations to refs.parquet, truth.h5 and data.json."""

import json
from pathlib import Path

from ssc_core.config.labelling import CompatSettings
from ssc_core.config.sources import DatasetSource
from ssc_core.files import write_json
from ssc_core.refer.index import build_index
from ssc_core.refer.sources import data_digest
from workflow_scripts._script import run


def main(
    dataset: str,
    source: DatasetSource,
    identity: str,
    compat: CompatSettings,
    refs: Path,
    truth: Path,
    data: Path,
    check_counts: bool = False,
    skip_bad_photos: bool = False,
    limit: int = 0,
    photos_seen: str = "",
) -> None:
    summary = build_index(
        dataset=dataset,
        source=source,
        out_refs=refs,
        out_truth=truth,
        check_counts=check_counts,
        gt_overlap_hole=compat.gt_overlap_hole,
        skip_bad_photos=skip_bad_photos,
        limit=limit or None,
        photos_seen=photos_seen,
    )
    stamp = {
        "dataset": dataset,
        "world": json.loads(identity)["world"],
        "annotations_sha256": data_digest(source),
        "images": summary.n_images,
        "refs": summary.n_refs,
        "sentences": summary.n_sentences,
        "refs_with_truth": summary.n_with_truth,
        "notes": list(summary.notes),
        "identity": identity,
    }
    write_json(data, stamp)


if __name__ == "__main__":
    run(main)
