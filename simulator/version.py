"""Which version of Callsim this is."""

from importlib.metadata import PackageNotFoundError, version


def callsim_version() -> str:
    """The version of the installed package."""
    try:
        return version("callsim")
    except PackageNotFoundError:
        return "0"
