# Results may lie in a storage (--default-storage-provider): all outputs go there, but for what is marked `local(...)`. What
# people put here stays on a drive: photos, annotations, weights, decisions.

IN_STORAGE = workflow.storage_settings.default_storage_provider is not None


def local_copy(result):
    """Where a result can be read while planning; None: there is none yet. A storage's is fetched."""
    settings = workflow.storage_settings
    if not (IN_STORAGE and workflow.is_main_process):
        return result
    query = f"{settings.default_storage_prefix.rstrip('/')}/{result}"
    stored = workflow.storage_registry.default_storage_provider.object(query)
    if not workflow.async_run(stored.managed_exists()):
        return None
    workflow.async_run(stored.managed_retrieve())
    return stored.local_path()
