# Stage 3: LAVT pre-trained on the selected masks, then trained on all candidates with constrained greedy matching; and
# the other trainings that these are compared with (`PHASES` in ssc_core/config/methods.py).


rule train:
    # of all phases, `supervised` alone has the truth among its inputs (and those that keep the best by validation)
    input:
        unpack(training_inputs),
    output:
        checkpoint=home(TRAINED["pt"]),
        curve=home(TRAINED["csv"]),
        matches=home(TRAINED["matches"]),
    log:
        logs("{phase}"),
    benchmark:
        benchmarks("{phase}")
    priority: 1  # it takes the longest: figures of what is there already can wait for it
    conda:
        "../envs/correct.yaml"
    threads: SETTINGS.compute.threads
    resources:
        **gpu_job(SETTINGS.compute.gpus, minutes=2880, memory=32000),
        processes=SETTINGS.compute.gpus,
        nodes=SETTINGS.compute.nodes,
        save_minutes=str(SETTINGS.compute.save_minutes),
        log_to=SETTINGS.compute.log_to,
        checkpoint_activations=str(SETTINGS.compute.checkpoint_activations),
        compile=str(SETTINGS.compute.compile),
    params:
        **reads("{phase}"),
        images=images_folder,
        start=start_version,
        files=file_options,
        # resumes from here after a crash; not an output, since Snakemake deletes the outputs of a failed job
        state=training_state,
    message:
        "{wildcards.dataset}: training LAVT, phase {wildcards.phase} {wildcards.variant}"
    shell:
        calls(
            "{phase}",
            "wildcards.phase params.images params.settings params.compat params.state"
            " resources.save_minutes resources.log_to gpus=resources.processes resources.nodes resources.device"
            " threads resources.checkpoint_activations resources.compile",
            files=True,
        )


rule matching_accuracy:
    # how often training matched the true object, epoch by epoch
    input:
        matches=found("{phase}.matches"),
        masks=found("masks", split="train"),
        truth=found("truth"),
    output:
        table=home("checkpoints/{phase}.matching.csv"),
    log:
        logs("matching_accuracy_{phase}"),
    benchmark:
        benchmarks("matching_accuracy_{phase}")
    wildcard_constraints:
        phase="|".join(MATCHED),
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        **reads("matching_{phase}"),
    message:
        "{wildcards.dataset}: how often {wildcards.phase} matched the true object {wildcards.variant}"
    shell:
        calls(
            "matching_{phase}",
            "input.matches input.masks input.truth params.compat output.table",
        )


rule training_curves:
    input:
        curves=each(found("pretrain.csv"), found("correct.csv")),
        matching=found("correct.matching"),
    output:
        picture=report(
            made("curves"),
            category="Training",
            labels={"dataset": "{dataset}", "variant": "{variant}"},
            caption="../docs/captions/training_curves.rst",
        ),
    log:
        logs("training_curves"),
    benchmark:
        benchmarks("training_curves")
    conda:
        "../envs/correct.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        **reads("training_curves"),
    message:
        "{wildcards.dataset}: drawing the training curves {wildcards.variant}"
    shell:
        calls("training_curves", "*input.curves *input.matching out=output.picture")


rule choose_candidates:
    # a network's choice among Segment's candidates, sentence by sentence: its decision with Segment's outlines
    input:
        refs=found("refs"),
        masks=found("masks"),
        checkpoint=network_of,
    output:
        out=home("{split}/chosen_{method}.h5"),
    log:
        logs("{split}/choose_candidates_{method}"),
    benchmark:
        benchmarks("{split}/choose_candidates_{method}")
    wildcard_constraints:
        method="|".join(NETWORKS),
    conda:
        "../envs/correct.yaml"
    threads: SETTINGS.compute.threads
    resources:
        **gpu_job(minutes=240),
    params:
        **reads("choose_{method}"),
        images=images_folder,
        network=network_name,
    message:
        "{wildcards.dataset} {wildcards.split}: candidates that the {wildcards.method} network fits best"
        " {wildcards.variant}"
    shell:
        calls(
            "choose_{method}",
            "input.refs wildcards.split params.images input.masks input.checkpoint params.network"
            " params.both_ways resources.device threads output.out",
        )
