"""Other libraries' names, arguments and defaults on top of this library."""
