"""The proof that no value needs a key: over places, columns, databases, time and copies (docs/operators/proof.md)."""
