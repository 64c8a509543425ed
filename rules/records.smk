# What Snakemake has noted of a result that is there: how and when it was made.
import ast

from snakemake.io import IOFile
from snakemake.settings.enums import RerunTrigger

MEANWHILE = "changed while they were read"


def changed_params(index, wildcards):
    """What index_refs was once called with, and would be now, where that runs it again; else ""."""
    maker, before = rules.index_refs.rule, workflow.persistence.params
    recorded = set(before(IOFile(index, maker)) or ())
    params = maker.params.items()
    now = {repr(one(wildcards) if callable(one) else one): name for name, one in params}
    old, new = recorded - now.keys(), now.keys() - recorded
    if not recorded or RerunTrigger.PARAMS not in workflow.rerun_triggers:
        return ""
    said = f"before: {'; '.join(sorted(old))}\nnow: {'; '.join(sorted(f'{now[one]} {one}' for one in new))}"
    return said if old or new else ""


def changed_meanwhile(name, result, files):
    """Param of a stage: what people's files hold that were changed while it read them. Snakemake dates a result when its
    job has ended, so that it is newer than they are, and does not look into them again.

    Else the text of another param, which adds nothing to those that Snakemake compares, as a set.
    """

    def found(wildcards):
        maker = getattr(rules, name).rule
        made = workflow.persistence.metadata(IOFile(path_of(result, wildcards), maker))
        mine = [Path(path) for path in files(wildcards) if not has_rule(path)]
        here = [path for path in mine if path.is_file()]
        noted = changed_once(made)
        if noted and len(here) < len(mine):
            return noted  # what was read may be gone
        if noted or any(was_read(path, made) for path in here):
            return f"{MEANWHILE}: {[file_sha256(path)[:16] for path in here]}"
        return code(stage_named(name).calls)

    return found


def changed_once(made):
    """Which files had been changed meanwhile, where a result was made for that, the last time; else ""."""
    params = (made and made.params) or ()  # as Python writes them
    return next((ast.literal_eval(one) for one in params if MEANWHILE in one), "")


def was_read(path, made):
    """Whether a file was changed while a result was made from it, or in the seconds in which Snakemake notes that."""
    begun, ended = (made.starttime, made.endtime) if made else (None, None)
    return bool(begun and ended) and begun < path.stat().st_mtime <= ended + 10
