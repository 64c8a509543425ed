# What the micro world's LAVT starts from: Swin and BERT, and then both in a network that knows nouns. Made as the other
# small models are, by `make micro-models` only.


rule micro_lavt_parts:
    input:
        rules.micro_data.output,
    output:
        swin=f"{MICRO_BUILD}/swin.safetensors",
        bert=f"{MICRO}/lavt/bert/model.safetensors",
        card=f"{MICRO}/lavt/README.md",
    log:
        f"{MICRO_BUILD}/logs/lavt.log",
    benchmark:
        f"{MICRO_BUILD}/benchmarks/lavt.tsv"
    conda:
        "../envs/segment.yaml"
    resources:
        mem_mb=4000,
    params:
        step="make_lavt_parts",
        build=lambda wildcards: MICRO_BUILD,
        options=json.dumps(MICRO_STEPS["lavt_parts"]),
        out=lambda wildcards, output: str(Path(output.card).parent),
        code=code_version(
            "microworld.training.swin_scenes",
            "microworld.training.bert",
        ),
    message:
        "micro models: pre-training Swin and BERT"
    shell:
        call(MICRO_MODEL, "params.step params.build params.options threads params.out")


rule micro_lavt_start:
    input:
        rules.micro_data.output,
        rules.micro_lavt_parts.output,
    output:
        model=f"{MICRO}/lavt_start/model.safetensors",
        card=f"{MICRO}/lavt_start/README.md",
    log:
        f"{MICRO_BUILD}/logs/lavt_start.log",
    benchmark:
        f"{MICRO_BUILD}/benchmarks/lavt_start.tsv"
    conda:
        "../envs/segment.yaml"
    resources:
        mem_mb=4000,
    params:
        step="make_lavt_start",
        build=lambda wildcards: MICRO_BUILD,
        options=json.dumps(
            {**MICRO_STEPS["lavt_start"], "network": SETTINGS.values("network")}
        ),
        out=lambda wildcards, output: str(Path(output.model).parent),
        code=code_version("microworld.training.grounding"),
    message:
        "micro models: the Swin sees things among their peers, LAVT learns nouns"
    shell:
        call(MICRO_MODEL, "params.step params.build params.options threads params.out")
