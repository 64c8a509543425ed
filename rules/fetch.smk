# Published weights and data, one job per file. Other rules do not ask for them: `snakemake fetch` comes first, since what
# a weights file holds is part of what decides on reruns, and so must be known before a run is planned. The exception is
# a checkpoint to be evaluated, which is an input.
from ssc_core.weights.catalogue import all_files, needed_by

# A file that is here is nobody's output: no change of this rule can make Snakemake delete gigabytes and fetch them again
PUBLISHED = {
    file.product: name
    for name, file in all_files(SETTINGS).items()
    if not Path(file.product).exists()
}


localrules:
    fetch,
    fetch_file,


rule fetch:
    input:
        [local(file.product) for file in needed_by(SETTINGS).values()],
    message:
        "the published files that this config names are here"


rule fetch_file:
    output:
        local("{published}"),
    log:
        f"{RESULTS}/fetch/{{published}}.log",
    benchmark:
        f"{RESULTS}/fetch/{{published}}.tsv"
    wildcard_constraints:
        published="|".join(re.escape(path) for path in PUBLISHED) or "none",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=1000,
        runtime=600,
        # not a param: other mirrors or a new hash must never make Snakemake delete gigabytes that are here
        sources=section("sources"),
    params:
        name=lambda wildcards: PUBLISHED[wildcards.published],
    message:
        "fetching {wildcards.published}"
    shell:
        call("workflow_scripts.fetch_file:main", "params.name resources.sources")
