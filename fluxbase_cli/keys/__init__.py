"""The life of a key: opening the ring, making, listing, verifying, disabling and destroying keys."""
