"""Rule make_world: draw a dataset of the micro world in the REFER layout."""

from pathlib import Path

from ssc_core.files import write_json
from ssc_core.microworld.refer_layout import write_world
from ssc_core.microworld.world_settings import WorldSettings


def main(name: str, settings: WorldSettings, threads: int, stamp: Path) -> None:
    refs = write_world(stamp.parent, name, settings, workers=threads)
    write_json(stamp, {"dataset": name, "refs": refs.name, "world": settings.model_dump(mode="json")})
