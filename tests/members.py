"""What a module offers, loaded: packages load their names when they are used."""

import inspect

import optifunc as of


def members(module):
    """Name -> object, of a package what it lists; of a file all that it has."""
    names = getattr(module, "__all__", vars(module))
    return {name: getattr(module, name) for name in names}


# The optimizers' factories; `assemble` is what they are made with.
FACTORIES = {
    name: value
    for name, value in members(of.optimizers).items()
    if inspect.isfunction(value) and name != "assemble"
}
