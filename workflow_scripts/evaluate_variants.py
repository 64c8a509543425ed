"""Rule evaluate_variants: the pipeline's own choice and all ways to select of the config, on the same pairs."""

from contextlib import ExitStack
from pathlib import Path

from ssc_core.evaluate.masks import REF_COLUMNS, evaluate_masks
from ssc_core.masks.selection import SelectionStore
from ssc_core.masks.store import MaskStore
from ssc_core.refer.ref_table import read_refs
from ssc_core.refer.truth import TruthStore
from ssc_core.settings import CompatSettings, EvaluateSettings, SelectSettings
from workflow_scripts._script import plain, run, run_meta


def main(
    refs: Path,
    truth: Path,
    data: Path,
    masks: Path,
    selections: list[Path],
    names: list[str],
    split: str,
    settings: EvaluateSettings,
    select: SelectSettings,
    compat: CompatSettings,
    code: str,
    report: Path,
) -> None:
    with ExitStack() as stack:
        store = stack.enter_context(MaskStore.open(masks))
        opened = [stack.enter_context(SelectionStore(path)) for path in selections]
        evaluation = evaluate_masks(
            refs=read_refs(refs, columns=REF_COLUMNS),
            split=split,
            masks=store,
            truth=TruthStore(truth),
            selections=dict(zip(names, opened, strict=True)),
            select=select,
            out=report,
            settings=settings,
            compat=compat,
            meta=run_meta(
                data=data,
                inputs={"refs": refs, "truth": truth, "masks": masks, **dict(zip(names, selections, strict=True))},
                method="zero_shot",
                model=dict(store.info.models),
                code=code,
                settings=plain(evaluate=settings, select=select, compat=compat),
            ),
        )
    for name, choice in evaluation.choices.items():
        print(f"{split}: {name:<24} oIoU {choice.oIoU:.2f}  mIoU {choice.mIoU:.2f}")


run(main)
