# `snakemake ablations`: the config with one value changed at a time. Files of a stage are shared by all rows that a change
# does not reach, with the main results too: stages/{key} exists only for what differs.
from functools import cache

from ssc_core.evaluate.ablations import STAGES, Ablations

ABLATIONS = f"{RESULTS}/ablations"
ABLATED = f"{ABLATIONS}/stages/{{key}}/{{dataset}}"
ABLATED_SPLIT = f"{ABLATED}/{{split}}"
ABLATED_RUN = f"{ABLATED}/{{run}}"
ROW = f"{ABLATIONS}/{{dataset}}/{{split}}/{{row}}"


@cache
def ablated():
    """The variants, when they are first asked for: other targets do not wait for them."""
    try:
        found = Ablations(SETTINGS)
        found.variants
        return found
    except SscError as error:
        raise WorkflowError(str(error))


@cache
def ablation_space():
    """Paths of rows and back: setting~select.choice/value~random/seed~0."""
    import pandas
    from snakemake.utils import Paramspace

    rows = [(v.setting, v.value, v.seed) for v in ablated().variants]
    frame = pandas.DataFrame(rows, columns=["setting", "value", "seed"])
    return Paramspace(frame, single_wildcard="row")


def row_variant(wildcards):
    row = ablation_space().instance(wildcards)
    return ablated().variant(row["setting"], row["value"], int(row["seed"]))


def from_stage(stage, path):
    """Input function: a file of a stage, as the variant of the wildcard `key` or `row` has it."""

    def found(wildcards):
        named = "key" in wildcards.keys()
        variant = ablated().by_key[wildcards.key] if named else row_variant(wildcards)
        values = {"run": variant.run, **dict(wildcards.items())}
        return f"{ablated().folder(variant, stage)}/{path}".format(**values)

    return found


def ablated_section(name):
    return lambda wildcards: json.dumps(
        getattr(ablated().by_key[wildcards.key].settings, name).model_dump(mode="json"),
        sort_keys=True,
    )


def ablated_compat(*names):
    return lambda wildcards: json.dumps(
        {n: getattr(ablated().by_key[wildcards.key].settings.compat, n) for n in names},
        sort_keys=True,
    )


def ablated_backend(backend_of):
    return lambda wildcards: backend_state(
        backend_of(ablated().by_key[wildcards.key].settings)
    )


def ablated_training(phase):
    def settings(wildcards):
        found = ablated().by_key[wildcards.key].settings
        train = getattr(found, phase).model_dump(mode="json")
        if wildcards.run:
            train["seed"] = int(wildcards.run.strip("seed/"))
        return json.dumps(
            {"network": found.network.model_dump(mode="json"), "train": train},
            sort_keys=True,
        )

    return settings


def ablated_files(phase, **files):
    """Input files of a phase: `init_from` in place of init, and validation truth where the best checkpoint is kept."""

    def found(wildcards):
        settings = getattr(ablated().by_key[wildcards.key].settings, phase)
        inputs = {
            name: from_stage(stage, path)(wildcards)
            for name, (stage, path) in files.items()
        }
        if settings.init_from:
            inputs["init"] = settings.init_from
        if settings.keep == "best":
            inputs["val_truth"] = from_stage("truth", "{dataset}/truth.h5")(wildcards)
        return inputs

    return found


def stage_keys(stage):
    return rf"{stage}-[0-9a-f]{{8}}"


TRAIN_SWITCHES = STAGES["pretrain"].compat + STAGES["correct"].compat
ABLATED_INIT = ("pretrain", "{dataset}/{run}checkpoints/pretrain.pt")
ABLATED_MASKS = ("masks", "{dataset}/train/masks.h5")
ABLATED_PICKS = ("selected", "{dataset}/train/selected.h5")


wildcard_constraints:
    row=r"setting~[^/]+/value~[^/]+/seed~\d+",


rule ablations:
    input:
        table=f"{ABLATIONS}/table.csv",
        summary=f"{ABLATIONS}/summary.csv",
        plot=f"{ABLATIONS}/plot.svg",


def ablation_evals(wildcards):
    folder = f"{ABLATIONS}/{SETTINGS.ablations.dataset}/{SETTINGS.ablations.split}"
    rows = zip(ablated().variants, ablation_space().instance_patterns)
    return [
        f"{folder}/{row}/{name}.json"
        for variant, row in rows
        for name in (["eval_masks", "eval"] if variant.trained else ["eval_masks"])
    ]


rule ablations_table:
    input:
        evals=ablation_evals,
    output:
        table=report(
            f"{ABLATIONS}/table.csv",
            category="Ablations",
            labels={"what": "table"},
            caption="../docs/captions/ablations.rst",
        ),
        summary=f"{ABLATIONS}/summary.csv",
        plot=report(
            f"{ABLATIONS}/plot.svg",
            category="Ablations",
            labels={"what": "plot"},
            caption="../docs/captions/ablations.rst",
        ),
    log:
        f"{ABLATIONS}/logs/table.log",
    benchmark:
        f"{ABLATIONS}/benchmarks/table.tsv"
    conda:
        "../envs/correct.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code("ablations_table"),
    message:
        "writing the table of ablations"
    shell:
        "python -m workflow_scripts.ablations_table --evals {input.evals:q} --table {output.table:q}"
        " --summary {output.summary:q} --plot {output.plot:q} 2>&1 | tee {log:q}"


use rule evaluate_masks as ablation_evaluate_masks with:
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        truth=from_stage("truth", "{dataset}/truth.h5"),
        data=f"{RESULTS}/{{dataset}}/data.json",
        masks=from_stage("masks", "{dataset}/{split}/masks.h5"),
        selected=from_stage("selected", "{dataset}/{split}/selected.h5"),
    output:
        report=f"{ROW}/eval_masks.json",
        candidates=f"{ROW}/eval_masks.parquet",
    log:
        f"{ROW}/logs/evaluate_masks.log",
    benchmark:
        f"{ROW}/benchmarks/evaluate_masks.tsv"
    params:
        chain=lambda wildcards: json.dumps(
            {
                name: getattr(row_variant(wildcards).settings, name).model_dump(
                    mode="json"
                )
                for name in ("nouns", "detect", "segment", "score", "select")
            },
            sort_keys=True,
        ),
        compat=lambda wildcards: json.dumps(
            {
                "oiou_skips_empty": row_variant(
                    wildcards
                ).settings.compat.oiou_skips_empty
            }
        ),
    message:
        "{wildcards.row}: evaluating candidates and selected masks"


use rule evaluate as ablation_evaluate with:
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        truth=from_stage("truth", "{dataset}/truth.h5"),
        data=f"{RESULTS}/{{dataset}}/data.json",
        checkpoint=from_stage("correct", "{dataset}/{run}checkpoints/correct.pt"),
    output:
        report=f"{ROW}/eval.json",
        sentences=f"{ROW}/eval.parquet",
        picture=f"{ROW}/eval.png",
    log:
        f"{ROW}/logs/evaluate.log",
    benchmark:
        f"{ROW}/benchmarks/evaluate.tsv"
    message:
        "{wildcards.row}: evaluating the corrected network"


use rule index_refs as ablation_index_refs with:
    output:
        refs=f"{ABLATED}/refs.parquet",
        truth=f"{ABLATED}/truth.h5",
        data=f"{ABLATED}/data.json",
    log:
        f"{ABLATED}/logs/index_refs.log",
    benchmark:
        f"{ABLATED}/benchmarks/index_refs.tsv"
    wildcard_constraints:
        key=stage_keys("truth"),
    params:
        compat=ablated_compat("gt_overlap_hole"),


use rule extract_nouns as ablation_extract_nouns with:
    output:
        nouns=f"{ABLATED_SPLIT}/nouns.parquet",
    log:
        f"{ABLATED_SPLIT}/logs/extract_nouns.log",
    benchmark:
        f"{ABLATED_SPLIT}/benchmarks/extract_nouns.tsv"
    wildcard_constraints:
        key=stage_keys("nouns"),
    params:
        settings=ablated_section("nouns"),
        backend=ablated_backend(lambda settings: settings.nouns.encoder),


use rule detect_boxes as ablation_detect_boxes with:
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        nouns=from_stage("nouns", "{dataset}/{split}/nouns.parquet"),
    output:
        boxes=f"{ABLATED_SPLIT}/shards/boxes.{{shard}}-of-{{shards}}.h5",
    log:
        f"{ABLATED_SPLIT}/logs/detect_boxes.{{shard}}-of-{{shards}}.log",
    benchmark:
        f"{ABLATED_SPLIT}/benchmarks/detect_boxes.{{shard}}-of-{{shards}}.tsv"
    wildcard_constraints:
        key=stage_keys("boxes"),
    params:
        settings=ablated_section("detect"),
        compat=ablated_compat("detector_retry_plural"),
        backend=ablated_backend(lambda settings: settings.detect.backend),


use rule segment_boxes as ablation_segment_boxes with:
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        nouns=from_stage("nouns", "{dataset}/{split}/nouns.parquet"),
        boxes=from_stage(
            "boxes", "{dataset}/{split}/shards/boxes.{shard}-of-{shards}.h5"
        ),
    output:
        masks=f"{ABLATED_SPLIT}/shards/masks.{{shard}}-of-{{shards}}.h5",
    log:
        f"{ABLATED_SPLIT}/logs/segment_boxes.{{shard}}-of-{{shards}}.log",
    benchmark:
        f"{ABLATED_SPLIT}/benchmarks/segment_boxes.{{shard}}-of-{{shards}}.tsv"
    wildcard_constraints:
        key=stage_keys("masks"),
    params:
        settings=ablated_section("segment"),
        compat=ablated_compat("candidates_any_noun"),
        backend=ablated_backend(lambda settings: settings.segment.backend),


use rule score_candidates as ablation_score_candidates with:
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        masks=from_stage(
            "masks", "{dataset}/{split}/shards/masks.{shard}-of-{shards}.h5"
        ),
    output:
        scores=f"{ABLATED_SPLIT}/shards/scores.{{shard}}-of-{{shards}}.h5",
    log:
        f"{ABLATED_SPLIT}/logs/score_candidates.{{shard}}-of-{{shards}}.log",
    benchmark:
        f"{ABLATED_SPLIT}/benchmarks/score_candidates.{{shard}}-of-{{shards}}.tsv"
    wildcard_constraints:
        key=stage_keys("scores"),
    params:
        settings=ablated_section("score"),
        compat=ablated_compat("clip_bgr"),
        backend=ablated_backend(lambda settings: settings.score.backend),


use rule gather as ablation_gather with:
    input:
        shards=expand(
            "{folder}/shards/{{kind}}.{shard}-of-{shards}.h5",
            folder=ABLATED_SPLIT,
            shard=range(SHARDS),
            shards=SHARDS,
        ),
    output:
        whole=f"{ABLATED_SPLIT}/{{kind}}.h5",
    log:
        f"{ABLATED_SPLIT}/logs/gather_{{kind}}.log",
    benchmark:
        f"{ABLATED_SPLIT}/benchmarks/gather_{{kind}}.tsv"


use rule select_masks as ablation_select_masks with:
    input:
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
        masks=from_stage("masks", "{dataset}/{split}/masks.h5"),
        scores=from_stage("scores", "{dataset}/{split}/scores.h5"),
    output:
        selected=f"{ABLATED_SPLIT}/selected.h5",
    log:
        f"{ABLATED_SPLIT}/logs/select_masks.log",
    benchmark:
        f"{ABLATED_SPLIT}/benchmarks/select_masks.tsv"
    wildcard_constraints:
        key=stage_keys("selected"),
    params:
        settings=ablated_section("select"),


use rule pretrain as ablation_pretrain with:
    input:
        unpack(ablated_files("pretrain", masks=ABLATED_MASKS, selected=ABLATED_PICKS)),
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
    output:
        checkpoint=f"{ABLATED_RUN}checkpoints/pretrain.pt",
        curve=f"{ABLATED_RUN}checkpoints/pretrain.csv",
    log:
        f"{ABLATED_RUN}logs/pretrain.log",
    benchmark:
        f"{ABLATED_RUN}benchmarks/pretrain.tsv"
    wildcard_constraints:
        key=stage_keys("pretrain"),
    params:
        settings=ablated_training("pretrain"),
        compat=ablated_compat(*TRAIN_SWITCHES),


use rule correct as ablation_correct with:
    input:
        unpack(ablated_files("correct", init=ABLATED_INIT, masks=ABLATED_MASKS)),
        refs=f"{RESULTS}/{{dataset}}/refs.parquet",
    output:
        checkpoint=f"{ABLATED_RUN}checkpoints/correct.pt",
        curve=f"{ABLATED_RUN}checkpoints/correct.csv",
    log:
        f"{ABLATED_RUN}logs/correct.log",
    benchmark:
        f"{ABLATED_RUN}benchmarks/correct.tsv"
    wildcard_constraints:
        key=stage_keys("correct"),
    params:
        settings=ablated_training("correct"),
        compat=ablated_compat(*TRAIN_SWITCHES),
