"""Everything that is done with keys: loading the keyring, making, listing, verifying, disabling and destroying keys."""
