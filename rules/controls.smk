# What Correct is compared with: more of the same picks, no constraints, ground truth; and how well it matched.
MATCHED_PHASES = ("correct", "correct_without_constraints")


use rule pretrain as continue_pretrain with:
    input:
        **train_start("continue_pretrain", PRETRAINED),
        **validation_truth("continue_pretrain"),
        refs=REFS,
        masks=TRAIN_MASKS,
        selected=TRAIN_SELECTED,
    output:
        checkpoint=f"{RUN}checkpoints/continue_pretrain.pt",
        curve=f"{RUN}checkpoints/continue_pretrain.csv",
    log:
        f"{RUN}logs/continue_pretrain.log",
    benchmark:
        f"{RUN}benchmarks/continue_pretrain.tsv"
    params:
        settings=train_settings("continue_pretrain"),
        start=start_version("continue_pretrain"),
    message:
        "{wildcards.dataset}: training LAVT on the selected masks for as long again {wildcards.run}"


use rule correct as correct_without_constraints with:
    input:
        **train_start("correct_without_constraints", PRETRAINED),
        **validation_truth("correct_without_constraints"),
        refs=REFS,
        masks=TRAIN_MASKS,
    output:
        checkpoint=f"{RUN}checkpoints/correct_without_constraints.pt",
        curve=f"{RUN}checkpoints/correct_without_constraints.csv",
        matches=f"{RUN}checkpoints/correct_without_constraints.matches.parquet",
    log:
        f"{RUN}logs/correct_without_constraints.log",
    benchmark:
        f"{RUN}benchmarks/correct_without_constraints.tsv"
    params:
        settings=train_settings("correct_without_constraints"),
        start=start_version("correct_without_constraints"),
    message:
        "{wildcards.dataset}: training LAVT on all candidates without constraints {wildcards.run}"


# The upper bound: the one rule that trains on ground truth. Nothing else reads its checkpoint but evaluation.
use rule pretrain as supervised with:
    input:
        **train_start("supervised"),
        **validation_truth("supervised"),
        refs=REFS,
        truth=TRAIN_TRUTH,
    output:
        checkpoint=f"{RUN}checkpoints/supervised.pt",
        curve=f"{RUN}checkpoints/supervised.csv",
    log:
        f"{RUN}logs/supervised.log",
    benchmark:
        f"{RUN}benchmarks/supervised.tsv"
    params:
        settings=train_settings("supervised"),
        start=start_version("supervised"),
    message:
        "{wildcards.dataset}: training LAVT on GROUND TRUTH, the supervised upper bound {wildcards.run}"


rule matching_accuracy:
    input:
        matches=f"{RUN}checkpoints/{{phase}}.matches.parquet",
        masks=TRAIN_MASKS,
        truth=TRAIN_TRUTH,
    output:
        table=f"{RUN}checkpoints/{{phase}}.matching.csv",
    log:
        f"{RUN}logs/matching_accuracy_{{phase}}.log",
    benchmark:
        f"{RUN}benchmarks/matching_accuracy_{{phase}}.tsv"
    wildcard_constraints:
        phase="|".join(MATCHED_PHASES),
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        compat=compat("palette_targets", "merged_masks"),
        code=code("matching_accuracy"),
        files=file_options,
    message:
        "{wildcards.dataset}: how often {wildcards.phase} matched the true object, epoch by epoch {wildcards.run}"
    shell:
        job(
            "matching_accuracy",
            "{params.files} --compat {params.compat:q}",
        )


rule training_curves:
    input:
        curves=expand(
            "{run}checkpoints/{phase}.csv", run=[RUN], phase=["pretrain", "correct"]
        ),
        matching=f"{RUN}checkpoints/correct.matching.csv",
    output:
        picture=report(
            f"{RUN}checkpoints/curves.png",
            category="Training",
            labels={"dataset": "{dataset}", "seed": "{run}"},
            caption="../docs/captions/training_curves.rst",
        ),
    log:
        f"{RUN}logs/training_curves.log",
    benchmark:
        f"{RUN}benchmarks/training_curves.tsv"
    conda:
        "../envs/correct.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        code=code("training_curves"),
    message:
        "{wildcards.dataset}: drawing the training curves {wildcards.run}"
    shell:
        job(
            "training_curves",
            "--curves {input.curves:q} --matching {input.matching:q}",
            "--picture {output.picture:q}",
        )
