"""A split of three little photos that was selected, a server over it, and a browser's requests."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ssc_core.config.labelling import CompatSettings, SelectSettings
from ssc_core.contracts import InstanceMasks
from ssc_core.masks.columnar import StoreInfo
from ssc_core.masks.selection import ScoreStoreWriter, SelectionStore
from ssc_core.refer.ref_table import open_photos
from ssc_core.report.run import Run
from ssc_core.review.queue import Queue
from ssc_core.review.server import ReviewServer
from ssc_core.select.stage import select_masks
from ssc_core.tables import write_frame
from tests.patience import SECONDS
from tests.unit.select.conftest import World
from tests.unit.select.test_stage import AREAS, SCORES


class FilledBoxes:
    """A segmenter whose masks are the boxes. Counts how often it was loaded and asked."""

    def __init__(self) -> None:
        self.loads, self.asked = 0, 0

    def load(self) -> FilledBoxes:
        self.loads += 1
        return self

    def segment(self, images, boxes_xyxy):
        self.asked += 1
        found = []
        for image, boxes in zip(images, boxes_xyxy, strict=True):
            masks = np.zeros((len(boxes), *image.shape[:2]), bool)
            for mask, (left, top, right, bottom) in zip(masks, boxes.astype(int), strict=True):
                mask[top:bottom, left:right] = True
            found.append(InstanceMasks(masks, np.ones(len(boxes), np.float32)))
        return found


@dataclass(frozen=True)
class Place:
    folder: Path
    images: Path
    reviews: Path

    @property
    def refs(self) -> Path:
        return self.folder.parent / "refs.parquet"


@contextmanager
def run_of(place: Place) -> Iterator[Run]:
    with ExitStack() as stack:
        files = {name: place.folder / f"{name}.h5" for name in ("masks", "selected")}
        scores, nouns = [place.folder / "scores.h5"], place.folder / "nouns.parquet"
        yield Run.open(stack, "val", "val", refs=place.refs, nouns=nouns, scores=scores, **files)


@contextmanager
def queue_of(place: Place, **more: Any) -> Iterator[Queue]:
    with run_of(place) as run:
        yield Queue(run, open_photos(place.refs, place.images), place.reviews, **more)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    world = World(tmp_path)
    folder = tmp_path / "val"
    folder.mkdir()
    world.masks.rename(folder / "masks.h5")
    info = StoreInfo(class_names=(), settings={}, code="test", models={})
    with ScoreStoreWriter(folder / "scores.h5", info) as writer:
        for ref, values in SCORES.items():
            scores = np.array(values, dtype=np.float32).reshape(len(values), len(AREAS[ref]))
            writer.append_ref(ref, scores, AREAS[ref])
    write_frame(folder / "nouns.parquet", pd.DataFrame({"ref_id": [*SCORES], "query": ["square"] * len(SCORES)}))
    place = Place(folder, world.images, tmp_path / "reviews.csv")
    choose(place)
    return place


def choose(place: Place, **settings: Any) -> SelectionStore:
    select_masks(
        refs=place.refs,
        split="val",
        masks=place.folder / "masks.h5",
        scores=[place.folder / "scores.h5"],
        out=place.folder / "selected.h5",
        settings=SelectSettings(min_area=9, **settings),
        compat=CompatSettings(),
        reviews=place.reviews if place.reviews.exists() else None,
        images=place.images,
    )
    return SelectionStore(place.folder / "selected.h5")


class Browser:
    """Asks a server. headers: in place of what a browser sends by itself."""

    def __init__(self, server: ReviewServer) -> None:
        self.port, self.token = server.server_address[1], server.token

    def ask(
        self, path: str, body: Any = None, *, token: str | None = None, method: str = "", **headers: str
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        sent = {"Content-Type": "application/json"} if body is not None else {}
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        separator = "&" if "?" in path else "?"
        address = f"{path}{separator}token={self.token if token is None else token}"
        try:
            connection.request(method or ("GET" if body is None else "POST"), address, content, {**sent, **names})
            answer = connection.getresponse()
            self.headers = answer.headers
            return answer.status, answer.read()
        finally:
            connection.close()

    def json(self, path: str, body: Any = None, **headers: str) -> Any:
        status, content = self.ask(path, body, **headers)
        assert status == 200, content
        return json.loads(content)


@contextmanager
def serving(place: Place, who: str = "ana", **more: Any) -> Iterator[Browser]:
    with queue_of(place, **more) as queue, ReviewServer(queue, who) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield Browser(server)
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def segmenter() -> FilledBoxes:
    return FilledBoxes()


@pytest.fixture
def browser(place: Place, segmenter: FilledBoxes) -> Iterator[Browser]:
    with serving(place, load=segmenter.load) as browser:
        yield browser
