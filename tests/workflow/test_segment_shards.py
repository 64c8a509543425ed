"""Shards of stage 1 on a few scenes of the micro world, with its real models: every number of them, and kill -9."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml

from microworld.refer_layout import write_world
from ssc_core.config.base import Backend
from ssc_core.config.labelling import CandidateSettings, CompatSettings, DetectSettings, SegmentSettings
from ssc_core.config.settings import Settings, load_settings
from ssc_core.config.sources import DatasetSource
from ssc_core.config.stages import STAGES
from ssc_core.config.world import WorldSettings
from ssc_core.errors import SscError
from ssc_core.masks.gather import gather
from ssc_core.masks.store import MaskStore
from ssc_core.refer.index import build_index
from ssc_core.refer.ref_table import read_refs
from ssc_core.segment.boxes import detect_boxes
from ssc_core.segment.masks import segment_boxes
from ssc_core.segment.nouns import extract_nouns

PHOTOS = 24


@dataclass(frozen=True)
class World:
    """A split with its nouns, and the micro world's settings."""

    folder: Path
    images: Path
    settings: Settings

    @property
    def tables(self) -> dict[str, Path]:
        return {"refs": self.folder / "refs.parquet", "nouns": self.folder / "nouns.parquet", "images": self.images}

    def detect(self, out: Path, settings: DetectSettings, shard: tuple[int, int] = (0, 1)) -> Path:
        compat = CompatSettings()
        part = {"shard": shard[0], "shards": shard[1]}
        detect_boxes(**self.tables, split="train", out=out, settings=settings, compat=compat, device="cpu", **part)
        return out

    def segment(self, boxes: Path, out: Path) -> Path:
        settings = CandidateSettings(detect=self.settings.detect, segment=self.settings.segment)
        compat = CompatSettings()
        segment_boxes(**self.tables, boxes=boxes, out=out, settings=settings, compat=compat, device="cpu")
        return out


@pytest.fixture(scope="module")
def world(root: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("shards")
    counts = {"train": PHOTOS, "val": 1, "testA": 1, "testB": 1, "test": 1}
    write_world(folder / "world", "refcoco", WorldSettings(images=counts), workers=1)
    source = DatasetSource(layout="refer", root=folder / "world", name="refcoco", split_by="unc")
    refs = folder / "refs.parquet"
    build_index(dataset="refcoco", source=source, out_refs=refs, out_truth=folder / "truth.h5", check_counts=False)
    before = Path.cwd()
    os.chdir(root)  # the default config names its models relative to the repository
    try:
        settings = load_settings(yaml.safe_load((root / "config.yaml").read_text()))
        extract_nouns(refs=refs, split="train", out=folder / "nouns.parquet", settings=settings.nouns, device="cpu")
        yield World(folder, source.images_folder, settings)
    finally:
        os.chdir(before)


@pytest.fixture(scope="module")
def whole(world: World) -> tuple[Path, Path]:
    """boxes.h5 and masks.h5, gathered from one shard."""
    return gathered(world, 1)


def gathered(world: World, count: int) -> tuple[Path, Path]:
    boxes, masks = [], []
    for index in range(count):
        name = f"{index}-of-{count}.h5"
        boxes.append(world.detect(world.folder / f"boxes.{name}", world.settings.detect, (index, count)))
        masks.append(world.segment(boxes[-1], world.folder / f"masks.{name}"))
    out = world.folder / f"boxes_{count}.h5", world.folder / f"masks_{count}.h5"
    gather(boxes, out[0])
    gather(masks, out[1])
    return out


@pytest.mark.parametrize("count", [2, 5])
def test_every_number_of_shards_gives_the_same_bytes(world: World, whole: tuple[Path, Path], count: int) -> None:
    with MaskStore.open(whole[1]) as store:
        assert len(store.image_ids) == PHOTOS
        assert sum(len(store.instances(i)) for i in store.image_ids.tolist()) > PHOTOS
    for one, other in zip(whole, gathered(world, count), strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_both_models_as_one_concept_segmenter_find_what_they_find_one_after_the_other(
    world: World, whole: tuple[Path, Path]
) -> None:
    """So a row of its own in a comparison would say what the row of both says."""
    detector = dict(world.settings.detect.backend.settings)
    both = {"detector": detector.pop("model"), **detector, **world.settings.segment.backend.settings}
    backend = Backend(name="grounded_sam", settings=both)
    settings = CandidateSettings(
        detect=world.settings.detect.model_copy(update={"backend": None}), segment=SegmentSettings(backend=backend)
    )
    out, compat = world.folder / "concepts.h5", CompatSettings()
    segment_boxes(**world.tables, split="train", out=out, settings=settings, compat=compat, device="cpu")
    with MaskStore.open(out) as concepts, MaskStore.open(whole[1]) as store:
        assert concepts.image_ids.tolist() == store.image_ids.tolist()
        for image in store.image_ids.tolist():
            one, other = concepts.instances(image), store.instances(image)
            assert np.array_equal(concepts.masks(one.rows), store.masks(other.rows))
            assert np.array_equal(one.labels, other.labels) and np.array_equal(one.box_scores, other.box_scores)
        for ref in store.ref_ids.tolist():
            assert concepts.candidates(ref).rows.tolist() == store.candidates(ref).rows.tolist()


def test_a_shard_killed_in_its_middle_is_made_again_with_the_same_bytes(world: World, warm: Path, root: Path) -> None:
    halt, out = world.folder / "halt", world.folder / "killed" / "boxes.h5"
    settings = _halting(world, halt, after=PHOTOS - 4)
    command = _detect_command(warm, world, settings, out)
    halt.write_text("please")
    process = subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True)
    try:
        _wait_until(lambda: halt.read_text() == "", process)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL

    left = list(out.parent.iterdir())
    assert [path.suffix for path in left] == [".tmp"]
    stale = shutil.copy(left[0], world.folder / "stale.h5")
    for reader in (MaskStore.open, lambda path: gather([path], world.folder / "never.h5")):
        with pytest.raises(SscError, match=r"stale\.h5"):
            reader(stale)

    halt.unlink()
    subprocess.run(command, cwd=root, check=True, stderr=subprocess.DEVNULL)
    undisturbed = world.detect(world.folder / "undisturbed.h5", settings)
    assert out.read_bytes() == undisturbed.read_bytes()
    with MaskStore.open(out) as store:
        assert len(store.image_ids) == PHOTOS


def test_a_photo_that_is_cut_short_stops_the_job_or_is_skipped_and_counted(
    world: World, warm: Path, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photos = world.folder / "damaged"
    shutil.copytree(world.images, photos)
    table = read_refs(world.folder / "refs.parquet", "train")
    bad = table.drop_duplicates("image_id").iloc[PHOTOS // 2]
    whole = (photos / bad.file_name).read_bytes()
    (photos / bad.file_name).write_bytes(whole[: len(whole) // 2])
    damaged = World(world.folder, photos, world.settings)
    stop, skip = (world.settings.detect.model_copy(update={"on_bad_image": how}) for how in ("stop", "skip"))

    out = world.folder / "damaged.h5"
    stopped = subprocess.run(
        _detect_command(warm, damaged, stop, out), cwd=root, capture_output=True, text=True, check=False
    )
    assert stopped.returncode == 1
    assert f"error: {photos / bad.file_name} cannot be read" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert not list(world.folder.glob("damaged.h5*"))

    damaged.detect(out, skip)
    assert f"photo {bad.file_name} is skipped, its refs get no candidates: {photos / bad.file_name}" in caplog.text
    assert "1 photo could not be read, skipped" in caplog.text
    with MaskStore.open(damaged.segment(out, world.folder / "damaged_masks.h5")) as store:
        assert len(store.image_ids) == PHOTOS
        assert len(store.instances(int(bad.image_id))) == 0
        assert all(len(store.candidates(ref)) == 0 for ref in store.all_refs_of(int(bad.image_id)))


def _halting(world: World, halt: Path, after: int) -> DetectSettings:
    """The world's detector with a place to halt; its settings are in the file, so all runs to compare have them."""
    plain = world.settings.detect
    more = {"halt": str(halt), "after": after}
    name = f"{Path(__file__).parent / 'halting_detector.py'}:HaltingDetector"
    backend = plain.backend.model_copy(update={"name": name, "settings": {**plain.backend.settings, **more}})
    return plain.model_copy(update={"backend": backend})


def _detect_command(python: Path, world: World, settings: DetectSettings, out: Path) -> list[str]:
    own = {"split": "train", "shard": 0, "shards": 1, "device": "cpu", "threads": 1, "out": out}
    options = {**world.tables, **own, "settings": settings.model_dump_json(), "compat": "{}"}
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    return [str(python), "-m", "workflow_scripts.call", STAGES["detect_boxes"].calls, *arguments]


def _wait_until(there, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 600
    while not there():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "the shard did not get to its middle in ten minutes"
        time.sleep(0.1)
