# What decides whether a stage runs again, from ssc_core.config.stages: `params` of its rule. All are values, and none a time.


def as_json(values):
    return json.dumps(values, sort_keys=True)


def section(name):
    """One section of the config as canonical JSON."""
    return as_json(SETTINGS.values(name))


def stage_of(name, wildcards):
    return stage_named(name.format(**dict(wildcards.items())))


def stage_like(name):
    """One of the stages of a rule, as `{phase}`, for what all of them have in common: what they call, and which kinds of
    params they have."""
    return stage_named(
        name.format(phase="correct", kind="masks", method="corrected", scorer="any")
    )


def settings_of(name):
    """Param: the sections that a stage reads; of a single one, its keys alone."""

    def found(wildcards):
        stage, settings = stage_of(name, wildcards), varied(wildcards)
        values = {section: settings.values(section) for section in stage.sections}
        return as_json(values[stage.sections[0]] if len(values) == 1 else values)

    return found


def compat_of(name):
    """Param: the compat switches that a stage reads."""

    def found(wildcards):
        switches = varied(wildcards).values("compat")
        return as_json({key: switches[key] for key in stage_of(name, wildcards).compat})

    return found


def models_of(name):
    """Param: digests of the code and weights of the models that a stage uses."""

    def found(wildcards):
        settings = varied(wildcards)
        check_toys(settings, name.format(**dict(wildcards.items())), wildcards.dataset)
        models = [model_at(settings, key) for key in stage_of(name, wildcards).models]
        return "; ".join(filter(None, map(model_state, models)))

    return found


def check_toys(settings, stage, dataset):
    """Photos are not given to models that know drawings only. A stage of labels names those of all such stages."""
    if dataset_world(settings, dataset) == "files" and toys_of(settings, [stage]):
        labels = label_stages(settings)
        stages = labels if stage in labels else [stage]
        try:
            check_stages(settings, stages, f"the photos of dataset '{dataset}'")
        except SscError as error:
            raise WorkflowError(str(error))


def plugins_of(name):
    """Param: digests of the other code of the user's own that a stage uses."""

    def found(wildcards):
        try:
            return plugin_versions(
                varied(wildcards), name.format(**dict(wildcards.items()))
            )
        except SscError as error:
            raise WorkflowError(str(error))

    return found


def reads(name):
    """`params` with all that decides whether a stage runs again, besides its inputs."""
    stage = stage_like(name)
    params = {"code": code(stage.calls)}
    if stage.sections:
        params["settings"] = settings_of(name)
    if stage.compat:
        params["compat"] = compat_of(name)
    if stage.models:
        params["models"] = models_of(name)
    if stage.plugins:
        params["plugins"] = plugins_of(name)
    return params


def code(calls):
    """Digest of a function's module and of all that it imports from ssc_core: `snakemake -n` shows it."""
    place, _, function = calls.partition(":")
    name = place.removeprefix("workflow_scripts.") if function == "main" else function
    return f"code of {name}: {code_version(place)}"


@cache
def weights(*paths):
    """Digests of the weights that lie at paths. Read once per plan, which asks for the same models for every shard."""
    versions = {path: weights_version(path) for path in paths}
    return "; ".join(
        f"weights {path}: {version}" for path, version in versions.items() if version
    )


def weights_in(settings):
    return weights(*possible_paths(settings).values())


def model_at(settings, key):
    """A model of the config by its key, as `detect.backend` or `scorers.dense.backend`."""
    for name in key.split("."):
        settings = (
            settings[name] if isinstance(settings, dict) else getattr(settings, name)
        )
    return settings


def model_state(model):
    """Weights at a path, weights that settings name, or code and weights behind a backend."""
    if isinstance(model, str | None):
        return weights(model)
    if isinstance(model, dict):
        return weights_in(model)
    try:
        version = backend_version(model.name)
    except SscError as error:
        raise WorkflowError(str(error))
    return f"backend {model.name}: {version}; {weights_in(model.settings)}"
