"""Other libraries' names, arguments and defaults over this library's own parts."""
