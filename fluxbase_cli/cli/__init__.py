"""The command line: it parses, asks and prints. It contains no SQL, no cryptography and no decisions."""
