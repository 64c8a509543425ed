# Annotations -> refs.parquet (one row per sentence), truth.h5 (ground-truth masks), data.json (what the data are).


rule make_world:
    output:
        # the photos of this folder are no outputs, and stay on the drive, also where results lie in a storage
        stamp=local(f"{RESULTS}/{{dataset}}/world/world.json"),
    log:
        f"{RESULTS}/{{dataset}}/logs/make_world.log",
    benchmark:
        f"{RESULTS}/{{dataset}}/benchmarks/make_world.tsv"
    conda:
        "../envs/data.yaml"
    threads: SETTINGS.compute.threads
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        settings=lambda wildcards: as_json(micro_settings(SETTINGS, wildcards.dataset)),
        name=lambda wildcards: micro_name(SETTINGS, wildcards.dataset),
        code=code("workflow_scripts.make_world:main"),
    message:
        "{wildcards.dataset}: drawing the micro world"
    shell:
        call(
            "workflow_scripts.make_world:main",
            "params.name params.settings threads output.stamp",
        )


rule index_refs:
    input:
        annotations=annotations,
    output:
        refs=made("refs"),
        truth=made("truth"),
        data=made("data"),
    log:
        logs("index_refs"),
    benchmark:
        benchmarks("index_refs")
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        **reads("index_refs"),
        source=lambda wildcards: dataset_source(
            SETTINGS, wildcards.dataset
        ).model_dump_json(),
        reader=reader,
        identity=lambda wildcards: dataset_identity(SETTINGS, wildcards.dataset),
        check=lambda wildcards: str(SETTINGS.datasets[wildcards.dataset].check_counts),
        limit=lambda wildcards: SETTINGS.datasets[wildcards.dataset].limit or 0,
        photos_seen=lambda wildcards: SETTINGS.datasets[wildcards.dataset].seen or "",
        skip=str(SETTINGS.detect.on_bad_image == "skip"),
        meanwhile=changed_meanwhile("index_refs", "refs", annotation_files),
    message:
        "{wildcards.dataset}: indexing refs and ground truth"
    shell:
        calls(
            "index_refs",
            "wildcards.dataset params.source params.identity params.compat check_counts=params.check skip_bad_photos=params.skip params.limit params.photos_seen"
            " output.refs output.truth output.data",
        )
