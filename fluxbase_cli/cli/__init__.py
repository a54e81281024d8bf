"""The command line: parse, ask, print. No SQL, no crypto, no decisions."""
