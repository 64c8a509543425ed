"""Stores from strangers: refused by name, within seconds and little memory, and no bit of them flips unseen."""

from __future__ import annotations

import multiprocessing
import resource
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ssc_core.errors import SscError
from ssc_core.masks import rle
from ssc_core.masks.gather import gather
from ssc_core.masks.reader import rises
from ssc_core.masks.selection import ScoreStore, ScoreStoreWriter, SelectionStore, SelectionWriter
from ssc_core.masks.store import MaskStore, MaskStoreWriter
from ssc_core.refer.truth import TruthMask, TruthStore, write_truth
from tests.patience import SECONDS
from tests.unit.masks.conftest import INFO, Photos, replace_column

SIZE = (8, 12)
MASKS = np.random.default_rng(1).random((3, *SIZE)) < 0.4


def write_masks(path: Path) -> None:
    Photos().write(path, [7, 3])


def write_boxes(path: Path) -> None:
    Photos().write(path, [7, 3], with_masks=False)


def write_scores(path: Path) -> None:
    with ScoreStoreWriter(path, INFO) as writer:
        for ref in (5, 6):
            writer.append_ref(ref, np.arange(6).reshape(2, 3), np.array([10, 20, 30]))


def write_selected(path: Path) -> None:
    with SelectionWriter(path, INFO, choice_per="sentence") as writer:
        for ref in (5, 6):
            scores = np.arange(6).reshape(2, 3)
            rles = [rle.encode(MASKS[:1])[0], None]
            writer.append_ref(ref, image_id=1, size=SIZE, chosen=[1, -1], scores=scores, rles=rles)


def write_truth_file(path: Path) -> None:
    write_truth(path, [TruthMask(ref, *SIZE, rle.encode(MASKS[:1])[0]) for ref in (5, 6)])


def read_masks(path: Path) -> list[Any]:
    """All that a store gives, as bytes."""
    with MaskStore.open(path) as store:
        content: list[Any] = [store.info]
        for image in store.image_ids.tolist():
            found = store.instances(image)
            content += [store.image_size(image), store.all_refs_of(image)]
            content += [found.boxes_xyxy.tobytes(), found.box_scores.tobytes(), found.labels.tobytes()]
            content += [found.mask_scores.tobytes(), store.masks(found.rows).tobytes()] if store.has_masks else []
        return content + [store.candidates(ref).rows.tobytes() for ref in store.ref_ids.tolist()]


def read_scores(path: Path) -> list[Any]:
    with ScoreStore(path) as store:
        refs = store.ref_ids.tolist()
        return [store.info, refs, *((store.scores(ref).tobytes(), store.areas(ref).tobytes()) for ref in refs)]


def read_selected(path: Path) -> list[Any]:
    with SelectionStore(path) as store:
        content: list[Any] = [store.info, store.choice_per]
        for ref in store.ref_ids.tolist():
            content += [ref, store.image_of(ref), store.size(ref), store.scores(ref).tobytes()]
            content += [(store.chosen(ref, s), store.mask(ref, s).tobytes()) for s in range(store.choices(ref))]
        return content


def read_truth(path: Path) -> list[Any]:
    store = TruthStore(path)
    return [(ref, mask.tobytes()) for ref in store.ref_ids if (mask := store.mask(ref)) is not None]


KINDS: dict[str, tuple[Callable[[Path], None], Callable[[Path], list[Any]], str]] = {
    "masks": (write_masks, read_masks, "instance/box_xyxy"),
    "boxes": (write_boxes, read_masks, "ref/candidate"),
    "scores": (write_scores, read_scores, "score"),
    "selected": (write_selected, read_selected, "ref/score"),
    "truth": (write_truth_file, read_truth, "rle"),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def made(kind: str, folder: Path) -> Path:
    path = folder / f"{kind}.h5"
    KINDS[kind][0](path)
    return path


class Reader:
    """A child that reads file after file, each with 1 GiB more than it holds. To fork pytest takes a third of a second,
    so it is forked once, and again after a file that was not refused as it should be."""

    def __init__(self) -> None:
        self._process: Any = None

    def refusal(self, kind: str, path: Path) -> str:
        """The message with which a file of this kind is refused."""
        if self._process is None:
            context = multiprocessing.get_context("fork")
            self._here, there = context.Pipe()
            self._process = context.Process(target=self._answer, args=(there,), daemon=True)
            self._process.start()
            there.close()
        self._here.send((kind, path))
        try:
            answer: str = self._here.recv() if self._here.poll(SECONDS) else f"nothing in {SECONDS} s"
        except EOFError:
            self._process.join()
            answer = f"the process died ({self._process.exitcode})"
        if not answer.startswith("refused: "):
            self.end()
        assert answer.startswith("refused: ") and str(path) in answer, answer
        return answer

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None

    def _answer(self, there: Any) -> None:
        self._here.close()  # so that this process ends with its parent
        while True:
            kind, path = there.recv()
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, resource.RLIM_INFINITY))
            try:
                KINDS[kind][1](path)
                there.send("taken")
            except SscError as error:
                there.send(f"refused: {error}")
            except BaseException as error:
                there.send(repr(error))


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    one = Reader()
    yield one
    one.end()


def external(file: h5py.File, name: str) -> None:
    shape, dtype = file[name].shape, file[name].dtype
    del file[name]
    file.create_dataset(name, shape, dtype, external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def virtual(file: h5py.File, name: str) -> None:
    layout = h5py.VirtualLayout(file[name].shape, file[name].dtype)
    layout[:] = h5py.VirtualSource(file.filename, name, file[name].shape)
    del file[name]
    file.create_virtual_dataset(name, layout)


def soft_link(file: h5py.File, name: str) -> None:
    file.move(name, "elsewhere")
    file[name] = h5py.SoftLink("/elsewhere")


def external_link(file: h5py.File, name: str) -> None:
    del file[name]
    file[name] = h5py.ExternalLink(file.filename, "/ref/id")


def external_group(file: h5py.File, name: str) -> None:
    del file["ref"]
    file["ref"] = h5py.ExternalLink(file.filename, "/")


def group(file: h5py.File, name: str) -> None:
    del file[name]
    file.create_group(name)


def named_type(file: h5py.File, name: str) -> None:
    dtype = file[name].dtype
    del file[name]
    file[name] = dtype


def missing(file: h5py.File, name: str) -> None:
    del file[name]


def anew(**options: Any) -> Callable[[h5py.File, str], None]:
    def change(file: h5py.File, name: str) -> None:
        values = file[name][:]
        values = values.astype(options.get("dtype", values.dtype))
        chunks = file[name].chunks
        del file[name]
        packed = {"chunks": chunks, "maxshape": (None, *values.shape[1:]), "compression": "gzip"}
        shuffle = values.dtype.itemsize > 1
        file.create_dataset(name, data=values, **(packed | {"shuffle": shuffle} | options))

    return change


def objects(file: h5py.File, name: str) -> None:
    count = len(file[name])
    del file[name]
    file.create_dataset(name, (count,), h5py.vlen_dtype(np.int64), chunks=(64,), maxshape=(None,), compression="gzip")


def huge(file: h5py.File, name: str) -> None:
    """More rows than there is memory for, none of them written."""
    for column in ("ref/id", name):
        file[column].resize(2**40, axis=0)


def one_row_more(file: h5py.File, name: str) -> None:
    """Rows of a chunk that is not there, which HDF5 would make up."""
    file[name].resize(file[name].chunks[0] + 1, axis=0)


def chunk(content: Callable[[h5py.Dataset], bytes], skipped: int = 0) -> Callable[[h5py.File, str], None]:
    def change(file: h5py.File, name: str) -> None:
        data = file[name]
        data.id.write_direct_chunk((0,) * data.ndim, content(data), skipped)

    return change


def zeros(data: h5py.Dataset, more: int = 0) -> bytes:
    return bytes(int(np.prod(data.chunks)) * data.dtype.itemsize + more)


def a_gigabyte_chunk(file: h5py.File, name: str) -> None:
    shape, dtype = file[name].shape, file[name].dtype
    del file[name]
    tail = shape[1:]
    chunks = (2**26, *tail)
    file.create_dataset(name, shape, dtype, maxshape=(None, *tail), chunks=chunks, compression="gzip", shuffle=True)


CHANGES: dict[str, Callable[[h5py.File, str], None]] = {
    "external data": external,
    "virtual data": virtual,
    "soft link": soft_link,
    "external link": external_link,
    "external link to a group": external_group,
    "group": group,
    "type": named_type,
    "missing": missing,
    "vlen": objects,
    "not in chunks": anew(chunks=None, maxshape=None, compression=None, shuffle=False),
    "not packed": anew(compression=None),
    "lzf": anew(compression="lzf"),
    "scaleoffset": anew(compression=None, shuffle=False, scaleoffset=4),
    "bytes": anew(dtype="S8"),
    "wider": anew(dtype=np.float128),
    "big-endian": anew(dtype=">i2"),
    "a chunk of gigabytes": a_gigabyte_chunk,
    "huge": huge,
    "one row more": one_row_more,
    "chunk too short": chunk(lambda data: zlib.compress(b"abc")),
    "chunk too long": chunk(lambda data: zlib.compress(zeros(data, 1))),
    "chunk not packed": chunk(zeros, skipped=1 << 1),
    "chunk without end": chunk(lambda data: zlib.compress(zeros(data))[:-1]),
    "chunk with a wrong sum": chunk(lambda data: zlib.compress(zeros(data))[:-1] + b"\x00"),
    "chunk that is a bomb": chunk(lambda data: zlib.compress(bytes(2**28))),
    "chunk of megabytes": chunk(lambda data: np.random.default_rng(0).bytes(2**23)),
}


@every_kind
@pytest.mark.parametrize("change", CHANGES)
def test_a_column_that_is_not_as_the_writer_makes_it(kind: str, change: str, reader: Reader, tmp_path: Path) -> None:
    path = made(kind, tmp_path)
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        CHANGES[change](file, KINDS[kind][2])
    assert "is damaged or cut short (" in reader.refusal(kind, path)


@every_kind
@pytest.mark.parametrize("name", ["format", "version", "complete"])
@pytest.mark.parametrize(
    "value",
    ["False", np.bytes_("False"), [True, True], 0, 1.0, np.nan, h5py.Empty("i4"), np.zeros(2**13, "i8"), np.void(b"x")],
    ids=lambda value: type(value).__name__ + str(value)[:6],
)
def test_an_attribute_of_the_wrong_type(kind: str, name: str, value: object, tmp_path: Path) -> None:
    path = made(kind, tmp_path)
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        del file.attrs[name]
        file.attrs[name] = value
    with pytest.raises(SscError, match=rf"{kind}\.h5"):
        KINDS[kind][1](path)


@pytest.mark.parametrize("kind", ["masks", "scores", "selected"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("class_names", b'[["a"]]'),
        ("class_names", b"5"),
        ("class_names", b"[" * 50_000),
        ("settings", b"[]"),
        ("settings", b"1" * 6000),
        ("models", b"[1]"),
        ("models", b'{"sam": 5}'),
        ("models", b"\xff"),
        ("code", None),
    ],
)
def test_what_made_it_is_no_such_thing(kind: str, name: str, value: bytes | None, tmp_path: Path) -> None:
    path = made(kind, tmp_path)
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        del file.attrs[name]
        if value is not None:
            file.attrs[name] = np.bytes_(value)
    with pytest.raises(SscError, match="is damaged"):
        KINDS[kind][1](path)


@pytest.mark.parametrize(
    ("kind", "name", "values"),
    [
        ("masks", "ref/candidate", [-1, 0, 5]),
        ("masks", "ref/candidate", [1_000_000, 1, 0, 5, 4, 3]),
        ("masks", "ref/candidate", [2, 1, 3, 5, 4, 3]),
        ("boxes", "ref/candidate", [2, 1, -1, 5, 4, 3]),
        ("masks", "image/id", [3, 3]),
        ("masks", "ref/id", [70, 71, 30, 70]),
        ("masks", "ref/image", [0, 2, 255, -(2**31)]),
        ("masks", "image/size", [[0, 12], [8, 12]]),
        ("masks", "image/size", [[-8, -12], [8, 12]]),
        ("masks", "image/size", [[2**20, 2**20], [8, 12]]),
        ("masks", "instance/label", [0, 1, 0, 0, 1, 2]),
        ("masks", "instance/label", [0, 1, 0, 0, 1, -1]),
        ("masks", "instance/rle_first", [0, 5, 4, 6, 7, 8, 9]),
        ("masks", "instance/mask_score", [0.1, np.nan, 0.1, 0.1, 0.1, 0.1]),
        ("boxes", "instance/box_score", [0.1, np.inf, 0.1, 0.1, 0.1, 0.1]),
        ("boxes", "instance/box_xyxy", [[1, 2, 3, np.nan]] * 6),
        ("scores", "score", [20, 30, np.nan] * 4),
        ("scores", "candidate/area", [1, 2, 3, 4, 5, -6]),
        ("scores", "ref/id", [5, 5]),
        ("scores", "ref/sent_first", [0, 2**40, 2**41]),
        ("scores", "ref/first", [0, 2**40, 2**41]),
        ("selected", "ref/score", [20, 30, -np.inf] * 4),
        ("selected", "ref/chosen", [1, 1, 1, -1]),
        ("selected", "ref/chosen", [-3, -1, 1, -1]),
        ("selected", "ref/choice_first", [0, 3, 5]),
        ("selected", "ref/size", [[8, 12], [8, 0]]),
        ("truth", "ref/id", [5, 5]),
        ("truth", "ref/size", [[8, 12], [2**16, 2**16]]),
        ("truth", "ref/rle_first", [0, 0, 5]),
    ],
)
def test_values_that_cannot_be(kind: str, name: str, values: list[Any], reader: Reader, tmp_path: Path) -> None:
    path = made(kind, tmp_path)
    replace_column(path, name, values)
    assert "is damaged" in reader.refusal(kind, path)


def test_offsets_that_rise_by_overflow_do_not_rise() -> None:
    assert rises(np.array([0, 0, 2**63 - 1])) and rises(np.zeros(0, np.int64))
    assert not rises(np.array([0, 2**63 - 1, -(2**63), -1, 6]))


@pytest.mark.parametrize("kind", ["masks", "selected", "truth"])
def test_run_lengths_of_another_size_are_refused_when_they_are_read(kind: str, reader: Reader, tmp_path: Path) -> None:
    path = made(kind, tmp_path)
    name, size = ("image/size", [[9, 12], [9, 12]]) if kind == "masks" else ("ref/size", [[9, 12], [9, 12]])
    replace_column(path, name, size)
    assert "RLE 0 does not fit its image" in reader.refusal(kind, path)


def test_a_choice_a_ref_is_one(tmp_path: Path) -> None:
    path = made("selected", tmp_path)
    for value in ("ref", "photo"):
        with h5py.File(path, "r+", libver=("v110", "v110")) as file:
            file.attrs["choice_per"] = np.bytes_(value)
        with pytest.raises(SscError, match="not one choice per ref"):
            SelectionStore(path)


def test_many_ids_that_pack_to_nothing(reader: Reader, tmp_path: Path) -> None:
    """4 GB of zeros in a megabyte, well formed."""
    path = made("scores", tmp_path)
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        data = file["ref/id"]
        data.resize(2**29, axis=0)
        packed = zlib.compress(zeros(data), 9)
        for start in range(0, 2**24, data.chunks[0]):
            data.id.write_direct_chunk((start,), packed, 0)
    assert "claims to hold" in reader.refusal("scores", path)


def test_gather_refuses_what_the_store_refuses(tmp_path: Path) -> None:
    path = made("masks", tmp_path)
    replace_column(path, "ref/candidate", [2, 1, 3, 5, 4, 3])
    with pytest.raises(SscError, match=r"masks\.h5 is damaged"):
        gather([path], tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()


@every_kind
def test_a_flipped_bit_is_found_or_does_not_matter(kind: str, tmp_path: Path) -> None:
    """In chunks it is found by zlib's sums, elsewhere by HDF5's; some bytes of the file are not used."""
    path, read = made(kind, tmp_path), KINDS[kind][1]
    good, whole = read(path), path.read_bytes()
    in_chunks: set[int] = set()
    with h5py.File(path) as file:

        def note(_: str, item: object) -> None:
            if isinstance(item, h5py.Dataset):
                item.id.chunk_iter(lambda c: in_chunks.update(range(c.byte_offset, c.byte_offset + c.size)))

        file.visititems(note)
    random = np.random.default_rng(0)
    places = np.concatenate([random.choice(sorted(in_chunks), 60), random.integers(0, len(whole), 60)])
    refused = 0
    for place in places.tolist():
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(random.integers(8))
        path.write_bytes(flipped)
        try:
            assert read(path) == good  # within a chunk: codes that no value uses
        except SscError:
            refused += 1
    assert refused > 50


def test_numbers_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    with ScoreStoreWriter(tmp_path / "s.h5", INFO) as writer, pytest.raises(SscError, match=r"s\.h5: /score .*finite"):
        writer.append_ref(1, [[20, np.nan]], [5, 5])
    with SelectionWriter(tmp_path / "x.h5", INFO) as writer, pytest.raises(SscError, match=r"/ref/score .*finite"):
        writer.append_ref(1, image_id=1, size=SIZE, chosen=[-1], scores=[[np.inf]], rles=[None])
    for name, field in (("box_scores", "box_score"), ("mask_scores", "mask_score"), ("boxes_xyxy", "box_xyxy")):
        with (
            MaskStoreWriter(tmp_path / "m.h5", INFO, with_masks=True) as writer,
            pytest.raises(SscError, match=f"/instance/{field} .*finite"),
        ):
            Photos().append(writer, 3, **{name: np.full((3, 4) if field == "box_xyxy" else 3, np.nan)})


def test_the_names_of_a_large_vocabulary_come_back(tmp_path: Path) -> None:
    names = tuple(f"noun {np.random.default_rng(i).bytes(6).hex()}" for i in range(20_000))
    path = tmp_path / "boxes.h5"
    Photos().write(path, [7], with_masks=False, info=INFO.__class__(names, {}, "", {}))
    with MaskStore.open(path) as store:
        assert store.info.class_names == names and store.info.code == ""
