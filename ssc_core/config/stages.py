"""Every stage of the pipeline: what it writes, and all that what it writes depends on. Stated here and nowhere else.

Rules take their ``params`` from this table, variants of the config the folders of their results
(``ssc_core.config.variants``), and the layout its paths (``ssc_core.layout``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ssc_core.config.labelling import DEFAULT_SCORER, NLTK_TAGGER
from ssc_core.config.methods import NETWORKS, PHASES
from ssc_core.config.settings import Settings
from ssc_core.registry import LOSS, NETWORK, VISUAL_PROMPT, Kind, own_versions


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage.

    calls: ``module:function``, whose code is part of what decides on reruns. writes: path by name of a result, below
    ``results/{dataset}/{variant}``. after: results that it is made from. sections, compat: keys of the config that it
    reads. values: single ones, as ``evaluate.both_ways``, of a section that it does not read as a whole. models: where
    in the config models are named whose code and weights count, as ``detect.backend``, or settings that name such
    weights. files: of a model that no setting names. plugins: the kinds of other code that the config names, by key.
    same: results that neither sections nor compat change. ``{scorer}`` in them: see ``stage_named``.
    """

    calls: str
    writes: Mapping[str, str]
    after: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    compat: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    plugins: Mapping[str, Kind] = field(default_factory=dict)
    same: frozenset[str] = field(default_factory=frozenset)

    @property
    def module(self) -> str:
        return self.calls.partition(":")[0]

    def of_scorer(self, scorer: str) -> Stage:
        """The same with the name of a scorer."""

        def put(text: str) -> str:
            return text.replace(SCORER, scorer)

        return replace(
            self,
            writes={put(name): put(path) for name, path in self.writes.items()},
            after=tuple(map(put, self.after)),
            sections=tuple(map(put, self.sections)),
            models=tuple(map(put, self.models)),
            plugins={put(key): kind for key, kind in self.plugins.items()},
        )


SCORER = "{scorer}"
"""Stands for the name of a scorer: in the table, and in paths of rules, where it is a wildcard."""


def _shard(kind: str) -> str:
    return "{split}/shards/" + kind + ".{shard}-of-{shards}.h5"


_MASKS_COMPAT = ("oiou_skips_empty", "merged_masks", "blind_to_size")

TRAINED = {
    "pt": "checkpoints/{phase}.pt",
    "csv": "checkpoints/{phase}.csv",
    "matches": "checkpoints/{phase}.matches.parquet",
}
"""What a training writes: checkpoint, log, and which candidate each sample was matched with."""

_TRAIN_COMPAT = ("lr_by_loader_length", "drop_first_batch", "loader_images", "palette_targets", "merged_masks")


_NETWORK = {"network.name": NETWORK}
"""A checkpoint says what its network is called, but only code that the config names is run."""


def _gather(kind: str) -> Stage:
    return Stage(
        calls="ssc_core.masks.gather:gather_shards", writes={kind: f"{{split}}/{kind}.h5"}, after=(f"{kind}_shard",)
    )


def _scoring(of: str, section: str, kind: str) -> Stage:
    """of: what the names of its results end in."""
    return Stage(
        calls="ssc_core.select.score_stage:score_candidates",
        writes={f"scores_shard{of}": _shard(kind)},
        after=("refs", "masks_shard"),
        sections=(section,),
        compat=("clip_bgr", "merged_masks"),
        models=(f"{section}.backend",),
        plugins={f"{section}.prompt": VISUAL_PROMPT},
    )


def _training(name: str) -> Stage:
    phase = PHASES[name]
    writes = {f"{name}.{kind}": path.format(phase=name) for kind, path in TRAINED.items()}
    learns_from = {"selected": ("masks", "selected"), "masks": ("masks",), "truth": ("truth",)}[phase.learns_from]
    return Stage(
        calls="workflow_scripts.train:main",
        writes=writes,
        after=("refs", *learns_from, *([f"{phase.after}.pt"] if phase.after else [])),
        sections=("network", name),
        compat=(*_TRAIN_COMPAT, *(["matching_double_count"] if phase.learns_from == "masks" else [])),
        models=("network.bert", "network.tokenizer", "network.swin_weights", "network.settings"),
        plugins={f"{name}.loss": LOSS, **_NETWORK},
    )


def _eval_stem(method: str) -> str:
    return "eval_{split}" if method == "corrected" else f"eval_{method}_{{split}}"


def _evaluation(
    method: str, script: str, *made_from: str, compat: tuple[str, ...] = (), models: tuple[str, ...] = ()
) -> Stage:
    stem = _eval_stem(method)
    return Stage(
        calls=f"workflow_scripts.{script}:main",
        writes={f"eval.{method}": f"{stem}.json", f"eval.{method}.rows": f"{stem}.parquet"},
        after=("refs", "truth", "data", *made_from),
        sections=("evaluate",),
        compat=compat,
        models=models,
        plugins=_NETWORK if script == "evaluate" else {},
    )


def _picture(method: str) -> Stage:
    """A stage of its own, so that what draws does not decide on whether networks are evaluated again."""
    return Stage(
        calls="ssc_core.report.examples:write_eval_picture",
        writes={f"eval.{method}.picture": f"{_eval_stem(method)}.png"},
        after=("refs", "truth", f"eval.{method}", f"eval.{method}.rows"),
    )


def _choice(method: str) -> Stage:
    return Stage(
        calls="ssc_core.correct.choose:choose_candidates",
        writes={f"chosen.{method}": f"{{split}}/chosen_{method}.h5"},
        after=("refs", "masks", f"{NETWORKS[method]}.pt"),
        values=("evaluate.both_ways",),
        plugins=_NETWORK,
    )


def _matching(name: str) -> Stage:
    return Stage(
        calls="workflow_scripts.matching_accuracy:main",
        writes={f"{name}.matching": f"checkpoints/{name}.matching.csv"},
        after=(f"{name}.matches", "masks", "truth"),
        compat=("palette_targets", "merged_masks"),
    )


STAGES: dict[str, Stage] = {
    # data
    "index_refs": Stage(
        calls="workflow_scripts.index_refs:main",
        writes={"refs": "refs.parquet", "truth": "truth.h5", "data": "data.json"},
        compat=("gt_overlap_hole",),
        same=frozenset({"refs", "data"}),
    ),
    # Segment
    "extract_nouns": Stage(
        calls="ssc_core.segment.nouns:extract_nouns",
        writes={"nouns": "{split}/nouns.parquet"},
        after=("refs",),
        sections=("nouns",),
        models=("nouns.encoder", "nouns.spacy_model"),
        files=(NLTK_TAGGER,),
    ),
    "detect_boxes": Stage(
        calls="ssc_core.segment.boxes:detect_boxes",
        writes={"boxes_shard": _shard("boxes")},
        after=("refs", "nouns"),
        sections=("detect",),
        compat=("detector_retry_plural", "query_order", "unclipped_boxes"),
        models=("detect.backend",),
    ),
    "segment_boxes": Stage(
        calls="ssc_core.segment.masks:segment_boxes",
        writes={"masks_shard": _shard("masks")},
        after=("refs", "nouns", "boxes_shard"),
        sections=("detect", "segment"),
        compat=("candidates_any_noun", "query_order"),
        models=("segment.backend",),
    ),
    "contact_sheet": Stage(
        calls="ssc_core.report.contact_sheet:write_contact_sheet",
        writes={"contact_sheet": "{split}/contact_sheet.jpg"},
        after=("refs", "nouns", "masks"),
    ),
    **{f"gather_{kind}": _gather(kind) for kind in ("boxes", "masks", "scores")},
    # Select
    "score_candidates": _scoring("", "score", "scores"),
    f"score_candidates@{SCORER}": _scoring(f"@{SCORER}", f"scorers.{SCORER}", f"scores_{SCORER}"),
    f"gather_scores@{SCORER}": Stage(
        calls="ssc_core.masks.gather:gather_shards",
        writes={f"scores@{SCORER}": f"{{split}}/scores_{SCORER}.h5"},
        after=(f"scores_shard@{SCORER}",),
    ),
    "select_masks": Stage(
        calls="ssc_core.select.stage:select_masks",
        writes={"selected": "{split}/selected.h5"},
        after=("refs", "masks", "scores"),
        sections=("select",),
        compat=("merged_masks", "blind_to_size"),
    ),
    "simulate_reviews": Stage(
        calls="workflow_scripts.simulate_reviews:main",
        writes={"simulated_reviews": "{split}/simulated_reviews.csv"},
        after=("refs", "nouns", "masks", "scores", "truth"),
        sections=("select", "reviewer"),
        compat=("merged_masks", "blind_to_size"),
    ),
    "label_pages": Stage(
        calls="ssc_core.report.labels_page:write_labels_page",
        writes={"labels": "{split}/labels.html", "labels.pages": "{split}/labels"},
        after=("refs", "data", "nouns", "masks", "scores", "selected"),
    ),
    # Correct
    **{name: _training(name) for name in PHASES},
    **{f"matching_{name}": _matching(name) for name in PHASES if PHASES[name].learns_from == "masks"},
    "training_curves": Stage(
        calls="ssc_core.report.curves:draw_curves",
        writes={"curves": "checkpoints/curves.png"},
        after=("pretrain.csv", "correct.csv", "correct.matching"),
    ),
    **{f"choose_{method}": _choice(method) for method in NETWORKS},
    # metrics
    "ground_sentences": Stage(
        calls="workflow_scripts.ground_sentences:main",
        writes={"grounded": "{split}/grounded.parquet"},
        after=("refs",),
        sections=("detect", "segment"),
        models=("detect.backend", "segment.backend"),
    ),
    **{f"evaluate_{method}": _evaluation(method, "evaluate", f"{phase}.pt") for method, phase in NETWORKS.items()},
    **{
        f"evaluate_{method}_choice": _evaluation(f"{method}_choice", "evaluate_chosen", f"chosen.{method}")
        for method in NETWORKS
    },
    # a network that was trained elsewhere does not say which tokenizer it takes
    "evaluate_published": _evaluation("published", "evaluate", models=("network.bert",)),
    **{f"picture_{method}": _picture(method) for method in (*NETWORKS, "published")},
    "picture_repaired": Stage(
        calls="ssc_core.report.repaired:write_repaired_picture",
        writes={"repaired": "{split}/repaired.png"},
        after=(
            "refs",
            "truth",
            "masks",
            "selected",
            "eval.corrected",
            "eval.corrected.rows",
            "eval.masks",
            "eval.masks.rows",
        ),
    ),
    "evaluate_masks": _evaluation("masks", "evaluate_masks", "masks", "selected", compat=_MASKS_COMPAT),
    "evaluate_selections": Stage(
        calls="workflow_scripts.evaluate_masks:main",
        writes={"selections": "{split}/select/eval.json", "selections.rows": "{split}/select/eval.parquet"},
        after=("refs", "truth", "data", "masks", "selected"),
        sections=("evaluate",),
        compat=_MASKS_COMPAT,
    ),
    "evaluate_grounded_sentence": _evaluation("grounded_sentence", "evaluate_grounded", "grounded"),
}
"""By name, in the order in which they run."""

MADE_BY = {result: name for name, stage in STAGES.items() for result in stage.writes}
"""The stage of a result."""


def stage_named(name: str) -> Stage:
    """A stage. ``score_candidates@dense`` is that of a scorer, made of the entry ``score_candidates@{scorer}``."""
    base, _, scorer = name.partition("@")
    return STAGES[f"{base}@{SCORER}"].of_scorer(scorer) if scorer else STAGES[base]


def made_by(result: str) -> str:
    """The stage of a result. ``scores@dense`` is that of a scorer."""
    base, _, scorer = result.partition("@")
    return MADE_BY[f"{base}@{SCORER}"].replace(SCORER, scorer) if scorer else MADE_BY[base]


def stage_names(settings: Settings) -> tuple[str, ...]:
    """All stages of a config: those of the table, with one for each of its scorers."""
    scorers = settings.scorers
    several = {name: [name.replace(SCORER, scorer) for scorer in scorers] for name in STAGES if SCORER in name}
    return tuple(one for name in STAGES for one in several.get(name, [name]))


def reads(settings: Settings, stage: str) -> dict[str, Any]:
    """What a stage reads of the config, without the stages before it: by section, value, model, plug-in and
    ``compat.switch``."""
    found = stage_named(stage)
    keys = [*found.values, *found.models, *found.plugins, *(f"compat.{name}" for name in found.compat)]
    return {name: settings.values(name) for name in found.sections} | {key: value_of(settings, key) for key in keys}


def value_of(settings: Settings, key: str) -> Any:
    """A value of the config by its key, as ``detect.backend`` or ``scorers.dense.backend``."""
    section, _, name = key.rpartition(".")
    return settings.values(section)[name]


def model_places(settings: Settings, stages: Iterable[str]) -> list[str]:
    """Keys of the config at which the models of stages are named, each once."""
    places = dict.fromkeys(place for stage in stages for place in stage_named(stage).models)
    if not settings.nouns.project:
        places.pop("nouns.encoder", None)  # nothing reads it then
    return list(places)


def plugin_names(settings: Settings, stage: str) -> Iterator[tuple[str, str, Kind]]:
    """(key of the config, name, kind) of what a stage uses besides models."""
    for key, kind in stage_named(stage).plugins.items():
        names = value_of(settings, key)
        yield from ((key, name, kind) for name in ([names] if isinstance(names, str) else names))


def plugin_versions(settings: Settings, stage: str) -> str:
    """Digests of the code of the user's own that a stage uses; that of registered names is part of the stage's code.

    Raises SscError for code that is not there."""
    return "; ".join(filter(None, (own_versions(kind, name) for _, name, kind in plugin_names(settings, stage))))


def depends_on(settings: Settings, result: str) -> dict[str, Any]:
    """All of the config that a result depends on, by section or ``compat.switch``: its stage's and the ones before."""
    found: dict[str, Any] = {}
    for name in made_from(settings, result):
        stage = made_by(name)
        if name not in stage_named(stage).same:
            found |= reads(settings, stage)
    return found


def scores_of(settings: Settings) -> tuple[str, ...]:
    """The results that hold the scores that a choice is made from: of every scorer that has a weight."""
    return tuple(map(scores_by, settings.select.scorers))


def scores_by(scorer: str) -> str:
    """The result that holds a scorer's scores."""
    return "scores" if scorer == DEFAULT_SCORER else f"scores@{scorer}"


def inputs(settings: Settings, stage: str) -> tuple[str, ...]:
    """The results that a stage is made from, as the settings have it."""
    after = stage_named(stage).after
    reviewed = settings.reviewer.share > 0
    if stage == "select_masks" and reviewed:
        after = (*after, "simulated_reviews")
    if "scores" in after:
        return (*(name for name in after if name != "scores"), *scores_of(settings))
    if stage == "segment_boxes" and settings.detect.backend is None:
        return tuple(name for name in after if name != "boxes_shard")
    if stage not in PHASES:
        return after
    train = settings.training(stage)
    if (reviewed or train.prior_weight > 0) and PHASES[stage].learns_from == "masks":
        after = (*after, "selected")  # says which refs were decided, and what Select makes of candidates
    if train.init_from:
        after = tuple(name for name in after if name != f"{PHASES[stage].after}.pt")
    # a checkpoint that is kept by its validation depends on the truth
    return (*after, "truth") if train.keep == "best" and "truth" not in after else after


def made_from(settings: Settings, result: str) -> Iterator[str]:
    """A result and all that it is made from, each once."""
    seen: set[str] = set()
    waiting = [result]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            yield name
            waiting.extend(inputs(settings, made_by(name)))
