"""Rules evaluate_masks and evaluate_selections: how good the candidates and the choices among them are."""

import json
from contextlib import ExitStack
from pathlib import Path

from ssc_core.config.labelling import CompatSettings, EvaluateSettings, SelectSettings
from ssc_core.evaluate.masks import REF_COLUMNS, evaluate_masks
from ssc_core.masks.selection import SelectionStore
from ssc_core.masks.store import MaskStore
from ssc_core.refer.ref_table import read_refs
from ssc_core.refer.truth import TruthStore
from workflow_scripts._script import plain, run_meta


def main(
    refs: Path,
    truth: Path,
    data: Path,
    masks: Path,
    selections: list[Path],
    names: list[str],
    split: str,
    settings: EvaluateSettings,
    chain: str,
    compat: CompatSettings,
    code: str,
    report: Path,
) -> None:
    """names: of ``selections``, the pipeline's own as ``selected``. chain: the sections that led to it, as JSON."""
    sections = json.loads(chain)
    select = SelectSettings.model_validate(sections["select"])
    files = dict(zip(names, selections, strict=True))
    with MaskStore.open(masks) as store, ExitStack() as stack:
        opened = {name: stack.enter_context(SelectionStore(path)) for name, path in files.items()}
        chosen = opened["selected"].info
        evaluation = evaluate_masks(
            refs=read_refs(refs, columns=REF_COLUMNS),
            split=split,
            masks=store,
            truth=TruthStore(truth),
            selections=opened,
            select=select,
            out=report,
            settings=settings,
            compat=compat,
            meta=run_meta(
                data=data,
                inputs={"refs": refs, "truth": truth, "masks": masks, **files},
                method="zero_shot",
                model={**store.info.models, **chosen.models},
                code=f"{code} {store.info.code} {chosen.code}",
                settings={**sections, **plain(evaluate=settings, compat=compat)},
                seed=select.seed,
            ),
        )
    for name, choice in evaluation.choices.items():
        print(f"{split}: {name:<24} oIoU {choice.oIoU:.2f}  mIoU {choice.mIoU:.2f}")
