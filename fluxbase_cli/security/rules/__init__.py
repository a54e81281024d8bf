"""The rules, one module for each family. Each `Rule` at the top of a module is found (see `registry`)."""
