"""What a module offers, loaded: packages load their names when they are used."""

from optifunc.optimizers._factory import all_factories


def members(module):
    """Name -> object, of a package what it lists; of a file all that it has."""
    names = getattr(module, "__all__", vars(module))
    return {name: getattr(module, name) for name in names}


FACTORIES = all_factories()
