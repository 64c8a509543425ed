# The small models of the micro world. Asked for by `make micro-models` only: what they write is committed, and no rule
# of the pipeline has it as an input.

MICRO = "resources/micro"
MICRO_BUILD = "build/micro"
MICRO_STEPS = {
    "detector": {"cycles": [4500, 2600, 3000]},
    "sam": {"steps": 2800},
    "clip": {"cycles": [1800, 1000]},
    "lavt_parts": {"bert_steps": 2500, "close_up_steps": 3000, "scene_steps": 6000},
    "lavt_start": {"parts": f"{MICRO}/lavt", "peer_steps": 4000, "steps": 2400},
}
MICRO_MODEL = "workflow_scripts.micro_model:main"
MICRO_DETECTOR = SETTINGS.detect.backend.settings if SETTINGS.detect.backend else {}
MICRO_CARDS = {
    "detector": {
        "box_threshold": MICRO_DETECTOR.get("box_threshold", 0.35),
        "text_threshold": MICRO_DETECTOR.get("text_threshold", 0.25),
        "nms_iou": SETTINGS.detect.nms_iou,
    },
    "sam": {},
    "clip": {"blur_sigma": SETTINGS.score.blur_sigma},
}


rule micro_models:
    input:
        [
            f"{MICRO}/{name}/README.md"
            for name in ("detector", "sam", "clip", "lavt", "lavt_start")
        ],


rule micro_data:
    output:
        train=directory(f"{MICRO_BUILD}/pool-train"),
        unseen=directory(f"{MICRO_BUILD}/pool-val"),
        corpus=f"{MICRO_BUILD}/corpus.txt",
        vocabulary=f"{MICRO_BUILD}/vocab.txt",
    log:
        f"{MICRO_BUILD}/logs/data.log",
    benchmark:
        f"{MICRO_BUILD}/benchmarks/data.tsv"
    conda:
        "../envs/segment.yaml"
    threads: SETTINGS.compute.threads
    resources:
        mem_mb=4000,
    params:
        step="data",
        build=lambda wildcards: MICRO_BUILD,
        options=json.dumps({"scenes": 12000}),
        world=section("micro"),
        code=code_version(
            "microworld.training.corpus",
            "microworld.training.pool",
            "microworld.training.vocabulary",
        ),
    message:
        "micro models: drawing scenes"
    shell:
        call(
            MICRO_MODEL,
            "params.step params.build params.options threads params.world",
        )


rule micro_weights:
    # one thread each: small models gain little from a second one, and four of them train side by side
    input:
        rules.micro_data.output,
    output:
        weights=f"{MICRO}/{{name}}/{{weights}}.safetensors",
    log:
        f"{MICRO_BUILD}/logs/{{name}}.{{weights}}.log",
    benchmark:
        f"{MICRO_BUILD}/benchmarks/{{name}}.{{weights}}.tsv"
    wildcard_constraints:
        name="detector|sam|clip",
        weights="model|open_clip_model",
    conda:
        "../envs/segment.yaml"
    resources:
        mem_mb=4000,
    params:
        step=lambda wildcards: f"make_{wildcards.name}",
        build=lambda wildcards: MICRO_BUILD,
        options=lambda wildcards: json.dumps(MICRO_STEPS[wildcards.name]),
        out=lambda wildcards, output: str(Path(output[0]).parent),
        code=lambda wildcards: code_version(f"microworld.training.{wildcards.name}"),
    message:
        "micro models: training {wildcards.name}"
    shell:
        call(MICRO_MODEL, "params.step params.build params.options threads params.out")


rule micro_card:
    input:
        weights=lambda wildcards: f"{MICRO}/{wildcards.name}/{'open_clip_' * (wildcards.name == 'clip')}model.safetensors",
        data=rules.micro_data.output,
    output:
        card=f"{MICRO}/{{name}}/README.md",
    log:
        f"{MICRO_BUILD}/logs/{{name}}.card.log",
    benchmark:
        f"{MICRO_BUILD}/benchmarks/{{name}}.card.tsv"
    wildcard_constraints:
        name="detector|sam|clip",
    conda:
        "../envs/segment.yaml"
    resources:
        mem_mb=4000,
    params:
        step=lambda wildcards: f"card_{wildcards.name}",
        build=lambda wildcards: MICRO_BUILD,
        options=lambda wildcards: json.dumps(MICRO_CARDS[wildcards.name]),
        code=code_version("microworld.training.measure"),
        out=lambda wildcards, output: str(Path(output[0]).parent),
    message:
        "micro models: measuring {wildcards.name}"
    shell:
        call(MICRO_MODEL, "params.step params.build params.options threads params.out")
