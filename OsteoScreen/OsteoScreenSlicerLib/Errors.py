"""The module's own errors: one or two sentences that say what to do, shown to the user as they are."""


class ModuleError(RuntimeError):
    """Something that the user can put right; the message says how."""


class MissingPackages(ModuleError):
    """PyTorch or another package is missing or damaged."""
