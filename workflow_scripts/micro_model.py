"""Rules of rules/micro_models.smk: make the data of the small models, or one model with its card."""

import json
from pathlib import Path

import torch

from microworld.training import recipes
from microworld.training.loop import pin_files
from ssc_core.config.world import WorldSettings
from ssc_core.errors import SscError
from workflow_scripts._script import run


def main(
    step: str, build: Path, options: str, threads: int, out: Path | None = None, world: WorldSettings | None = None
) -> None:
    torch.set_num_threads(threads)
    chosen = json.loads(options)
    if world is not None:  # the step `data`
        recipes.make_data(build, settings=world, workers=threads, **chosen)
    elif out is None:
        raise SscError(f"the step '{step}' needs a folder for what it makes: --out")
    elif step.startswith("card"):
        getattr(recipes, step)(build, out, threads=threads, **chosen)
    else:
        getattr(recipes, step)(build, out, **chosen)
        pin_files(out)


if __name__ == "__main__":
    run(main)
