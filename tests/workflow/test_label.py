"""`ssc init` and `ssc label` as a user calls them, with backends that know photos of flat squares."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from pycocotools import mask as coco

from ssc_core.checkout import HOME
from ssc_core.cli import delivery
from ssc_core.cli import label as cli_label
from ssc_core.cli.label import _config as label_config
from ssc_core.cli.label import _one_spelling
from ssc_core.config.layers import read_config_file, read_layers
from ssc_core.config.settings import load_settings
from ssc_core.locks import only_process
from ssc_core.masks.reviews import Decision, Review, append_review
from ssc_core.refer.images import PhotoDigests
from tests.killing import kill_when
from tests.snakemake_records import written_meanwhile

BACKENDS = Path(__file__).parents[1] / "unit/predict/toy_backends.py"

DARK, LIGHT = (slice(10, 40), slice(10, 40)), (slice(50, 90), slice(60, 100))


LABEL = ("label", "photos", "refs.csv", "--out", "out", "--config", "mine.yaml", "--cores", 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return fill(tmp_path)


@pytest.fixture(scope="module")
def quiet(ssc, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder that was labelled, and what was said."""
    folder = fill(tmp_path_factory.mktemp("quiet"))
    return folder, ssc(folder, *LABEL)


def fill(folder: Path) -> Path:
    """A photo with a dark and a light red square, one with a light one, one that no row names, and a note."""
    shutil.copy(BACKENDS, folder / "backends.py")
    photos = folder / "photos"
    (photos / "day 1").mkdir(parents=True)
    both = np.full((100, 120, 3), 90, np.uint8)
    both[DARK], both[LIGHT] = (110, 15, 15), (220, 30, 30)
    Image.fromarray(both).save(photos / "both ö.png")
    one = np.full((100, 120, 3), 90, np.uint8)
    one[LIGHT] = (220, 30, 30)
    for name in ("day 1/one.png", "unnamed.png"):
        Image.fromarray(one).save(photos / name)
    for photo in photos.rglob("*.png"):
        os.utime(photo, (1, 1))  # two such folders hold the same photos
    (photos / "notes.txt").write_text("x")
    rows = ["both ö.png;the light apple|light apple", "BOTH ö.png;the dark apple|", "day 1\\one.png;a cup"]
    rows.append("gone.png;a cup")
    (folder / "refs.csv").write_text("\n".join(["image;sentences", *rows]) + "\n", encoding="utf-8")
    backend = {name: {"backend": {"name": f"backends.py:{kind}"}} for name, kind in
               {"detect": "Squares", "segment": "Boxes", "score": "Brightness"}.items()}  # fmt: skip
    config = {
        **backend,
        "nouns": {"project": False},
        "select": {"min_area": 1},
        "score": {**backend["score"], "prompt": "crop"},
        "correct": {"keep": "best"},
    }
    (folder / "mine.yaml").write_text(yaml.safe_dump(config))
    return folder


def test_labels_of_a_folder(ssc, quiet: tuple[Path, str]) -> None:
    folder, said = quiet
    assert "4 rows about 3 photos; not there: gone.png; passed over, since no row names them: 1 .txt, 1 photo" in said
    assert "of the table, 1 sentence of blanks alone, dropped" in said
    assert "of the table, 1 row left out (1 of 3 photos cannot be read:\n  refs.csv, line 5: photos/gone.png" in said
    assert "without ground truth" not in said.partition("to look at:")[2]
    assert "2 masks for 3 rows" in said
    assert "to decide:  ssc review out --config out/config.yaml" in said, "its segmenter is a plug-in"
    train = "ssc run --configfile out/config.yaml -- out/results/labels/checkpoints/correct.pt"
    assert f"to train:   {train}" in said
    assert train in (folder / "out/config.yaml").read_text()
    assert read_config_file(folder / "out/config.yaml")["correct"]["keep"] == "last", "nobody has masks to choose by"
    options, target = train.removeprefix("ssc run ").split(" -- ")
    plan = ssc(folder, "run", "-n", *options.split(), "--config", "allow_toy_models=true", "--", target)
    assert "phase correct" in plan
    content = json.loads((folder / "out/labels.json").read_text())
    assert [one["name"] for one in content["categories"]] == ["apple", "cup"]
    light = next(one for one in content["annotations"] if one["ref_id"] == 1)
    assert light["sentences"] == ["the light apple", "light apple"]
    assert light["margin"] > 0
    expected = np.zeros((100, 120), bool)
    expected[LIGHT] = True
    np.testing.assert_array_equal(coco.decode(light["segmentation"]).astype(bool), expected)

    rows = list(csv.DictReader((folder / "out/check.csv").open(encoding="utf-8")))
    assert (rows[-1]["ref"], rows[-1]["image"], rows[-1]["class"], rows[-1]["candidates"]) == (
        "3",
        "day 1/one.png",
        "cup",
        "0",
    )
    assert rows[-1]["why"] == "Nothing found"
    assert rows[-1]["overlay"] == "overlays/one_3.jpg"
    overview, page = (folder / name for name in ("out/labels.html", "out/labels/1.html"))
    assert "both ö.png" in overview.read_text()
    assert 'href="labels/1.html#ref-3"' in overview.read_text()
    assert "backends.py:Squares" in overview.read_text()
    assert "the light apple" in page.read_text()
    assert all((folder / "out" / name).is_file() for name in ["overlays/both ö_1.jpg", "overlays/one_3.jpg"])

    masks = folder / "out/results/labels/train/masks.h5"
    before = masks.stat().st_mtime_ns
    (folder / "out/labels.json").unlink()
    config = (folder / "out/config.yaml").read_text()
    ssc(folder, "label", folder / "photos", folder / "refs.csv", "--out", folder / "out", *LABEL[5:])
    assert (folder / "out/config.yaml").read_text() == config, "other paths, same places"
    assert masks.stat().st_mtime_ns == before, "a second call runs nothing again"
    assert json.loads((folder / "out/labels.json").read_text()) == content


def test_code_that_cannot_be_used_is_named_before_anything_starts(ssc, folder: Path) -> None:
    config = read_config_file(folder / "mine.yaml")
    config["detect"]["backend"]["name"] = "backends.py:Sqares"
    config["segment"]["backend"]["settings"] = {"margn": 1}
    config["score"]["prompt"] = "broken.py:prompt"
    (folder / "broken.py").write_text("1 / 0")
    (folder / "mine.yaml").write_text(yaml.safe_dump(config))
    said = ssc(folder, "label", "photos", "refs.csv", "--out", "out", "--config", "mine.yaml", fails=True)
    faults = [
        "detect.backend: backend 'backends.py:Sqares': backends.py has no class 'Sqares'; did you mean 'Squares'?",
        "segment.backend: backend 'backends.py:Boxes' has no setting margn",
        "score.prompt: 'broken.py:prompt' cannot be imported: ZeroDivisionError: division by zero",
    ]
    doctors = ssc(folder, "doctor", "--config", "mine.yaml", fails=True)
    for fault in faults:
        assert fault in said
        assert fault.partition(": ")[2] in doctors
    assert not (folder / "out").exists()


def test_a_module_beside_the_config_is_found_by_every_command(folder: Path) -> None:
    """Jobs are called by `python -m` and have the current folder on their path, which `ssc` by itself has not."""
    (folder / "mine.yaml").write_text((folder / "mine.yaml").read_text().replace("backends.py:", "backends:"))
    installed = Path(sys.executable).with_name("ssc")
    command = [installed, "predict", "photos/both ö.png", "the light apple", "--zero-shot", "--config", "mine.yaml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 mask, 0 of them empty" in done.stdout


def test_a_photo_of_two_splits_is_one_image_with_the_masks_of_both(ssc, folder: Path) -> None:
    truth = np.zeros((100, 120), np.uint8)
    truth[DARK] = 255
    Image.fromarray(truth).save(folder / "dark.png")
    rows = ["both ö.png,the light apple,train,", "both ö.png,the dark apple,val,dark.png", "day 1/one.png,an apple,,"]
    (folder / "refs.csv").write_text("\n".join(["image,sentences,split,mask", *rows]) + "\n", encoding="utf-8")
    said = ssc(folder, "label", "photos", "refs.csv", "--out", "out", "--config", "mine.yaml", "--cores", 1)
    assert "out/labels_train.html, out/labels_val.html" in said
    assert read_config_file(folder / "out/config.yaml")["correct"]["keep"] == "best"
    content = json.loads((folder / "out/labels.json").read_text())
    assert sorted(one["file_name"] for one in content["images"]) == ["both ö.png", "day 1/one.png"]
    (both,) = (one["id"] for one in content["images"] if one["file_name"] == "both ö.png")
    assert sorted(one["ref_id"] for one in content["annotations"] if one["image_id"] == both) == [1, 2]

    (folder / "out/overlays/mine.jpg").touch()
    rows = ["both ö.png,the dark apple,,", "day 1/one.png,an apple,,"]  # no `val`, and other numbers
    (folder / "refs.csv").write_text("\n".join(["image,sentences,split,mask", *rows]) + "\n", encoding="utf-8")
    said = ssc(folder, "label", "photos", "refs.csv", "--out", "out", "--config", "mine.yaml", "--cores", 1)
    assert sorted(path.name for path in (folder / "out").iterdir()) == [
        *("check.csv", "config.yaml", "labels", "labels.html", "labels.json", "overlays", "results")
    ]
    found = sorted(path.name for path in (folder / "out/overlays").iterdir())
    assert found == ["both ö_1.jpg", "mine.jpg", "one_2.jpg"]
    command = said.partition("to decide:  ssc ")[2].partition("\n")[0]
    assert "nobody decided anything yet" in ssc(folder, *command.split(), "--list", fails=True)


def test_killed_twice_and_called_again_it_ends_with_the_bytes_of_a_quiet_run(
    ssc, warm: Path, warm_environment: dict[str, str], folder: Path, quiet: tuple[Path, str]
) -> None:
    for appears in ("shards/boxes.0-of-1.h5", "selected.h5"):
        started = [str(warm), "-m", "ssc_core.cli.main", *map(str, LABEL)]
        kill_when((folder / "out/results/labels/train" / appears).exists, started, folder, warm_environment)
        assert not (folder / "out/labels.json").exists(), "it was killed before the end"
    ssc(folder, *LABEL)
    assert made(folder / "out") == made(quiet[0] / "out")


def test_photos_that_are_mended_or_replaced_are_labelled_anew(
    ssc, warm: Path, warm_environment: dict[str, str], folder: Path
) -> None:
    ssc(folder, *LABEL)
    refs = folder / "out/results/labels/refs.parquet"
    before = refs.read_bytes()
    digest = PhotoDigests(folder / "photos")("both ö.png")
    said = {"sentences": ("the light apple", "light apple"), "digest": digest}
    append_review(refs.with_name("reviews.csv"), Review(1, "both ö.png", Decision.none, **said))
    for name in ("both ö.png", "gone.png"):
        other = np.full((100, 120, 3), 90, np.uint8)
        other[DARK], other[LIGHT] = (220, 30, 30), (110, 15, 15)  # what was light is dark
        Image.fromarray(other).save(folder / "photos" / name)
    doctors = ssc(folder, "doctor", "--config", "out/config.yaml")
    assert "2 of 3 have changed since out/results/labels/refs.parquet was made (first: both ö.png)" in doctors
    assert "The same `ssc label` again makes all anew" in doctors
    started = [str(warm), "-m", "ssc_core.cli.main", *map(str, LABEL)]
    kill_when(lambda: refs.is_file() and refs.read_bytes() != before, started, folder, warm_environment)
    said = ssc(folder, *LABEL)
    assert "2 masks for 4 rows" in said, "the decision was of the other photo"
    assert "\n1 decision that fits nothing any more: ssc review --list out" in said
    assert "ref 1 of both ö.png: the photo was replaced since" in ssc(folder, "review", "--list", "out")
    assert "of the table, 1 row left out" not in said
    content = json.loads((folder / "out/labels.json").read_text())
    light = next(one for one in content["annotations"] if one["ref_id"] == 1)
    expected = np.zeros((100, 120), bool)
    expected[DARK] = True
    np.testing.assert_array_equal(coco.decode(light["segmentation"]).astype(bool), expected)
    masks = folder / "out/results/labels/train/masks.h5"
    when = masks.stat().st_mtime_ns
    assert "have changed since" not in ssc(folder, "doctor", "--config", "out/config.yaml")
    ssc(folder, *LABEL)
    assert masks.stat().st_mtime_ns == when


def test_another_photo_is_seen_from_another_folder_whose_snakemake_knows_nothing(ssc, folder: Path) -> None:
    names = ("photos", "refs.csv", "out", "mine.yaml")
    paths = dict(zip(names, (str(folder / name) for name in names), strict=True))
    everywhere = [paths.get(word, word) for word in map(str, LABEL)]
    assert "of the table, 1 row left out" in ssc(folder, *everywhere)
    (folder / "photos/day 1/one.png").unlink()
    (folder / "elsewhere").mkdir()
    shutil.copy(folder / "backends.py", folder / "elsewhere")
    assert "of the table, 2 rows left out" in ssc(folder / "elsewhere", *everywhere)


def test_what_is_gone_of_the_results_is_made_again(ssc, folder: Path, quiet: tuple[Path, str]) -> None:
    shutil.copytree(quiet[0] / "out", folder / "out")
    shutil.copytree(quiet[0] / ".snakemake", folder / ".snakemake")
    results = folder / "out/results/labels"
    for name in ("refs.parquet", "data.json", "train/nouns.parquet", "train/masks.h5", "train/scores.h5"):
        (results / name).unlink()
    ssc(folder, *LABEL)
    assert made(folder / "out") == made(quiet[0] / "out")


def test_a_row_that_was_mended_while_the_table_was_read_is_labelled_anew(
    ssc, folder: Path, quiet: tuple[Path, str]
) -> None:
    for name in ("out", ".snakemake"):
        shutil.copytree(quiet[0] / name, folder / name)
    table, refs = folder / "refs.csv", "out/results/labels/refs.parquet"
    table.write_text(table.read_text().replace("the dark apple", "the light apple"))
    os.utime(table, (written_meanwhile(folder, refs),) * 2)
    before = (folder / refs).read_bytes()
    ssc(folder, *LABEL)
    assert (folder / refs).read_bytes() != before
    before = (folder / refs).stat().st_mtime_ns
    ssc(folder, *LABEL)
    assert (folder / refs).stat().st_mtime_ns == before
    table.rename(folder / "archived.csv")
    target = "out/results/labels/train/selected.h5"
    said = ssc(folder, "run", "-n", "--cores", "1", "--configfile", "out/config.yaml", "--", target)
    assert "Nothing to be done" in said, "its index is there, and stays as it is"


def test_two_calls_do_not_write_into_one_folder(ssc, quiet: tuple[Path, str]) -> None:
    out = quiet[0] / "out"
    before = (out / "config.yaml").read_text()
    (quiet[0] / "other.yaml").write_text("select: {choice: first}\n")
    with only_process(out / ".ssc_label.lock", wait=False):
        said = ssc(quiet[0], *LABEL, "--config", "other.yaml", fails=True)
    assert "another ssc label is at work in out; wait until it ends, or name another folder, --out" in said
    assert (out / "config.yaml").read_text() == before


def test_a_call_holds_its_folder_from_the_config_to_the_pages(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    held: list[str] = []

    def notes(what: str) -> None:
        with only_process(Path("out/.ssc_label.lock"), wait=False) as free:
            held.append(what if not free else f"{what}, not held")

    monkeypatch.setattr(cli_label, "_write_config", lambda *_: notes("config"))
    monkeypatch.setattr(cli_label, "run_workflow", lambda *_: notes("workflow"))
    monkeypatch.setattr(delivery, "deliver", lambda *_, **__: notes("pages"))
    cli_label.label(Path("photos"), Path("refs.csv"), Path("out"), config=[Path("mine.yaml")])
    assert held == ["config", "workflow", "pages"]
    assert not list((folder / "out").iterdir())


@pytest.mark.parametrize("theirs", ["labels/a.txt", "config.yaml", "overlays/me.jpg", "labels.json"])
def test_a_folder_with_files_of_others_is_left_as_it_is(ssc, folder: Path, theirs: str) -> None:
    """YOLO has its annotations in `labels/`."""
    path = folder / "out" / theirs
    path.parent.mkdir(parents=True)
    path.write_text("theirs")
    said = ssc(folder, *LABEL, fails=True)
    assert f"--out out has {theirs.partition('/')[0]}, which label did not write and would replace" in said
    assert [one.read_text() for one in (folder / "out").rglob("*") if one.is_file()] == ["theirs"]


@pytest.mark.parametrize("given", ["out", "./out", "{here}/out", "{link}/out", "x/../out"])
def test_a_folder_of_labels_has_one_spelling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    here, link = tmp_path / "here", tmp_path / "link"  # as home folders of clusters are links
    here.mkdir()
    link.symlink_to(here)
    monkeypatch.chdir(here)
    assert _one_spelling(Path(given.format(here=here, link=link))) == Path("out")
    assert _one_spelling(tmp_path / "out") == tmp_path / "out"


def made(out: Path) -> dict[str, bytes]:
    """Every file but logs and run times, by its name."""
    files = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
    return {
        name: path.read_bytes() for name, path in files.items() if not {"logs", "benchmarks"} & set(Path(name).parts)
    }


def test_sections_of_a_config_that_are_not_read_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / "mine.yaml"
    places = folder / "photos", folder / "refs.csv", folder / "out"
    label_config(*places, {"train": False}, preset="paper", files=[file], toys=False, seen="")
    assert capsys.readouterr().out == ""
    more = {"datasets": {"labels": {"limit": 1}}, "results": "elsewhere"}
    file.write_text(yaml.safe_dump(read_config_file(file) | more))
    written = label_config(*places, {"train": False}, preset=None, files=[file], toys=False, seen="")
    said = f"not read, of {file}: datasets, results; the photos, the table and --out say it\n"
    assert capsys.readouterr().out == said
    assert written["results"] == f"{folder}/out/results"
    assert "limit" not in written["datasets"]["labels"]


def test_photos_get_no_value_that_was_chosen_for_drawings(folder: Path) -> None:
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump(read_config_file(file) | {"select": {"seed": 1}}))
    places = folder / "photos", folder / "refs.csv", folder / "out"
    written = label_config(*places, {"train": False}, preset=None, files=[file], toys=False, seen="")
    assert (written["select"], written["score"]["blur_sigma"]) == ({"seed": 1, "min_area": 500}, 50)
    assert written["detect"]["nms_iou"] is None
    assert "network" not in written, "nothing of a section with toys, which photos never see"
    network = {"bert": "weights/bert", "swin_weights": None}
    file.write_text(yaml.safe_dump(read_config_file(file) | {"network": network}))
    written = label_config(*places, {"train": False}, preset=None, files=[file], toys=False, seen="")
    settings = load_settings(read_layers([HOME / "config.yaml"], written))
    assert (settings.network.swin, settings.network.image_size, settings.correct.epochs) == ("base", 480, 40)


def test_toys_do_not_label_photos(ssc, folder: Path) -> None:
    (folder / "mine.yaml").write_text("select: {min_area: 1}\n")
    said = ssc(folder, "label", "photos", "refs.csv", "--out", "out", "--config", "mine.yaml", fails=True)
    assert "score.backend.settings.model: resources/micro/clip" in said
    assert "presets/small.yaml" in said
    assert not (folder / "out").exists()


def test_what_would_be_fetched_is_said_and_asked(ssc, folder: Path) -> None:
    said = ssc(folder, "label", "photos", "refs.csv", "--out", "out", fails=True)  # nobody answers
    assert "sam2_1_tiny_model" in said
    assert "files are not here" in said
    assert "swin_tiny" not in said, "what only trainings need"
    assert not (folder / "out").exists()


def test_a_call_that_labels_nothing_leaves_the_config_of_the_labels_that_are_there(
    ssc, quiet: tuple[Path, str]
) -> None:
    folder, _ = quiet
    before = (folder / "out/config.yaml").read_text()
    said = ssc(folder, "label", "photos", "refs.csv", "--out", "out", "--preset", "small", fails=True)
    assert "files are not here" in said
    assert (folder / "out/config.yaml").read_text() == before
    shutil.copy(folder / "refs.csv", folder / "others.csv")
    said = ssc(folder, "label", "photos", "others.csv", *LABEL[3:], fails=True)
    assert "error: out/results/labels was built from other data" in said
    assert "WorkflowError" not in said
    assert said.rstrip().endswith("label the others beside them: name another folder, --out")
    assert "rm -r" not in said and "results: another_folder" not in said, "nothing is the user's to remove or to write"
    assert (folder / "out/config.yaml").read_text() == before


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("image,sentences\n{photos}/unnamed.png,a cup\n", "line 2: photo '.*' must be a path inside the images folder"),
        ("image,sentences\nunnamed.png,a cup\n,a cup\n", "line 3: 'image' is empty"),
        ("image,sentences,mask\nunnamed.png,a cup,gone.png\n", r"line 2: the mask .*gone\.png is not there"),
    ],
)
def test_what_is_wrong_with_the_table_is_said_before_anything_is_fetched(
    ssc, folder: Path, rows: str, message: str
) -> None:
    (folder / "refs.csv").write_text(rows.format(photos=folder / "photos"))
    said = ssc(folder, "label", "photos", "refs.csv", "--out", "out", fails=True)
    assert re.search(f"error: .*{message}", said)
    assert "not here" not in said
    assert not (folder / "out").exists()


def test_a_start(ssc, tmp_path: Path) -> None:
    said = ssc(tmp_path, "init", "new")
    command = "ssc label photos refs.csv --out labels --preset small --config mine.yaml"
    assert f"    {command}\n" in (tmp_path / "new/README.txt").read_text()
    in_the_folder = re.sub(r"photos|refs\.csv|labels|mine\.yaml", r"new/\g<0>", command)
    assert said.rstrip().endswith(in_the_folder)
    assert "image,sentences" in (tmp_path / "new/refs.csv").read_text()
    assert read_config_file(tmp_path / "new/mine.yaml")["select"] == {"min_area": 500}
    assert "nothing was written" in ssc(tmp_path, "init", "new", fails=True)
