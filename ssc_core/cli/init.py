"""``ssc init``: a table and a config to start from."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ssc_core.errors import SscError

TABLE = """image,sentences
beach.jpg,woman on the left in blue|lady with the umbrella
beach.jpg,the small brown dog
street/corner.jpg,the second car from the right
"""

CONFIG = """# What `ssc label` takes beside a preset: --config {name}. Every key of config.yaml may stand here.

# Candidates below this many pixels are skipped. 500 suits photos of about 640 x 480.
select:
  min_area: 500
  # per: sentence          # a choice for each sentence of a row; they mean one object all the same
  # spatial_weight: 20     # read words of place and size: left, largest, second from the right

score:
  blur_sigma: 50           # pixels, for photos of about 640 x 480

# What sentences may be about: the 80 classes of COCO. false asks the detector for the nouns as they are.
nouns:
  classes: coco
  # project: false

detect:
  on_bad_image: skip       # a photo that cannot be read is left out and counted; stop: it is an error
"""

README = """refs.csv: a row per object. `image` is relative to the folder of the photos; several sentences for the same
object are separated by |. Optional columns: split (train, val), mask (a PNG with the truth, for evaluation alone).
In this folder:

    {command}
"""


def init(folder: Annotated[Path, typer.Argument(help="New or existing folder; nothing in it is overwritten.")]) -> None:
    """Write a table and a config to start from, and check them."""
    from ssc_core.cli.config_files import read_config
    from ssc_core.refer.table import read_sentences

    files = {
        folder / "refs.csv": TABLE,
        folder / "mine.yaml": CONFIG.format(name=shlex.quote(str(folder / "mine.yaml"))),
        folder / "README.txt": README.format(command=_command(Path())),
    }
    if there := [str(file) for file in files if file.exists()]:
        raise SscError(f"{', '.join(there)} is there already; nothing was written")
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        file.write_text(text, encoding="utf-8")
    rows = list(read_sentences(folder / "refs.csv"))
    read_config([folder / "mine.yaml"])
    print(
        f"{folder}: refs.csv ({len(rows)} rows as an example), mine.yaml, photos/. Both files were read and are right."
    )
    print(f"Put photos and rows in, then: {_command(folder)}")


def _command(folder: Path) -> str:
    """What labels the folder, by the config in it."""
    photos, table, out, config = (str(folder / name) for name in ("photos", "refs.csv", "labels", "mine.yaml"))
    return shlex.join(["ssc", "label", photos, table, "--out", out, "--preset", "small", "--config", config])
