"""Rule make_world: draw a dataset of the micro world in the REFER layout."""

from pathlib import Path

from microworld.refer_layout import write_world
from ssc_core.config.world import WorldSettings
from ssc_core.files import write_json
from workflow_scripts._script import run


def main(name: str, settings: WorldSettings, threads: int, stamp: Path) -> None:
    """settings: those that the dataset depends on; what is left out is nothing to it."""
    refs = write_world(stamp.parent, name, settings, workers=threads)
    given = settings.model_dump(mode="json", exclude_unset=True)
    write_json(stamp, {"dataset": name, "refs": refs.name, "world": given})


if __name__ == "__main__":
    run(main)
