"""Rules evaluate_masks and evaluate_selections: how good the candidates and the choices among them are."""

from contextlib import ExitStack
from pathlib import Path

from ssc_core.config.labelling import CompatSettings, SelectSettings
from ssc_core.evaluate.masks import evaluate_masks
from ssc_core.masks.selection import SelectionStore
from ssc_core.masks.store import MaskStore
from ssc_core.refer.ref_table import refs_in_order
from ssc_core.refer.refs_digest import TableRefs
from workflow_scripts._evaluation import Evaluation
from workflow_scripts._script import plain, run


def main(asked: Evaluation, masks: Path, selections: list[Path], names: list[str], compat: CompatSettings) -> None:
    """names: of ``selections``, the pipeline's own as ``selected``."""
    select = SelectSettings.model_validate(asked.led_to["select"])
    files = dict(zip(names, selections, strict=True))
    with MaskStore.open(masks) as store, ExitStack() as stack:
        opened = {name: stack.enter_context(SelectionStore(path)) for name, path in files.items()}
        TableRefs(asked.refs, asked.split).check(*opened.values(), store)
        chosen = opened["selected"].info
        evaluation = evaluate_masks(
            **asked.common,
            refs=refs_in_order(asked.refs, asked.split),
            masks=store,
            selections=opened,
            select=select,
            compat=compat,
            meta=asked.meta(
                method="zero_shot",
                model={**store.info.models, **chosen.models},
                settings=plain(evaluate=asked.settings, compat=compat),
                made_from={"masks": masks, **files},
                code=f"{store.info.code} {chosen.code}",
                seed=select.seed,
            ),
        )
    for name, choice in evaluation.choices.items():
        print(f"{asked.split}: {name:<24} oIoU {choice.oIoU:.2f}  mIoU {choice.mIoU:.2f}")


if __name__ == "__main__":
    run(main)
